"""A bundle of weights of others that read texts: network, tokenizer and what they answer, ready to write or to be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepen import recipe as recipes
from deepen import registry
from deepen.data.adopted import adopt
from deepen.data.sentences import TextPreprocess
from deepen.data.tokenizer import SPECIAL
from deepen.deploy import bundle
from deepen.errors import Misuse, Problem
from deepen.pretrained.load import Loaded, load, not_in
from deepen.pretrained.weights import Reader, Weights
from deepen.randomness import generator, reseed
from deepen.spec import Category, Output, Spec, Text, Tokens
from deepen.version import VERSION

SHOWN = 32
"""Tokens of a golden input."""


def as_bundle(
    weights: Weights, reader: Reader, out: Path, *, allow_partial: bool
) -> tuple[nn.Module, Loaded, list[str]]:
    """Write the bundle as `out`: its network, what was taken over, and the layers that were never trained. Raises `Problem`."""
    tokenizer = adopt(reader.tokenizer).tokenizer
    spec = Spec(Text(reader.length, tokenizer.vocabulary), Tokens(tokenizer.vocabulary))
    name, source, output = _answers(weights, reader, spec.output)
    spec = Spec(spec.input, output)
    recipe = recipes.blank(weights.origin, source, name, reader.model)
    for field, value in reader.fields.items():
        recipe.set(f"model.{field}", value)
    task = registry.find("task", name).load().build(spec, recipe.task)
    reseed(0, "weights")
    network: nn.Module = registry.find("model", reader.model).load().build(task.spec, recipe.model).eval()
    loaded = load(network, weights, allow_partial=allow_partial)
    untrained = (*loaded.lacking, *loaded.new)
    if untrained and not allow_partial:
        raise Problem(
            f"A bundle of {reader.model} would hold layers that were never trained: {not_in(weights, untrained)}. Take other "
            "weights, or go on all the same with --allow-partial."
        )
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in untrained))
    drawn = torch.randint(
        len(SPECIAL),
        tokenizer.vocabulary,
        (bundle.GOLDENS, min(SHOWN, reader.length)),
        generator=generator(0, "goldens"),
    )
    facts: dict[str, Any] = {
        "converted": weights.origin,
        "matched": loaded.share,
        "untrained": layers,
        "digest": weights.digest,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "step": 0,
        "validation": {},
        "versions": {"deepen": VERSION, "torch": torch.__version__},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    bundle.write(out, network, recipe, task, TextPreprocess(tokenizer, reader.length), drawn, facts)
    bundle.load(out)  # replays the goldens
    return network, loaded, layers


def _answers(weights: Weights, reader: Reader, tokens: Output) -> tuple[str, str, Output]:
    """What the weights can be asked without a further training: the task, a reader of its data, and the answer."""
    if reader.model == "gpt":
        return "language", "prose", tokens
    if weights.names is not None:
        return "classify", "text-table", Category(weights.names)
    if any(name.startswith("cls.predictions.") for name in weights.tensors):
        return "masked", "prose", tokens
    raise Misuse(
        f"The weights {weights.origin} understand texts and answer nothing by themselves: train on them, `deepen train DATA "
        "--pretrained ...`."
    )

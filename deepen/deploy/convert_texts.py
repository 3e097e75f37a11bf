"""A bundle of weights of others that read texts: network, tokenizer and what they answer, ready to write or to be asked."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from deepen import recipe as recipes
from deepen import registry
from deepen.data.adopted import adopt
from deepen.data.sentences import TextPreprocess
from deepen.data.tokenizer import SPECIAL
from deepen.deploy import bundle
from deepen.deploy.converted import Converted, ship
from deepen.errors import Misuse
from deepen.pretrained.weights import Reader, Weights
from deepen.randomness import generator, reseed
from deepen.spec import Category, Output, Spec, Text, Tokens

SHOWN = 32
"""Tokens of a golden input."""


def as_bundle(weights: Weights, reader: Reader, out: Path, *, allow_partial: bool) -> Converted:
    """Write the bundle as `out`. Raises `Problem`."""
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
    drawn = torch.randint(
        len(SPECIAL),
        tokenizer.vocabulary,
        (bundle.GOLDENS, min(SHOWN, reader.length)),
        generator=generator(0, "goldens"),
    )
    preprocess = TextPreprocess(tokenizer, reader.length)
    mend = "Take other weights"
    return ship(out, network, weights, recipe, task, preprocess, drawn, allow_partial=allow_partial, mend=mend)


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

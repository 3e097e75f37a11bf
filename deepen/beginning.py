"""What a training begins with from elsewhere: brought into its network, and kept with the run.

A run keeps the weights and the tokenizer that it began with (`start/`): it can be resumed when the files that they came from are
gone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from deepen.data.preprocess import Preprocess
from deepen.data.sentences import TextPreprocess
from deepen.data.tagging import TaggedPreprocess
from deepen.engine.checkpoint import DamageError, no_room, verify, write_folder
from deepen.engine.run import Folder
from deepen.errors import Misuse, Problem
from deepen.nn.backbone import body_parameters
from deepen.nn.headed import Headed
from deepen.pretrained.load import BACKBONE, MODEL, Loaded, head_of, load, not_in
from deepen.pretrained.texts import cut_to
from deepen.recipe import Recipe
from deepen.transfer import Origin, carrier

PLACES = ("wpe.weight", "embeddings.position_embeddings.weight")
"""Tables with a vector for each place of a text."""
FILE, FACTS, TOKENIZER = "start.safetensors", "start.json", "tokenizer.json"


@dataclass(frozen=True)
class Start:
    """What a training begins with."""

    told: list[str]
    """What was taken over and what of it learns, for people."""
    implied: list[str]
    """Settings that the weights brought with them."""


def take_over(model: nn.Module, recipe: Recipe, origin: Origin, classes: Sequence[str]) -> Start:
    """Bring weights into a network as the recipe says; `classes` are those that it is to tell apart. Raises `Problem`."""
    transfer = recipe.transfer
    body = body_parameters(model)
    if body is None:
        raise Problem(
            f"Model '{recipe.model_name}' has no body that weights could be taken over for: name weights of a network that has "
            "one, such as resnet18 for pictures or bert for texts, or leave --pretrained out."
        )
    if transfer.mode in ("head", "gradual") and not getattr(model, "head_name", "backbone"):
        raise Misuse(
            f"transfer={transfer.mode} lets a head learn before its body or alone, and {recipe.model_name} has none: take "
            "transfer=all."
        )
    implied = [*origin.network, *origin.data]
    answering = classes if isinstance(model, Headed) else ()  # what stands on a network answers in ways of its own
    named_by = BACKBONE if carrier(origin.model) is not None else MODEL
    weights = origin.weights
    if weights.reader is not None:
        weights = replace(weights, tensors=cut_to(weights.tensors, model.state_dict(), PLACES))
    loaded = load(model, weights, allow_partial=transfer.allow_partial, named_by=named_by, classes=answering)
    _whole(loaded, recipe, origin)
    said = loaded.sentence
    total, frozen = sum(p.numel() for p in model.parameters()), sum(p.numel() for p in body)
    numbers = f"frozen: {frozen:,} of {total:,} parameters"
    if transfer.mode == "head":
        return Start([said, numbers], implied)
    slower = (
        f"its first layers learn at {transfer.body_lr:g} of the rate of the {'head' if head_of(model) else 'last ones'}"
    )
    if transfer.body_lr == 1:
        slower = "all of it learns at one rate"
    if transfer.mode == "gradual":
        return Start(
            [said, f"{numbers} for the first {100 * transfer.head_first:.0f} % of the training; then {slower}"], implied
        )
    return Start([said, slower], implied)


def _whole(loaded: Loaded, recipe: Recipe, origin: Origin) -> None:
    """Raise `Misuse` where layers that would be frozen are not in the weights: at random they would stay."""
    mode = recipe.transfer.mode
    if not loaded.lacking or mode not in ("head", "gradual"):
        return
    other = origin.stem is not None and origin.stem != recipe.model.stem
    raise Misuse(
        f"transfer={mode} freezes the body, and {not_in(origin.weights, loaded.lacking)}: take transfer=all, in which they learn"
        f"{f', or model.stem={origin.stem}, the form that the weights have' if other else ''}."
    )


def keep(folder: Folder, network: nn.Module, start: Start | None, recipe: Recipe, preprocess: Preprocess) -> None:
    """Write what a training begins with from elsewhere into its run: weights, and the tokenizer that its texts are cut with.
    Raises `Problem` where there is no room."""
    files = {} if start is None else {FACTS: json.dumps(vars(start), indent=1, ensure_ascii=False)}
    if getattr(recipe.data, "tokenizer", None) is not None and isinstance(
        preprocess, TextPreprocess | TaggedPreprocess
    ):
        files[TOKENIZER] = json.dumps(preprocess.tokenizer.to_json(), ensure_ascii=False)
    if not files:
        return
    try:
        write_folder(folder.start, {} if start is None else {FILE: network.state_dict()}, files)
    except OSError as error:
        size = sum(value.numel() * value.element_size() for value in network.state_dict().values())
        raise Problem(no_room(error, folder.start, size)) from error


def begin_again(folder: Folder, network: nn.Module) -> Start:
    """The weights that a run began with, into the network; what `keep` wrote."""
    _verified(folder)
    network.load_state_dict(load_file(folder.start / FILE))
    return Start(**json.loads((folder.start / FACTS).read_text(encoding="utf-8")))


def kept_tokenizer(folder: Folder) -> Path:
    """Where a run keeps the tokenizer that it was given. Raises `Problem` where that is damaged."""
    _verified(folder)
    return folder.start / TOKENIZER


def _verified(folder: Folder) -> None:
    try:
        verify(folder.start)
    except DamageError as error:
        raise Problem(
            f"The files that this run began with are damaged: {error}. Restore the folder, or train again."
        ) from error

"""Weights that are taken over from another training: found, brought in, and kept with the run.

A run keeps the weights that it began with (`start/`): it can be resumed when the file that they came from is gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from deepen import recipe as recipes
from deepen.engine.checkpoint import DamageError, no_room, verify, write_folder
from deepen.engine.run import Folder
from deepen.errors import Misuse, Problem
from deepen.nn.backbone import body_parameters
from deepen.pretrained.find import find
from deepen.pretrained.load import load
from deepen.pretrained.weights import Weights
from deepen.recipe import Recipe, Transfer

USUAL = {"classify": "resnet18", "regress": "resnet18"}
"""The network that a published set of weights is for, where none is named."""
PUBLISHED = "imagenet"
FILE, FACTS = "start.safetensors", "start.json"


@dataclass(frozen=True)
class Start:
    """What a training begins with."""

    told: list[str]
    """What was taken over and what of it learns, for people."""
    implied: list[str]
    """Settings of the data that the weights brought with them."""


def asked(settings: Mapping[str, Any]) -> Transfer:
    """What the user said of weights to take over, before there is a recipe."""
    draft = Recipe("", "", "", "")
    for key, value in settings.items():
        if key == "transfer" or key.startswith("transfer.") or (key != "name" and key in vars(draft.transfer)):
            draft.set(key, value)
    return draft.transfer


def check(recipe: Recipe, own: nn.Module | None, chosen: set[str]) -> None:
    """Raise `Misuse` for settings of weights to take over where there are none, or no network of ours to take them."""
    transfer = recipe.transfer
    if transfer.pretrained is not None and own is not None:
        raise Misuse(
            f"Pretrained weights ({transfer.pretrained}) go into the networks that `deepen list` names; load them into your "
            f"{type(own).__name__} yourself and leave them out here."
        )
    if transfer.pretrained is None:
        for key in sorted(chosen):
            if key.startswith("transfer.") and key != "transfer.pretrained" and recipe.keys()[key] != "none":
                word = "transfer" if key == "transfer.name" else key
                raise Misuse(
                    f"{word}={recipes.as_text(recipe.keys()[key])} says what becomes of weights that are taken over, and none "
                    "are: name some with --pretrained imagenet, a file of weights or a run."
                )


def network_for(transfer: Transfer, task: str | None, model: str | None) -> str:
    """The network that weights are looked for. Raises `Misuse` where it has to be named."""
    if model is not None:
        return model
    known = _network_in(transfer.pretrained)
    if known is not None and not known["name"].startswith(recipes.CUSTOM):
        return str(known["name"])
    if transfer.pretrained == PUBLISHED:
        if task is None or task in USUAL:
            return USUAL[task or "classify"]
        for usual in recipes.known_good():
            if usual.task == task and usual.default and usual.model is not None:
                return usual.model
    raise Misuse(f"Name with --model the network that the weights {transfer.pretrained} are for: they do not say it.")


def fields_for(transfer: Transfer, model: str | None) -> dict[str, Any]:
    """Settings of the network that a run or bundle holds the weights of, where the same one is to take them over."""
    known = _network_in(transfer.pretrained)
    if known is None or known["name"] != model:
        return {}
    return {f"model.{name}": value for name, value in (known["fields"] or {}).items()}


def _network_in(pretrained: str | None) -> dict[str, Any] | None:
    """Name and fields of the network in a run or bundle; None for anything else, which `find` looks at and speaks of."""
    for folder in (Path(pretrained or "") / "model", Path(pretrained or "")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["model"]
            return {"name": str(known["name"]), "fields": known["fields"]}
    return None


def found(transfer: Transfer, model: str) -> Weights:
    """The weights that the user named. Raises `Problem`."""
    assert transfer.pretrained is not None
    return find(transfer.pretrained, model)


def expected(weights: Weights, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the data with which pictures are as the weights know them, where the user did not say otherwise."""
    given = {key.removeprefix("data.") for key in settings}
    wanted: dict[str, Any] = {"size": weights.size}
    if "size" not in given:  # what it is cut out of goes with the size
        wanted["resize"] = weights.resize
    if weights.mean is not None and weights.std is not None:
        wanted["channels"] = len(weights.mean)
        if str(settings.get("data.channels", settings.get("channels", len(weights.mean)))) == str(len(weights.mean)):
            wanted |= {"mean": weights.mean, "std": weights.std}
    return {f"data.{name}": value for name, value in wanted.items() if value is not None and name not in given}


def take_over(model: nn.Module, recipe: Recipe, weights: Weights, implied: list[str]) -> Start:
    """Bring weights into a network as the recipe says. Raises `Problem`."""
    transfer = recipe.transfer
    body = body_parameters(model)
    if body is None:
        raise Problem(
            f"Model '{recipe.model_name}' has no body that weights could be taken over for: choose a network for pictures such "
            "as resnet18, or leave --pretrained out."
        )
    said = load(model, weights, allow_partial=transfer.allow_partial).sentence
    total, frozen = sum(p.numel() for p in model.parameters()), sum(p.numel() for p in body)
    numbers = f"frozen: {frozen:,} of {total:,} parameters"
    if transfer.mode == "head":
        return Start([said, numbers], implied)
    slower = f"its first layers learn at {transfer.body_lr:g} of the rate of the head"
    if transfer.mode == "gradual":
        return Start(
            [said, f"{numbers} for the first {100 * transfer.head_first:.0f} % of the training; then {slower}"], implied
        )
    return Start([said, slower], implied)


def keep(folder: Folder, network: nn.Module, start: Start) -> None:
    """Write what a training begins with into its run. Raises `Problem` where there is no room."""
    facts = json.dumps(vars(start), indent=1, ensure_ascii=False)
    try:
        write_folder(folder.start, {FILE: network.state_dict()}, {FACTS: facts})
    except OSError as error:
        size = sum(value.numel() * value.element_size() for value in network.state_dict().values())
        raise Problem(no_room(error, folder.start, size)) from error


def begin_again(folder: Folder, network: nn.Module) -> Start:
    """The weights that a run began with, into the network; what `keep` wrote."""
    try:
        verify(folder.start)
    except DamageError as error:
        raise Problem(
            f"The weights that this run began with are damaged: {error}. Restore the folder, or train again."
        ) from error
    network.load_state_dict(load_file(folder.start / FILE))
    return Start(**json.loads((folder.start / FACTS).read_text(encoding="utf-8")))

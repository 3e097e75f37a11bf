"""Weights that are taken over from another training: found, brought in, and kept with the run.

A run keeps the weights that it began with (`start/`): it can be resumed when the file that they came from is gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from deepen import recipe as recipes
from deepen import registry
from deepen.engine.checkpoint import DamageError, no_room, verify, write_folder
from deepen.engine.run import Folder
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.nn.backbone import SMALL, Backbone, body_parameters
from deepen.pretrained.find import find
from deepen.pretrained.load import Loaded, load
from deepen.pretrained.weights import Weights
from deepen.recipe import Recipe, Transfer

PUBLISHED, HUB = "imagenet", "hf:"
USUAL = "resnet18"
"""The network that published weights are for, where none is named."""
ANSWERS = ("classify", "regress")
"""Tasks that a network for pictures answers by itself; for others it is the backbone of a model."""
FILE, FACTS = "start.safetensors", "start.json"


@dataclass(frozen=True)
class Origin:
    """Weights to take over, the model that takes them, and the settings that come with them."""

    model: str
    weights: Weights
    network: dict[str, Any]
    """Settings of the model."""
    data: dict[str, Any]
    """Settings with which pictures are as the weights know them."""


@dataclass(frozen=True)
class Start:
    """What a training begins with."""

    told: list[str]
    """What was taken over and what of it learns, for people."""
    implied: list[str]
    """Settings that the weights brought with them."""


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


def origin(settings: Mapping[str, Any], task: str | None, model: str | None) -> Origin | None:
    """The weights that the user asks for, None where none are asked for. Raises `Problem`."""
    pretrained = asked(settings).pretrained
    if pretrained is None:
        return None
    held = _network_in(pretrained)
    taking = model or (held[0] if held else _usual(pretrained, task))
    registry.find("model", taking)
    brought = {f"model.{name}": value for name, value in held[1].items()} if held and held[0] == taking else {}
    below = getattr(registry.find("model", taking).load().Config(), "backbone", None)
    known = taking
    if below is not None:  # it stands on a network, and the weights are that one's
        known = str(settings.get("model.backbone", settings.get("backbone", below)))
        if known == below and pretrained == PUBLISHED:
            known = USUAL
            brought["model.backbone"] = USUAL
    weights = find(pretrained, known)
    if below is None and not {"model.stem", "stem"} & settings.keys() and "model.stem" not in brought:
        brought |= _stem(taking, weights)
    return Origin(taking, weights, brought, _as_known(weights, settings, whole=below is None))


def says_model(settings: Mapping[str, Any]) -> bool:
    """Whether the weights that the user asks for are a run's or bundle's, which names its network."""
    return _network_in(asked(settings).pretrained or "") is not None


def lasting(pretrained: str | None) -> str | None:
    """A path that holds from any folder; names stay as they are."""
    if pretrained is None or pretrained == PUBLISHED or pretrained.startswith(HUB) or not Path(pretrained).exists():
        return pretrained
    return str(Path(pretrained).resolve())


def _stem(model: str, weights: Weights) -> dict[str, Any]:
    """The form of the first layers that the weights were trained in, for networks that have one for small pictures too: where
    it followed the size of the new pictures, those layers would not fit."""
    if not hasattr(registry.find("model", model).load().Config(), "stem"):
        return {}
    if weights.size is not None:
        return {"model.stem": "small" if weights.size <= SMALL else "imagenet"}
    filters = next((value for value in weights.tensors.values() if value.ndim == 4), None)
    return {"model.stem": "imagenet"} if filters is not None and filters.shape[-1] > 3 else {}


def _usual(pretrained: str, task: str | None) -> str:
    """The model that takes weights where none is named."""
    if pretrained != PUBLISHED and not pretrained.startswith(HUB) and not Path(pretrained).exists():
        hint = did_you_mean(pretrained, [PUBLISHED])
        raise Misuse(f"pretrained={pretrained} is not known: expected imagenet, hf:owner/name, a file or a run.{hint}")
    if pretrained == PUBLISHED:
        if task is None or task in ANSWERS:
            return USUAL
        for known in recipes.known_good():
            if known.task == task and known.default and known.model is not None:
                return known.model
    raise Misuse(f"Name with --model the network that the weights {pretrained} are for: they do not say it.")


def _network_in(pretrained: str) -> tuple[str, dict[str, Any]] | None:
    """Name and fields of the network in a run or bundle; None for anything else, which `find` looks at and speaks of."""
    for folder in (Path(pretrained) / "model", Path(pretrained)):
        with suppress(OSError, ValueError, KeyError, TypeError):
            held = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["model"]
            if not held["name"].startswith(recipes.CUSTOM):
                return held["name"], dict(held["fields"])
    return None


def _as_known(weights: Weights, settings: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Settings of the data with which pictures are as the weights know them, where the user did not say otherwise. The size
    matters to a network that answers for the whole picture; for a model that stands on it, pictures keep their own."""
    given = {key.removeprefix("data.") for key in settings}
    wanted: dict[str, Any] = {}
    if whole:
        wanted["size"] = weights.size
        if "size" not in given:  # what it is cut out of goes with the size
            wanted["resize"] = weights.resize
    if weights.mean is not None and weights.std is not None:
        wanted["channels"] = len(weights.mean)
        if str(settings.get("data.channels", settings.get("channels", len(weights.mean)))) == str(len(weights.mean)):
            wanted |= {"mean": weights.mean, "std": weights.std}
    return {f"data.{name}": value for name, value in wanted.items() if value is not None and name not in given}


def take_over(model: nn.Module, recipe: Recipe, origin: Origin, classes: Sequence[str]) -> Start:
    """Bring weights into a network as the recipe says; `classes` are those that it is to tell apart. Raises `Problem`."""
    transfer = recipe.transfer
    body = body_parameters(model)
    if body is None:
        raise Problem(
            f"Model '{recipe.model_name}' has no body that weights could be taken over for: choose a network for pictures such "
            "as resnet18, or leave --pretrained out."
        )
    implied = [*origin.network, *origin.data]
    answering = classes if isinstance(model, Backbone) else ()  # what stands on a network answers in ways of its own
    loaded = load(model, origin.weights, allow_partial=transfer.allow_partial, classes=answering)
    _whole(loaded, transfer)
    said = loaded.sentence
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


def _whole(loaded: Loaded, transfer: Transfer) -> None:
    """Raise `Misuse` where layers that would be frozen are not in the weights: at random they would stay."""
    lacking = [*loaded.differing, *loaded.missing]
    if lacking and transfer.mode in ("head", "gradual"):
        raise Misuse(
            f"transfer={transfer.mode} freezes the body, and {len(lacking)} of its tensors are not in the weights or of another "
            f"shape ({', '.join(lacking[:3])}): take transfer=all, in which they learn, or model.stem=imagenet where only the "
            "first layer differs."
        )


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

"""Weights that are taken over from another training: which ones, the model that takes them, the settings that they bring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from deepen import recipe as recipes
from deepen import registry
from deepen.errors import Misuse, Unsuited, did_you_mean
from deepen.known import known_good
from deepen.nn.backbone import Stem
from deepen.nn.borrowed import preset
from deepen.pretrained.find import IMAGENET, NAMES, find
from deepen.pretrained.hub import PREFIX as HUB
from deepen.pretrained.packages import PACKAGES
from deepen.pretrained.stem import has_forms, stem_of
from deepen.pretrained.texts import reads_texts
from deepen.pretrained.weights import Weights
from deepen.recipe import Recipe, Transfer

USUAL = "resnet18"
"""The network that published weights are for, where none is named."""
ANSWERS = ("classify", "regress")
"""Tasks that a network for pictures answers by itself; for others it is the backbone of a model."""
FOR_TEXTS = (
    "The weights {} are of a network for texts and this data holds pictures: name others, or leave --pretrained out."
)


@dataclass(frozen=True)
class Origin:
    """Weights to take over, the model that takes them, and the settings that come with them."""

    model: str
    weights: Weights
    network: dict[str, Any]
    """Settings of the model."""
    data: dict[str, Any]
    """Settings with which pictures or texts are as the weights know them."""
    stem: Stem | None = None
    """The form of the first layers that fits the weights, where it is known."""


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
        return
    held = _network_in(transfer.pretrained)
    if held is not None and held[0] == recipe.model_name:
        _of_another_kind(transfer.pretrained, *held, recipe.task_name)


def _of_another_kind(pretrained: str, model: str, fields: Mapping[str, Any], task: str) -> None:
    """Raise `Misuse` where the model that a run names is for another kind of answer than is asked for."""
    under, usual = carrier(model), _usual_of(task)
    if under is not None and task in ANSWERS:
        below = fields.get("backbone", under)
        mend = (
            f"to take over the network under it, add --model {below}"
            if below != under
            else f"the network under it ('{below}') is a part of it alone. Name other weights, or leave --pretrained out"
        )
        raise Misuse(f"The weights {pretrained} are of '{model}', which is not for '{task}': {mend}.")
    if under is None and usual is not None and carrier(usual) is not None:
        raise Misuse(
            f"The weights {pretrained} are of '{model}', which says one thing of a whole picture and is not for '{task}': to put "
            f"'{usual}' on it, add model.backbone={model}."
        )


def origin(
    settings: Mapping[str, Any], task: str | None, model: str | None, longest: int | None = None
) -> Origin | None:
    """The weights that the user asks for, None where none are asked for. `longest` is how many tokens of a text are read at
    once, None for pictures. Raises `Problem`."""
    pretrained = asked(settings).pretrained
    if pretrained is None:
        return None
    if longest is not None:
        return _for_texts(pretrained, settings, model, longest)
    if reads_texts(pretrained):
        raise Misuse(FOR_TEXTS.format(pretrained))
    named = _said(settings, "backbone")
    held = _network_in(pretrained)
    if held and model is None and (named is None or carrier(held[0]) is not None):
        taking = held[0]
    else:
        taking = model or _usual(pretrained, task, named)
    brought = {f"model.{name}": value for name, value in held[1].items()} if held and held[0] == taking else {}
    usual = carrier(taking)
    if usual is None:
        known, network = taking, _settings(taking, {**brought, **settings})
    else:  # it stands on a network, and the weights are that one's
        known = named or str(brought.get("model.backbone", usual))
        if pretrained == IMAGENET and named is None:
            known = brought["model.backbone"] = USUAL
        network = None if known == usual else preset(known)  # its own has one form only
    weights = find(pretrained, known)
    if weights.reader is not None:
        raise Misuse(FOR_TEXTS.format(pretrained))
    stem = stem_of(known, network, weights) if network is not None and has_forms(preset(taking)) else None
    if stem is not None and _said(settings, "stem") is None and brought.get("model.stem", "auto") == "auto":
        brought["model.stem"] = stem
    return Origin(taking, weights, brought, _as_known(weights, settings, whole=usual is None), stem)


def _for_texts(pretrained: str, settings: Mapping[str, Any], model: str | None, longest: int) -> Origin:
    """Weights that read texts: they bring their tokenizer, their network and its settings."""
    weights = None if pretrained == IMAGENET else find(pretrained, "")
    reader = None if weights is None else weights.reader
    if reader is None:
        held = _network_in(pretrained)
        why = "are of a network for pictures and this data holds texts"
        if weights is not None and Path(pretrained).is_file():
            why = "have no config.json and tokenizer.json beside them, as those of a network for texts need"
        elif held is not None:
            why = f"are of '{held[0]}', of which nothing is taken over for texts like these"
        raise Misuse(
            f"The weights {pretrained} {why}: name others, such as {', '.join(PACKAGES)}, hf:owner/name or a run on texts, or "
            "leave --pretrained out."
        )
    assert weights is not None
    if model is not None and registry.find("model", model).load() is not registry.find("model", reader.model).load():
        raise Misuse(
            f"The weights {pretrained} are of '{reader.model}' and --model {model} is another network: leave out --model or "
            "--pretrained."
        )
    if _said_of_data(settings, "tokenizer"):
        raise Misuse(f"The weights {pretrained} bring their own tokenizer: leave data.tokenizer out.")
    brought: dict[str, Any] = {"data.tokenizer": str(Path(reader.tokenizer).resolve())}
    if not _said_of_data(settings, "length"):
        brought["data.length"] = min(reader.length, longest)
    return Origin(reader.model, weights, {f"model.{name}": value for name, value in reader.fields.items()}, brought)


def of_no_use(origin: Origin, unsuited: Unsuited) -> Misuse:
    """What is told where the model that weights are of is for something else: only other weights help, no other model."""
    others = f" of {unsuited.instead}" if unsuited.instead else ""
    return Misuse(
        f"{unsuited.why}; its weights {origin.weights.origin} are of no use here: name others{others}, or leave --pretrained out."
    )


def _said_of_data(settings: Mapping[str, Any], name: str) -> bool:
    return bool({name, f"data.{name}"} & settings.keys())


def says_model(settings: Mapping[str, Any]) -> bool:
    """Whether the weights that the user asks for are a run's or bundle's, which names the model that takes them."""
    held = _network_in(asked(settings).pretrained or "")
    return held is not None and (_said(settings, "backbone") is None or carrier(held[0]) is not None)


def lasting(pretrained: str | None) -> str | None:
    """A path that holds from any folder; names stay as they are."""
    if pretrained is None or pretrained in NAMES or pretrained.startswith(HUB) or not Path(pretrained).exists():
        return pretrained
    return str(Path(pretrained).resolve())


def _said(settings: Mapping[str, Any], name: str) -> str | None:
    """What the user says of a setting of the model."""
    value = settings.get(f"model.{name}", settings.get(name))
    return None if value is None else str(value)


def carrier(model: str) -> str | None:
    """What a model stands on where nothing is said; None for one that stands by itself."""
    backbone = getattr(registry.find("model", model).load().Config(), "backbone", None)
    return None if backbone is None else str(backbone)


def _settings(model: str, settings: Mapping[str, Any]) -> Any:
    """The settings of a network, with what of `settings` is said of it."""
    draft = recipes.blank("", "folder", "", model)
    for key, value in settings.items():
        if key.startswith("model.") or key in vars(draft.model):
            draft.set(key, value)
    return draft.model


def _usual(pretrained: str, task: str | None, backbone: str | None) -> str:
    """The model that takes weights where none is named: the network that they are for, or what stands on it."""
    if pretrained != IMAGENET and not pretrained.startswith(HUB) and not Path(pretrained).exists():
        hint = did_you_mean(pretrained, NAMES)
        raise Misuse(
            f"pretrained={pretrained} is not known: expected {', '.join(NAMES)}, hf:owner/name, a file or a run.{hint}"
        )
    if pretrained == IMAGENET and backbone is None and (task is None or task in ANSWERS):
        return USUAL
    if pretrained == IMAGENET or backbone is not None:
        standing = _usual_of(task)
        if standing is not None and (backbone is None or carrier(standing) is not None):
            return standing
    if backbone is not None:
        raise Misuse(
            f"model.backbone={backbone} is for models that stand on a network, and none that is usual here does: name the "
            f"network itself with --model {backbone}."
        )
    raise Misuse(
        f"The weights {pretrained} do not say which network they are for: name it with --model NETWORK, or, where boxes or masks "
        "are to be found, with model.backbone=NETWORK."
    )


def _usual_of(task: str | None) -> str | None:
    """The model of a task in the recipe that is taken where none is named."""
    for known in known_good():
        if known.task == task and known.default and known.model is not None:
            return known.model
    return None


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

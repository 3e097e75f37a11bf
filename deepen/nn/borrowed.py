"""A network of the registry as a part of another: its maps, without what only its own answer needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepen import registry
from deepen.errors import Misuse, Problem
from deepen.fields import convert
from deepen.nn.backbone import Backbone, Stem
from deepen.spec import Category, Image, Spec

TWO = Category(("a", "b"))
"""A classifier needs two classes to be built."""
SIDE = 224
"""Of pictures that every network takes."""


def borrowed(name: str, image: Image, own: str, key: str = "model.backbone", stem: Stem = "auto") -> Backbone:
    """The network `name` for pictures of that kind, its weights at random. `own` is what may be said instead of a name, `key` the
    setting in which it is said; `stem` is the form of its first layers. Raises `Misuse` where it is unknown, offers no maps or
    has one form only."""
    settings = preset(name)
    module = registry.find("model", name).load()
    if not isinstance(sketched(name, settings, image.channels), Backbone):
        raise Misuse(
            f"{key}={name} is not usable: expected {own}, or a network that offers its maps, such as resnet18."
        )
    if stem != "auto":
        if not hasattr(settings, "stem"):
            raise Misuse(f"model.stem={stem} is not usable: {name} has one form only. Leave it out.")
        settings.stem = stem
    spec = Spec(image, TWO)  # what answers is dropped below
    with torch.device("meta"):  # neither memory nor arithmetic: only what a gradient would reach
        sketch = module.build(spec, settings)
    backbone: Backbone = module.build(spec, settings)
    for unused in (sketch.head_name, *_unused(sketch, image.channels)):
        backbone.set_submodule(unused, nn.Identity())
    return backbone


def preset(name: str) -> Any:
    """The settings that the name of a network stands for. Raises `Misuse` where it is unknown."""
    entry = registry.find("model", name)
    settings = entry.load().Config()
    for field, value in entry.preset.items():
        setattr(settings, field, convert(settings, field, value, f"model.{field}"))
    return settings


def sketched(name: str, settings: Any, channels: int) -> nn.Module | None:
    """The shapes of a network that tells classes apart in pictures; None for one that is for something else."""
    try:
        with torch.device("meta"):
            sketch: nn.Module = (
                registry.find("model", name).load().build(Spec(Image(channels, SIDE, SIDE), TWO), settings)
            )
    except Misuse:  # of a setting
        raise
    except Problem:
        return None
    return sketch


def _unused(sketch: Backbone, channels: int) -> list[str]:
    """The modules whose parameters no map depends on, beside the head: wide layers before it."""
    sketch.set_submodule(sketch.head_name, nn.Identity())
    reached = sum(one.sum() for one in sketch.maps(torch.empty(2, channels, 64, 64, device="meta")))
    assert isinstance(reached, Tensor)
    parameters = dict(sketch.named_parameters())
    slopes = torch.autograd.grad(reached, list(parameters.values()), allow_unused=True)
    return [name.rpartition(".")[0] for name, slope in zip(parameters, slopes, strict=True) if slope is None]

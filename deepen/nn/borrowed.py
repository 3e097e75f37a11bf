"""A network of the registry as a part of another: its maps, without what only its own answer needs."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from deepen import registry
from deepen.errors import Misuse
from deepen.fields import convert
from deepen.nn.backbone import Backbone
from deepen.spec import Category, Image, Spec


def borrowed(name: str, image: Image, own: str) -> Backbone:
    """The network `name` for pictures of that kind, its weights at random. `own` is what may be said instead of a name.
    Raises `Misuse` where it is unknown or offers no maps."""
    entry = registry.find("model", name)
    module = entry.load()
    settings = module.Config()
    for key, value in entry.preset.items():
        setattr(settings, key, convert(settings, key, value, f"model.{key}"))
    # A classifier needs two classes to be built; what answers is dropped below.
    backbone = module.build(Spec(image, Category(("a", "b"))), settings)
    if not isinstance(backbone, Backbone):
        raise Misuse(
            f"model.backbone={name} is not usable: expected {own}, or a network that offers its maps, such as resnet18."
        )
    _drop_unused(backbone, image.channels)
    return backbone


def _drop_unused(backbone: Backbone, channels: int) -> None:
    """Replace the modules whose parameters no map depends on: the head, and wide layers before it."""
    backbone.set_submodule(backbone.head_name, nn.Identity())
    shadow = copy.deepcopy(backbone).to("meta")  # neither memory nor arithmetic: only what a gradient would reach
    reached = sum(one.sum() for one in shadow.maps(torch.empty(2, channels, 64, 64, device="meta")))
    assert isinstance(reached, Tensor)
    parameters = dict(shadow.named_parameters())
    slopes = torch.autograd.grad(reached, list(parameters.values()), allow_unused=True)
    for name, slope in zip(parameters, slopes, strict=True):
        if slope is None:
            backbone.set_submodule(name.rpartition(".")[0], nn.Identity())

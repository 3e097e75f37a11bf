"""A network of the registry as a part of another: its maps, without what only its own answer needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepen import registry
from deepen.errors import Misuse
from deepen.fields import convert
from deepen.nn.backbone import Backbone
from deepen.spec import Category, Image, Spec


def borrowed(name: str, image: Image, own: str, key: str = "model.backbone") -> Backbone:
    """The network `name` for pictures of that kind, its weights at random. `own` is what may be said instead of a name, `key` the
    setting in which it is said. Raises `Misuse` where it is unknown or offers no maps."""
    entry = registry.find("model", name)
    module = entry.load()
    settings = module.Config()
    for field, value in entry.preset.items():
        setattr(settings, field, convert(settings, field, value, f"model.{field}"))
    # A classifier needs two classes to be built; what answers is dropped below.
    spec = Spec(image, Category(("a", "b")))
    with torch.device("meta"):  # neither memory nor arithmetic: only what a gradient would reach
        sketch = module.build(spec, settings)
    if not isinstance(sketch, Backbone):
        raise Misuse(
            f"{key}={name} is not usable: expected {own}, or a network that offers its maps, such as resnet18."
        )
    backbone: Backbone = module.build(spec, settings)
    for unused in (sketch.head_name, *_unused(sketch, image.channels)):
        backbone.set_submodule(unused, nn.Identity())
    return backbone


def _unused(sketch: Backbone, channels: int) -> list[str]:
    """The modules whose parameters no map depends on, beside the head: wide layers before it."""
    sketch.set_submodule(sketch.head_name, nn.Identity())
    reached = sum(one.sum() for one in sketch.maps(torch.empty(2, channels, 64, 64, device="meta")))
    assert isinstance(reached, Tensor)
    parameters = dict(sketch.named_parameters())
    slopes = torch.autograd.grad(reached, list(parameters.values()), allow_unused=True)
    return [name.rpartition(".")[0] for name, slope in zip(parameters, slopes, strict=True) if slope is None]

"""Backbone: what a classification network for pictures offers to those who stand on it.

Detectors, U-Nets and style losses use its maps, transfer learning its body and head. Published networks keep the parameter
names of torchvision, so that their weights load.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from deepen.nn.headed import Headed
from deepen.nn.initialise import initialise
from deepen.spec import Image

Stem = Literal["auto", "imagenet", "small"]

SMALL = 64
"""Up to this shorter side in pixels `auto` takes the small form of a network."""


class Backbone(Headed):
    """A network for pictures that answers with `head(body(input))`. Concrete ones are final."""

    strides: tuple[int, ...]
    """How many pixels of the input lie between two places of each of the maps, from fine to coarse: 2, 4, 8, 16, 32."""
    channels: tuple[int, ...]
    """Of each of the maps."""

    @abstractmethod
    def body(self, input: Tensor) -> Tensor:
        """What the head sees: [B, C, H, W] -> [B, F] or [B, F, h, w]."""

    @abstractmethod
    def maps(self, input: Tensor) -> list[Tensor]:
        """The last map of each resolution, after its activation: [B, channels[i], about H / strides[i], W / strides[i]]."""

    def forward(self, input: Tensor) -> Tensor:
        answer: Tensor = self.head(self.body(input))
        return answer


def is_small(stem: Stem, image: Image) -> bool:
    """Whether a network takes its form for small pictures: published stems halve 224 pixels twice or thrice before they look
    closely, which leaves nothing of 32. Parameters keep their names in that form, and but for the first layers their shapes."""
    return stem == "small" or (stem == "auto" and min(image.height, image.width) <= SMALL)


def outputs_at(layers: nn.Sequential, input: Tensor, places: Sequence[int]) -> list[Tensor]:
    """What the layers at `places` answer."""
    found = []
    for place, layer in enumerate(layers):
        input = layer(input)
        if place in places:
            found.append(input)
    return found


def begin(model: Backbone, spread: float = 0.01) -> None:
    """He's start, which carries signals through any depth of rectifiers, and an answer that at first prefers nothing: the
    deviation of its weights is `spread`."""
    initialise(model, "he")
    for layer in model.head.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.normal_(layer.weight, 0.0, spread)


def body_parameters(model: nn.Module) -> list[nn.Parameter] | None:
    """The parameters that came with a pretrained body, in the order of the layers: those of a network without its head, or of
    the child `backbone` of a model that stands on one. None for a model that has neither."""
    below = getattr(model, "backbone", model)
    if not isinstance(below, Headed):
        return None
    if not below.head_name:
        return list(below.parameters())
    answering = {id(parameter) for parameter in below.head.parameters()} if below is model else set()
    return [parameter for parameter in below.parameters() if id(parameter) not in answering]

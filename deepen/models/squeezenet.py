"""SqueezeNet (Iandola et al., 2016, AlexNet-level accuracy with 50x fewer parameters).

Fire modules squeeze maps into few channels with 1x1 convolutions before they expand them again with 1x1 and 3x3 ones. The
answer is a map of scores for each class and its mean: there are no hidden layers. With the names of torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.nn.backbone import Backbone, Stem, begin, is_small, outputs_at
from deepen.nn.suits import answers, pictures, share
from deepen.spec import Category, Spec

SUMMARY = "SqueezeNet 1.1, a tiny network of fire modules (Iandola et al., 2016); for pictures"

PRESETS = {
    "squeezenet1-0": {
        "version": "1.0",
        "summary": "SqueezeNet 1.0, a tiny network of fire modules, as in the paper; for pictures",
    },
    "squeezenet1-1": {},
}


@dataclass(frozen=True)
class Layout:
    """What tells the two versions apart."""

    first: tuple[int, int]
    """Channels and side of the first convolution."""
    pools: tuple[int, ...]
    """Before which fire modules it is pooled, 0 to 7."""
    smallest: int
    """Side in pixels below which nothing would be left."""


LAYOUTS = {
    "1.0": Layout((96, 7), (0, 3, 7), 21),
    "1.1": Layout((64, 3), (0, 2, 4), 17),
}
IMAGENET = 1000
"""Classes of the published weights."""
SQUEEZES = (16, 16, 32, 32, 48, 48, 64, 64)
"""Channels that each fire module squeezes to; it answers with eight times as many."""


@dataclass
class Config:
    version: Literal["1.0", "1.1"] = "1.1"
    """1.0: as in the paper. 1.1: pools earlier, a third of the work for the same accuracy."""
    dropout: float = 0.5
    """Share of the last map's numbers switched off at each training step."""
    stem: Stem = "auto"
    """imagenet: a first convolution with stride 2. small: a 3x3 convolution with stride 1. auto: small up to 64 pixels."""


class Fire(nn.Module):
    """[B, before, H, W] -> [B, 8 * squeezed, H, W]."""

    def __init__(self, before: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, squeezed, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeezed, 4 * squeezed, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeezed, 4 * squeezed, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        single, wide = self.expand1x1(x), self.expand3x3(x)
        return torch.cat([self.expand1x1_activation(single), self.expand3x3_activation(wide)], 1)


@final
class SqueezeNet(Backbone):
    """[B, channels, H, W] -> [B, width_out]."""

    head_name = "classifier"

    def __init__(self, channels: int, width_out: int, config: Config, *, small: bool, rectified: bool) -> None:
        super().__init__()
        layout = LAYOUTS[config.version]
        before, side = layout.first
        layers: list[nn.Module] = [nn.Conv2d(channels, before, *((3, 1, 1) if small else (side, 2))), nn.ReLU()]
        places, sizes = [], []
        for number, squeezed in enumerate(SQUEEZES):
            if number in layout.pools:
                places.append(len(layers) - 1)
                sizes.append(before)
                # With a frame pooling always leaves a pixel.
                layers.append(nn.MaxPool2d(3, 2, padding=1) if small else nn.MaxPool2d(3, 2, ceil_mode=True))
            layers.append(Fire(before, squeezed))
            before = 8 * squeezed
        self.rectified, self.dropout = rectified, config.dropout
        self.features = nn.Sequential(*layers)
        self.places = (*places, len(layers) - 1)
        self.channels = (*sizes, before)
        self.strides = (1, 2, 4, 8) if small else (2, 4, 8, 16)
        scores = nn.Conv2d(before, width_out, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(config.dropout) if rectified else nn.Identity(),
            scores,
            nn.ReLU() if rectified else nn.Identity(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        begin(self)
        if rectified and scores.bias is not None:
            nn.init.ones_(scores.bias)  # above zero, where there is a gradient

    def body(self, input: Tensor) -> Tensor:
        answer: Tensor = self.features(input)
        if self.rectified:
            return answer
        # Scores that are not rectified are linear in the map, and the mean may as well be taken before them.
        return functional.dropout(answer, self.dropout, self.training).mean((2, 3), keepdim=True)

    def maps(self, input: Tensor) -> list[Tensor]:
        return outputs_at(self.features, input, self.places)


def build(spec: Spec, config: Config) -> SqueezeNet:
    """[B, C, H, W] -> [B, spec.output.width]. Answers are rectified as in the paper where they are the scores of ImageNet's
    thousand classes; with a few, one whose scores came to lie below zero would not be learnt any more."""
    image, width_out = pictures(spec, "squeezenet"), answers(spec, "squeezenet")
    share("dropout", config.dropout)
    small = is_small(config.stem, image)
    if not small:
        pictures(spec, "squeezenet", LAYOUTS[config.version].smallest, "model.stem=small")
    rectified = isinstance(spec.output, Category) and spec.output.width == IMAGENET
    return SqueezeNet(image.channels, width_out, config, small=small, rectified=rectified)

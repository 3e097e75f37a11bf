"""Canvas: the picture itself as what is learnt.

As in Gatys, Ecker & Bethge (2016), Image style transfer using convolutional neural networks: no network draws, the pixels
follow the gradient. They are kept as a sum of pictures of several sizes, each enlarged to the full one: a step of Adam is
equally long for every number, so that single pixels alone would turn into noise long before a large area has changed its
colour (the same is done by Olah, Mordvintsev & Schubert, 2017, with waves instead of sizes).

Contract: `model(pictures [B, 3, H, W]) -> pictures [B, 3, H, W]` in 0..1, the same for each whatever they show. A task calls
`begin` with the picture to start from; before that, the canvas holds faint noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepen.errors import Problem
from deepen.nn.suits import pictures, positive
from deepen.spec import Image, Spec

SUMMARY = "a single picture whose pixels are what is learnt (Gatys et al., 2016)"
HOLDS_ONE = True
"""It draws the picture that it was trained on and no other."""

DARKEST = 0.03
"""What the darkest pixel begins with, and from white the lightest: at 0 and 1 themselves nothing would move."""
NOISE = 0.01


@dataclass
class Config:
    sizes: int = 5
    """Pictures that are added up, each half as large as the one before. 1: single pixels only."""


@final
class Canvas(nn.Module):
    """[B, 3, H, W] -> [B, 3, H, W] in 0..1, of which it takes the number of pictures only."""

    draws = "one"

    def __init__(self, image: Image, sizes: int) -> None:
        super().__init__()
        sides = [(math.ceil(image.height / 2**n), math.ceil(image.width / 2**n)) for n in range(sizes)]
        self.sizes = nn.ParameterList([NOISE * torch.randn(1, image.channels, *side) for side in sides])

    def forward(self, input: Tensor) -> Tensor:
        full, *coarser = self.sizes
        total: Tensor = full
        for part in coarser:
            total = total + F.interpolate(part, size=full.shape[2:], mode="bilinear", align_corners=False)
        return total.sigmoid().expand(len(input), -1, -1, -1)

    @torch.no_grad()
    def begin(self, picture: Tensor) -> None:
        """Show a picture, [1, 3, H, W] in 0..1."""
        full, *coarser = self.sizes
        full.copy_(picture.clamp(DARKEST, 1 - DARKEST).logit())
        for part in coarser:
            part.zero_()


def build(spec: Spec, config: Config) -> Canvas:
    """A canvas of the size of the data's pictures."""
    image = pictures(spec, "canvas")
    if image.channels != 3:
        raise Problem("Model 'canvas' holds a picture in colour and these are grey: set data.channels=3.")
    positive("sizes", config.sizes)
    return Canvas(image, config.sizes)

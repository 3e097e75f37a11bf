"""StyleNet: a network that draws a picture anew in one pass, with a style that it has learnt.

The transformation network of Johnson, Alahi & Fei-Fei (2016), Perceptual losses for real-time style transfer: two strided
convolutions, residual blocks, and back to full size. With what was found since: instance normalisation instead of batch
normalisation (Ulyanov, Vedaldi & Lempitsky, 2016), pixels repeated before a convolution instead of a transposed one, which
leaves a checkerboard (Odena, Dumoulin & Olah, 2016), and edges that are mirrored instead of padded with zeros.

Contract: `model(pictures [B, 3, H, W], normalised) -> pictures [B, 3, H, W]` in 0..1. Any size: it has no layer that knows one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from deepen.errors import Problem
from deepen.nn.suits import pictures, positive
from deepen.spec import Spec

SUMMARY = "draws any picture anew in one pass, in a style that it has learnt (Johnson et al., 2016)"

SMALLEST = 16
"""Side of the smallest pictures: halved twice, edges can still be mirrored."""


@dataclass
class Config:
    width: int = 32
    """Channels at full size; twice and four times as many after each halving."""
    blocks: int = 5
    """Residual blocks at a quarter of the size."""


@final
class StyleNet(nn.Module):
    """[B, 3, H, W] normalised -> [B, 3, H, W] in 0..1."""

    draws = "any"

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.shrink = nn.Sequential(
            *_layers(3, width, 9),
            nn.ReLU(),
            *_layers(width, 2 * width, 3, stride=2),
            nn.ReLU(),
            *_layers(2 * width, 4 * width, 3, stride=2),
            nn.ReLU(),
        )
        self.change = nn.Sequential(*(Residual(4 * width) for _ in range(blocks)))
        self.enlarge = nn.Sequential(
            nn.Upsample(scale_factor=2),
            *_layers(4 * width, 2 * width, 3),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            *_layers(2 * width, width, 3),
            nn.ReLU(),
        )
        last = nn.Conv2d(width, 3, 9)
        self.draw = nn.Sequential(nn.ReflectionPad2d(4), last)
        with torch.no_grad():
            last.weight.mul_(0.1)  # it starts near grey, where the sigmoid passes gradients on

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[2:]
        x = self.enlarge(self.change(self.shrink(input)))  # sides rounded up to a multiple of four
        drawn: Tensor = self.draw(x)[:, :, :height, :width]
        return drawn.sigmoid()


class Residual(nn.Module):
    """[B, C, H, W] -> [B, C, H, W], with nothing after the sum, so that what passes by stays as it is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(*_layers(channels, channels, 3), nn.ReLU(), *_layers(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.change(x)
        return x + changed


def build(spec: Spec, config: Config) -> StyleNet:
    """[B, 3, H, W] -> [B, 3, H, W]. The target of the data, if it has one, is not used."""
    image = pictures(spec, "stylenet", SMALLEST)
    if image.channels != 3:
        raise Problem("Model 'stylenet' draws in colour and these pictures are grey: set data.channels=3.")
    positive("width", config.width)
    positive("blocks", config.blocks)
    return StyleNet(config.width, config.blocks)


def _layers(before: int, channels: int, side: int, stride: int = 1) -> list[nn.Module]:
    """A convolution with mirrored edges; normalisation takes the place of its bias."""
    return [
        nn.ReflectionPad2d(side // 2),
        nn.Conv2d(before, channels, side, stride, bias=False),
        nn.InstanceNorm2d(channels, affine=True),
    ]

"""StyleNet: a network that draws a picture anew in one pass, with a style that it has learnt.

After the transformation network of Johnson, Alahi & Fei-Fei (2016), Perceptual losses for real-time style transfer: halved
twice, residual blocks, and back to full size. With what was found since: instance normalisation instead of batch
normalisation (Ulyanov, Vedaldi & Lempitsky, 2016), pixels repeated before a convolution instead of a transposed one, which
leaves a checkerboard (Odena, Dumoulin & Olah, 2016), and edges that are mirrored instead of padded with zeros. At full size,
where the paper's two 9x9 convolutions take most of the time, nothing is computed: each 2x2 pixels are a place with four times
the channels, at the start and at the end (Shi et al., 2016).

Contract: `model(pictures [B, 3, H, W], normalised) -> pictures [B, 3, H, W]` in 0..1. Any size: it has no layer that knows one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.errors import Problem
from deepen.nn.suits import pictures, positive
from deepen.spec import Spec

SUMMARY = "draws any picture anew in one pass, in a style that it has learnt (Johnson et al., 2016)"

SMALLEST = 16
"""Side of the smallest pictures: halved twice, edges can still be mirrored."""


@dataclass
class Config:
    width: int = 32
    """Half the channels at half the size, and a quarter of those at a quarter of it."""
    blocks: int = 5
    """Residual blocks at a quarter of the size."""


@final
class StyleNet(nn.Module):
    """[B, 3, H, W] normalised -> [B, 3, H, W] in 0..1."""

    draws = "any"

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.shrink = nn.Sequential(
            nn.PixelUnshuffle(2),
            *_layers(12, 2 * width, 3),
            nn.ReLU(),
            *_layers(2 * width, 4 * width, 3, stride=2),
            nn.ReLU(),
        )
        self.change = nn.Sequential(*(Residual(4 * width) for _ in range(blocks)))
        self.enlarge = nn.Sequential(nn.Upsample(scale_factor=2), *_layers(4 * width, 2 * width, 3), nn.ReLU())
        last = nn.Conv2d(2 * width, 12, 5)
        self.draw = nn.Sequential(nn.ReflectionPad2d(2), last, nn.PixelShuffle(2))
        with torch.no_grad():
            last.weight.mul_(0.1)  # it starts near grey, where the sigmoid passes gradients on
            for values in (last.weight, last.bias):  # and with the four pixels of a place alike (Aitken et al., 2017)
                assert values is not None
                values.copy_(values[::4].repeat_interleave(4, dim=0))

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[2:]
        whole = functional.pad(input, (0, -width % 4, 0, -height % 4), mode="replicate")
        drawn: Tensor = self.draw(self.enlarge(self.change(self.shrink(whole))))
        return drawn[:, :, :height, :width].sigmoid()


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

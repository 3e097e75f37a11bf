"""Samples as pictures that can be saved."""

from __future__ import annotations

import math

import torch
from PIL import Image
from torch import Tensor

GAP = 1


def grid(samples: Tensor) -> Tensor:
    """Samples uint8 [N, H, W, C] in a nearly square grid with a thin line between: uint8 [rows, columns, C]."""
    count, height, width, channels = samples.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    framed = torch.zeros(down * across, height + GAP, width + GAP, channels, dtype=torch.uint8)
    framed[:count, :height, :width] = samples
    placed = framed.unflatten(0, (down, across)).transpose(1, 2)  # [down, H, across, W, C]
    return placed.reshape(down * (height + GAP), across * (width + GAP), channels)[:-GAP, :-GAP].contiguous()


def picture(pixels: Tensor) -> Image.Image:
    """One picture uint8 [H, W, C], grey for C = 1."""
    array = pixels.cpu().numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)

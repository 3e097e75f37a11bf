"""A feature pyramid: maps of several resolutions, each of which has seen the coarser ones.

Top-down sums as in Lin et al., 2017 (Feature Pyramid Networks); coarser levels than the backbone has are made by strided
convolutions from its last map, as in FCOS (Tian et al., 2019). The cells of the levels are where a one-stage detector answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (8, 16, 32)
"""Pixels of the input between two cells of each level."""


def sides(length: int) -> list[int]:
    """Cells along a side of `length` pixels, at each level; the input is padded to a multiple of the coarsest stride."""
    padded = math.ceil(length / STRIDES[-1]) * STRIDES[-1]
    return [padded // stride for stride in STRIDES]


def num_cells(height: int, width: int) -> int:
    """How many cells all levels have together for an input of that size."""
    return sum(rows * columns for rows, columns in zip(sides(height), sides(width), strict=True))


def cells(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """The cells of all levels, fine to coarse, line by line: float32 [N, 3], x and y of the centre and the stride."""
    levels = []
    for rows, columns, stride in zip(sides(height), sides(width), STRIDES, strict=True):
        y = (torch.arange(rows, device=device, dtype=torch.float32) + 0.5) * stride
        x = (torch.arange(columns, device=device, dtype=torch.float32) + 0.5) * stride
        grid = torch.empty(rows, columns, 3, device=device)
        grid[..., 0], grid[..., 1], grid[..., 2] = x, y[:, None], stride
        levels.append(grid.flatten(0, 1))
    return torch.cat(levels)


def convolution(before: int, width: int, stride: int = 1) -> nn.Sequential:
    """3x3, normalised, relu."""
    return nn.Sequential(
        nn.Conv2d(before, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


class Pyramid(nn.Module):
    """Maps [B, channels[i], about H / strides[i], W / strides[i]] of a backbone -> a map [B, width, h, w] for each of STRIDES."""

    def __init__(self, strides: Sequence[int], channels: Sequence[int], width: int) -> None:
        super().__init__()
        found = dict(zip(strides, channels, strict=True))
        finer = [stride for stride in found if stride < STRIDES[0]]
        if not any(stride in found for stride in STRIDES):
            assert finer, f"maps at strides {tuple(strides)} are coarser than {STRIDES[-1]}"
        self.used = tuple(stride for stride in STRIDES if stride in found)
        """Strides of the maps that are taken as they are."""
        self.lateral = nn.ModuleDict(
            {str(stride): nn.Conv2d(found[stride], width, 1, bias=False) for stride in self.used}
        )
        last = max(self.used, default=max(finer, default=0))
        self.last = last
        """Stride of the map that the coarser levels are made from."""
        self.coarser = nn.ModuleDict()
        before, stride = found[last], last
        while stride < STRIDES[-1]:
            stride *= 2
            self.coarser[str(stride)] = convolution(before, width, stride=2)
            before = width
        self.smooth = nn.ModuleList(convolution(width, width) for _ in STRIDES)
        self.strides = tuple(strides)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """`size` is (height, width) of the padded input, a multiple of the coarsest stride."""
        seen = dict(zip(self.strides, maps, strict=True))
        own: dict[int, Tensor] = {stride: self.lateral[str(stride)](seen[stride]) for stride in self.used}
        x = seen[self.last]
        for name, layer in self.coarser.items():
            x = layer(x)
            own[int(name)] = x
        levels: list[Tensor] = []
        above: Tensor | None = None
        for stride, smooth in zip(reversed(STRIDES), reversed(self.smooth), strict=True):
            place = (size[0] // stride, size[1] // stride)
            known = [_fitted(own[stride], place)] if stride in own else []
            if above is not None:
                known.append(F.interpolate(above, size=place, mode="nearest"))
            above = known[0] if len(known) == 1 else known[0] + known[1]
            levels.append(smooth(above))
        return levels[::-1]


def _fitted(x: Tensor, place: tuple[int, int]) -> Tensor:
    """Networks without padding answer with maps that are a cell or two short."""
    return x if tuple(x.shape[2:]) == place else F.interpolate(x, size=place, mode="bilinear", align_corners=False)

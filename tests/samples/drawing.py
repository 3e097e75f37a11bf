"""Scenes drawn by number: bright and dark rectangles on a grey ground, with their boxes and their mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

Thing = tuple[int, int, int, int, int]
"""Left, top, right, bottom, and 0 for dark or 1 for bright."""


def scene(
    number: int, *, side: int = 48, wide: int | None = None, most: int = 3
) -> tuple[Image.Image, list[Thing], np.ndarray]:
    """A picture, the things in it, and its mask uint8 [H, W]: 0 for the ground, 1 for dark and 2 for bright things."""
    draws = np.random.default_rng(number)
    wide = wide or side
    pixels = draws.integers(100, 140, (side, wide, 3), dtype=np.uint8)
    mask = np.zeros((side, wide), dtype=np.uint8)
    things: list[Thing] = []
    for count in range(1 + number % most):
        kind = (number + count) % 2
        high, across = (int(draws.integers(side // 4, side // 2)) for _ in range(2))
        top, left = int(draws.integers(0, side - high)), int(draws.integers(0, wide - across))
        if mask[top : top + high, left : left + across].any():
            continue
        pixels[top : top + high, left : left + across] = (20, 235)[kind] + draws.integers(-15, 15)
        mask[top : top + high, left : left + across] = kind + 1
        things.append((left, top, left + across, top + high, kind))
    return Image.fromarray(pixels), things, mask


def cut_short(path: Path) -> None:
    """Leave the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

"""Stored rows mirrored and shifted: pixels change their places and nothing else."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def flipped(rows: Tensor, chosen: Tensor, side: int) -> Tensor:
    """Rows or masks [B, H, W, ...] turned round along dimension `side`, 1 or 2, where `chosen`, bool [B]."""
    return torch.where(chosen.view(-1, *[1] * (rows.ndim - 1)), rows.flip(side), rows)


def move_by_index(rows: Tensor, mirrored: Tensor, down: Tensor, right: Tensor, shift: int, reflect: bool) -> Tensor:
    """Rows [B, H, W, C] where mirrored, then read at (h + down, w + right): reflected, or 0, beyond the edge.

    One indexing for the whole batch, as an accelerator likes it.
    """
    count, height, width, _ = rows.shape
    device = rows.device
    line = torch.arange(height, device=device) + down[:, None]  # [B, H]
    column = torch.arange(width, device=device) + right[:, None]  # [B, W]
    inside = ((line >= 0) & (line < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
    line, column = _reflected(line, height), _reflected(column, width)
    column = torch.where(mirrored[:, None], width - 1 - column, column)
    moved = rows[torch.arange(count, device=device)[:, None, None], line[:, :, None], column[:, None, :]]
    return moved if reflect else moved * inside[..., None]


def move_on_cpu(rows: Tensor, mirrored: Tensor, down: Tensor, right: Tensor, shift: int, reflect: bool) -> Tensor:
    """`move_by_index` for uint8 as copies of whole lines of pixels, several times as fast on a CPU.

    Lines are laid out with a margin of `shift` pixels; each line of the result is then one run of bytes of a wider
    line. numpy copies such runs, and single pixels of the margins, as items of one wide type from any byte on, which
    torch cannot address.
    """
    count, height, width, channels = rows.shape
    source = rows.numpy().copy()
    # Not rows[mirrored]: a boolean index copies number by number.
    source[mirrored.numpy()] = rows.index_select(0, mirrored.nonzero().squeeze(1)).flip(2).numpy()
    if not shift:
        return torch.from_numpy(source)
    wide, margin = (width + 2 * shift) * channels, shift * channels
    lines = np.empty((count * height + 1, wide), dtype=np.uint8)  # the last line is what lies beyond a picture
    lines[-1] = 0
    body = lines[:-1].reshape(count, height, wide)
    body[:, :, margin:-margin] = source.reshape(count, height, width * channels)
    if reflect:
        pixels = body.view(f"V{channels}")  # [B, H, W + 2 * shift]
        for step in range(1, shift + 1):
            pixels[:, :, shift - step] = pixels[:, :, shift + step]
            pixels[:, :, shift + width - 1 + step] = pixels[:, :, shift + width - 1 - step]
    else:
        body[:, :, :margin] = body[:, :, -margin:] = 0
    line = np.arange(height) + down.numpy()[:, None]  # [B, H]
    inside = (line >= 0) & (line < height)
    line = height - 1 - np.abs(height - 1 - np.abs(line)) + np.arange(count)[:, None] * height
    if not reflect:
        line[~inside] = count * height
    starts = line * wide + (right.numpy()[:, None] * channels + margin)
    run = width * channels
    runs = np.ndarray((lines.size - run + 1,), dtype=f"V{run}", buffer=lines, strides=(1,))
    return torch.from_numpy(runs[starts].view(np.uint8).reshape(source.shape))


def _reflected(place: Tensor, size: int) -> Tensor:
    """Places beyond an edge mirrored at the outermost pixel, which is not repeated."""
    return size - 1 - (size - 1 - place.abs()).abs()

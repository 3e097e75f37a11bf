"""Masks as run lengths: how long each stretch of one class is, down the columns, as COCO counts (Lin et al., 2014).

Three forms are read: of several classes, `counts` and `classes` of equal length; COCO's of one class, whose runs are 0 and 1 in
turn; and COCO's compressed one, a text of six-bit groups in which each number is the difference to the one two before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

GROUP, CONTINUED, NEGATIVE, FIRST = 0x1F, 0x20, 0x10, 48
"""Of a letter of the compressed form: its five bits, whether more follow, the sign, and the letter for zero."""


def packed(mask: np.ndarray) -> dict[str, list[int]]:
    """A mask uint8 [H, W] as `size`, the lengths `counts` of its runs and the class of each, `classes`."""
    height, width = mask.shape
    flat = mask.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    counts = np.diff(starts, append=flat.size)
    return {"size": [height, width], "counts": counts.tolist(), "classes": flat[starts].tolist()}


def unpacked(mask: Mapping[str, Any]) -> np.ndarray:
    """The mask uint8 [H, W] of any of the three forms. Raises `ValueError` for what does not fill the mask exactly."""
    height, width = (int(side) for side in mask["size"])
    counts = mask["counts"]
    lengths = np.array(_numbers(counts) if isinstance(counts, str) else counts, dtype=np.int64).reshape(-1)
    classes = np.array(mask.get("classes", np.arange(len(lengths)) % 2), dtype=np.uint8)
    if (
        height < 1
        or width < 1
        or (lengths < 0).any()
        or int(lengths.sum()) != height * width
        or len(classes) != len(lengths)
    ):
        raise ValueError(f"runs of {int(lengths.sum()):,} pixels, expected {height} x {width}")
    return np.repeat(classes, lengths).reshape(width, height).T


def _numbers(text: str) -> Sequence[int]:
    """The lengths of the compressed form."""
    lengths: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - FIRST
        if not 0 <= bits <= GROUP + CONTINUED:
            raise ValueError(f"the letter {letter!r}, which compressed run lengths do not have")
        value |= (bits & GROUP) << shift
        shift += 5
        if bits & CONTINUED:
            continue
        if bits & NEGATIVE:
            value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths that are cut short")
    return lengths

"""Masks as run lengths: there and back, COCO's two forms, and what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepen.data.run_lengths import packed, unpacked


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (1, 9), (40, 30)])
def test_there_and_back(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(1).integers(0, 4, shape, dtype=np.uint8)
    runs = packed(mask)
    assert (unpacked(runs) == mask).all()
    assert all(count > 0 for count in runs["counts"])
    assert all(one != other for one, other in zip(runs["classes"], runs["classes"][1:], strict=False))


def test_runs_go_down_the_columns_as_in_coco() -> None:
    mask = np.array([[0, 1, 1], [0, 0, 1]], dtype=np.uint8)
    assert packed(mask) == {"size": [2, 3], "counts": [2, 1, 1, 2], "classes": [0, 1, 0, 1]}
    assert (unpacked({"size": [2, 3], "counts": [2, 1, 1, 2]}) == mask).all()
    # A mask that begins with its object has no zeros first.
    assert (unpacked({"size": [2, 3], "counts": [0, 1, 5]}) == [[1, 0, 0], [0, 0, 0]]).all()


def compressed(counts: list[int]) -> str:
    """As COCO's own program writes numbers: five bits a letter, from the third on as the difference to the one two before."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        while True:
            bits, value = value & 0x1F, value >> 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr(48 + (bits | (0x20 if more else 0)))
            if not more:
                break
    return text


@pytest.mark.parametrize("counts", [[6], [0, 6], [2, 1, 1, 2], [5, 100, 3, 7000, 2, 90, 800]])
def test_compressed_ones_are_read(counts: list[int]) -> None:
    size = [sum(counts), 1]
    mask = unpacked({"size": size, "counts": compressed(counts)})
    assert (mask == unpacked({"size": size, "counts": counts})).all()


def test_compressed_ones_are_those_of_coco_s_own_tool() -> None:
    from faster_coco_eval.core import mask as tool

    mask = (np.random.default_rng(5).random((37, 53)) < 0.3).astype(np.uint8)
    encoded = tool.encode(np.asfortranarray(mask))
    counts = encoded["counts"]
    runs = {"size": encoded["size"], "counts": counts.decode() if isinstance(counts, bytes) else counts}
    assert (unpacked(runs) == mask).all()


@pytest.mark.parametrize(
    "runs",
    [
        {"size": [2, 3], "counts": [2, 1]},
        {"size": [2, 3], "counts": [8, -2]},
        {"size": [0, 3], "counts": []},
        {"size": [2, 3], "counts": [6], "classes": [0, 1]},
        {"size": [2, 3], "counts": "6~"},
        {"size": [2, 3], "counts": "V"},
        {"size": [2, 3], "counts": ["a"]},
    ],
)
def test_what_does_not_fit_is_refused(runs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpacked(runs)

"""Grids of samples."""

from __future__ import annotations

import pytest
import torch

from deepen.insight.grid import GAP, grid, picture


@pytest.mark.parametrize(("count", "across"), [(1, 1), (5, 3), (9, 3), (64, 8)])
def test_every_sample_has_its_place(count: int, across: int) -> None:
    samples = torch.randint(1, 255, (count, 6, 4, 3), dtype=torch.uint8)
    sheet = grid(samples)
    for index, sample in enumerate(samples):
        top, left = index // across * (6 + GAP), index % across * (4 + GAP)
        assert torch.equal(sheet[top : top + 6, left : left + 4], sample)


def test_one_channel_is_grey() -> None:
    assert picture(torch.zeros(3, 5, 1, dtype=torch.uint8)).mode == "L"
    assert picture(torch.zeros(3, 5, 3, dtype=torch.uint8)).mode == "RGB"

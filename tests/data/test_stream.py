from __future__ import annotations

import pytest
import torch

from deepen.data.stream import Windows
from deepen.spec import PAD


@pytest.mark.parametrize("tokens", [2, 8, 9, 10, 33, 57])
def test_every_token_after_the_first_is_asked_once(tokens: int) -> None:
    flat = torch.arange(1, tokens + 1, dtype=torch.int32)
    windows = Windows(flat, 8)
    batch = windows.between(0, len(windows))
    asked = batch["target"][batch["target"] != PAD]
    assert asked.tolist() == list(range(2, tokens + 1))
    inputs = batch["input"][batch["target"] != PAD]
    assert (asked - inputs == 1).all()
    assert batch["input"].shape == (len(windows), 8)


def test_an_epoch_begins_elsewhere_and_is_as_long() -> None:
    flat = torch.arange(1, 1001, dtype=torch.int32)
    windows = Windows(flat, 8)
    draws = torch.Generator().manual_seed(0)
    first, second = windows.order(draws, 4), windows.order(draws, 4)
    assert len(first) == len(second) == len(windows) == 125
    seen = [windows.take(order) for order in (first, second)]
    assert all((batch["target"] - batch["input"] == 1).all() for batch in seen), "never filled up"
    begins = [set(((batch["input"][:, 0] - 1) % 8).tolist()) for batch in seen]
    assert begins[0] != begins[1]
    covered = set(seen[0]["input"].flatten().tolist())
    assert len(covered) > 980


def test_a_text_shorter_than_a_window() -> None:
    windows = Windows(torch.tensor([5, 6, 7], dtype=torch.int32), 8)
    batch = windows.take(windows.order(torch.Generator(), 1))
    assert batch["target"].tolist() == [[6, 7, *[PAD] * 6]]

"""Sample order is a function of seed and epoch, and nothing else."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from deepen.data.augment import Augmenter
from deepen.data.dataset import Columns
from deepen.data.loader import Loader, in_order
from deepen.recipe import Augment
from deepen.spec import Image

CPU = torch.device("cpu")
COUNT = 23


class Plain:
    """A preprocessing that changes nothing but the type."""

    def tensor(self, stored: Tensor) -> Tensor:
        return stored.float()


def columns(count: int = COUNT, *, mapped: bool = False) -> Columns:
    numbers = torch.arange(count)
    return Columns({"input": numbers[:, None].to(torch.uint8), "target": numbers}, mapped=mapped)


def loader(batch_size: int = 5, *, seed: int = 1, count: int = COUNT, mapped: bool = False) -> Loader:
    return Loader(columns(count, mapped=mapped), Plain(), None, batch_size=batch_size, seed=seed, device=CPU)


def order(made: Loader, steps: int, start: int = 0) -> list[int]:
    return [row for batch in islice(made.stream(start), steps) for row in batch["target"].tolist()]


@pytest.mark.parametrize("batch_size", [1, 4, 5, 23, 100])
def test_every_sample_comes_equally_often(batch_size: int) -> None:
    made = loader(batch_size)
    size = made.batch_size
    assert size == min(batch_size, COUNT)
    seen = order(made, COUNT * 4)
    assert len(seen) == COUNT * 4 * size
    assert np.bincount(seen, minlength=COUNT).tolist() == [4 * size] * COUNT
    for epoch in range(4 * size):
        assert sorted(seen[epoch * COUNT : (epoch + 1) * COUNT]) == list(range(COUNT))


def test_input_and_target_stay_together() -> None:
    for batch in islice(loader().stream(0), 30):
        assert torch.equal(batch["input"][:, 0], batch["target"].float())


def test_epochs_differ_and_seeds_differ() -> None:
    seen = order(loader(), COUNT * 3)
    assert seen[:COUNT] != seen[COUNT : 2 * COUNT]
    assert seen != order(loader(seed=2), COUNT * 3)
    assert seen == order(loader(), COUNT * 3)


def test_order_does_not_depend_on_the_batch_size() -> None:
    """So it does not depend on accumulation either, which cuts batches into pieces."""
    whole = order(loader(1), 60)
    for size in (2, 3, 5, 20):
        assert order(loader(size), 60 // size) == whole


@pytest.mark.parametrize("start", [0, 1, 4, 5, 17, 200])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_stream_opened_at_any_step_is_the_uninterrupted_one(start: int, mapped: bool) -> None:
    """`mapped` gathers ahead in a thread."""
    straight = list(islice(loader().stream(0), 210))
    for expected, batch in zip(straight[start:], loader(mapped=mapped).stream(start), strict=False):
        assert torch.equal(expected["target"], batch["target"])
        assert torch.equal(expected["input"], batch["input"])


def test_augmentation_is_a_function_of_seed_and_step() -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (COUNT, 8, 8, 1), generator=generator, dtype=torch.uint8)
    arrays = Columns({"input": pixels, "target": torch.arange(COUNT)})
    augmenter = Augmenter(Augment(shift=2, erase=0.5), Image(1, 8, 8), (0.5,), (0.25,))

    def batches(seed: int, start: int) -> list[Tensor]:
        made = Loader(arrays, Pixels(), augmenter, batch_size=6, seed=seed, device=CPU)
        return [batch["input"] for batch in islice(made.stream(start), 8)]

    first = batches(1, 0)
    assert all(torch.equal(a, b) for a, b in zip(first[3:], batches(1, 3), strict=False))
    assert not all(torch.equal(a, b) for a, b in zip(first, batches(2, 0), strict=True))


class Pixels:
    def tensor(self, stored: Tensor) -> Tensor:
        return stored.permute(0, 3, 1, 2).float() / 255


def test_a_file_that_goes_away_is_raised_where_the_batch_is_asked_for() -> None:
    made = loader(mapped=True)

    def gone(index: Tensor) -> dict[str, Tensor]:
        raise OSError("the disk was pulled out")

    made.columns.take = gone
    with pytest.raises(OSError, match="pulled out"):
        next(made.stream(0))


def test_a_closed_stream_leaves_no_thread() -> None:
    import threading
    import time

    stream = loader(mapped=True).stream(0)
    next(stream)
    stream.close()
    until = time.monotonic() + 10
    while time.monotonic() < until and any(t.name == "deepen-gather" for t in threading.enumerate()):
        time.sleep(0.02)
    assert not any(thread.name == "deepen-gather" for thread in threading.enumerate())


@pytest.mark.parametrize("batch_size", [1, 7, 23, 64])
def test_in_order_gives_each_row_once(batch_size: int) -> None:
    seen = [
        row
        for batch in in_order(columns(), Plain(), batch_size=batch_size, device=CPU)
        for row in batch["target"].tolist()
    ]
    assert seen == list(range(COUNT))

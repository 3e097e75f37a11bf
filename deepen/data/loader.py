"""Batches for training: rows gathered in one call, preprocessed and augmented on the device.

The order of samples is a function of (seed, epoch) and the augmentation of (seed, step), so a stream can be opened at any
step and gives exactly what an uninterrupted one gives there. Epochs follow each other without a gap: batch `s` takes the
positions [s B, (s + 1) B) of the endless sequence of permutations, so every batch is full, every sample is used equally
often and no remainder is dropped.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from deepen.data.dataset import Columns
from deepen.data.preprocess import Preprocess
from deepen.randomness import generator

ON_DEVICE_SHARE = 0.25
"""Data that takes less than this share of an accelerator's memory is moved there once."""


class Augmentation(Protocol):
    """Random changes to training batches, on stored rows and on model inputs, each with the targets that belong to them."""

    def stored(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]: ...

    def tensor(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]: ...


class Loader:
    """The training split as an endless stream of batches of `batch_size` (at most the size of the split)."""

    def __init__(
        self,
        columns: Columns,
        preprocess: Preprocess,
        augmentation: Augmentation | None,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.columns = _near(columns, device)
        self.preprocess = preprocess
        self.augmentation = augmentation
        self.batch_size = min(batch_size, len(columns))
        self.seed = seed
        self.device = device
        self._orders: dict[int, Tensor] = {}

    @property
    def steps_per_epoch(self) -> float:
        """How many batches one pass takes; seldom a whole number."""
        return len(self.columns) / self.batch_size

    def index(self, step: int) -> Tensor:
        """The rows of batch `step`, int64 [B]."""
        count = len(self.columns)
        start, stop = step * self.batch_size, (step + 1) * self.batch_size
        first, last = start // count, (stop - 1) // count
        self._orders = {epoch: self._order(epoch) for epoch in range(first, last + 1)}
        if first == last:
            return self._orders[first][start - first * count : stop - first * count]
        return torch.cat([self._orders[first][start - first * count :], self._orders[last][: stop - last * count]])

    def _order(self, epoch: int) -> Tensor:
        kept = self._orders.get(epoch)
        if kept is not None:
            return kept
        return self.columns.order(generator(self.seed, "order", epoch), self.batch_size)

    def stream(self, step: int) -> Iterator[dict[str, Tensor]]:
        """Batches from step `step` on, without end."""
        gathered = self._gather(step)
        if self.columns.mapped:
            gathered = _ahead(gathered)
        for rows in gathered:
            draws = generator(self.seed, "augment", step, device=self.device) if self.augmentation else None
            yield self._finish({name: array.to(self.device) for name, array in rows.items()}, draws)
            step += 1

    def _gather(self, step: int) -> Iterator[dict[str, Tensor]]:
        held = self.columns.device
        while True:
            yield self.columns.take(self.index(step).to(held))
            step += 1

    def _finish(self, rows: dict[str, Tensor], draws: torch.Generator | None) -> dict[str, Tensor]:
        if self.augmentation is None or draws is None:
            return rows | {"input": self.preprocess.tensor(rows["input"])}
        changed = self.augmentation.stored(rows, draws)
        return self.augmentation.tensor(changed | {"input": self.preprocess.tensor(changed["input"])}, draws)


def in_order(
    columns: Columns, preprocess: Preprocess, *, batch_size: int, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Every row once, in order, the last batch as small as it is: for evaluation."""
    for start in range(0, len(columns), batch_size):
        rows = {name: array.to(device) for name, array in columns.between(start, start + batch_size).items()}
        yield rows | {"input": preprocess.tensor(rows["input"])}


def _near(columns: Columns, device: torch.device) -> Columns:
    if device.type != "cuda" or columns.mapped:
        return columns
    if columns.nbytes > ON_DEVICE_SHARE * torch.cuda.get_device_properties(device).total_memory:
        return columns
    return columns.to(device)


def _ahead(rows: Iterator[dict[str, Tensor]], depth: int = 2) -> Iterator[dict[str, Tensor]]:
    """The same items, gathered in a thread while the step before is computed (reading a mapped file blocks)."""
    waiting: queue.Queue[dict[str, Tensor] | BaseException] = queue.Queue(depth)
    closed = threading.Event()

    def put(item: dict[str, Tensor] | BaseException) -> bool:
        while not closed.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in rows:
                if not put(item):
                    return
        except OSError as error:  # the mapped file went away: raised where the batch is asked for
            put(error)
        finally:
            put(RuntimeError("the thread that gathers batches ended"))  # so that nobody waits for it

    threading.Thread(target=work, daemon=True, name="deepen-gather").start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()

"""A series as columns: every stretch of it is a sample, and none is stored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from deepen.data.dataset import Columns, Flat


class Windows(Flat):
    """Windows over one array: `input` [B, length, C] out of `flat` float32 [T, C], `target` [B, horizon, K] what `truth`
    float32 [T, K] was after it, NaN where that is not known. `starts` int64 [N] are the rows with which they begin."""

    def __init__(
        self,
        flat: Tensor,
        truth: Tensor,
        starts: Tensor,
        length: int,
        horizon: int,
        called: Callable[[int], str] = str,
    ) -> None:
        super().__init__({"input": starts})
        self.flat, self.truth, self.starts = flat, truth, starts
        self.length, self.horizon = length, horizon
        self.called = called
        """What a person calls the moment of a row."""

    def __getitem__(self, name: str) -> Tensor:
        return self.take(torch.arange(len(self), device=self.device))[name]

    def take(self, index: Tensor) -> dict[str, Tensor]:
        starts = self.starts.index_select(0, index).unsqueeze(1)
        past = torch.arange(self.length, device=index.device)
        future = torch.arange(self.length, self.length + self.horizon, device=index.device)
        return {"input": self.flat[starts + past], "target": self.truth[starts + future]}

    @property
    def widest(self) -> int:
        return self.length * self.flat.shape[1]

    def to(self, device: torch.device) -> Windows:
        held = (self.flat.to(device), self.truth.to(device), self.starts.to(device))
        return Windows(*held, self.length, self.horizon, self.called)

    def only(self, index: Tensor) -> Windows:
        """Some of the windows, over the same series."""
        return Windows(self.flat, self.truth, self.starts[index], self.length, self.horizon, self.called)

    def subset(self, index: Tensor) -> Columns:
        """A copy of some windows, no longer a series."""
        return Columns(self.take(index), [self.origin(row) for row in index.tolist()])

    def origin(self, row: int) -> str:
        """The first moment that is forecast."""
        return f"from {self.called(int(self.starts[row]) + self.length)}"

    def fingerprints(self) -> np.ndarray:
        """A hash of each window's past out of hashes of its rows, so that no window is made for it."""
        draws = np.random.default_rng(20240229)
        factors = draws.integers(1, 2**63, size=(self.length, 1 + self.flat.shape[1]), dtype=np.uint64) * np.uint64(2)
        factors += np.uint64(1)
        words = self.flat.cpu().contiguous().numpy().view(np.uint32).astype(np.uint64)
        rows = (words * factors[0, 1:]).sum(axis=1, dtype=np.uint64)
        rows ^= rows >> np.uint64(29)
        starts = self.starts.cpu().numpy()
        found = np.zeros(len(starts), dtype=np.uint64)
        for place in range(self.length):
            found += rows[starts + place] * factors[place, 0]
        return found ^ (found >> np.uint64(32))

"""Rows of different length: texts as tokens, held one after the other, and batched with rows of about their own length.

A batch is as long as its longest row. Rows are shuffled, sorted by length within large piles and shuffled again as batches
(bucketing, as in Sutskever, Vinyals & Le, 2014): next to nothing is computed on padding, and which rows meet still changes
from epoch to epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepen.data.dataset import Flat
from deepen.spec import PAD

PILE = 50
"""Batches whose rows are sorted by length together: more leave less padding, and less chance in who meets whom."""


class Ragged(Flat):
    """Columns whose `input` is rows of tokens; a gathered batch is int64 [B, longest], filled up with `PAD`.

    `flat` int32 [T] holds the rows one after the other, the row i from `starts[i]` to before `starts[i + 1]`, int64 [N + 1].
    """

    def __init__(
        self, flat: Tensor, starts: Tensor, arrays: dict[str, Tensor], origins: Sequence[str] | None = None
    ) -> None:
        assert all(len(array) == len(starts) - 1 for array in arrays.values()), "columns of different length"
        super().__init__(arrays | {"input": starts[:-1]}, origins)
        self.flat = flat
        self.starts = starts

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, int64 [N]."""
        return self.starts.diff()

    def __getitem__(self, name: str) -> Tensor:
        return self.take(torch.arange(len(self)))["input"] if name == "input" else self.arrays[name]

    def take(self, index: Tensor) -> dict[str, Tensor]:
        rest = {name: array.index_select(0, index) for name, array in self.arrays.items() if name != "input"}
        begin, end = self.starts.index_select(0, index), self.starts.index_select(0, index + 1)
        longest = max(1, int((end - begin).max())) if len(index) else 1
        places = begin.unsqueeze(1) + torch.arange(longest, device=begin.device)
        rows = self.flat[places.clamp(max=max(0, len(self.flat) - 1))].long() if len(self.flat) else places * 0
        return {"input": rows.masked_fill(places >= end.unsqueeze(1), PAD), **rest}

    def order(self, draws: torch.Generator, batch_size: int) -> Tensor:
        shuffled = torch.randperm(len(self), generator=draws)
        piles = []
        for pile in shuffled.split(PILE * batch_size):
            by_length = pile[self.lengths.cpu()[pile].argsort(stable=True)]
            whole = len(pile) // batch_size * batch_size
            batches = by_length[:whole].view(-1, batch_size)
            piles.append(batches[torch.randperm(len(batches), generator=draws)].flatten())
            piles.append(by_length[whole:])
        return torch.cat(piles)

    @property
    def widest(self) -> int:
        return int(self.lengths.max()) if len(self) else 0

    def to(self, device: torch.device) -> Ragged:
        moved = {name: array.to(device) for name, array in self.arrays.items() if name != "input"}
        return Ragged(self.flat.to(device), self.starts.to(device), moved, self.origins)

    def subset(self, index: Tensor) -> Ragged:
        rest = {name: array.index_select(0, index) for name, array in self.arrays.items() if name != "input"}
        origins = None if self.origins is None else [self.origins[i] for i in index.tolist()]
        lengths = self.lengths[index]
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        pieces = [
            self.flat[start : start + n] for start, n in zip(self.starts[index].tolist(), lengths.tolist(), strict=True)
        ]
        return Ragged(torch.cat(pieces) if pieces else self.flat[:0], starts, rest, origins)

    def fingerprints(self) -> np.ndarray:
        """A 64-bit hash of each row's tokens, uint64 [N]: a polynomial over odd multipliers, the length mixed in."""
        flat, starts = self.flat.numpy().astype(np.uint64), self.starts.numpy()
        drawn = np.random.default_rng(20240229).integers(1, 2**63, size=max(1, self.widest), dtype=np.uint64)
        multipliers = drawn * np.uint64(2) + np.uint64(1)
        lengths = np.diff(starts)
        place = np.arange(len(flat)) - np.repeat(starts[:-1], lengths)
        words = (flat + np.uint64(0x9E3779B97F4A7C15)) * multipliers[place]
        words ^= words >> np.uint64(29)
        sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(words, dtype=np.uint64)])
        hashes = sums[starts[1:]] - sums[starts[:-1]]
        return (hashes ^ lengths.astype(np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)


def ragged(rows: Sequence[Any], arrays: dict[str, Tensor], origins: Sequence[str] | None = None) -> Ragged:
    """Columns of rows that were lists or arrays of tokens so far."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    flat = torch.from_numpy(
        np.fromiter((token for row in rows for token in row), dtype=np.int32, count=int(lengths.sum()))
    )
    return Ragged(flat, torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]), arrays, origins)

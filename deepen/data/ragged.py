"""Texts and sound as columns: rows of different length, kept one after the other, without padding.

A batch is as long as its longest row. An epoch is ordered so that rows of about one length meet: the shuffled rows are sorted
by length within piles of some batches, and the batches shuffled, so that almost nothing is computed for padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepen.data.dataset import Columns, Flat
from deepen.spec import PAD

PILE = 50
"""Batches whose rows are sorted by length together: more leave less padding, and less chance in who meets whom."""


@dataclass(frozen=True)
class Strung:
    """Rows one after the other: the row i is `flat` [T] from `starts[i]` to before `starts[i + 1]`, int64 [N + 1]."""

    flat: Tensor
    starts: Tensor
    fill: int = PAD
    """What a row goes on with that is shorter than the longest of its batch."""

    @property
    def lengths(self) -> Tensor:
        return self.starts.diff()

    def take(self, index: Tensor) -> Tensor:
        """The rows at `index` int64 [B], filled up: [B, longest], tokens (int32) as int64."""
        begin, end = self.starts.index_select(0, index), self.starts.index_select(0, index + 1)
        longest = max(1, int((end - begin).max())) if len(index) else 1
        places = begin.unsqueeze(1) + torch.arange(longest, device=begin.device)
        rows = self.flat[places.clamp(max=max(0, len(self.flat) - 1))] if len(self.flat) else self.flat.new_zeros(1)
        rows = rows.long() if rows.dtype == torch.int32 else rows
        return rows.expand(places.shape).masked_fill(places >= end.unsqueeze(1), self.fill)

    def subset(self, index: Tensor) -> Strung:
        lengths = self.lengths[index]
        begins = self.starts[index].tolist()
        pieces = [self.flat[start : start + n] for start, n in zip(begins, lengths.tolist(), strict=True)]
        return Strung(torch.cat(pieces) if pieces else self.flat[:0], _starts(lengths), self.fill)

    def to(self, device: torch.device) -> Strung:
        return Strung(self.flat.to(device), self.starts.to(device), self.fill)


class Ragged(Flat):
    """Columns whose `input`, and whatever else `strung` holds (a translation, a label for each token), are rows of different
    length; `arrays` are the rest, one row each."""

    def __init__(
        self, strung: Mapping[str, Strung], arrays: Mapping[str, Tensor], origins: Sequence[str] | None = None
    ) -> None:
        count = len(strung["input"].starts) - 1
        lengths = [len(one.starts) - 1 for one in strung.values()] + [len(array) for array in arrays.values()]
        assert set(lengths) == {count}, f"columns of different length: {lengths}"
        super().__init__({**arrays, "input": strung["input"].starts[:-1]}, origins)
        self.strung = dict(strung)
        self.rest = dict(arrays)
        self.flat = strung["input"].flat

    @property
    def lengths(self) -> Tensor:
        """Of the inputs, int64 [N]."""
        return self.strung["input"].lengths

    def __getitem__(self, name: str) -> Tensor:
        return self.strung[name].take(torch.arange(len(self))) if name in self.strung else self.rest[name]

    def take(self, index: Tensor) -> dict[str, Tensor]:
        rest = {name: array.index_select(0, index) for name, array in self.rest.items()}
        return {**{name: one.take(index) for name, one in self.strung.items()}, **rest}

    def order(self, draws: torch.Generator, batch_size: int) -> Tensor:
        shuffled = torch.randperm(len(self), generator=draws)
        # Rows of one length are sorted by their other lengths: a translation is about as long as what it translates.
        keys = sum(one.lengths.cpu().double() * 1e-6**place for place, one in enumerate(self.strung.values()))
        assert isinstance(keys, Tensor)
        piles = []
        for pile in shuffled.split(PILE * batch_size):
            by_length = pile[keys[pile].argsort(stable=True)]
            whole = len(pile) // batch_size * batch_size
            batches = by_length[:whole].view(-1, batch_size)
            piles.append(batches[torch.randperm(len(batches), generator=draws)].flatten())
            piles.append(by_length[whole:])
        return torch.cat(piles)

    @property
    def widest(self) -> int:
        return int(self.lengths.max()) if len(self) else 0

    def to(self, device: torch.device) -> Ragged:
        strung = {name: one.to(device) for name, one in self.strung.items()}
        return Ragged(strung, {name: array.to(device) for name, array in self.rest.items()}, self.origins)

    def subset(self, index: Tensor) -> Ragged:
        rest = {name: array.index_select(0, index) for name, array in self.rest.items()}
        origins = None if self.origins is None else [self.origins[i] for i in index.tolist()]
        return Ragged({name: one.subset(index) for name, one in self.strung.items()}, rest, origins)

    def fingerprints(self) -> np.ndarray:
        """A 64-bit hash of each row's input, uint64 [N]: a polynomial over odd multipliers, the length mixed in."""
        flat, starts = self.flat.numpy().astype(np.int64).view(np.uint64), self.strung["input"].starts.numpy()
        drawn = np.random.default_rng(20240229).integers(1, 2**63, size=max(1, self.widest), dtype=np.uint64)
        multipliers = drawn * np.uint64(2) + np.uint64(1)
        lengths = np.diff(starts)
        place = np.arange(len(flat)) - np.repeat(starts[:-1], lengths)
        words = (flat + np.uint64(0x9E3779B97F4A7C15)) * multipliers[place]
        words ^= words >> np.uint64(29)
        sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(words, dtype=np.uint64)])
        hashes = sums[starts[1:]] - sums[starts[:-1]]
        return (hashes ^ lengths.astype(np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)


def by_length(columns: Columns) -> tuple[Columns, Tensor | None]:
    """The rows from short to long, so that next to nothing is computed on what fills batches up, and for each row of `columns`
    where it stands among them, int64 [N]; rows of equal length stay as they are."""
    if not isinstance(columns, Ragged):
        return columns, None
    order = columns.lengths.cpu().argsort(stable=True)
    return columns.subset(order), order.argsort()


def string(rows: Sequence[Any], fill: int = PAD, dtype: Any = np.int32) -> Strung:
    """Rows that were lists or arrays so far, one after the other."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    flat = np.concatenate([np.asarray(row, dtype=dtype) for row in rows]) if len(rows) else np.zeros(0, dtype=dtype)
    return Strung(torch.from_numpy(flat), _starts(lengths), fill)


def ragged(rows: Sequence[Any], arrays: dict[str, Tensor], origins: Sequence[str] | None = None) -> Ragged:
    """Columns of rows of tokens, with arrays beside them."""
    return Ragged({"input": string(rows)}, arrays, origins)


def _starts(lengths: Tensor) -> Tensor:
    return torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])

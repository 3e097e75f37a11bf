"""What a source gives: splits as columns, a preprocessing fitted on the training split, and the facts to be told.

A source is a module of this folder with `SUMMARY` and

    load(source: str, options: recipe.Data, seed: int) -> Dataset

and, for sources that are recognised by what they are rather than by name (a folder, a file ending),

    recognise(source: str) -> str | None      # the reason, said aloud: "a folder of pictures in class folders"

A reader that takes what nothing more special recognises says `GENERAL = True`, and is asked last.
One whose data comes from acting says `ACTING = True`.

Known sets may add `ABOUT = About(...)` for `deepen show`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepen.data.preprocess import Preprocess
from deepen.spec import Spec


@dataclass(frozen=True)
class About:
    """Where a known data set comes from."""

    title: str
    licence: str
    citation: str
    homepage: str = ""


class Columns:
    """The samples of a split as arrays of equal length, gathered by an index array in one call.

    `input` holds rows as `Preprocess.encode` made them (uint8 pixels [N, H, W, C], float32 [N, F]); `target` int64 [N] or
    float32 [N, K]. Arrays may be memory-mapped. `origins` names samples for people: a file path, a line of a file.
    """

    def __init__(
        self, arrays: dict[str, Tensor], origins: Sequence[str] | None = None, *, mapped: bool = False
    ) -> None:
        sizes = {len(array) for array in arrays.values()}
        assert len(sizes) == 1, f"columns of different length: { {name: len(a) for name, a in arrays.items()} }"
        self.arrays = arrays
        self.origins = origins
        self.texts: Sequence[str] | None = None
        """What was written, where the inputs are tokens of texts: for people only."""
        self.mapped = mapped
        """Whether gathering reads from disk, and so is worth doing ahead in a thread."""

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """The rows at `index` (int64 [B]) of every array."""
        return {name: array.index_select(0, index) for name, array in self.arrays.items()}

    def between(self, start: int, stop: int) -> dict[str, Tensor]:
        """The rows from `start` to before `stop`."""
        return {name: array[start:stop] for name, array in self.arrays.items()}

    def order(self, draws: torch.Generator, batch_size: int) -> Tensor:
        """The rows of one epoch in the order in which they are learnt from, int64 [N], for batches of `batch_size`."""
        return torch.randperm(len(self), generator=draws)

    @property
    def device(self) -> torch.device:
        return self.arrays["input"].device

    @property
    def nbytes(self) -> int:
        """What the inputs take."""
        held = self.arrays["input"]
        return held.numel() * held.element_size()

    @property
    def widest(self) -> int:
        """Numbers in the largest input."""
        return self.arrays["input"][:1].numel()

    def to(self, device: torch.device) -> Columns:
        """The same rows on a device."""
        return Columns({name: array.to(device) for name, array in self.arrays.items()}, self.origins)

    def subset(self, index: Tensor) -> Columns:
        """A copy that holds only the rows at `index`."""
        origins = None if self.origins is None else [self.origins[i] for i in index.tolist()]
        return Columns(self.take(index), origins)

    def origin(self, row: int) -> str:
        """What a person would call this sample."""
        return f"#{row}" if self.origins is None else self.origins[row]

    def fingerprints(self) -> np.ndarray:
        """A 64-bit hash of each row's input, for finding exact duplicates: uint64 [N].

        Rows are read as 64-bit words and combined by fixed odd multipliers; equal rows always agree, and different ones
        collide with probability about N^2 / 2^64.
        """
        array = self["input"]
        words_count = -(-array[:1].numel() * array.element_size() // 8)
        drawn = np.random.default_rng(20240229).integers(1, 2**63, size=words_count, dtype=np.uint64)
        multipliers = drawn * np.uint64(2) + np.uint64(1)
        hashes = np.empty(len(self), dtype=np.uint64)
        for start in range(0, len(self), 4096):
            chunk = array[start : start + 4096].contiguous().reshape(min(4096, len(self) - start), -1).numpy()
            raw = np.ascontiguousarray(chunk).view(np.uint8)
            padded = np.pad(raw, ((0, 0), (0, words_count * 8 - raw.shape[1])))
            words = padded.view(np.uint64)
            mixed = (words ^ (words >> np.uint64(29))) * multipliers
            hashes[start : start + 4096] = (mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64)
        return hashes


class Flat(Columns):
    """Columns whose inputs are cut out of one long row of tokens, `flat` int32 [T]; a concrete one writes `take`."""

    flat: Tensor

    def between(self, start: int, stop: int) -> dict[str, Tensor]:
        return self.take(torch.arange(start, min(stop, len(self)), device=self.device))

    @property
    def device(self) -> torch.device:
        return self.flat.device

    @property
    def nbytes(self) -> int:
        return self.flat.numel() * self.flat.element_size()


class Sealed:
    """The test split. It can be counted and checked for duplicates, but not read before it is opened by `evaluate`."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return len(self._columns)

    def fingerprints(self) -> np.ndarray:
        return self._columns.fingerprints()

    def open(self, count_look: Callable[[], int]) -> Columns:
        """The samples. `count_look` writes the look down first and returns how many there have been."""
        count_look()
        return self._columns


@dataclass(frozen=True)
class Bad:
    """An input that could not be read."""

    path: str
    reason: str


@dataclass
class Dataset:
    """A data set ready for training."""

    name: str
    spec: Spec
    preprocess: Preprocess
    train: Columns
    validation: Columns
    test: Sealed | None
    digest: str
    """SHA-256 over the content that it was made from; a run says which data it saw."""
    facts: list[str] = field(default_factory=list)
    """What was detected and why, one sentence each, told to the user."""
    bad: list[Bad] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """What only the source could notice (label typos, ID-like columns); the audit adds what it sees in the columns."""
    testing: str = ""
    """How a test split is given to data of this kind, as in "name one with data.test=PATH"; empty where it cannot be."""
    acting: bool = False
    """True where training data comes from acting in an environment, and `train` is empty."""


@dataclass(frozen=True)
class Finding:
    """Something about the data that a person should know, with the command or step that mends it."""

    level: str
    """note, warning or error."""
    subject: str
    """What it is about, a short stable word: duplicates, imbalance, constant-column ..."""
    text: str
    mend: str = ""
    details: dict[str, Any] = field(default_factory=dict)

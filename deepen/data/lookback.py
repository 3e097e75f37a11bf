"""From a table of times and numbers to what a forecast looks back on: the preprocessing of series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from deepen.data.cells import numbers
from deepen.data.clock import Clock, Moments, counted, put_back, read
from deepen.data.preprocess import Preprocess
from deepen.data.reading import RawTable, read_table
from deepen.errors import Problem, did_you_mean


@dataclass(frozen=True)
class Past:
    """Some rows of a series, and the number of the moment that comes after them."""

    values: np.ndarray
    """float64 [moments, variates] in the user's units, NaN where there is none."""
    clock: Clock | None = None
    after: int = 0
    name: str = "The series"


@dataclass(frozen=True)
class SeriesPreprocess(Preprocess):
    """The last `length` moments of a series, scaled: float32 [N, length, variates].

    What is missing is what it was before, up to `fill` moments in a row: never what comes after, which a forecast must not know.
    """

    names: tuple[str, ...]
    """Of the variates."""
    mean: tuple[float, ...]
    """Of the training part, for each variate."""
    scale: tuple[float, ...]
    length: int
    horizon: int
    fill: int
    season: int
    """Moments after which things tend to come again, 1 where nothing is known."""
    clock: Clock
    time: str | None = None
    """The column of the times; without one, rows follow each other at equal distances."""
    notations: tuple[str, ...] = ()
    """How the numbers of each variate are written."""
    missing: tuple[str, ...] = ()
    header: bool | None = None
    delimiter: str | None = None
    encoding: str | None = None

    kind: ClassVar[str] = "series"

    def read(self, sources: Iterable[str]) -> list[tuple[str, Any]]:
        """Each table as what a forecast of what follows it looks back on, named as its file."""
        found = []
        for source in sources:
            if Path(source).is_dir():
                raise Problem(f"{source} is a folder: expected a table whose last rows are the past of the forecast.")
            found.append((source, self.past(source)))
        return found

    def encode(self, items: Sequence[Any]) -> Tensor:
        """Tables as `read` gave them, arrays [moments, variates], or dictionaries from variate to values; of each the last
        `length` moments. Raises `Problem` for one that has fewer, or a gap that is too long."""
        rows = np.stack([self._encoded(item, number) for number, item in enumerate(items)])
        return torch.from_numpy(rows)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """float64 [T, variates] in the user's units -> float32 in deviations from the mean of the training part."""
        return ((values - np.array(self.mean)) / np.array(self.scale)).astype(np.float32)

    def tensor(self, stored: Tensor) -> Tensor:
        return stored.float()

    def beside(self, item: Any) -> dict[str, Any]:
        """`times`: the moments that are forecast, where it is known when the past ended."""
        if not isinstance(item, Past) or item.clock is None:
            return {}
        return {"times": [item.clock.name(item.after + step) for step in range(self.horizon)]}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SeriesPreprocess:
        lists = {name: tuple(value) for name, value in data.items() if isinstance(value, list)}
        return cls(**(data | lists | {"clock": Clock(**data["clock"])}))

    def past(self, source: str, count: int | None = None) -> Past:
        """The newest `count` moments of the table at `source`. Default: as many as are looked back on, and may fill gaps."""
        table = read_table(source, header=self.header, delimiter=self.delimiter, encoding=self.encoding)
        count = count or self.length + self.fill
        for name in (*self.names, *filter(None, [self.time])):
            if name not in table.columns:
                hint = did_you_mean(name, list(table.columns))
                raise Problem(f"{source} has no column '{name}'.{hint} Columns: {', '.join(table.columns)}.")
        values = np.stack([self._numbers(name, table) for name in self.names], axis=1)
        if self.time is None:
            return Past(values[-count:], name=source)
        moments = read(table.columns[self.time], plain=self.clock.unit == "numbers", utc=self.clock.utc)
        if moments is None:
            raise Problem(f"{source}: column '{self.time}' holds a cell that is no time, or none.")
        moments, values, order = in_order(moments, values)
        clock = replace(self.clock, start=float(counted(self.clock.unit, moments)[0]))
        places = clock.places(moments)
        odd = np.flatnonzero((places % 1 != 0) | (np.diff(places, prepend=-1) <= 0))
        if len(odd):
            row = int(order[odd[0]])
            raise Problem(
                f"{source}, line {table.lines[row]}: the time {table.columns[self.time][row]} is not a whole number of times "
                f"{clock.spacing} after the ones before it, as the series was that the model learnt from."
            )
        last = int(places[-1])
        recent = np.full((count, len(self.names)), np.nan)
        held = places.astype(np.int64) - (last + 1 - len(recent))
        recent[held[held >= 0]] = values[held >= 0]
        if held[0] > self.fill:
            recent = recent[held[0] :]
        return Past(recent, clock, last + 1, source)

    def _numbers(self, name: str, table: RawTable) -> np.ndarray:
        notation = dict(zip(self.names, self.notations, strict=False)).get(name, "point")
        values, wrong = numbers(table.columns[name], notation, self.missing)
        if wrong:
            raise Problem(
                f"{table.origin(wrong[0])}: column '{name}' holds {table.columns[name][wrong[0]]!r} where a number is expected."
            )
        return values

    def _encoded(self, item: Any, number: int) -> np.ndarray:
        values = item.values if isinstance(item, Past) else self._array(item, number)
        which = item.name if isinstance(item, Past) else f"Series {number + 1}"
        if len(values) < self.length:
            raise Problem(
                f"{which} has {len(values):,} moments and the model looks back on {self.length:,}: give more of its past."
            )
        filled = forwards(np.where(np.isfinite(values), values, np.nan), self.fill)[-self.length :]
        empty = np.flatnonzero(np.isnan(filled).any(axis=0))
        if len(empty):
            raise Problem(
                f"{which} lacks values of '{self.names[empty[0]]}' among its last {self.length:,} moments, more than {self.fill} "
                "in a row (data.fill of the training): fill them, or train with a larger data.fill."
            )
        return self.scaled(filled)

    def _array(self, item: Any, number: int) -> np.ndarray:
        if isinstance(item, Mapping):
            lacking = [name for name in self.names if name not in item]
            if lacking:
                raise Problem(f"Series {number + 1} has no variate '{lacking[0]}'. Expected: {', '.join(self.names)}.")
            item = np.stack([np.asarray(item[name], dtype=np.float64) for name in self.names], axis=-1)
        values = np.asarray(item, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 and len(self.names) == 1 else values
        if values.ndim != 2 or values.shape[1] != len(self.names):
            raise Problem(
                f"Series {number + 1} has shape {list(values.shape)} where [moments, {len(self.names)}] is expected, a column "
                f"for each of {', '.join(self.names)}."
            )
        return values


def in_order(moments: Moments, values: np.ndarray) -> tuple[Moments, np.ndarray, np.ndarray]:
    """Times in rising order with their values, float64 [T, C], and the row of each, int64 [T]. What is there twice because clocks
    were put back is there once, with the mean of both."""
    if not put_back(moments):
        order = np.argsort(moments.values, kind="stable")
        return replace(moments, values=moments.values[order]), values[order], order
    times, order, which = np.unique(moments.values, return_index=True, return_inverse=True)
    sums, counts = (np.zeros((len(times), values.shape[1])) for _ in range(2))
    known = np.isfinite(values)
    np.add.at(sums, which, np.where(known, values, 0.0))
    np.add.at(counts, which, known)
    return replace(moments, values=times), np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), order


def forwards(values: np.ndarray, most: int) -> np.ndarray:
    """float64 [T, C] in which NaN is what it was before, at most `most` moments in a row."""
    moments = np.arange(len(values))[:, None]
    known = np.maximum.accumulate(np.where(np.isnan(values), -1, moments), axis=0)
    usable = (known >= 0) & (moments - known <= most)
    filled = np.take_along_axis(values, np.maximum(known, 0), axis=0)
    return np.where(usable, filled, np.nan)


KIND = SeriesPreprocess

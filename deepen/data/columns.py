"""Rows of a table to numbers: how each column is read, fitted on the training split.

Numbers are centred on the median, divided by the spread of the middle half and clipped smoothly (Holzmueller et al.,
2024, "Better by Default"), and laid out piecewise-linearly over the quantiles of the training split (Gorishniy et al.,
2022, "On Embeddings for Numerical Features"), which lets a plain MLP draw the steep steps that trees draw. Categories
become one-hot, dates become a day and its place in the year, the week and the day.

Only + - * / and square roots touch a value: they are rounded the same everywhere, so that a row alone, in a batch or in
the training file has bit-identical numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from deepen.data.cells import days, is_missing, numbers, texts
from deepen.data.preprocess import Preprocess
from deepen.data.reading import read_table
from deepen.errors import Problem, did_you_mean

CYCLES = {"month": 12, "weekday": 7, "hour": 24}
SPREAD_OF_NORMAL = 1.349
"""The interquartile range of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Number:
    """A column of numbers: [value, missing?, piece 1 .. piece T]."""

    kind: ClassVar[str] = "number"
    name: str
    fill: float
    """Median of the training split: what a missing cell is read as."""
    scale: float
    gaps: bool
    """Whether training cells were missing, so that a missing cell is marked as such."""
    edges: tuple[float, ...]
    """Quantiles of the training split between which pieces run from 0 to 1."""
    notation: str = "point"
    missing: tuple[str, ...] = ()
    """Texts, beside the usual ones, that mean a missing cell here."""

    def labels(self) -> list[str]:
        pieces = [f"{self.name} >{edge:g}" for edge in self.edges[:-1]]
        return [self.name, *([f"{self.name} missing"] if self.gaps else []), *pieces]

    def encode(self, cells: Sequence[Any]) -> np.ndarray:
        values, wrong = numbers(cells, self.notation, self.missing)
        if wrong:
            raise Problem(f"Column '{self.name}' holds {cells[wrong[0]]!r} where a number is expected.")
        return self.from_values(values)

    def from_values(self, values: np.ndarray) -> np.ndarray:
        """float64 [N] with NaN or infinity for a missing cell -> float32 [N, width]."""
        absent = ~np.isfinite(values)
        # The bounds keep squares from overflowing; beyond them nothing changes any more.
        reach = 1e6 * self.scale
        values = np.clip(np.where(absent, self.fill, values), self.fill - reach, self.fill + reach)
        centred = (values - self.fill) / self.scale
        encoded = np.empty((len(values), 1 + self.gaps + max(0, len(self.edges) - 1)), dtype=np.float32)
        encoded[:, 0] = centred / np.sqrt(1 + (centred / 3) * (centred / 3))
        if self.gaps:
            encoded[:, 1] = absent
        if len(self.edges) > 1:
            low, high = np.array(self.edges[:-1]), np.array(self.edges[1:])
            pieces = values[:, None] - low
            pieces /= high - low
            encoded[:, 1 + self.gaps :] = np.clip(pieces, 0.0, 1.0, out=pieces)
        return encoded


@dataclass(frozen=True)
class Choice:
    """A column of categories: one-hot over the common ones, then rare ones together, then missing."""

    kind: ClassVar[str] = "category"
    name: str
    values: tuple[str, ...]
    other: bool
    """Whether training cells were too rare for a place of their own. Unseen cells are read as such, else as none."""
    gaps: bool
    missing: tuple[str, ...] = ()

    def labels(self) -> list[str]:
        more = [f"{self.name} other"] * self.other + [f"{self.name} missing"] * self.gaps
        return [*(f"{self.name}={value}" for value in self.values), *more]

    def encode(self, cells: Sequence[Any]) -> np.ndarray:
        width = len(self.values) + self.other + self.gaps
        place = {value: number for number, value in enumerate(self.values)}
        unseen = len(self.values) if self.other else width
        absent = width - 1 if self.gaps else width
        # One place more than needed takes what has none, and is cut off.
        found = [
            absent if text is None else place.get(text, unseen) for text in texts(cells, self.missing, self.values)
        ]
        encoded = np.zeros((len(cells), width + 1), dtype=np.float32)
        encoded[np.arange(len(cells)), found] = 1
        return encoded[:, :width]


@dataclass(frozen=True)
class Date:
    """A column of dates: the day as a number, and circles of the month, the weekday and the hour where they vary."""

    kind: ClassVar[str] = "date"
    name: str
    order: str
    """How dates are written: ymd, dmy or mdy."""
    day: Number | None
    """None where rows are split by this column: a later day is then always unseen."""
    cycles: tuple[str, ...]

    def labels(self) -> list[str]:
        circles = [f"{self.name} {cycle} {axis}" for cycle in self.cycles for axis in ("sin", "cos")]
        return [*(self.day.labels() if self.day else []), *circles]

    def encode(self, cells: Sequence[Any]) -> np.ndarray:
        values, wrong = days(cells, self.order)
        if wrong:
            raise Problem(f"Column '{self.name}' holds {cells[wrong[0]]!r} where a date is expected ({self.order}).")
        parts = [self.day.from_values(values[:, 0])] if self.day else []
        for cycle in self.cycles:
            length = CYCLES[cycle]
            angles = [2 * math.pi * step / length for step in range(length)]
            circle = np.array([*((math.sin(a), math.cos(a)) for a in angles), (0.0, 0.0)], dtype=np.float32)
            column = values[:, 1 + list(CYCLES).index(cycle)]
            parts.append(circle[np.where(np.isnan(column), length, column).astype(np.int64)])
        return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class Presence:
    """A column of nearly all different texts of which only one thing can be learnt: whether the cell is filled."""

    kind: ClassVar[str] = "presence"
    name: str
    missing: tuple[str, ...] = ()

    def labels(self) -> list[str]:
        return [f"{self.name} missing"]

    def encode(self, cells: Sequence[Any]) -> np.ndarray:
        return np.array([[is_missing(cell, self.missing)] for cell in cells], dtype=np.float32).reshape(-1, 1)


Column = Number | Choice | Date | Presence
COLUMN_KINDS: dict[str, type] = {kind.kind: kind for kind in (Number, Choice, Date, Presence)}


def fit_number(
    name: str, values: np.ndarray, bins: int, *, notation: str = "point", missing: tuple[str, ...] = ()
) -> Number:
    """A `Number` from the training cells, float64 [N] with NaN for missing ones (not all of them)."""
    present = values[np.isfinite(values)]
    quarter, middle, third = np.quantile(present, (0.25, 0.5, 0.75))
    scale = (third - quarter) / SPREAD_OF_NORMAL or present.std() or 1.0
    edges = _edges(present, bins)
    # With two values the pieces would only say again what the number says.
    kept = tuple(edges.tolist()) if len(edges) > 2 else ()
    return Number(name, float(middle), float(scale), len(present) < len(values), kept, notation, missing)


def _edges(present: np.ndarray, bins: int) -> np.ndarray:
    """At most bins + 1 quantiles. A value that would hold several of them, such as the zeros of a column that is mostly
    zero, holds one, and leaves the others to the rest."""
    values, counts = np.unique(present, return_counts=True)
    if len(values) <= bins + 1 or not bins:
        return values[: 0 if not bins else None]
    common = values[counts * bins > len(present)]
    rest = np.setdiff1d(values, common)
    others = present[np.isin(present, rest)]
    spread = np.quantile(others, np.linspace(0, 1, max(2, bins + 1 - len(common))))
    return np.unique(np.concatenate([common, spread]))


def fit_choice(name: str, cells: Sequence[Any], most: int, *, missing: tuple[str, ...] = ()) -> Choice:
    """A `Choice` from the training cells. Categories with hardly a sample, or beyond the `most` commonest, merge."""
    read = texts(cells, missing)
    counts = Counter(text for text in read if text is not None)
    least = max(2, min(10, len(cells) // 200))
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    kept = sorted(value for value in ranked[:most] if counts[value] >= least)
    return Choice(name, tuple(kept), len(kept) < len(counts), None in read, missing)


def fit_date(name: str, values: np.ndarray, order: str, bins: int, *, with_day: bool = True) -> Date:
    """A `Date` from what `days` read in the training cells, float64 [N, 4]."""
    cycles = tuple(
        cycle
        for number, cycle in enumerate(CYCLES, 1)
        if len(np.unique(values[~np.isnan(values[:, number]), number])) > 1
    )
    return Date(name, order, fit_number(name, values[:, 0], bins) if with_day else None, cycles)


class TablePreprocess(Preprocess):
    """Rows of a table to float32 [N, columns]. Raw items are dictionaries from column name to text or number."""

    kind: ClassVar[str] = "table"

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        names: Sequence[str],
        target: str,
        header: bool | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
    ) -> None:
        self.columns = list(columns)
        self.names = list(names)
        """All columns of the file, the target among them, in its order."""
        self.target = target
        self.features = [name for name in names if name != target]
        """All but the target; some of them may be left out by `columns`."""
        self.header = header
        self.encoding = encoding
        self.delimiter = delimiter

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each number of an encoded row."""
        return tuple(label for column in self.columns for label in column.labels())

    def read(self, sources: Iterable[str]) -> list[tuple[str, Any]]:
        """The rows of table files, each as a dictionary from column name to cell, named FILE:LINE."""
        found: list[tuple[str, Any]] = []
        for source in sources:
            # A file without a header is read by position; where there was one, its names tell whether there is again.
            header, known = (False, None) if self.header is False else (None, self.features)
            table = read_table(source, header=header, known=known, encoding=self.encoding, delimiter=self.delimiter)
            names = list(table.columns)
            if not table.header:
                names = self._by_position(source, len(names))
            for column in self.columns:
                if column.name not in names:
                    raise Problem(f"{source} has no column '{column.name}'.{did_you_mean(column.name, names)}")
            for line, cells in zip(table.lines, zip(*table.columns.values(), strict=True), strict=True):
                found.append((f"{source}:{line}", dict(zip(names, cells, strict=True))))
        return found

    def encode(self, items: Sequence[Any]) -> Tensor:
        """Rows as dictionaries, or as sequences in the order of the file, to float32 [N, len(labels)].

        Raises `Problem` for a column that is missing or not known, and for a cell that cannot be read.
        """
        if isinstance(items, dict):
            items = [items]
        rows = [self._row(item, number) for number, item in enumerate(items)]
        return self.encode_columns({column.name: [row[column.name] for row in rows] for column in self.columns})

    def encode_columns(self, cells: Mapping[str, Sequence[Any]]) -> Tensor:
        """The same, from the cells of each column [N]."""
        count = len(next(iter(cells.values())))
        encoded = np.empty((count, len(self.labels)), dtype=np.float32)
        start = 0
        for column in self.columns:
            part = column.encode(cells[column.name])
            encoded[:, start : start + part.shape[1]] = part
            start += part.shape[1]
        return torch.from_numpy(encoded)

    def tensor(self, stored: Tensor) -> Tensor:
        return stored.float()

    def to_json(self) -> dict[str, Any]:
        columns = [{"kind": column.kind, **asdict(column)} for column in self.columns]
        rest = ("names", "target", "header", "encoding", "delimiter")
        return {"columns": columns, **{name: getattr(self, name) for name in rest}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TablePreprocess:
        rest = {key: value for key, value in data.items() if key != "columns"}
        return cls([_column(column) for column in data["columns"]], **rest)

    def _by_position(self, source: str, width: int) -> list[str]:
        """Column names for a file that has none, which may be without the target."""
        for names in (self.features, self.names):
            if width == len(names):
                return names
        raise Problem(
            f"{source} has {width} columns and no names for them, where {len(self.features)} are expected: "
            f"{', '.join(self.features)}."
        )

    def _row(self, item: Any, number: int) -> dict[str, Any]:
        if not isinstance(item, dict):
            cells = np.asarray(item, dtype=object).ravel().tolist()
            used = [column.name for column in self.columns]
            if len(cells) == len(self.features):
                return dict(zip(self.features, cells, strict=True))
            if len(cells) == len(used):
                return dict(zip(used, cells, strict=True))
            raise Problem(
                f"Row {number + 1} has {len(cells)} values where {len(self.features)} are expected: "
                f"{', '.join(self.features)}."
            )
        for column in self.columns:
            if column.name not in item:
                raise Problem(
                    f"Row {number + 1} has no column '{column.name}'.{did_you_mean(column.name, map(str, item))} "
                    f"Expected: {', '.join(column.name for column in self.columns)}."
                )
        for name in item:
            if name not in self.features and name != self.target:
                raise Problem(
                    f"Row {number + 1} has a column '{name}' that the model was not trained on."
                    f"{did_you_mean(str(name), self.features)} Expected: {', '.join(self.features)}."
                )
        return item


def _column(data: dict[str, Any]) -> Column:
    kind = COLUMN_KINDS[data["kind"]]
    values = {field.name: data[field.name] for field in fields(kind)}
    if kind is Date and values["day"] is not None:
        values["day"] = _column({"kind": "number", **values["day"]})
    built: Column = kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
    return built


KIND = TablePreprocess

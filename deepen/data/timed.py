"""Tables whose rows follow each other in time: which of them are series, and why the others are none."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepen.data import clock as clocks
from deepen.data.cells import is_missing, numbers
from deepen.data.dataset import Finding
from deepen.data.detect import notation_of
from deepen.data.reading import RawTable

LEAST = 30
"""Rows below which a table with dates is taken for one by itself."""
ALMOST = 0.9
"""Share of the rows that come later than the one before them (or earlier), from which on time orders a table."""


@dataclass(frozen=True)
class Timed:
    """How time orders the rows of a table."""

    column: str
    clock: clocks.Clock | None
    """Of a series; None where the table is none."""
    why: str = ""
    """What keeps it from being one."""
    forced: str = "`--as forecast` reads them as a series"
    """How it can be read as one after all."""


def timed(table: RawTable) -> Timed | None:
    """How time orders the rows of a table, None where it does not. Of a series the times rise (or fall) from row to row at equal
    distances in one column, and nothing but numbers stands beside it."""
    columns = [name for name, cells in table.columns.items() if is_time(cells)]
    read = ((name, clocks.read(table.columns[name])) for name in columns)
    ordered = ((name, moments) for name, moments in read if moments is not None and _goes_on(moments.values))
    name, moments = next(ordered, ("", None))
    if moments is None or len(table.columns) < 2:
        return None
    if others := [one for one in columns if one != name]:
        why = f"'{others[0]}' holds times as well"
        return Timed(name, None, why, f"`--as forecast {_by(name)}` reads them as a series")
    others = [one for one, cells in table.columns.items() if one != name and not all(map(is_missing, cells))]
    if words := [one for one in others if not is_number(table.columns[one])]:
        return Timed(
            name, None, f"'{words[0]}' holds no numbers", "`--as forecast` reads the columns of numbers as a series"
        )
    if len(table.lines) < LEAST:
        return Timed(name, None, f"there are fewer than {LEAST}", "`--as forecast` reads them as a series")
    mended = "once that is mended they are read as a series"
    if not clocks.direction(moments.values) and not clocks.put_back(moments):
        return Timed(name, None, _out_of_order(table, name, moments.values), mended)
    try:
        return Timed(name, clocks.fit(replace(moments, values=np.unique(moments.values))))
    except clocks.IrregularError as error:
        return Timed(name, None, f"their times are not equally spaced: {error}", mended)


def noticed(table: RawTable) -> list[Finding]:
    """What is said of rows that time orders and chance splits."""
    found = timed(table)
    if found is None:
        return []
    text = (
        f"The rows follow each other in time, by '{found.column}', and are split at random: what is learnt lies on both sides of "
        "what is validated and tested on."
    )
    if found.why:
        text += f" They are not read as a series, since {found.why}."
    return [Finding("warning", "time-order", text, f"{_by(found.column)} tests on the newest rows; {found.forced}.")]


def _by(column: str) -> str:
    """The setting that names a column of times, as it is typed."""
    return shlex.quote(f"data.time={column}")


def is_time(cells: Sequence[Any]) -> bool:
    """Told by the first cells: a column that is none is not read to its end."""
    return clocks.read(cells[:20]) is not None and not is_number(cells[:20])


def is_number(cells: Sequence[Any]) -> bool:
    """Whether a column holds numbers, and at least one."""
    if all(is_missing(cell) for cell in cells):
        return False
    return not numbers(cells, notation_of(cells, ()))[1]


def _goes_on(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return len(steps) > 0 and bool(max((steps > 0).mean(), (steps < 0).mean()) >= ALMOST)


def _out_of_order(table: RawTable, name: str, values: np.ndarray) -> str:
    """The first row that breaks the order of all."""
    steps = np.diff(values)
    way = 1 if (steps > 0).mean() > 0.5 else -1
    wrong = np.flatnonzero(steps * way <= 0)
    row = int(wrong[0]) + 1
    said = "the same time as" if steps[wrong[0]] == 0 else "earlier than" if way > 0 else "later than"
    more = f" ({len(wrong):,} such rows in all)" if len(wrong) > 1 else ""
    return f"line {table.lines[row]}, {table.columns[name][row]}, is {said} the row before it{more}"

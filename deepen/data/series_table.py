"""A table that is a series: a column of equally spaced times, each of them once, and numbers beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepen.data import clock as clocks
from deepen.data import series
from deepen.data.cells import numbers
from deepen.data.dataset import Dataset, Finding
from deepen.data.detect import notation_of
from deepen.data.lookback import in_order
from deepen.data.reading import ENDINGS, RawTable, ending, peek_table, read_table
from deepen.data.series import Config, onto_grid
from deepen.data.tables import open_table
from deepen.data.timed import is_time, timed
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.recipe import Data

SUMMARY = "your series: a table with a column of equally spaced times and columns of numbers"
TASK = "forecast"
AS_ROWS = "leave the order of time out of it with `--as regress` or `--as classify`"


def recognise(source: str) -> str | None:
    """Why `source` is a series, or None: one column of times that rise (or fall) from row to row at equal distances, and nothing
    but numbers beside it."""
    if ending(source) not in ENDINGS or not Path(source).is_file():
        return None
    try:
        # Most tables are none of this by their first rows; those of several series, one after the other, only as a whole.
        found = timed(peek_table(source))
        if found is None or found.clock is None:
            return None
        found = timed(read_table(source, skip_bad=True))
    except Problem:
        return None  # what is wrong with it is said by who reads all of it
    if found is None or found.clock is None:
        return None
    said = f"a series, by '{found.column}' whose times are {found.clock.spacing} apart"
    return f"{said}; `--as regress` or `--as classify` reads it as rows"


def asked(source: str) -> str | None:
    """Why a table is read as a series where a forecast was asked for, or None where `source` is none."""
    return "a table, read as a series since a forecast was asked for" if ending(source) in ENDINGS else None


def load(source: str, options: Data, seed: int) -> Dataset:
    """Read the series at the path `source`.

    Raises `Problem` for a file that cannot be read or is no series, `Misuse` for an unknown column.
    """
    config = options if isinstance(options, Config) else Config(**vars(options))
    table = open_table(source, config)
    path = Path(source)
    time, facts = _time_of(source, table, config.time)
    values, names, notations, findings = _numbers_of(table, time, config)
    if time is None:
        clock = clocks.Clock("numbers", 1.0, 1.0)
    else:
        moments = clocks.read(table.columns[time], plain=True)
        assert moments is not None
        if len(moments.values) < 3:
            raise Problem(
                f"{source} holds {len(moments.values)} of the 3 moments that a series has at least: give a longer one."
            )
        findings += _ordered(source, table, time, moments)
        moments, values, _ = in_order(moments, values)
        try:
            clock = clocks.fit(moments)
        except clocks.IrregularError as error:
            raise Problem(
                f"The times in '{time}' of {source} are not equally spaced: {error}. Bring them to equal distances first, or "
                f"{AS_ROWS}."
            ) from None
        values = onto_grid(values, clock.places(moments))
        facts = [*facts, f"The times stand in '{time}'{', and are brought to UTC' if moments.utc else ''}."]
    return series.build(
        path.name.removesuffix(".gz").rsplit(".", 1)[0],
        values,
        names,
        clock,
        config,
        seed,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        time=time,
        notations=notations,
        facts=[*table.facts, *facts],
        findings=findings,
        bad=table.bad,
        header=table.header,
    )


def _time_of(source: str, table: RawTable, named: str | None) -> tuple[str | None, list[str]]:
    """The column of times, and what is said where there is none."""
    if named is not None:
        if named not in table.columns:
            hint = did_you_mean(named, list(table.columns))
            raise Misuse(f"data.time={named} names no column.{hint} Columns: {', '.join(table.columns)}.")
        if clocks.read(table.columns[named], plain=True) is None:
            raise Problem(f"data.time={named}: {source}, {_no_time(table, named)}.")
        return named, []
    times = [name for name, cells in table.columns.items() if clocks.read(cells) is not None]
    if len(times) > 1:
        raise Misuse(f"{source} has several columns of times ({', '.join(times)}): name one with data.time=COLUMN.")
    if times:
        return times[0], []
    almost = [name for name, cells in table.columns.items() if is_time(cells)]
    if almost:
        raise Problem(f"{source}: '{almost[0]}' looks like the times of a series, but {_no_time(table, almost[0])}.")
    counting = [name for name, cells in table.columns.items() if _counts(cells)]
    if len(counting) == 1 and len(table.columns) > 1:
        return counting[0], [
            f"'{counting[0]}' goes on by the same number from row to row, as times do (data.time=COLUMN)."
        ]
    return None, ["No column holds times: rows are taken to follow each other at equal distances, as they stand."]


def _counts(cells: Sequence[Any]) -> bool:
    """Whether a column holds numbers at equal distances from row to row: a year, a second of a recording, a number of the row."""
    values, wrong = numbers(cells)
    if wrong or len(values) < 3:
        return False
    steps = np.diff(values)
    return bool(np.isfinite(values).all() and steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-6, atol=0.0))


def _no_time(table: RawTable, name: str) -> str:
    """Which cell of a column is no time."""
    cells = table.columns[name]
    for row, cell in enumerate(cells):
        if clocks.read([cell], plain=True) is None:
            return (
                f"line {table.lines[row]} holds {cell!r}, where a time such as 2024-01-31 15:00 or a number is expected"
            )
    return "its cells are not all written in the same way"


def _ordered(source: str, table: RawTable, time: str, moments: clocks.Moments) -> list[Finding]:
    """What is said of times that do not go on from row to row. Raises `Problem` where two are the same, but for a clock that was
    put back."""
    values = moments.values
    order = np.argsort(values, kind="stable")
    same = np.flatnonzero(np.diff(values[order]) == 0)
    if len(same):
        first, second = (int(order[same[0] + more]) for more in (0, 1))
        if clocks.put_back(moments):
            are = "1 moment of '{}' is" if len(same) == 1 else f"{len(same):,} moments of '{{}}' are"
            text = (
                f"{are.format(time)} there twice, as where clocks are put back in autumn "
                f"(first {table.columns[time][first]}, in lines {table.lines[first]} and {table.lines[second]}): the mean of "
                "both is taken."
            )
            mend = "Write behind each time how far its clock is ahead of UTC, as in 2024-10-27 02:00+01:00: then both are kept."
            return [Finding("warning", "doubled-moments", text, mend)]
        if any(clocks.PART.search(str(table.columns[time][row])) for row in (first, second)):
            raise Problem(
                f"'{time}' of {source} holds {table.columns[time][first]} in line {table.lines[first]} and "
                f"{table.columns[time][second]} in line {table.lines[second]}, and times are read to the second: number such "
                "moments in a column, and name it with data.time=COLUMN."
            )
        raise Problem(
            f"'{time}' of {source} holds {table.columns[time][first]} in line {table.lines[first]} and again in line "
            f"{table.lines[second]} ({len(same):,} repeated in all): a series has one row for each moment. Sum up or average "
            f"such rows, or {AS_ROWS}."
        )
    if clocks.direction(values) == 0:
        text = f"The rows of {source} are not in the order of '{time}': they were sorted."
        return [Finding("warning", "unsorted-times", text, "Look whether the times are right.")]
    return []


def _numbers_of(
    table: RawTable, time: str | None, config: Config
) -> tuple[np.ndarray, list[str], list[str], list[Finding]]:
    """The columns of numbers, float64 [N, C], their names, how they are written, and which columns are left out."""
    found, names, notations, findings = [], [], [], []
    for name, cells in table.columns.items():
        if name == time:
            continue
        notation = notation_of(cells, config.missing)
        values, wrong = numbers(cells, notation, config.missing)
        if len(wrong) > 0.2 * len(cells) or not np.isfinite(values).any():
            what = "holds texts and no numbers" if wrong else "is empty"
            text = f"Column '{name}' {what}: it is left out."
            findings.append(Finding("note", "left-out-column", text))
            continue
        if wrong:
            raise Problem(
                f"{table.origin(wrong[0])}: column '{name}' holds {cells[wrong[0]]!r} where a number is expected. If it stands "
                f"for a missing one, data.missing={cells[wrong[0]]} says so."
            )
        found.append(values)
        names.append(name)
        notations.append(notation)
    if not found:
        raise Problem("The table has no column of numbers beside its times: there is nothing to forecast.")
    return np.stack(found, axis=1), names, notations, findings

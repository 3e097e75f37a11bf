"""Moments that follow each other at equal distances: what the times of a series are, and what comes after them.

Distances are seconds (minutes, hours, days, weeks), weekdays (exchanges rest at the weekend), months (which are not equally
long), or plain numbers.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

from deepen.data.cells import ORDERS, days, is_missing, numbers

HOUR, DAY = 3600, 86_400
A_YEAR = 300 * DAY
"""Seconds from one autumn to the next, at least."""
ZONE = re.compile(r":\d{2}(?:[.,]\d+)?\s*(?:Z|UTC|([+-])(\d{2}):?(\d{2}))")
PART = re.compile(r":\d{2}[.,]0*[1-9]")
"""Of a second, which is not read."""
WITHOUT_DAY = re.compile(r"\d{4}[-/.]\d{1,2}")
BEFORE = np.datetime64("0001-01-01", "D")
LAST = 31
"""The day of a month whose moments are its last days."""
MOST_SPARSE = 20
"""Moments for each that is there: with fewer, the times are hardly those of one series."""
UNITS = ((7 * DAY, "week"), (DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class IrregularError(ValueError):
    """Times that are no equally spaced moments; its text says where and why."""


@dataclass(frozen=True)
class Moments:
    """Times as they were read: whole seconds since the beginning of year 1, or plain numbers."""

    values: np.ndarray
    """float64 [N]"""
    dates: bool
    months: bool = False
    """Whether they name months without a day, as in 1949-01."""
    utc: bool = False
    """Whether they are of UTC, since what was written says how far its clock is ahead of it, and that differs."""


def read(cells: Sequence[Any], *, plain: bool = False, utc: bool = False) -> Moments | None:
    """A column as times, None where it is none. With `plain`, numbers are times too.

    Clocks are read as they stand, but where they say of different zones (summer and winter), or with `utc`: then as UTC.
    """
    if not cells or any(is_missing(cell) for cell in cells):
        return None
    fitting: list[Moments] = []
    zones = _zones(cells)
    utc = len(zones) > 0 and (utc or len(np.unique(zones)) > 1)
    ahead = zones if utc else 0.0
    for order in ORDERS:
        found, wrong = days(cells, order)
        if not wrong:
            bare = all(isinstance(cell, str) and WITHOUT_DAY.fullmatch(cell.strip()) for cell in cells)
            fitting.append(Moments(np.round((found[:, 0] - 1) * DAY) - ahead, dates=True, months=bare, utc=utc))
    # 03.04.2024 may be of March or of April: where time does not jump about, and takes the shortest, is what is meant.
    if fitting:
        return min(fitting, key=lambda one: (not direction(one.values), float(np.ptp(one.values))))
    if plain:
        values, wrong = numbers(cells)
        return None if wrong or not np.isfinite(values).all() else Moments(values, dates=False)
    return None


def _zones(cells: Sequence[Any]) -> np.ndarray:
    """Seconds by which the clock of each cell is ahead of UTC, float64 [N]; empty where not all cells say so."""
    found = []
    for cell in cells:
        said = ZONE.search(cell) if isinstance(cell, str) else None
        if said is None:
            return np.empty(0)
        sign, hours, minutes = said.groups(default="0")
        found.append((3600.0 * int(hours) + 60.0 * int(minutes)) * (-1 if sign == "-" else 1))
    return np.array(found)


def direction(values: np.ndarray) -> int:
    """1 where times only rise, -1 where they only fall, else 0."""
    steps = np.diff(values)
    return 1 if (steps > 0).all() else -1 if (steps < 0).all() else 0


def put_back(moments: Moments) -> bool:
    """Whether times go on in one direction but for moments that are there twice, as where clocks are put back in autumn: by an
    hour, about once a year."""
    steps = np.diff(moments.values)
    if not moments.dates or moments.utc or not len(steps):
        return False
    usual = float(np.median(steps))
    steps = steps if usual > 0 else -steps
    back = steps[steps <= 0]
    rare = 0 < len(back) <= 1 + np.ptp(moments.values) // A_YEAR
    if not rare or not 0 < abs(usual) <= HOUR or (back <= -HOUR).any():
        return False
    return bool(np.unique(moments.values, return_counts=True)[1].max() == 2)


@dataclass(frozen=True)
class Clock:
    """Moments by number: 0 is at `start`, each further one a `step` later."""

    unit: Literal["seconds", "weekdays", "months", "numbers"]
    step: float
    start: float
    """Seconds, or days, since the beginning of year 1; months since year 0; or a number."""
    day: int = 0
    """months: the day on which each moment lies, 0 where only months are named."""
    utc: bool = False
    """Whether the times of a table are brought to UTC, by what each says of its zone."""

    def places(self, moments: Moments) -> np.ndarray:
        """The number of each moment, float64 [N]: not whole where a time lies between two of them."""
        return np.round((counted(self.unit, moments) - self.start) / self.step, 6)

    def name(self, place: int) -> str:
        """What a person writes for the moment of that number."""
        at = self.start + place * self.step
        if self.unit == "numbers":
            return f"{at:.0f}" if float(at).is_integer() else f"{at:.10g}"
        if self.unit == "months":
            year, month = divmod(int(at), 12)
            day = f"-{min(self.day, calendar.monthrange(year, month + 1)[1]):02d}" if self.day else ""
            return f"{year:04d}-{month + 1:02d}{day}"
        if self.unit == "weekdays":
            return str(np.busday_offset(BEFORE, int(at), roll="forward"))
        moment = datetime(1, 1, 1) + timedelta(seconds=at)
        whole_days = self.step % DAY == 0 and self.start % DAY == 0
        said = moment.date().isoformat() if whole_days else moment.isoformat(sep=" ")
        return f"{said}+00:00" if self.utc and not whole_days else said

    @property
    def spacing(self) -> str:
        """The distance of two moments in words: `1 hour`, `15 minutes`."""
        if self.unit != "seconds":
            size, word = self.step, self.unit[:-1]
        else:
            size, word = next((self.step / size, word) for size, word in UNITS if self.step % size == 0)
        return f"{size:g} {word}{'' if size == 1 else 's'}"

    @property
    def season(self) -> int:
        """Moments after which things tend to come again: a day, for what is shorter; a week of days; a year of weeks or months;
        1 where nothing is known."""
        if self.unit == "weekdays":
            return 5
        if self.unit == "months":
            return max(1, int(12 // self.step))
        if self.unit == "numbers":
            return 1
        round_trip = next(
            (long for most, long in ((1, 60), (60, 3600), (DAY / 2, DAY), (DAY, 7 * DAY)) if self.step <= most),
            364 * DAY,
        )
        return int(round_trip // self.step) if round_trip % self.step == 0 else 1


def fit(moments: Moments) -> Clock:
    """The clock of times in rising order. Raises `IrregularError` for times that are not equally spaced, but for gaps."""
    values = moments.values
    if len(values) < 3:
        raise IrregularError(f"there are only {len(values)} of them")
    for unit, day in _units(moments):
        numbered = counted(unit, moments)
        steps = np.diff(numbered)
        if (steps <= 0).any():
            continue
        sizes, counts = np.unique(steps, return_counts=True)
        usual = float(sizes[counts.argmax()])
        step = usual
        if moments.dates and (steps % usual).any():
            # Where a gap hides half of a step, the step is what goes into all of them.
            step = float(math.gcd(*(int(size) for size in sizes)))
        clock = Clock(unit, step, float(numbered[0]), day, moments.utc)
        places = clock.places(moments)
        odd = np.flatnonzero(places % 1)
        moments_in_all = places[-1] + 1
        if not len(odd) and (step == usual or moments_in_all <= 2 * len(values)):
            if moments_in_all > MOST_SPARSE * len(values):
                raise IrregularError(
                    f"{len(values):,} rows lie in a span of {moments_in_all:,.0f} times {clock.spacing}"
                )
            return clock
        if unit in ("seconds", "numbers"):
            place = int(np.flatnonzero(steps % usual)[0] if (steps % usual).any() else odd[0]) + 1
            if 2 * counts.max() < len(steps):
                least, most = (Clock(unit, float(size), 0.0).spacing for size in (sizes[0], sizes[-1]))
                raise IrregularError(f"they come {least} to {most} after each other")
            said = Clock(unit, usual, 0.0).spacing
            other = Clock(unit, float(steps[place - 1]), 0.0).spacing
            raise IrregularError(f"most are {said} apart, but row {place + 1} comes {other} after the one before")
    raise IrregularError("they do not rise from row to row")


def _units(moments: Moments) -> list[tuple[Literal["seconds", "weekdays", "months", "numbers"], int]]:
    """The ways in which times may be equally spaced, the more special ones first."""
    if not moments.dates:
        return [("numbers", 0)]
    found: list[tuple[Literal["seconds", "weekdays", "months", "numbers"], int]] = []
    stamps = [datetime(1, 1, 1) + timedelta(seconds=value) for value in moments.values]
    midnight = all(stamp.hour == stamp.minute == stamp.second == 0 for stamp in stamps)
    far = bool((np.diff(moments.values) >= 28 * DAY).all())
    if midnight and far:
        on = {stamp.day for stamp in stamps}
        if len(on) == 1:
            found.append(("months", 0 if moments.months else on.pop()))
        elif all(stamp.day == calendar.monthrange(stamp.year, stamp.month)[1] for stamp in stamps):
            found.append(("months", LAST))
    daily = bool(np.median(np.diff(moments.values)) == DAY)
    if midnight and daily and len(stamps) > 10 and not any(stamp.weekday() >= 5 for stamp in stamps):
        found.append(("weekdays", 0))
    return [*found, ("seconds", 0)]


def counted(unit: str, moments: Moments) -> np.ndarray:
    """Times in the unit of a clock, float64 [N]."""
    values = moments.values
    if unit == "months":
        stamps = [datetime(1, 1, 1) + timedelta(seconds=value) for value in values]
        return np.array([12 * stamp.year + stamp.month - 1 for stamp in stamps], dtype=np.float64)
    if unit == "weekdays":
        dates = BEFORE + np.floor(values / DAY).astype(np.int64).astype("timedelta64[D]")
        resting = ~np.is_busday(dates)
        return np.asarray(np.busday_count(BEFORE, dates), dtype=np.float64) + 0.5 * resting
    return values

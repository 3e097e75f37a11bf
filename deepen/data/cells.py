"""What a cell of a table says: nothing, a number, a word or a date.

One set of rules for the cells of files and for the values of Python callers, so that both are read alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np

MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "?", "nan", "-nan", "null", "nat"})
"""What people and programs write where they have no value, in lower case."""

NOTATIONS = {
    "point": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE),
    "comma": re.compile(r"[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?"),
    "thousands": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?|[+-]?\d{1,3}(\.\d+)?"),
}
"""How numbers are written: 1234.5, 1234,5 and 1,234.5."""

ORDERS = ("ymd", "dmy", "mdy")
_CLOCK = r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?)?"
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})(?:\2(\d{1,2}))?" + _CLOCK)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})" + _CLOCK)


def is_missing(cell: Any, more: Collection[str] = ()) -> bool:
    """Whether a cell holds no value; `more` are further texts that say so."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return isinstance(cell, str) and (cell.strip().lower() in MISSING or cell.strip() in more)


def numbers(
    cells: Sequence[Any], notation: str = "point", missing: Collection[str] = ()
) -> tuple[np.ndarray, list[int]]:
    """float64 [N], NaN where a cell is missing, and the places of cells that are no number."""
    values = np.empty(len(cells))
    wrong = []
    # Most columns repeat themselves: each text is read once. A text that is no number is remembered as None.
    known: dict[str, float | None] = {}
    for place, cell in enumerate(cells):
        if isinstance(cell, str):
            if cell not in known:
                known[cell] = _number(cell.strip(), notation, missing)
            value = known[cell]
        elif isinstance(cell, int | float | np.number):
            value = math.nan if missing and f"{cell:g}" in missing else float(cell)
        else:
            value = math.nan if cell is None else None
        if value is None:
            wrong.append(place)
            value = math.nan
        values[place] = value
    return values, wrong


def _number(text: str, notation: str, missing: Collection[str]) -> float | None:
    if is_missing(text, missing):
        return math.nan
    if notation != "point":
        if not NOTATIONS[notation].fullmatch(text):
            return None
        text = text.replace(",", "." if notation == "comma" else "")
    try:
        # Python alone would also take 1_000 for a number.
        return None if "_" in text else float(text)
    except ValueError:
        return None


def texts(cells: Sequence[Any], missing: Collection[str] = (), known: Collection[str] = ()) -> list[str | None]:
    """Cells as stripped texts, None where missing. Truth values take the spelling that is among `known`."""
    found: list[str | None] = []
    read: dict[str, str | None] = {}
    for cell in cells:
        if isinstance(cell, str):
            if cell not in read:
                read[cell] = None if is_missing(cell, missing) else cell.strip()
            found.append(read[cell])
        elif is_missing(cell, missing):
            found.append(None)
        elif isinstance(cell, bool | np.bool_):
            word = str(bool(cell))
            found.append(next((spelt for spelt in (word.lower(), word, word.upper()) if spelt in known), word.lower()))
        elif isinstance(cell, float | np.floating) and float(cell).is_integer():
            found.append(str(int(cell)))
        else:
            found.append(str(cell))
    return found


def days(cells: Sequence[Any], order: str) -> tuple[np.ndarray, list[int]]:
    """float64 [N, 4]: days since year 1 with their fraction, month and weekday (Monday) from 0, hour; and wrong places.

    `order` is how dates are written, "ymd", "dmy" or "mdy". Clocks are read as they stand, without their time zone.
    """
    values = np.full((len(cells), 4), math.nan)
    wrong = []
    known: dict[Any, tuple[float, ...] | None] = {}
    for place, cell in enumerate(cells):
        if cell not in known:
            moment = _moment(cell, order)
            if moment is not None:
                fraction = (moment.hour * 3600 + moment.minute * 60 + moment.second) / 86400
                known[cell] = (moment.toordinal() + fraction, moment.month - 1, moment.weekday(), moment.hour)
            else:
                known[cell] = (math.nan,) * 4 if is_missing(cell) else None
        read = known[cell]
        if read is None:
            wrong.append(place)
        else:
            values[place] = read
    return values, wrong


def _moment(cell: Any, order: str) -> datetime | None:
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, date):
        return datetime(cell.year, cell.month, cell.day)
    if not isinstance(cell, str):
        return None
    found = (_YEAR_FIRST if order == "ymd" else _YEAR_LAST).fullmatch(cell.strip())
    if not found:
        return None
    first, _, second, third, *clock = found.groups()
    year, month, day = {
        "ymd": (first, second, third or 1),
        "dmy": (third, second, first),
        "mdy": (third, first, second),
    }[order]
    try:
        hour, minute, second = (int(part or 0) for part in clock)
        return datetime(int(year), int(month), int(day), hour, minute, second)
    except ValueError:
        return None

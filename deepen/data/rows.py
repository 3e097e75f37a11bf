"""Rows of a table read back: from the numbers that a model sees to cells that a person knows.

What an encoding forgets stays forgotten: a rare category is told as such, a number to four digits.
"""

from __future__ import annotations

import math
from datetime import date

import numpy as np
from torch import Tensor

from deepen.data.columns import Choice, Column, Date, Number, TablePreprocess

MISSING = "–"
FAR = 300
"""How many scales from the middle the squeezed number still tells about four digits of the cell."""


def read_back(preprocess: TablePreprocess, row: Tensor) -> dict[str, str]:
    """The cells of an encoded row, float32 [len(labels)], by the name of their column."""
    values, start, cells = row.double().numpy(), 0, {}
    for column in preprocess.columns:
        width = len(column.labels())
        cells[column.name] = _cell(column, values[start : start + width])
        start += width
    return cells


def _cell(column: Column, part: np.ndarray) -> str:
    if isinstance(column, Number):
        value = _value(column, part)
        if value is None:
            return MISSING
        bound = math.copysign(FAR * column.scale, value - column.fill) + column.fill
        far = abs(value - column.fill) > FAR * column.scale
        return f"{'over' if value > bound else 'under'} {said(bound)}" if far else said(value)
    if isinstance(column, Choice):
        names = [*column.values, *(["other"] * column.other), *([MISSING] * column.gaps)]
        return names[int(part.argmax())] if part.any() else "unknown"
    if isinstance(column, Date):
        day = None if column.day is None else _value(column.day, part)
        return MISSING if day is None or not 1 <= round(day) <= date.max.toordinal() else _date(day)
    return MISSING if part[0] else "filled"


def _value(column: Number, part: np.ndarray) -> float | None:
    """The number that `Number.encode` squeezed; None for a missing one."""
    if column.gaps and part[1]:
        return None
    share = min(max(part[0] / 3, -1 + 1e-9), 1 - 1e-9)
    value = float(part[0] / math.sqrt(1 - share * share) * column.scale + column.fill)
    # float32 knows no more digits, and a zero should read as one
    return round(value, 5 - math.floor(math.log10(column.scale))) + 0.0


def _date(day: float) -> str:
    return date.fromordinal(round(day)).isoformat()


def said(value: float) -> str:
    """Four digits, and whole numbers in full."""
    return f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.4g}"

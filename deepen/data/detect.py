"""What each column of a table is: a number, a category, a date, or nothing that can be learnt from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepen.data import columns
from deepen.data.cells import NOTATIONS, ORDERS, days, is_missing, numbers, texts
from deepen.data.dataset import Finding

ID_NAME = re.compile(r"(^|[\s_-])(id|uuid|guid|index|idx|rowid|row|no|nr)$|[a-z](Id|ID)$|^(编号|序号)$", re.IGNORECASE)
MEASURED = re.compile(r"x|t|time|timestamp|date|year|month|week|day|hour|minute|second|step|age", re.IGNORECASE)
"""Names of columns that may count up evenly because that is what they measure."""
MOSTLY = 0.95
"""A column is numbers or dates when this share of its filled cells is; the other cells are then read as missing."""


def detect(
    name: str,
    cells: Sequence[Any],
    train: np.ndarray,
    *,
    bins: int,
    most: int,
    missing: Sequence[str] = (),
    splits_by: bool = False,
    alone: bool = False,
) -> tuple[columns.Column | None, list[Finding]]:
    """How column `name` is read (None to leave it out), fitted on the rows `train`, and what is odd about it.

    What a column *is* follows from all cells, so that none of them is unreadable later; what is measured in it follows
    from the rows that train. `splits_by` marks the column that rows are split by in time, `alone` the only column.
    """
    missing = tuple(missing)
    counts = Counter(cells)
    filled = {cell: count for cell, count in counts.items() if not is_missing(cell, missing)}
    trained = [cells[row] for row in train.tolist()]
    seen = set(trained)
    if len({str(cell).strip() for cell in seen if cell in filled}) < 2:
        some = any(cell in filled for cell in seen)
        if some and any(cell not in filled for cell in seen):
            return columns.Presence(name, missing), []
        what = "always holds the same value" if some else "is empty"
        text = f"Column '{name}' {what} in the training rows: it is left out."
        return None, [Finding("warning", "constant-column", text, "Remove the column, or fill it.")]
    if not any(isinstance(cell, str) and re.fullmatch(r"[+-]?0\d+", cell.strip()) for cell in filled):
        notation, values, wrong = _as_numbers(cells, missing)
        if len(wrong) <= (1 - MOSTLY) * sum(filled.values()):
            if not alone and _counts_rows(name, values):
                text = f"Column '{name}' numbers the rows: it is left out, since it says nothing about a new row."
                return None, [Finding("warning", "id-like-column", text, f"Remove the column '{name}' from the file.")]
            return _number(name, values, [cells[row] for row in wrong], train, bins, notation, missing)
    # Hardly a text is a date: one cell that is none in any order settles it.
    if not all(days([next(iter(filled))], order)[1] for order in ORDERS):
        order, moments, wrong, ambiguous = _as_dates(cells)
        if not wrong:
            told = []
            if ambiguous:
                text = f"The dates of '{name}' can be read month first or day first: they are read month first."
                told = [Finding("warning", "ambiguous-date", text, "Write dates as YEAR-MONTH-DAY.")]
            dates = columns.fit_date(name, moments[train], order, bins, with_day=not splits_by)
            return (dates, told) if dates.labels() else (None, told)
    return _words(name, trained, most, missing)


def _as_numbers(cells: Sequence[Any], missing: tuple[str, ...]) -> tuple[str, np.ndarray, list[int]]:
    """The notation by which the most cells are numbers; 1,234 is read as thousands only where all commas allow it."""
    best = ("point", *numbers(cells, "point", missing))
    if best[2] and any(isinstance(cells[row], str) and "," in cells[row] for row in best[2][:1000]):
        for notation in ("thousands", "comma"):
            values, wrong = numbers(cells, notation, missing)
            if len(wrong) < len(best[2]):
                best = (notation, values, wrong)
    return best


def notation_of(cells: Sequence[Any], missing: Sequence[str] = ()) -> str:
    """How the numbers of a column are written: one of the names in `NOTATIONS`."""
    notation = _as_numbers(cells, tuple(missing))[0]
    assert notation in NOTATIONS
    return notation


def _as_dates(cells: Sequence[Any]) -> tuple[str, np.ndarray, list[int], bool]:
    """The order by which the most cells are dates, and whether month and day could as well be the other way round."""
    read = {order: days(cells, order) for order in ORDERS}
    order = min(("ymd", "mdy", "dmy"), key=lambda order: len(read[order][1]))
    values, wrong = read[order]
    ambiguous = order == "mdy" and not read["dmy"][1] and any("." not in str(cell) for cell in cells if cell)
    if order == "mdy" and not read["dmy"][1] and not ambiguous:
        # 3.4.2024 with points is written day first wherever points are used.
        return "dmy", *read["dmy"], False
    return order, values, wrong, ambiguous


def _number(
    name: str,
    values: np.ndarray,
    wrong: Sequence[Any],
    train: np.ndarray,
    bins: int,
    notation: str,
    missing: tuple[str, ...],
) -> tuple[columns.Column | None, list[Finding]]:
    findings = []
    trained = values[train]
    finite = trained[np.isfinite(trained)]
    if len(finite) < 2 or (finite == finite[0]).all():
        text = f"Column '{name}' always holds the same number in the training rows: it is left out."
        return None, [Finding("warning", "constant-column", text, "Remove the column, or fill it.")]
    if np.isinf(values).any():
        text = f"Column '{name}' has {int(np.isinf(values).sum()):,} infinite values: they are read as missing."
        findings.append(Finding("warning", "infinite", text, "Correct or empty these cells."))
    odd = tuple(sorted({str(cell).strip() for cell in wrong}))
    if odd:
        shown = ", ".join(repr(word) for word in odd[:3])
        text = f"Column '{name}' holds numbers, but for {len(wrong):,} cells such as {shown}: they are read as missing."
        findings.append(Finding("warning", "not-a-number", text, "Correct or empty these cells."))
    words = tuple(dict.fromkeys((*missing, *odd)))
    return columns.fit_number(name, trained, bins, notation=notation, missing=words), findings


def _counts_rows(name: str, values: np.ndarray) -> bool:
    """Whether whole numbers, all different and none missing, count the rows or are called an ID."""
    if (
        MEASURED.fullmatch(name.strip())
        or len(values) < 20
        or not np.isfinite(values).all()
        or (values != np.round(values)).any()
    ):
        return False
    if len(np.unique(values)) < len(values):
        return False
    return values.max() - values.min() == len(values) - 1 or bool(ID_NAME.search(name))


def _words(
    name: str, trained: Sequence[Any], most: int, missing: tuple[str, ...]
) -> tuple[columns.Column | None, list[Finding]]:
    read = texts(trained, missing)
    present = [text for text in read if text is not None]
    different = len(set(present))
    choice = columns.fit_choice(name, trained, most, missing=missing)
    nearly_all = different > 20 and 2 * different > len(present)
    if not nearly_all and choice.values:
        return choice, []
    text = (
        f"Column '{name}' is text that is nearly always different ({different:,} different values in {len(present):,} "
        "filled rows): it is left out"
    )
    mend = f"Remove the column '{name}', or put what it says into columns of its own."
    share = len(present) / len(read)
    if 0.05 <= share <= 0.95:
        told = Finding("warning", "id-like-column", f"{text}, but for whether it is filled.", mend)
        return columns.Presence(name, missing), [told]
    return None, [Finding("warning", "id-like-column", f"{text}.", mend)]

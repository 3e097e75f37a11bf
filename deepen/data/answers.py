"""The target column of a table: which one it is, whether it names classes or holds numbers, what is odd about it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepen.data.cells import NOTATIONS, is_missing, numbers, texts
from deepen.data.dataset import Finding
from deepen.errors import Misuse, Problem, did_you_mean

USUAL_NAMES = ("target", "label", "class", "y")
NEVER_A_NAME = frozenset({"", "?", "nan", "-nan", "null", "<na>", "#n/a", "nat"})
MOST_NUMBER_CLASSES = 20
"""Whole numbers with at most this many different values are read as classes."""


@dataclass
class Answer:
    """A target column, read."""

    values: np.ndarray
    """Class numbers int64 [N] (-1 where missing), or float64 [N] (NaN where missing)."""
    names: tuple[str, ...] | None
    """Class names; None where the target is a number."""
    facts: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def missing(self) -> np.ndarray:
        return self.values < 0 if self.names is not None else np.isnan(self.values)


def left_out(column: str, dropped: int) -> Finding:
    """What is said of rows that have nothing in the target column."""
    rows = "1 row has" if dropped == 1 else f"{dropped:,} rows have"
    mend = f"Fill the column '{column}', or remove what has no value there."
    return Finding("warning", "missing-target", f"{rows} no value in '{column}': left out.", mend)


def choose(columns: Sequence[str], wanted: str | None) -> tuple[str, list[str]]:
    """The name of the target column and why it is that one. Raises `Misuse` for one that is not there."""
    if wanted is not None:
        if wanted not in columns:
            raise Misuse(
                f"There is no column '{wanted}' to learn.{did_you_mean(wanted, columns)} Columns: {', '.join(columns)}."
            )
        return wanted, []
    for usual in USUAL_NAMES:
        for name in columns:
            if name.strip().lower() == usual:
                return name, [f"Learns column '{name}', by its name (data.target=COLUMN names another)."]
    return columns[-1], [f"Learns '{columns[-1]}', the last column (data.target=COLUMN names another)."]


def read(column: str, cells: Sequence[Any], wanted: str | None, missing: Sequence[str], notation: str) -> Answer:
    """Decide what the target is and read it. `wanted` is "class", "number" or None for what the column looks like.

    Raises `Problem` where nothing can be learnt from it.
    """
    present = [cell for cell in cells if not is_missing(cell, missing)]
    if not present:
        raise Problem(
            f"The target column '{column}' has no value in any of its {len(cells):,} rows: name another with "
            "data.target=COLUMN."
        )
    values, wrong = numbers(cells, notation, missing)
    # Codes such as 007 are names: as a number they would lose their zeros.
    coded = any(isinstance(cell, str) and re.fullmatch(r"0\d+", cell.strip()) for cell in present)
    numeric = not wrong and not coded and not any(isinstance(cell, bool | np.bool_) for cell in present)
    finite = values[np.isfinite(values)]
    kinds = len(np.unique(finite))
    few = (
        numeric
        and bool((finite == np.round(finite)).all())
        and kinds <= MOST_NUMBER_CLASSES
        and 2 * kinds <= len(finite)
    )
    if wanted == "number" and wrong:
        raise Problem(
            f"The target column '{column}' is to be a number, but holds {cells[wrong[0]]!r} in row {wrong[0] + 1} "
            f"(and {len(wrong) - 1:,} more such cells)."
        )
    if wanted == "number" or (wanted is None and numeric and not few):
        return _number(column, values, kinds, told=wanted is not None)
    if numeric:
        return _numbered_classes(column, values, finite, told=wanted is not None)
    return _named_classes(column, cells, missing)


def _number(column: str, values: np.ndarray, kinds: int, *, told: bool) -> Answer:
    infinite = int(np.isinf(values).sum())
    values = np.where(np.isinf(values), np.nan, values)
    if kinds < 2:
        raise Problem(f"The target column '{column}' always holds the same number: there is nothing to learn.")
    why = "as asked" if told else f"{kinds:,} different numbers"
    answer = Answer(values, None, [f"'{column}' is a number to estimate ({why})."])
    if infinite:
        rows = "1 row has" if infinite == 1 else f"{infinite:,} rows have"
        text = f"{rows} an infinite '{column}': left out."
        answer.findings.append(Finding("warning", "infinite", text, "Correct or remove these rows."))
    return answer


def _numbered_classes(column: str, values: np.ndarray, finite: np.ndarray, *, told: bool) -> Answer:
    kinds = np.unique(finite)
    _need_classes(column, len(kinds), [f"{kinds[0]:g}"], len(finite))
    names = tuple(str(int(kind)) if float(kind).is_integer() else repr(float(kind)) for kind in kinds)
    read = np.where(np.isfinite(values), np.searchsorted(kinds, values), -1)
    why = "as asked" if told else "few different whole numbers; data.answer=number makes it a number to estimate"
    return Answer(read.astype(np.int64), names, [f"'{column}' names {len(names)} classes ({why})."])


def _named_classes(column: str, cells: Sequence[Any], missing: Sequence[str]) -> Answer:
    plain = ["" if cell is None else text or str(cell).strip() for cell, text in zip(cells, texts(cells), strict=True)]
    counts = Counter(plain)
    gone = {name for name in counts if is_missing(name, missing)}
    kept = {name: count for name, count in counts.items() if name not in gone}
    facts, findings = [], []
    for word in sorted(gone - set(missing)):
        if word.lower() not in NEVER_A_NAME and _reads_as_name(word, counts[word], kept, counts[""]):
            gone.discard(word)
            facts.append(f"'{word}' is taken as a class of '{column}', not as a missing value: it is used like one.")
            text = f"The class '{word}' ({counts[word]:,} rows) is spelt like a missing value."
            findings.append(Finding("note", "missing-or-class", text, f"Where it means missing: data.missing={word}"))
    names = tuple(sorted(name for name in counts if name not in gone))
    _need_classes(column, len(names), names, sum(counts[name] for name in names))
    place = {name: number for number, name in enumerate(names)}
    read = np.array([place.get(text, -1) for text in plain], dtype=np.int64)
    padded = sum(isinstance(cell, str) and cell != cell.strip() for cell in cells)
    if padded:
        text = f"{padded:,} labels of '{column}' have blanks around them: the blanks are dropped."
        findings.append(Finding("note", "label-typos", text, "Nothing to do, unless the blanks were meant."))
    findings += typos(column, {name: counts[name] for name in names})
    facts.insert(0, f"'{column}' names {len(names)} classes (it holds text).")
    return Answer(read, names, facts, findings)


def _need_classes(column: str, num_classes: int, names: Sequence[str], rows: int) -> None:
    if num_classes == 1:
        raise Problem(f"The target column '{column}' has only one class, '{names[0]}': there is nothing to tell apart.")
    if 2 * num_classes > rows and num_classes > 2:
        raise Problem(
            f"The target column '{column}' has {num_classes:,} different values in {rows:,} rows, too many to be "
            "classes: name another with data.target=COLUMN."
        )


def _reads_as_name(word: str, count: int, others: dict[str, int], blanks: int) -> bool:
    """Whether a word such as NA is a class: real blanks stand beside it, or it looks and counts like the others."""
    if not others:
        return False
    if blanks:
        return True
    alike = sum(_style(name) == _style(word) for name in others) >= 0.5 * len(others)
    return alike and 2 * count >= min(others.values())


def _style(text: str) -> str:
    if any(pattern.fullmatch(text) for pattern in NOTATIONS.values()):
        return "number"
    return "upper" if text.isupper() and len(text) <= 4 else "other"


def typos(column: str, counts: dict[str, int]) -> list[Finding]:
    """Class names that may be one name spelt in several ways."""
    spelt: dict[str, list[str]] = {}
    for name in counts:
        plain = re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()
        spelt.setdefault(plain, []).append(name)
    found = [sorted(names, key=lambda name: -counts[name]) for names in spelt.values() if len(names) > 1]
    total = sum(counts.values())
    same = {name for names in found for name in names}
    if len(counts) <= 500:
        for rare, count in counts.items():
            if count > 0.02 * total or len(rare) < 4 or rare in same or any(c.isdigit() for c in rare):
                continue
            common = [name for name in counts if counts[name] >= 10 * count and not any(c.isdigit() for c in name)]
            found += [[near, rare] for near in difflib.get_close_matches(rare, common, n=1, cutoff=0.85)]
    findings = []
    for names in found:
        text = f"Classes of '{column}' may be one, spelt differently: " + " and ".join(
            f"{name!r} ({counts[name]:,} rows)" for name in names
        )
        mend = f"If they are one, write {names[0]!r} for {', '.join(repr(name) for name in names[1:])} in the file."
        findings.append(Finding("warning", "label-typos", text + ".", mend, {"names": names}))
    return findings

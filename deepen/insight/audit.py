"""The audit: what is odd about a data set, looked for before each training and by `deepen doctor`.

It reads the training and validation splits. Of the test split it sees the size and the fingerprints, never a sample.
Every finding is one sentence and the step that mends it. Leaks and duplicates across splits are what most often makes
a published score too good (Kapoor & Narayanan, 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from deepen.data.dataset import Dataset, Finding
from deepen.insight import classes, suspicions
from deepen.insight.ink import several
from deepen.spec import Category, Image, Series, Table

LEVELS = ("error", "warning", "note")

MOST_BYTES = 2 << 30
"""Memory-mapped splits above this are not read whole for duplicates, unless asked for: it would take minutes."""

LISTED = 100
"""How many samples a finding's details list."""


def audit(dataset: Dataset, *, seed: int, thorough: bool = False) -> list[Finding]:
    """Everything worth knowing, the gravest first; an empty list when nothing is odd.

    `seed` draws the rows for checks that need no more than some thousand. `thorough` also reads very large
    memory-mapped splits for duplicates.
    """
    found = list(dataset.findings)
    if dataset.bad:
        found.append(_bad_files(dataset))
    # Where all of the data validates as well, by intention, it is neither held out nor too little.
    if not dataset.acting and len(dataset.train) and dataset.validation is not dataset.train:
        if dataset.train.mapped and not thorough and dataset.train.nbytes > MOST_BYTES:
            text = f"Duplicates were not looked for in {dataset.train.nbytes / 2**30:.0f} GiB of memory-mapped samples."
            found.append(Finding("note", "not-checked", text, "`deepen doctor DATA` looks for them."))
        else:
            found += _duplicates(dataset)
        found += classes.look(dataset, known={finding.subject for finding in found})
        found += _few_samples(dataset)
        found += suspicions.look(dataset, seed, known={finding.subject for finding in found})
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def verdict(dataset: Dataset, findings: Sequence[Finding]) -> str:
    """The audit in one line: `nothing found in 60,000 samples`, `1 warning and 2 notes in 150 samples`."""
    if dataset.acting and not findings:
        return "nothing to check, the data comes from acting"
    count = len(dataset.train) + len(dataset.validation) + (0 if dataset.test is None else len(dataset.test))
    counts = [(sum(finding.level == level for finding in findings), level) for level in LEVELS]
    said = [f"{many} {level}{'s' if many > 1 else ''}" for many, level in counts if many]
    return f"{_join(said) if said else 'nothing found'} in {several(count, 'sample')}"


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _bad_files(dataset: Dataset) -> Finding:
    first, count = dataset.bad[0], len(dataset.bad)
    text = f"{count:,} file{'s' if count > 1 else ''} cannot be read, the first {first.path}: {first.reason}."
    details = {"files": [{"path": bad.path, "reason": bad.reason} for bad in dataset.bad]}
    return Finding("warning", "bad-files", text, "Mend or remove them; `--skip-bad` goes on without them.", details)


def _duplicates(dataset: Dataset) -> Iterator[Finding]:
    """Equal inputs across splits, and within train."""
    train, validation = dataset.train.fingerprints(), dataset.validation.fingerprints()
    few_kinds = isinstance(dataset.spec.input, Table | Series)
    # rows of a table are often equal by nature (four possible inputs of xor), and series come again; pictures do not
    level, hint = ("note", "; usual where few different rows are possible") if few_kinds else ("warning", "")
    for name, other, columns in (
        ("validation", validation, dataset.validation),
        ("test", dataset.test.fingerprints() if dataset.test is not None else validation[:0], None),
    ):
        shared = np.isin(other, train)
        if not shared.any():
            continue
        count, whole = int(shared.sum()), len(other)
        twins = np.flatnonzero(np.isin(train, other[shared]))
        stand, they = ("stands", "it") if count == 1 else ("stand", "they")
        text = (
            f"{count:,} of {whole:,} {name} samples also {stand} in train, where {they} can be learnt by heart "
            f"(first twin in train: {dataset.train.origin(int(twins[0]))}{hint})."
        )
        details = {"train": [dataset.train.origin(int(i)) for i in twins[:LISTED]]}
        if columns is not None:
            details[name] = [columns.origin(int(i)) for i in np.flatnonzero(shared)[:LISTED]]
        mend = "Remove these files or rows from train; `deepen doctor DATA --json` lists them."
        yield Finding(level, f"duplicates-{name}", text, mend, details)
    yield from _repeats(dataset, train, level)


def _repeats(dataset: Dataset, train: NDArray[np.uint64], level: str) -> Iterator[Finding]:
    """Equal inputs within train, above all those with different labels."""
    order = np.argsort(train, kind="stable")
    same = train[order][1:] == train[order][:-1]
    if not same.any():
        return
    columns = dataset.train
    if isinstance(dataset.spec.output, Category):
        target = columns["target"].numpy()[order]
        clash = np.flatnonzero(same & (target[1:] != target[:-1]))
        if len(clash):
            a, b = int(order[clash[0]]), int(order[clash[0] + 1])
            names = dataset.spec.output.names
            pairs_are = (
                "1 pair of training samples is" if len(clash) == 1 else f"{len(clash):,} pairs of training samples are"
            )
            text = (
                f"{pairs_are} equal but labelled differently, e.g. "
                f"{columns.origin(a)} as '{names[int(columns['target'][a])]}' and {columns.origin(b)} as "
                f"'{names[int(columns['target'][b])]}'."
            )
            pairs = [[columns.origin(int(order[i])), columns.origin(int(order[i + 1]))] for i in clash[:LISTED]]
            mend = "Correct the labels, or accept that no model can be right about these."
            yield Finding(level, "conflicting-labels", text, mend, {"pairs": pairs})
    count = int(same.sum())
    places = np.flatnonzero(same)[:LISTED]
    pairs = [[columns.origin(int(order[i])), columns.origin(int(order[i + 1]))] for i in places]
    first, twin = pairs[0]
    repeat = "repeats" if count == 1 else "repeat"
    text = f"{count:,} of {len(columns):,} training samples {repeat} an earlier one exactly, e.g. {twin} is {first}."
    mend = "Harmless in small numbers; what stands there twice weighs twice."
    yield Finding("note", "repeats", text, mend, {"pairs": pairs})


def _few_samples(dataset: Dataset) -> Iterator[Finding]:
    """Splits so small that scores are luck."""
    count, held_out = len(dataset.train), len(dataset.validation)
    # a picture has so many numbers that a hundred of them say little; a table of a hundred rows can be learnt
    enough = 200 if isinstance(dataset.spec.input, Image) else 50
    if count < enough:
        text = f"Training has only {several(count, 'sample')}: the score will depend on which ones they happen to be."
        yield Finding(
            "warning", "few-samples", text, "Collect more, or train again with `seed=1`, `seed=2` and compare."
        )
    if 0 < held_out < 100 and isinstance(dataset.spec.output, Category):
        # half the width of a 95 % interval for a share of 0.8
        swing = 1.96 * (0.8 * 0.2 / held_out) ** 0.5 * 100
        level = "warning" if held_out < 30 else "note"
        text = f"Validation has only {several(held_out, 'sample')}: its accuracy is known to about ±{swing:.0f} points."
        mend = "Read it together with its interval, or keep more: `data.validation_fraction=0.3`."
        yield Finding(level, "small-validation", text, mend)

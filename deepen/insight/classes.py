"""How samples, boxes or masks are shared among the classes, in train and against validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from deepen.data.dataset import Columns, Dataset, Finding
from deepen.insight.suspicions import shifted_classes, some
from deepen.spec import Boxes, Category, Mask

TINY_CLASS = 10
SKEWED, VERY_SKEWED = 3.0, 10.0
"""How many times rarer the rarest class is than the commonest before it is said, and before it is a warning."""
RARE_PIXELS = 0.01
"""Share of the labelled pixels below which a class is said to be rare."""
MASKS = 500
"""Masks of a part that are looked at, evenly spread."""


@dataclass(frozen=True)
class Counts:
    """How many there are of each class, int64 [C] each."""

    names: tuple[str, ...]
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    one: str
    """What is counted, and several of it."""
    many: str
    validated: bool
    """Whether there is a validation split."""


def look(dataset: Dataset, known: set[str]) -> Iterator[Finding]:
    """What is odd about the classes. `known` are the subjects that the source has already reported."""
    output = dataset.spec.output
    if not isinstance(output, Category | Boxes | Mask):
        return
    counts = _counts(dataset, output)
    if not (isinstance(output, Mask) and known & {"class-in-one-split", "absent-class"}):
        yield from _missing(counts)
    if isinstance(output, Category) and (counts.train > 0).sum() == 1:
        only = output.names[int(counts.train.argmax())]
        text = f"All training samples are of one class, '{only}': there is nothing to tell apart."
        yield Finding("error", "one-class", text, "Add a second class, or check the target: `--target COLUMN`.")
        return
    yield from _few(counts)
    yield from _unmeasured(counts)
    if isinstance(output, Category):
        why = "accuracy alone may hide a class that is never recognised"
        mend = "`task.class_weights=balanced` weighs them alike; look at balanced accuracy."
        yield from _skewed(counts, why, mend, VERY_SKEWED)
        yield from shifted_classes(counts.train, counts.held_out, output.names)
    elif isinstance(output, Boxes):
        # Detection is measured class by class, so that this is no more than worth knowing.
        why = "the rare one has few to learn from"
        mend = "Look at the precision of each class; more pictures with the rare one help it most."
        yield from _skewed(counts, why, mend, np.inf)
    else:
        yield from _rare_pixels(dataset.train, output.names)


def _counts(dataset: Dataset, output: Category | Boxes | Mask) -> Counts:
    names, validated = output.names, len(dataset.validation) > 0
    one, many = {Category: ("sample", "samples"), Boxes: ("box", "boxes")}.get(type(output), ("picture", "pictures"))
    train, held_out = (_of_each(part, output) for part in (dataset.train, dataset.validation))
    return Counts(names, train, held_out, one, many, validated)


def _of_each(columns: Columns, output: Category | Boxes | Mask) -> NDArray[np.int64]:
    classes = len(output.names)
    if not len(columns):
        return np.zeros(classes, dtype=np.int64)
    if isinstance(output, Mask):
        return np.asarray((_pixels(columns, classes) > 0).sum(axis=0), dtype=np.int64)
    target = columns["target"]
    found = target.reshape(-1) if isinstance(output, Category) else target[..., 4].reshape(-1).long()
    return torch.bincount(found[found >= 0], minlength=classes).numpy()


def _pixels(columns: Columns, classes: int) -> NDArray[np.int64]:
    """Pixels of each class in each mask that is looked at: int64 [n, C]."""
    rows = torch.linspace(0, len(columns) - 1, min(MASKS, len(columns))).long().tolist()
    masks = columns["target"]
    return np.stack([np.bincount(masks[row].reshape(-1).numpy(), minlength=256)[:classes] for row in rows])


def _missing(counts: Counts) -> Iterator[Finding]:
    missing = np.flatnonzero(counts.train == 0)
    if len(missing):
        names = [counts.names[i] for i in missing.tolist()]
        seen = "though validation has some" if counts.held_out[missing].any() else "so the model cannot learn it"
        text = f"Train has no {counts.one} of {some(names)}, {seen}."
        mend = f"Add {counts.many}, or take the class out."
        yield Finding("error", "missing-class", text, mend, {"classes": names})


def _few(counts: Counts) -> Iterator[Finding]:
    train, names = counts.train, counts.names
    tiny = np.flatnonzero((train > 0) & (train < TINY_CLASS)).tolist()
    if tiny:
        least = min(tiny, key=lambda i: train[i])
        text = (
            f"{len(tiny)} class{'es have' if len(tiny) > 1 else ' has'} fewer than {TINY_CLASS} training {counts.many} "
            f"({some([names[i] for i in tiny])}; '{names[least]}' has {train[least]}): too few to learn or to judge."
        )
        details = {"classes": {names[i]: int(train[i]) for i in tiny}}
        yield Finding("warning", "tiny-class", text, "Collect more of them, or merge them into another class.", details)


def _unmeasured(counts: Counts) -> Iterator[Finding]:
    unseen = [counts.names[i] for i in np.flatnonzero((counts.held_out == 0) & (counts.train > 0)).tolist()]
    if unseen and counts.validated:
        text = f"Validation has no {counts.one} of {some(unseen)}, so its score says nothing about them."
        mend = "Collect more of them, or keep more for validation: `data.validation_fraction=0.2`."
        yield Finding("warning", "unmeasured-class", text, mend, {"classes": unseen})


def _skewed(counts: Counts, why: str, mend: str, very: float) -> Iterator[Finding]:
    train, names = counts.train, counts.names
    present = train[train > 0]
    ratio = float(present.max() / present.min()) if len(present) else 1.0
    if ratio >= SKEWED:
        common, rare = int(train.argmax()), int(np.where(train > 0, train, train.max() + 1).argmin())
        text = (
            f"'{names[common]}' has {ratio:,.0f} times as many training {counts.many} as '{names[rare]}' "
            f"({train[common]:,} and {train[rare]:,}): {why}."
        )
        details = {
            "counts": {name: int(count) for name, count in zip(names, train, strict=True)},
            "ratio": ratio,
        }
        yield Finding("warning" if ratio >= very else "note", "imbalance", text, mend, details)


def _rare_pixels(train: Columns, names: tuple[str, ...]) -> Iterator[Finding]:
    """Classes with few pixels, which a loss that sums over pixels hardly sees."""
    if not len(train):
        return
    pixels = _pixels(train, len(names)).sum(axis=0)
    shares = pixels / max(1, pixels.sum())
    rare = [i for i in np.argsort(shares).tolist() if 0 < shares[i] < RARE_PIXELS]
    if rare:
        listed = some([names[i] for i in rare])
        text = (
            f"{len(rare)} class{'es cover' if len(rare) > 1 else ' covers'} less than {RARE_PIXELS:.0%} of the labelled pixels "
            f"({listed}; '{names[rare[0]]}' {shares[rare[0]]:.2%}): the share of right pixels hardly tells of them."
        )
        details = {"shares": {name: float(share) for name, share in zip(names, shares, strict=True)}}
        yield Finding(
            "note", "rare-class", text, "`task.class_weights=sqrt` or `balanced`; look at each class.", details
        )

"""Boxes as label files give them, and what is wrong with some: all are checked together, and every change is told.

What has no area or lies outside of its picture is left out, what reaches over an edge is cut there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from deepen.data.dataset import Finding

MOST = 1000
"""Boxes of one picture. More is a mistake of a program, and would make the targets of all pictures as long."""
ROUNDING = 0.5
"""Pixels that a box may reach over an edge without a word: label files hold rounded numbers."""
LISTED = 100
"""How many boxes a finding's details list."""


@dataclass
class Labels:
    """What label files say of the pictures of a pile, box by box."""

    names: list[str] = field(default_factory=list)
    """Of the classes."""
    pictures: list[str] = field(default_factory=list)
    """Relative names in the pile, each once."""
    splits: list[str] = field(default_factory=list)
    """The part that each picture belongs to; all "train" where the data brings no parts."""
    declared: list[tuple[int, int] | None] = field(default_factory=list)
    """Height and width of each picture by its label file, where that says so."""
    owners: list[int] = field(default_factory=list)
    """The number of the picture of each box."""
    corners: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Left, top, right, bottom of each box in pixels of its picture."""
    classes: list[int] = field(default_factory=list)
    """Of each box, below 0 where it is ignored (`spec.ignored`)."""
    places: list[str] = field(default_factory=list)
    """Where each box stands, for people: a file and a line or number in it."""
    relative: bool = False
    """Whether corners are shares of the picture's width and height instead of pixels."""

    def picture(self, name: str, split: str = "train", declared: tuple[int, int] | None = None) -> int:
        """A further picture; its number."""
        self.pictures.append(name)
        self.splits.append(split)
        self.declared.append(declared)
        return len(self.pictures) - 1

    def box(self, owner: int, corners: tuple[float, float, float, float], number: int, place: str) -> None:
        """A further box of picture `owner`."""
        self.owners.append(owner)
        self.corners.append(corners)
        self.classes.append(number)
        self.places.append(place)


@dataclass(frozen=True)
class Checked:
    """Boxes that are used, in pixels of their pictures."""

    rows: NDArray[np.int64]
    """The row of each box."""
    corners: NDArray[np.float64]
    classes: NDArray[np.int64]
    places: NDArray[np.object_]

    def only(self, wanted: NDArray[np.bool_]) -> Checked:
        return Checked(self.rows[wanted], self.corners[wanted], self.classes[wanted], self.places[wanted])


def check(labels: Labels, kept: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[Checked, list[Finding]]:
    """The boxes of the pictures `kept`, whose height and width are `sizes` [N, 2], and what was found wrong with them."""
    row_of = np.full(len(labels.pictures), -1, dtype=np.int64)
    row_of[kept] = np.arange(len(kept))
    boxes = Checked(
        row_of[np.array(labels.owners, dtype=np.int64)],
        np.array(labels.corners, dtype=np.float64).reshape(-1, 4),
        np.array(labels.classes, dtype=np.int64),
        np.array(labels.places, dtype=object),
    )
    boxes = boxes.only(boxes.rows >= 0)
    findings = _sizes_differ(labels, kept, sizes)

    def drop(wrong: NDArray[np.bool_], subject: str, what: str, mend: str) -> None:
        nonlocal boxes
        if wrong.any():
            findings.append(_told(boxes.places[wrong], subject, what, mend))
            boxes = boxes.only(~wrong)

    mend = "Correct or remove them in the label files."
    if labels.relative:
        with np.errstate(over="ignore"):  # to infinity, which is told below
            boxes = replace(boxes, corners=boxes.corners * _limits(boxes, sizes))
    drop(_any(~np.isfinite(boxes.corners)), "boxes-not-numbers", "with corners that are no numbers, left out", mend)
    drop(_empty(boxes.corners), "boxes-empty", "of no width or height, left out", mend)
    outside = _empty(np.clip(boxes.corners, 0, _limits(boxes, sizes)))
    drop(outside, "boxes-outside", "wholly outside of the picture, left out", mend)
    inside = np.clip(boxes.corners, 0, _limits(boxes, sizes))
    over = _any(np.abs(inside - boxes.corners) > ROUNDING)
    if over.any():
        what = "that reach over an edge of the picture, cut there"
        findings.append(_told(boxes.places[over], "boxes-cut", what, mend))
    boxes = replace(boxes, corners=inside)
    keys = np.column_stack([boxes.rows, boxes.classes, np.round(boxes.corners, 3)])
    first = np.unique(keys, axis=0, return_index=True)[1]
    again = np.ones(len(keys), dtype=np.bool_)
    again[first] = False
    drop(again, "boxes-repeated", "that repeat another of the same picture and class, left out", mend)
    drop(rank(boxes.rows) >= MOST, "boxes-too-many", f"after the first {MOST:,} of a picture, left out", mend)
    without = len(kept) - len(np.unique(boxes.rows))
    if without:
        text = f"{without:,} of {len(kept):,} pictures have no box: they teach what is background."
        findings.append(Finding("note", "no-boxes", text, "If they do show what is looked for, draw the boxes."))
    return boxes, findings


def _limits(boxes: Checked, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Width, height, width, height of the picture of each box."""
    return sizes[boxes.rows][:, [1, 0, 1, 0]].astype(np.float64)


def _any(wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(wrong.any(axis=1))


def _empty(corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    return _any(corners[:, 2:] <= corners[:, :2])


def _told(places: NDArray[np.object_], subject: str, what: str, mend: str) -> Finding:
    count = len(places)
    text = f"{count:,} box{'es' if count > 1 else ''} {what} (first: {places[0]})."
    return Finding("warning", subject, text, mend, {"boxes": places[:LISTED].tolist(), "count": count})


def _sizes_differ(labels: Labels, kept: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[Finding]:
    """Pictures that have another size than their label file says: their boxes may have been drawn on another version."""
    differ = [
        (labels.pictures[number], labels.declared[number], (int(height), int(width)))
        for number, (height, width) in zip(kept.tolist(), sizes.tolist(), strict=True)
        if labels.declared[number] not in (None, (height, width))
    ]
    if not differ:
        return []
    name, said, has = differ[0]
    assert said is not None
    text = (
        f"{len(differ):,} pictures have another size than their label file says (first: '{name}' has {has[0]}x{has[1]} "
        f"pixels, {said[0]}x{said[1]} is said): their boxes are read as pixels of the picture as it is."
    )
    mend = "Look whether the boxes fit; a picture may have been scaled or turned after they were drawn."
    return [Finding("warning", "size-differs", text, mend, {"files": [one[0] for one in differ[:LISTED]]})]


def rank(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each box among those of its row."""
    order = np.argsort(rows, kind="stable")
    sizes = np.bincount(rows)
    found = np.empty(len(rows), dtype=np.int64)
    found[order] = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return found

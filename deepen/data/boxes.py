"""From pictures and the boxes that label files give them to a `Dataset`: the part that every reader of boxes shares.

Boxes are checked once, all together, and every change to them is told: what has no area or lies outside of its picture is
left out, what reaches over an edge is cut there. `target` is then float32 [N, M, 5] in pixels of the letterboxed rows, and
`size` int64 [N, 2] the height and width that each picture has in its file.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deepen.data.dataset import Bad, Columns, Dataset, Finding, Sealed
from deepen.data.decode import Decoded, decode
from deepen.data.framed import FramedPreprocess, Letterbox
from deepen.data.layout import typos
from deepen.data.pictures import check_options, normalised, picked, shared_out
from deepen.data.piles import PartOfPile, Pile
from deepen.data.splits import split
from deepen.errors import Misuse, Problem
from deepen.recipe import Data
from deepen.spec import Boxes, Spec

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


def assemble(
    name: str,
    pile: Pile,
    labels: Labels,
    options: Data,
    seed: int,
    *,
    kind: str,
    digest: str,
    facts: Sequence[str] = (),
    bad: Sequence[Bad] = (),
    findings: Sequence[Finding] = (),
) -> Dataset:
    """A data set of the labelled pictures of a pile. `kind` is what people call such label files.

    Raises `Problem` where pictures or label files cannot be read, unless `options.skip_bad`, and where no box is left.
    """
    check_options(options, name)
    if options.resize is not None:
        raise Misuse(
            f"data.resize={options.resize} is for pictures whose centre is cut out: with boxes they stay whole."
        )
    decoded = decode(
        PartOfPile(pile, labels.pictures), Letterbox(options.size, options.channels), threads=options.threads
    )
    bad = [Bad(f"{pile.path}/{one.path}", one.reason) for one in (*bad, *decoded.bad)]
    if bad and not options.skip_bad:
        raise refusal(bad, len(labels.pictures))
    facts = list(facts)
    if bad:
        facts.append(f"{len(bad):,} label files, entries or pictures that cannot be used are left out (data.skip_bad).")
    number_of = {one: number for number, one in enumerate(labels.pictures)}
    kept = np.array([number_of[one] for one in decoded.names], dtype=np.int64)  # of each row, its picture
    checked, found = _checked(labels, kept, np.array(decoded.sizes).reshape(-1, 2))
    findings = [*findings, *found, *typos(labels.names)]
    counts = np.bincount(checked.classes, minlength=len(labels.names))
    if not len(checked.classes):
        raise Problem(
            f"'{pile.path}' has {len(decoded.names):,} pictures and no box that can be used: expected at least one box."
        )
    _, height, width, channels = decoded.rows.shape
    framed = FramedPreprocess(channels, height, width, (0.0,) * channels, (1.0,) * channels)
    target = _targets(checked, decoded, framed)
    given = [labels.splits[number] for number in kept.tolist()]
    parts, split_facts = _split(checked, given, len(kept), options, seed, labels.names)
    inputs = shared_out(decoded.rows, parts, decoded.folder)
    sizes = torch.tensor(decoded.sizes, dtype=torch.int64)
    origins = [f"{pile.path}/{one}" for one in decoded.names]
    columns = {
        part: Columns(
            {
                "input": inputs[part],
                "target": target[torch.from_numpy(index)],
                "size": sizes[torch.from_numpy(index)],
            },
            picked(origins, index),
            mapped=decoded.folder is not None,
        )
        for part, index in parts.items()
    }
    preprocess = normalised(FramedPreprocess, columns["train"]["input"], options)
    told = [_counted(kind, pile, counts, len(kept), labels.names), *decoded.facts, _sizes(target, height, width)]
    return Dataset(
        name=name,
        spec=Spec(preprocess.input, Boxes(tuple(labels.names))),
        preprocess=preprocess,
        train=columns["train"],
        validation=columns["validation"],
        test=Sealed(columns["test"]) if len(columns["test"]) else None,
        digest=digest,
        facts=[*told, *facts, *split_facts],
        bad=bad,
        findings=findings,
    )


def unlabelled(pictures: Sequence[str], used: Collection[str], what: str, mend: str) -> list[Finding]:
    """Pictures without `what`, in folders where others have it."""
    folders = {PurePosixPath(name).parent for name in used}
    left = [name for name in pictures if name not in used and PurePosixPath(name).parent in folders]
    if not left:
        return []
    text = f"{len(left):,} pictures have no {what} and are left out (first: '{left[0]}')."
    return [Finding("warning", "no-labels", text, mend, {"files": left[:LISTED], "count": len(left)})]


def refusal(bad: Sequence[Bad], others: int) -> Problem:
    """What ends a training on files that cannot be used."""
    shown = "; ".join(f"'{one.path}': {one.reason}" for one in bad[:3])
    more = f"; and {len(bad) - 3:,} more" if len(bad) > 3 else ""
    return Problem(
        f"{len(bad):,} fault{'s' if len(bad) > 1 else ''} in the label files and {others:,} pictures: {shown}{more}. "
        "Mend or remove what is meant, or go on without it with data.skip_bad=true."
    )


@dataclass(frozen=True)
class _Checked:
    """Boxes that are used, in pixels of their pictures."""

    rows: NDArray[np.int64]
    """The row of each box."""
    corners: NDArray[np.float64]
    classes: NDArray[np.int64]
    places: NDArray[np.object_]

    def only(self, wanted: NDArray[np.bool_]) -> _Checked:
        return _Checked(self.rows[wanted], self.corners[wanted], self.classes[wanted], self.places[wanted])


def _checked(labels: Labels, kept: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[_Checked, list[Finding]]:
    """The boxes of the pictures `kept`, whose height and width are `sizes` [N, 2], and what was found wrong with them."""
    row_of = np.full(len(labels.pictures), -1, dtype=np.int64)
    row_of[kept] = np.arange(len(kept))
    boxes = _Checked(
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
    drop(_rank(boxes.rows) >= MOST, "boxes-too-many", f"after the first {MOST:,} of a picture, left out", mend)
    without = len(kept) - len(np.unique(boxes.rows))
    if without:
        text = f"{without:,} of {len(kept):,} pictures have no box: they teach what is background."
        findings.append(Finding("note", "no-boxes", text, "If they do show what is looked for, draw the boxes."))
    return boxes, findings


def _limits(boxes: _Checked, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
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


def _rank(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each box among those of its row."""
    order = np.argsort(rows, kind="stable")
    sizes = np.bincount(rows)
    rank = np.empty(len(rows), dtype=np.int64)
    rank[order] = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank


def _targets(boxes: _Checked, decoded: Decoded, framed: FramedPreprocess) -> torch.Tensor:
    """The boxes in pixels of the rows, float32 [N, M, 5], class -1 where a row has no further box."""
    rank = _rank(boxes.rows)
    target = np.zeros((len(decoded.names), int(rank.max()) + 1, 5), dtype=np.float32)
    target[..., 4] = -1
    placed: dict[tuple[int, int], Any] = {size: framed.frame(*size) for size in set(decoded.sizes)}
    frames = np.array([(one.left, one.top, one.scale) for one in (placed[size] for size in decoded.sizes)])
    left, top, scale = frames[boxes.rows].T
    shift = np.stack([left, top, left, top], 1)
    target[boxes.rows, rank, :4] = (boxes.corners - shift) * scale[:, None]
    target[boxes.rows, rank, 4] = boxes.classes
    return torch.from_numpy(target)


def _split(
    boxes: _Checked, given: list[str], count: int, options: Data, seed: int, names: Sequence[str]
) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Given parts, or parts in which pictures with the rarest classes keep their share.

    A picture counts for the rarest class among its boxes, and those without boxes are a class of their own.
    """
    counts = np.bincount(boxes.classes, minlength=len(names))
    rarest = np.full(count, len(names), dtype=np.int64)
    for number in np.argsort(-counts, kind="stable").tolist():
        rarest[boxes.rows[boxes.classes == number]] = number
    whole = set(given) == {"train"}
    return split(count, options, seed, given=None if whole else np.array(given), strata=rarest)


def _counted(kind: str, pile: Pile, counts: NDArray[np.int64], pictures: int, names: Sequence[str]) -> str:
    what = "A folder" if pile.path.is_dir() else "An archive"
    order = np.argsort(-counts, kind="stable")
    shown = ", ".join(f"{counts[number]:,} {names[number]}" for number in order[:6].tolist())
    more = f" and {len(names) - 6:,} more classes" if len(names) > 6 else ""
    return f"{what} of pictures with boxes ({kind}): {pictures:,} pictures, {counts.sum():,} boxes: {shown}{more}."


def _sizes(target: torch.Tensor, height: int, width: int) -> str:
    """How large boxes are and how many a picture has, in words."""
    used = target[..., 4] >= 0
    corners = target[used][:, :4].numpy()
    side = np.sqrt((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]))
    low, middle, high = np.percentile(side, [25, 50, 75])
    each = used.sum(1)
    return (
        f"Half of the boxes are {low:.0f} to {high:.0f} pixels large in rows of {height}x{width} (middle {middle:.0f}, "
        f"smallest {side.min():.0f}, largest {side.max():.0f}; the root of the area); a picture has {each.float().mean():.1f} on "
        f"average, {int(each.max())} at most."
    )

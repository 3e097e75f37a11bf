"""Suspicions: signs in the samples themselves that a score may mislead.

A column that tells the target by itself, splits that do not look alike, pictures of one colour, numbers that are none.
Each is worded as a suspicion: the audit cannot know what a column means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepen.data.dataset import Columns, Dataset, Finding
from deepen.insight.ink import several
from deepen.randomness import generator
from deepen.spec import Boxes, Category, Image, Nothing, Output, Quantity, Table

ROWS = 4000
"""Rows that the search for leaks looks at."""

MOST_COLUMNS = 300

SMALL = 4.0
"""Pixels of the shorter side under which a box is small, and the share of such boxes from which on it is said."""
FEW_SMALL = 0.05


def some(names: Sequence[str], most: int = 3) -> str:
    """`'a', 'b', 'c' and 4 more`."""
    quoted = [f"'{name}'" for name in names]
    if len(quoted) > most:
        return f"{', '.join(quoted[:most])} and {len(quoted) - most} more"
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def look(dataset: Dataset, seed: int, known: set[str]) -> Iterator[Finding]:
    """All suspicions about the samples. `known` are the subjects that the source has already reported."""
    spec, train = dataset.spec, dataset.train
    yield from _not_numbers(dataset)
    if isinstance(spec.input, Image):
        yield from _constant_pictures(train)
    if isinstance(spec.output, Boxes) and isinstance(spec.input, Image):
        yield from _small_boxes(train, spec.input)
    if isinstance(spec.input, Table):
        own = own_columns(spec.input.columns)
        names = [spec.input.columns[i] for i in own]
        drawn = train.take(_drawn(len(train), seed))
        drawn["input"] = drawn["input"][:, own]
        if "constant-column" not in known:
            yield from _constant_columns(train["input"], drawn["input"], own, names)
        if not isinstance(spec.output, Nothing):
            yield from _leaks(drawn, names, spec.output)
        held_out = dataset.validation["input"].index_select(0, _drawn(len(dataset.validation), seed))
        yield from _shifted_columns(drawn["input"], held_out[:, own], names)
        if isinstance(spec.output, Category) and "sorted" not in known:
            yield from _sorted(dataset, seed)
    if isinstance(spec.output, Quantity):
        yield from _shifted_columns(train["target"], dataset.validation["target"], spec.output.names, "target")


def _not_numbers(dataset: Dataset) -> Iterator[Finding]:
    for part, columns in (("training", dataset.train), ("validation", dataset.validation)):
        for name, array in columns.arrays.items():
            if not array.is_floating_point() or not len(array):
                continue
            # the sum is finite only if every number is, up to overflow, which the second look settles
            if math.isfinite(float(array.sum())):
                continue
            bad = (~torch.isfinite(array)).reshape(len(array), -1).any(dim=1)
            if bad.any():
                rows = bad.nonzero()[:, 0]
                first = columns.origin(int(rows[0]))
                text = (
                    f"In {several(len(rows), f'{part} sample')} the {name} is infinite or not a number, e.g. {first}."
                )
                yield Finding("error", "not-a-number", text, "Mend or remove these rows.")


def _constant_pictures(train: Columns) -> Iterator[Finding]:
    """Pictures of a single colour value. A few pixels rule out nearly all; only the rest are read whole."""
    pixels = train["input"].reshape(len(train), -1)
    step = max(1, pixels.shape[1] // 37)
    few = pixels[:, step // 2 :: step]
    rows = (few == few[:, :1]).all(dim=1).nonzero()[:, 0]
    if len(rows):
        candidates = pixels.index_select(0, rows)
        rows = rows[(candidates == candidates[:, :1]).all(dim=1)]
    if len(rows):
        text = f"Of one colour all over: {several(len(rows), 'training picture')}, e.g. {train.origin(int(rows[0]))}."
        details = {"samples": [train.origin(int(row)) for row in rows[:100]]}
        yield Finding(
            "warning", "constant-pictures", text, "Look at them, and remove those that show nothing.", details
        )


def _small_boxes(train: Columns, image: Image) -> Iterator[Finding]:
    """Boxes of which too little is left in the rows to be recognised."""
    target = train["target"]
    used = target[..., 4] >= 0
    sides = (target[..., 2:4] - target[..., :2]).amin(dim=2)
    small = used & (sides < SMALL)
    share = float(small.sum()) / max(1, int(used.sum()))
    if share < FEW_SMALL:
        return
    row = int(small.any(dim=1).nonzero()[0, 0])
    longer = max(image.height, image.width)
    # As large as leaves most of them SMALL pixels, but no larger than the pictures are.
    wanted = longer * SMALL / float(sides[used].quantile(FEW_SMALL).clamp(min=SMALL / 8))
    size = min(32 * math.ceil(wanted / 32), int(train["size"].max()))
    text = (
        f"{share:.0%} of the training boxes are less than {SMALL:g} pixels high or wide in rows of {image.height}x{image.width}, "
        f"e.g. in {train.origin(row)}: hardly anything is left to be recognised."
    )
    larger = f"`data.size={size}` keeps more of the pictures." if size > longer else "Larger pictures would be needed."
    yield Finding("warning", "small-boxes", text, larger, {"share": share})


def own_columns(names: Sequence[str]) -> list[int]:
    """Columns that are not pieces of another one: of `age`, `age >17`, `age >21` only the first."""
    known = set(names)
    return [i for i, name in enumerate(names) if " >" not in name or name.rpartition(" >")[0] not in known]


def _constant_columns(inputs: Tensor, drawn: Tensor, own: list[int], names: Sequence[str]) -> Iterator[Finding]:
    """Columns of a single value; what varies in the drawn rows need not be read whole."""
    suspects = (drawn == drawn[:1]).all(dim=0).nonzero()[:, 0].tolist()
    constant = [names[i] for i in suspects if bool((inputs[:, own[i]] == inputs[0, own[i]]).all())]
    if constant and len(inputs) > 1:
        text = f"The same value stands in every training row of {some(constant)}: nothing can be learnt from that."
        yield Finding(
            "note", "constant-column", text, "Leave it out, or ignore it: it does no harm.", {"columns": constant}
        )


def _drawn(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=generator(seed, "audit"))[:ROWS]


def _leaks(rows: dict[str, Tensor], names: Sequence[str], output: Output) -> Iterator[Finding]:
    """Single columns that tell the target (nearly) without fail: class labels by order, numbers by rank."""
    count = len(rows["input"])
    if count < 30:
        return
    inputs = rows["input"][:, :MOST_COLUMNS]
    if isinstance(output, Category):
        telling = telling_columns(inputs, rows["target"].reshape(-1))
        how = "tells the class without fail"
    else:
        telling = following_columns(inputs, rows["target"].reshape(count, -1)[:, 0])
        how = "rises or falls in step with the target"
    if telling:
        columns = [names[i] for i in telling]
        text = (
            f"By itself, {some(columns)} {how} in {count:,} training rows: perhaps it was made from the target, "
            "or is known only afterwards."
        )
        mend = "If so, take the column out of the file; if it is known beforehand, you may not need a network."
        yield Finding("warning", "leak", text, mend, {"columns": columns})


def telling_columns(inputs: Tensor, target: Tensor) -> list[int]:
    """Columns (of float [n, F]) whose order separates the classes (int64 [n]) into one stretch each.

    Rows with equal values stay in their drawn order, so that a constant column separates nothing. One misplaced row in
    a hundred of the rarest class is allowed.
    """
    counts = torch.bincount(target)
    counts = counts[counts > 0]
    if len(counts) < 2 or int(counts.min()) < 5:
        return []
    order = inputs.sort(dim=0, stable=True).indices
    sorted_target = target[order]
    changes = (sorted_target[1:] != sorted_target[:-1]).sum(dim=0)
    allowed = len(counts) - 1 + int(0.01 * int(counts.min()))
    return (changes <= allowed).nonzero()[:, 0].tolist()


def following_columns(inputs: Tensor, target: Tensor, least: float = 0.9995) -> list[int]:
    """Columns (of float [n, F]) whose rank correlation with the target (float [n]) is at least `least` either way."""
    ranks = inputs.double().argsort(dim=0, stable=True).argsort(dim=0).double()
    wanted = target.double().argsort(stable=True).argsort().double()
    ranks, wanted = ranks - ranks.mean(dim=0), wanted - wanted.mean()
    correlation = (ranks * wanted[:, None]).sum(dim=0) / (ranks.norm(dim=0) * wanted.norm()).clamp_min(1e-12)
    return (correlation.abs() >= least).nonzero()[:, 0].tolist()


def _sorted(dataset: Dataset, seed: int) -> Iterator[Finding]:
    """Rows that come one class after the other."""
    target = dataset.train["target"].reshape(-1)
    classes = int((torch.bincount(target) > 0).sum())
    changes = int((target[1:] != target[:-1]).sum())
    if len(target) >= 20 and 2 <= classes < len(target) / 5 and changes == classes - 1:
        text = "The rows come sorted by class; Deepen shuffles them, a script that reads them in order would not learn."
        yield Finding("note", "sorted", text, f"Nothing to do here (the order is drawn from seed={seed}).")


def shifted_classes(train: NDArray[np.int64], held_out: NDArray[np.int64], names: Sequence[str]) -> Iterator[Finding]:
    """Class shares that differ between train and validation by more than chance allows.

    Pearson's chi-squared, turned into a normal score by Wilson & Hilferty (1931); 4 is one in thirty thousand.
    """
    present = (train + held_out) > 0
    a, b = train[present].astype(np.float64), held_out[present].astype(np.float64)
    if len(a) < 2 or not a.sum() or not b.sum():
        return
    together = (a + b) / (a.sum() + b.sum())
    statistic = sum(float((((part - part.sum() * together) ** 2) / (part.sum() * together)).sum()) for part in (a, b))
    free = len(a) - 1
    score = ((statistic / free) ** (1 / 3) - (1 - 2 / (9 * free))) / math.sqrt(2 / (9 * free))
    gap = b / b.sum() - a / a.sum()
    most = int(np.abs(gap).argmax())
    if score > 4 and abs(gap[most]) > 0.03:
        name = names[int(np.flatnonzero(present)[most])]
        text = (
            f"Train and validation share out the classes differently: '{name}' is {a[most] / a.sum() * 100:.1f} % of "
            f"train and {b[most] / b.sum() * 100:.1f} % of validation."
        )
        mend = "Check how the splits were made; without a split of its own, the data is split evenly by class."
        yield Finding("warning", "shift", text, mend)


def _shifted_columns(train: Tensor, held_out: Tensor, names: Sequence[str], what: str = "column") -> Iterator[Finding]:
    """Means that differ between train and validation by more than chance allows, and by a quarter of the spread."""
    if min(len(train), len(held_out)) < 30:
        return
    a, b = train.reshape(len(train), -1).double(), held_out.reshape(len(held_out), -1).double()
    # the spread of both together: a column that is nearly always 0 may have none at all in a small validation split
    spread = torch.cat([a, b]).std(dim=0).clamp_min(1e-12)
    gap = (b.mean(dim=0) - a.mean(dim=0)).abs()
    error = spread * (1 / len(a) + 1 / len(b)) ** 0.5
    moved = ((gap / error > 6) & (gap / spread > 0.25)).nonzero()[:, 0].tolist()
    if moved:
        moved.sort(key=lambda i: -float(gap[i] / spread[i]))
        largest = float(gap[moved[0]] / spread[moved[0]])
        text = (
            f"Train and validation differ in {what} {some([names[i] for i in moved])}: the mean of the first is "
            f"{largest:.1f} standard deviations apart."
        )
        mend = "Expected after a split by time or group; otherwise check how the splits were made."
        yield Finding("note", f"shift-{what}", text, mend, {"columns": [names[i] for i in moved]})

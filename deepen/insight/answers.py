"""How a model's answers compare with the truth, as pictures: confusion, calibration, predicted against true, residuals.

The reliability diagram is DeGroot & Fienberg's (1983): of the answers given with a certainty near 0.8, how many are
right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepen.insight.charts import Series, line_chart
from deepen.insight.ink import colour, href, shorten, svg, text, text_width

CELLS_WITH_NUMBERS = 20
"""A confusion matrix of more classes is shown as a map without numbers."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ClassScore:
    """How one class fares: `right` of `count` samples of it were recognised, of the `answered` times it was said."""

    name: str
    count: int
    answered: int
    right: int

    @property
    def recall(self) -> float:
        return self.right / self.count if self.count else float("nan")

    @property
    def precision(self) -> float:
        return self.right / self.answered if self.answered else float("nan")


@dataclass(frozen=True)
class Pair:
    """`count` samples of class `true` were taken for `predicted`."""

    true: str
    predicted: str
    count: int
    of: int


def count_answers(true: ArrayLike, predicted: ArrayLike, classes: int) -> Counts:
    """The confusion matrix [classes, classes]: row the true class, column the answer."""
    flat = np.asarray(true, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def class_scores(matrix: Counts, names: Sequence[str]) -> list[ClassScore]:
    """One line a class, in the order of `names`."""
    rows, columns, right = matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal()
    return [ClassScore(name, int(rows[i]), int(columns[i]), int(right[i])) for i, name in enumerate(names)]


def confused_pairs(matrix: Counts, names: Sequence[str], most: int = 8) -> list[Pair]:
    """The commonest mistakes, most frequent first."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = [divmod(int(flat), len(names)) for flat in order]
    totals = matrix.sum(axis=1)
    return [Pair(names[i], names[j], int(wrong[i, j]), int(totals[i])) for i, j in places if wrong[i, j]]


def worst(true: ArrayLike, probability: ArrayLike, count: int) -> NDArray[np.int64]:
    """Which samples were answered most wrongly: indices of wrong answers, the least probable truth first.

    `true` int [N], `probability` float [N, classes].
    """
    truth, shares = np.asarray(true), np.asarray(probability)
    of_truth = shares[np.arange(len(truth)), truth]
    wrong = np.flatnonzero(shares.argmax(axis=1) != truth)
    return wrong[np.argsort(of_truth[wrong], kind="stable")][:count]


def furthest(true: ArrayLike, predicted: ArrayLike, count: int) -> NDArray[np.int64]:
    """Which samples' numbers were missed by most: indices, the largest error first. Both float [N]."""
    error = np.abs(np.asarray(true, dtype=np.float64) - np.asarray(predicted, dtype=np.float64))
    return np.argsort(-error, kind="stable")[:count]


def confusion(matrix: Counts, names: Sequence[str], *, title: str = "Confusion matrix") -> str:
    """The confusion matrix: rows the true class, columns the answer, darker the larger the share of the row."""
    classes = len(names)
    if classes > CELLS_WITH_NUMBERS:
        return _confusion_map(matrix, names, title)
    longest = max(text_width(name) for name in names)
    left, cell = min(longest, 130.0) + 24, max(30.0, min(84.0, 480.0 / classes))
    slanted = min(longest, 130.0) > cell - 6
    top = 56 + (min(longest, 130.0) * 0.72 + 8 if slanted else 16)
    totals = np.maximum(matrix.sum(axis=1), 1)
    parts = [text(12, 22, title, "title"), text(12, 42, "row: the truth, column: the answer", "mute")]
    for i, name in enumerate(names):
        y, x = top + i * cell, left + i * cell
        parts.append(text(left - 8, y + cell / 2 + 4, shorten(name, 130), "end", tip=name))
        if slanted:
            turn = f'transform="translate({x + cell / 2:.1f} {top - 8:.1f}) rotate(-45)"'
            parts.append(f"<g {turn}>{text(0, 0, shorten(name, 130), tip=name)}</g>")
        else:
            parts.append(text(x + cell / 2, top - 8, shorten(name, cell), "mid", tip=name))
        parts += [_cell(left + j * cell, y, cell, matrix, totals, i, j, names) for j in range(classes)]
    right = left + classes * cell + (min(longest, 130.0) * 0.72 + 8 if slanted else 14)
    return svg(max(right, 300), top + classes * cell + 14, "".join(parts), title)


def _cell(x: float, y: float, cell: float, matrix: Counts, totals: Counts, i: int, j: int, names: Sequence[str]) -> str:
    count = int(matrix[i, j])
    share = count / float(totals[i])
    # a single mistake in a thousand must still be seen, hence the floor and the root
    alpha = 0.0 if not count else (0.12 + 0.78 * share if i == j else 0.14 + 0.76 * share**0.5)
    fill = colour(0 if i == j else 1)
    box = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{cell - 2:.1f}" height="{cell - 2:.1f}" rx="3"'
    square = f'<rect {box} style="fill:{fill};fill-opacity:{alpha:.2f};stroke:var(--grid,#e4e8ee)"/>'
    tip = f"{names[i]} taken for {names[j]}: {count:,} of {int(matrix[i].sum()):,}"
    shown = "" if not count else f"{count:,}" if text_width(f"{count:,}") <= cell - 2 else f"{count / 1000:.0f}k"
    # on a strong fill the paper's colour reads better than the ink's
    strong = ' style="fill:var(--paper,#fff)"' if alpha > 0.6 else ""
    words = text(x + cell / 2, y + cell / 2 + 4, shown, "mid", tip=tip).replace("<text", f"<text{strong}", 1)
    return square + (words if count else "")


def _confusion_map(matrix: Counts, names: Sequence[str], title: str) -> str:
    """Many classes: one pixel a cell, see-through where nothing is."""
    classes, side, left, top = len(names), 520.0, 130.0, 66.0
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    alpha = np.where(matrix > 0, 0.2 + 0.8 * share**0.5, 0.0)
    rgba = np.empty((classes, classes, 4), dtype=np.uint8)
    rgba[..., :3] = np.where(np.eye(classes, dtype=bool)[..., None], (47, 111, 219), (224, 112, 43))
    rgba[..., 3] = (alpha * 255).round()
    parts = [text(12, 22, title, "title"), text(12, 42, "row: the truth, column: the answer", "mute")]
    frame = f'x="{left}" y="{top}" width="{side}" height="{side}"'
    image = f'<image class="pixels" {frame} preserveAspectRatio="none" href="{href(rgba, side=4096)}"/>'
    parts += [image, f'<rect {frame} class="axis" style="fill:none"/>']
    cell = side / classes
    every = max(1, -(-13 * classes // int(side)))
    for i in range(0, classes, every):
        parts.append(text(left - 6, top + (i + 0.5) * cell + 4, shorten(names[i], left - 12), "mute end", tip=names[i]))
    return svg(left + side + 16, top + side + 14, "".join(parts), title)


def reliability(confidence: ArrayLike, right: ArrayLike, *, bins: int = 10) -> str:
    """Of the answers given with a certainty, how many were right. `confidence` float [N], `right` bool [N].

    Bins hold equally many samples, so that each dot is as certain as the next; fewer than 30 in one would be noise.
    """
    sure, hit = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    order = np.argsort(sure, kind="stable")
    parts = [
        part for part in np.array_split(order, max(1, min(bins, max(3, len(order) // 30), len(order)))) if len(part)
    ]
    x, y = [float(sure[part].mean()) for part in parts], [float(hit[part].mean()) for part in parts]
    low = max(0.0, min([*x, *y, 0.9]) - 0.05)
    lines = [
        Series("as sure as it is right", [low, 1.0], [low, 1.0], dashed=True, colour=7),
        Series("", x, y, colour=0),
        Series("this model", x, y, dots=True, colour=0),
    ]
    span = (low, 1.0)
    label, side = "how sure it was", "how often it was right"
    return line_chart(
        "Calibration", lines, x_label=label, y_label=side, percent_x=True, percent_y=True, x_range=span, y_range=span,
        width=460, height=400,
    )  # fmt: skip


def predicted_true(true: ArrayLike, predicted: ArrayLike, name: str, *, most: int = 1500) -> str:
    """The answers over the truth; a perfect model lies on the dashed line. Both float [N], in the user's units."""
    x, y = _evenly(np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64), most)
    both = np.concatenate([x, y])
    both = both[np.isfinite(both)]
    ends = [float(both.min()), float(both.max())] if len(both) else []
    lines = [Series("samples", x, y, dots=True, colour=0), Series("perfect", ends, ends, dashed=True, colour=1)]
    title = f"{name}: predicted and true"
    return line_chart(title, lines, x_label="true", y_label="predicted", width=480, height=420)


def residuals(true: ArrayLike, predicted: ArrayLike, name: str, *, most: int = 1500) -> str:
    """Predicted minus true over the predicted value: a slope or a funnel is something left to learn."""
    truth, answer = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    truth, answer = _evenly(truth, answer, most)
    ends = [float(np.nanmin(answer)), float(np.nanmax(answer))] if np.isfinite(answer).any() else []
    lines = [
        Series("samples", answer, answer - truth, dots=True, colour=0),
        Series("no error", ends, [0.0] * len(ends), dashed=True, colour=1),
    ]
    title = f"{name}: errors"
    return line_chart(title, lines, x_label="predicted", y_label="predicted − true", width=480, height=420)


def _evenly(
    first: NDArray[np.float64], second: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `most` of the samples, taken at equal distances."""
    index = np.linspace(0, len(first) - 1, min(len(first), most)).round().astype(np.int64)
    return first[index], second[index]


def boundary(
    points: ArrayLike,
    classes: ArrayLike,
    probability: ArrayLike,
    extent: tuple[float, float, float, float],
    names: Sequence[str],
    columns: tuple[str, str],
) -> str:
    """What a two-feature classifier answers everywhere, with the samples over it.

    `points` float [n, 2]; `classes` int [n]; `probability` float [rows, columns, classes] on a lattice over `extent`
    (x low, x high, y low, y high), its first row at the lowest y.
    """
    shares = np.asarray(probability, dtype=np.float64)
    where, which = np.asarray(points, dtype=np.float64), np.asarray(classes)
    shades = np.asarray([_rgb(index) for index in range(len(names))], dtype=np.float64)
    certain = shares.max(axis=2, keepdims=True)
    plain = shades[shares.argmax(axis=2)]
    strength = (certain - 1 / len(names)) / (1 - 1 / len(names))
    mixed = 255 + (plain - 255) * (0.25 + 0.75 * strength)
    behind = href(np.ascontiguousarray(mixed[::-1].clip(0, 255).astype(np.uint8)), side=4096)
    clouds = [Series(name, where[which == i, 0], where[which == i, 1], dots=True) for i, name in enumerate(names)]
    return line_chart(
        "What it answers everywhere", clouds, x_label=columns[0], y_label=columns[1], x_range=extent[:2],
        y_range=extent[2:], width=520, height=440, behind=behind,
    )  # fmt: skip


def _rgb(index: int) -> tuple[int, int, int]:
    code = colour(index).rpartition("#")[2].rstrip(")")
    return int(code[:2], 16), int(code[2:4], 16), int(code[4:6], 16)

"""Boxes in pictures: what was found, what was missed and what is not there, and how well each class does.

The names of the mistakes follow TIDE (Bolya et al., 2020): another class, badly placed, found twice, nothing there, missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image as Pictures
from torch import nn

from deepen.data.dataset import Dataset
from deepen.insight.boxed import Shown, Tile, board, key, overlaid
from deepen.insight.charts import Series, line_chart
from deepen.insight.ink import PALETTE, colour, colours, number, percent, shorten, svg, text, text_width
from deepen.spec import EMPTY, Boxes
from deepen.tasks.base import Rows, Task
from deepen.tasks.boxes import NOTHING, average_precision, curves, kinds, overlaps
from deepen.tasks.detect import Detect

MOST_EXAMPLES = 6
MOST_WORST = 6
MOST_LABELS = 12
"""Boxes of a picture up to which each is named in it; beyond, they would cover it, and the name shows on hover."""
MOST_CLASSES = 40
MOST_LEGEND = 40
MOST_CURVES = len(PALETTE)
TOUCHES = 0.1
"""Share (IoU) from which a wrong box is about a thing that is there, and only badly placed (TIDE)."""

MISSED, WRONG, IGNORED = colour(1), colour(3), colour(7)
"""Orange, red and grey."""


def drawn(picture: Pictures.Image, answer: Mapping[str, Any], classes: Sequence[str]) -> str:
    """One picture with the `boxes` of an answer, each `category`, `probability` and `box` in its pixels. A class has the same
    colour in every picture."""
    found = answer["boxes"]
    paint = dict(zip(classes, colours(len(classes)), strict=True))
    names = sorted({one["category"] for one in found})
    boxes = [
        Shown(
            tuple(one["box"]),
            f"{one['category']} {percent(one['probability'], 0)}",
            paint[one["category"]],
            named=len(found) <= MOST_LABELS,
        )
        for one in found
    ]
    scale = min(1.0, 960 / max(picture.size)) if max(picture.size) > 320 else 320 / max(picture.size)
    width, height = picture.width * scale, picture.height * scale
    legend, tall = key([(f"{name} ({_count(found, name)})", paint[name]) for name in names], width)
    top = 12 + tall
    body = legend + overlaid(8, top, width, np.asarray(picture.convert("RGB")), boxes)
    said = ", ".join(f"{_count(found, name)} {name}" for name in names) or "nothing found"
    return svg(max(width + 16, 160), top + height + 8, body, f"{answer.get('input', '')}: {said}".removeprefix(": "))


def told(dataset: Dataset, rows: Rows, module: nn.Module, task: Task) -> dict[str, str]:
    """What the report shows of the validation split, by name: `examples`, `worst`, `classes`, `precision-recall`."""
    if not isinstance(task, Detect) or not len(dataset.validation) or not isinstance(dataset.spec.output, Boxes):
        return {}
    judged = [_judged(rows, row, task) for row in range(len(rows["target"]))]
    count = len(judged)
    evenly = np.unique(np.linspace(0, count - 1, min(MOST_EXAMPLES, count)).round().astype(int)).tolist()
    weight = [sum(one.weight for one in mistakes) for _, mistakes in judged]
    worst = [
        row for row in np.argsort([-value for value in weight], kind="stable")[:MOST_WORST].tolist() if weight[row]
    ]
    names = task.names
    shown = [_answers(rows, row, task) for row in evenly]
    ignored = bool((rows["target"][..., 4] < EMPTY).any())
    sure = f"answers surer than {percent(task.config.threshold, 0)}"
    return {
        "examples": board(
            "Answers for validation pictures",
            [_tile(dataset, row, boxes) for row, boxes in zip(evenly, shown, strict=True)],
            _legend(shown, names),
            f"{sure}; dashed: the truth{', grey where it is ignored' if ignored else ''}",
        ),
        "worst": board(
            "The most and surest mistakes",
            [_tile(dataset, row, [one.shown for one in judged[row][1]], *_summary(judged[row])) for row in worst],
            [("wrong", WRONG), ("missed", MISSED)],
            f"{sure}; what is right is left out",
        ),
        "classes": _classes(rows, names),
        "precision-recall": _precision_recall(rows, names),
    }


@dataclass(frozen=True)
class Wrong:
    """A mistake in a picture."""

    kind: str
    shown: Shown
    weight: float
    """How grave: 1 for a thing that was missed, the probability of what is not there."""


def _judged(rows: Rows, row: int, task: Detect) -> tuple[int, list[Wrong]]:
    """How many things of a picture were found, and the mistakes in it."""
    names = task.names
    sure = (rows["scores"][row] > task.config.threshold) & (rows["classes"][row] >= 0)
    truth = rows["target"][row]
    there = truth[:, 4] >= 0
    about = rows["about"][row][sure]
    hit = set(about[about >= 0].tolist())
    mistakes = [
        Wrong("missed", Shown(_four(truth[i]), f"{names[int(truth[i, 4])]}: missed", MISSED, dashed=True), 1.0)
        for i in there.nonzero().squeeze(1).tolist()
        if i not in hit
    ]
    share = overlaps(rows["boxes"][row][sure], truth[:, :4])
    share = torch.where(there, share, 0)
    said = zip(rows["classes"][row][sure].tolist(), rows["scores"][row][sure].tolist(), strict=True)
    for i, (label, score) in enumerate(said):
        if about[i] != NOTHING:
            continue
        kind = _named_mistake(label, share[i], truth[:, 4], names)
        words = f"{names[label]} {percent(score, 0)}: {kind}"
        mistakes.append(Wrong("wrong", Shown(_four(rows["boxes"][row][sure][i]), words, WRONG), score))
    return len(hit), mistakes


def _named_mistake(label: int, share: torch.Tensor, labels: torch.Tensor, names: Sequence[str]) -> str:
    """Why a detection that is about no box is wrong. `share` [M] is what it shares with each that is there."""
    if not len(share):
        return "nothing there"
    same = labels == label
    best = int(share.argmax())
    if share[best] >= 0.5 and not same[best]:
        return f"that is {names[int(labels[best])]}"
    mine = float(torch.where(same, share, 0).amax())
    return "found twice" if mine >= 0.5 else "badly placed" if mine >= TOUCHES else "nothing there"


def _answers(rows: Rows, row: int, task: Detect) -> list[Shown]:
    """The truth of a picture and, over it, what was found."""
    paint = colours(len(task.names))
    truth = rows["target"][row]
    boxes = []
    for one, label, ignored in zip(truth, *(kind.tolist() for kind in kinds(truth)[:2]), strict=True):
        if label >= 0:
            words = f"{'ignored' if ignored else 'truth'}: {task.names[label]}"
            boxes.append(Shown(_four(one), words, IGNORED if ignored else paint[label], dashed=True, named=False))
    sure = ((rows["scores"][row] > task.config.threshold) & (rows["classes"][row] >= 0)).nonzero().squeeze(1).tolist()
    for i in sure:
        label = int(rows["classes"][row, i])
        words = f"{task.names[label]} {percent(float(rows['scores'][row, i]), 0)}"
        boxes.append(Shown(_four(rows["boxes"][row, i]), words, paint[label], named=len(sure) <= MOST_LABELS))
    return boxes


def _legend(shown: Sequence[Sequence[Shown]], names: Sequence[str]) -> list[tuple[str, str]]:
    """The classes whose colours are seen in these pictures."""
    seen = {one.colour for boxes in shown for one in boxes}
    legend = [(name, paint) for name, paint in zip(names, colours(len(names)), strict=True) if paint in seen]
    more = len(legend) - MOST_LEGEND
    return [*legend[:MOST_LEGEND], *([(f"and {more} more, on hover", "none")] if more > 0 else [])]


def _summary(judged: tuple[int, list[Wrong]]) -> list[str]:
    found, mistakes = judged
    missed = sum(one.kind == "missed" for one in mistakes)
    parts = [f"{found} found", f"{missed} missed", f"{len(mistakes) - missed} wrong"]
    return [", ".join(parts)]


def _tile(dataset: Dataset, row: int, boxes: Sequence[Shown], *captions: str) -> Tile:
    return Tile(dataset.validation["input"][row].numpy(), boxes, [dataset.validation.origin(row), *captions])


def _classes(rows: Rows, names: Sequence[str]) -> str:
    """How well each class is found, with how many boxes it has; the worst first where there are too many to show."""
    ones = torch.ones(1, len(rows["target"]))
    judged = (rows["scores"], rows["classes"], rows["right"], rows["ignored"], rows["counts"])
    each = average_precision(*judged, ones)[0]
    counts = rows["counts"].sum(dim=0).tolist()
    values = each[:, 0].tolist()
    exact = each.mean(dim=1).tolist()
    there = [i for i in range(len(names)) if counts[i]]
    there.sort(key=lambda i: values[i] if len(there) > MOST_CLASSES else i)
    title, longest = (
        "Average precision of each class",
        max([60.0, *(text_width(names[i]) for i in there[:MOST_CLASSES])]),
    )
    label, room = min(longest, 200.0), 300.0
    left = 12 + label + 10
    note = "wide: half of the box must be shared (AP50); narrow: averaged over .50 to .95 (AP)"
    parts = [text(12, 22, title, "title"), text(12, 42, note, "mute")]
    for line, i in enumerate(there[:MOST_CLASSES]):
        y = 58 + 26 * line
        parts.append(text(left - 10, y + 13, shorten(names[i], label), "end", tip=names[i]))
        for value, top, thick, fade in ((values[i], y, 18, 0.45), (exact[i], y + 5, 8, 1.0)):
            place = f'x="{left:.1f}" y="{top}" width="{max(1.0, room * value):.1f}" height="{thick}"'
            parts.append(f'<rect {place} rx="2" style="fill:{colour(0)};opacity:{fade}"/>')
        boxes = "1 box" if counts[i] == 1 else f"{counts[i]:,} boxes"
        parts.append(text(left + room + 10, y + 13, f"{number(values[i], 3)}, {number(exact[i], 3)} of {boxes}"))
    y = 58 + 26 * min(len(there), MOST_CLASSES)
    if len(there) > MOST_CLASSES:
        parts.append(text(12, y + 14, f"and {len(there) - MOST_CLASSES} better ones", "mute"))
        y += 20
    width = max(left + room + 200, text_width(note) + 24)
    return svg(width, y + 10, "".join(parts), title)


def _precision_recall(rows: Rows, names: Sequence[str]) -> str:
    """Of what is found how much is there, against how much of what is there is found; the commonest classes."""
    counts = rows["counts"].sum(dim=0)
    ones = torch.ones(1, len(rows["target"]))
    first = (rows["right"][..., :1], rows["ignored"][..., :1])
    parts = (rows["scores"], rows["classes"], *first, rows["counts"], ones)
    lines: list[Series] = []
    for i in counts.argsort(descending=True, stable=True)[:MOST_CURVES].sort().values.tolist():
        if not counts[i]:
            continue
        precision, recall = next(curves(*parts, i))
        lines.append(
            Series(
                names[i],
                recall[0].numpy(),
                precision[0].numpy(),
                colour=i if len(names) <= len(PALETTE) else len(lines),
            )
        )
    return line_chart(
        "Precision and recall, sure answers at the left",
        lines,
        x_label="recall: how much of what is there is found",
        y_label="precision: how much of what is found is there",
        percent_x=True,
        percent_y=True,
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
    )


def _four(row: torch.Tensor) -> tuple[float, float, float, float]:
    left, top, right, bottom = row[:4].tolist()
    return left, top, right, bottom


def _count(found: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(one["category"] == name for one in found)

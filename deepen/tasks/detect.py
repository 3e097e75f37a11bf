"""Detection: which things lie in a picture, and where.

Models answer with float [B, N, 4 + C], for each of N cells left, top, right, bottom in pixels of the input and a logit per
class, and say with `cells(height, width)` -> float [N, 3] where the cells are: x and y of the centre, and the stride.

Which cells learn a box, and how, is in `tasks/assignment.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from deepen.data.dataset import Columns
from deepen.data.framed import fitted
from deepen.data.preprocess import Frame, Preprocess
from deepen.errors import Misuse, Problem
from deepen.nn.pyramid import num_cells
from deepen.spec import Boxes, Image, Nothing, Spec
from deepen.tasks import boxes
from deepen.tasks.assignment import assign, losses
from deepen.tasks.base import Batch, Goal, Places, Rows, Supervised
from deepen.tasks.boxes import Found
from deepen.tasks.measures import Weighted, mean, once

SUMMARY = "which things lie in a picture, and where"

BOX_SHARE = 2.0
"""Weight of the loss of the boxes beside that of the scores (GFL)."""
PART = 32
"""Pictures that are scored at once, however large the batch: maps of large pictures take much memory."""
LOOKED_AT = 500
"""Training pictures that the trivial answer is made from, at most."""


@dataclass
class Config:
    """What is answered, and which metric decides."""

    goal: Literal["ap50", "ap"] = "ap50"
    """Validation metric that decides which weights are best: with half of the box shared, or averaged over .50 to .95."""
    threshold: float = 0.4
    """Detections less sure than this are not told. What is measured does not depend on it."""
    overlap: float = 0.6
    """Of two detections of a class that share more than this (IoU), the less sure one goes."""


def natural(spec: Spec) -> bool:
    return isinstance(spec.output, Boxes)


def build(spec: Spec, config: Config) -> Detect:
    if not isinstance(spec.output, Boxes) or not isinstance(spec.input, Image):
        if isinstance(spec.output, Nothing):
            raise Problem(
                "detect needs pictures with boxes, and these have none: lay label files beside them (Pascal VOC, COCO or YOLO)."
            )
        kind = type(spec.output).__name__.lower()
        raise Problem(
            f"detect needs pictures whose target is boxes, not {kind}: leave out --as to let the data decide."
        )
    for key, value in (("threshold", config.threshold), ("overlap", config.overlap)):
        if not 0 <= value <= 1:
            raise Misuse(f"task.{key}={value:g} is not usable: expected a number from 0 to 1.")
    return Detect(spec, config)


@final
class Detect(Supervised, Weighted, Places):
    """The target is float32 [B, M, 5], see `spec.Boxes`.

    The loss is a sum over cells, divided by the weights of all cells of the batch that learn a box (as in TOOD), not
    a mean over pictures. With `fit.accumulate` it is divided within each part, so that parts with few boxes count for more.
    """

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.output, Boxes)
        self.spec = spec
        self.config = config
        self.names = spec.output.names
        self.goal = Goal(config.goal, "max")
        self._usual: Found | None = None

    def expected(self, count: int) -> tuple[int, ...]:
        assert isinstance(self.spec.input, Image)
        return (count, num_cells(self.spec.input.height, self.spec.input.width), 4 + len(self.names))

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        some = torch.linspace(0, len(train) - 1, min(LOOKED_AT, len(train))).long()
        self._usual = usual(train["target"][some].cpu())

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        output = model(batch["input"]).float()
        assigned = assign(output, _cells(model, batch["input"]), batch["target"])
        scores, fit = losses(output, assigned)
        most = assigned.weights.sum().clamp(min=1)
        scores, fit = scores.sum() / most, fit.sum() / most
        return scores + BOX_SHARE * fit, {"score_loss": scores.detach(), "box_loss": fit.detach()}

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows: what was found, `boxes` float32 [B, 100, 4], `scores` [B, 100] and `classes` int64 [B, 100] (-1 empty), whether
        it is `right` or `ignored`, bool [B, 100, 10] at each of COCO's thresholds, and `about` which box at the first, int64
        [B, 100] as `boxes.match` has it; what is there, `target` [B, M, 5] and `counts` [B, C]; and `loss` [B] with its
        `weight`, whose sums' ratio is the loss."""
        parts = zip(*(whole.split(PART) for whole in (batch["input"], batch["target"], _shown(batch))), strict=True)
        rows = [self._score(model, *part) for part in parts]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def _score(self, model: nn.Module, input: Tensor, target: Tensor, shown: Tensor) -> Rows:
        """`shown` [B, 2] is the height and width of what each row shows; what is beyond is no picture, and is not told."""
        output = model(input).float()
        assigned = assign(output, _cells(model, input), target)
        scores, fit = losses(output, assigned)
        found = boxes.pick(output, self.config.overlap)
        found = replace(found, boxes=_clipped(found.boxes, shown[:, :1], shown[:, 1:]))
        about = boxes.match(found, target)
        return {
            "boxes": found.boxes,
            "scores": found.scores,
            "classes": found.classes,
            "right": about >= 0,
            "ignored": about < boxes.NOTHING,
            "about": about[..., 0],
            "target": target,
            "counts": boxes.count_boxes(target, len(self.names)),
            "loss": scores + BOX_SHARE * fit,
            "weight": assigned.weights.sum(dim=1),
        }

    def measure(self, rows: Rows) -> dict[str, float]:
        metrics = once(self, rows)
        if self.goal.metric not in metrics:
            raise Problem(
                f"{self.goal.metric} cannot be measured on these {len(rows['target'])} pictures: none of them has a box. "
                "Choose larger splits."
            )
        return metrics

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        judged = (rows["scores"], rows["classes"], rows["right"], rows["ignored"], rows["counts"])
        each = boxes.average_precision(*judged, weights)  # [R, C, 10]
        whole = each.nanmean(dim=1)  # over the classes that occur
        metrics = {"ap50": whole[:, 0], "ap": whole.mean(dim=1), "ap75": whole[:, 5]}
        metrics |= {f"ap50/{name}": each[:, number, 0] for number, name in enumerate(self.names)}
        if "loss" in rows:
            least = mean(rows["weight"], weights).clamp(min=1e-6)
            metrics["loss"] = mean(rows["loss"], weights) / least
        return metrics

    def baseline(self, rows: Rows) -> dict[str, float]:
        """The same boxes for every picture: those of the training pictures that most others lie on."""
        assert self._usual is not None, "study() comes before baseline()"
        count, usual = len(rows["target"]), self._usual
        constant = Found(*(part.expand(count, *part.shape[1:]) for part in (usual.boxes, usual.scores, usual.classes)))
        about = boxes.match(constant, rows["target"])
        said = {
            "scores": constant.scores,
            "classes": constant.classes,
            "right": about >= 0,
            "ignored": about < boxes.NOTHING,
        }
        return once(self, {**said, "target": rows["target"], "counts": rows["counts"]})

    def place(self, outputs: Iterable[tuple[Tensor, Sequence[Frame]]]) -> Iterator[dict[str, Any]]:
        """`boxes`, the surest first, each with `category`, `probability` and `box`: left, top, right, bottom in pixels of the
        picture."""
        item: int | None = None
        parts: list[tuple[Found, Frame]] = []
        for output, frames in outputs:
            for found, frame in zip(self._found(output), frames, strict=True):
                if frame.item != item and parts:
                    yield {"boxes": self._told(self._joined(parts))}
                    parts = []
                item = frame.item
                parts.append((found, frame))
        if parts:
            yield {"boxes": self._told(self._joined(parts))}

    def _found(self, output: Tensor) -> Iterator[Found]:
        """The detections that are told, picture by picture: [1, K] each."""
        for part in output.split(PART):
            found = boxes.pick(part.cpu(), self.config.overlap, max(self.config.threshold, boxes.FLOOR))
            for one in range(len(part)):
                some = slice(one, one + 1)
                yield Found(found.boxes[some], found.scores[some], found.classes[some])

    def _joined(self, parts: Sequence[tuple[Found, Frame]]) -> Found:
        """The detections in the rows that were cut out of a picture, in its pixels and within it."""
        moved = []
        for found, frame in parts:
            inner = found.classes >= 0
            if len(parts) > 1:  # each row answers for its part of the picture
                x, y = (found.boxes[..., :2] + found.boxes[..., 2:]).div(2).unbind(-1)
                top, left, bottom, right = frame.keep
                inner &= (x >= left) & (x < right) & (y >= top) & (y < bottom)
            offset = torch.tensor([frame.left, frame.top] * 2, dtype=torch.float64)
            height, width = (offset.new_tensor(side) for side in (frame.height, frame.width))
            there = _clipped(found.boxes.double() / frame.scale + offset, height, width)
            inner &= boxes.area(there) > 0
            moved.append(Found(there, found.scores, torch.where(inner, found.classes, -1)))
        if len(moved) == 1:
            return moved[0]
        scores, order = torch.cat([one.scores for one in moved], dim=1).sort(dim=1, descending=True, stable=True)
        whole = torch.cat([one.boxes for one in moved], dim=1).gather(1, order.unsqueeze(2).expand(-1, -1, 4))
        classes = torch.cat([one.classes for one in moved], dim=1).gather(1, order)
        return boxes.suppress(Found(whole, scores, classes), self.config.overlap)

    def _told(self, found: Found) -> list[dict[str, Any]]:
        return [
            {"category": self.names[label], "probability": score, "box": [round(side, 2) for side in box]}
            for label, score, box in zip(
                found.classes[0].tolist(), found.scores[0].tolist(), found.boxes[0].tolist(), strict=True
            )
            if label >= 0
        ]


def usual(truth: Tensor) -> Found:
    """What a picture has most often, from boxes [n, M, 5]: those that most others of their class lie on, none twice; the more
    do, the surer. [1, 100]"""
    there = truth.flatten(0, 1)
    there = there[there[:, 4] >= 0]
    there = there[:: max(1, len(there) // 2000)]
    box, label = there[:, :4], there[:, 4].long()
    near = (boxes.overlaps(box, box) >= 0.5) & (label.unsqueeze(1) == label)
    scores, order = near.float().sum(dim=1).sort(descending=True, stable=True)
    return boxes.suppress(Found(box[order][None], scores[None], label[order][None]), 0.5)


def _cells(model: nn.Module, input: Tensor) -> Tensor:
    if not callable(getattr(model, "cells", None)):
        raise Problem(
            f"{type(model).__name__} does not say where its answers lie: the task 'detect' needs a method cells(height, width) "
            "that gives x, y and stride of each, as the model 'detector' has it."
        )
    cells: Callable[[int, int], Tensor] = model.cells  # type: ignore[assignment]
    return cells(*input.shape[2:])


def _shown(batch: Batch) -> Tensor:
    """Height and width of the part of each row that its picture takes, [B, 2]: of letterboxed rows `size` tells it."""
    height, width = batch["input"].shape[2:]
    if "size" not in batch:
        return batch["input"].new_tensor([[height, width]]).expand(len(batch["input"]), 2)
    return batch["input"].new_tensor([fitted(tall, wide, height, width) for tall, wide in batch["size"].tolist()])


def _clipped(box: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Boxes [..., 4] within pictures whose height and width broadcast to [...]."""
    sides = zip(box.unbind(-1), (width, height) * 2, strict=True)
    return torch.stack([torch.minimum(side.clamp(min=0), limit) for side, limit in sides], -1)

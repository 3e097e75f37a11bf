"""Segmentation: a class for every pixel of a picture.

Cross-entropy at each pixel (Long, Shelhamer & Darrell, 2015) and the soft Dice overlap (Milletari et al., 2016); rare classes
weigh more by their median frequency (Eigen & Fergus, 2015) or its root. What is measured is measured at the size that pictures
came in, from a confusion matrix of pixels for each picture, so that it is exact over a whole split.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepen.data.dataset import Columns
from deepen.data.framed import fitted
from deepen.data.preprocess import Frame, Preprocess
from deepen.data.run_lengths import packed
from deepen.errors import Misuse, Problem
from deepen.spec import IGNORED, Image, Mask, Spec
from deepen.tasks.base import Batch, Goal, Places, Rows, Supervised
from deepen.tasks.measures import Weighted, mean, once

SUMMARY = "A class for every pixel of a picture"

AT_ONCE = 2**20
"""Pixels that a model answers for at once when it is measured, and that an answer is enlarged to: bounds memory."""
SMOOTH = 1.0
"""Pixels added to both sides of the Dice fraction, for classes that hardly occur in a picture."""


@dataclass
class Config:
    """What is minimised."""

    dice: float = 0.5
    """Weight of the Dice loss beside cross-entropy; 0 leaves it out."""
    class_weights: Literal["none", "sqrt", "balanced"] = "none"
    """balanced: pixels weigh by the median frequency of the classes over that of their own; sqrt: by its root."""


def natural(spec: Spec) -> bool:
    return isinstance(spec.output, Mask)


def build(spec: Spec, config: Config) -> Segment:
    if not isinstance(spec.output, Mask) or not isinstance(spec.input, Image):
        kind = type(spec.output).__name__.lower()
        hint = (
            " If the boxes are of a COCO file that has polygons too, add data.targets=masks." if kind == "boxes" else ""
        )
        raise Problem(f"segment needs pictures with a class for every pixel, not {kind}.{hint}")
    if config.dice < 0:
        raise Misuse(f"task.dice={config.dice:g} is not usable: expected 0 or more.")
    return Segment(spec, config)


@final
class Segment(Supervised, Places, Weighted):
    """Models answer with logits [B, C, H, W]; the target is uint8 [B, H, W]. Batches that are measured may bring `truth` uint8
    [B, H', W'] and `size` int64 [B, 2], the masks at the size of the pictures, which rows were fitted to, or `owner` int64 [B],
    the number of the picture that a row was cut out of."""

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.output, Mask)
        self.spec = spec
        self.config = config
        self.names = spec.output.names
        self.colours = spec.output.colours
        self.goal = Goal("miou", "max")
        self._weights: Tensor | None = None
        self._frequency: Tensor | None = None

    def expected(self, count: int) -> tuple[int, ...]:
        return (count, len(self.names), *self.spec.input.shape[1:])

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        classes = len(self.names)
        pixels = torch.zeros(classes, dtype=torch.float64)
        among = torch.zeros(classes, dtype=torch.float64)
        target = train["target"]
        step = max(1, AT_ONCE // target[0].numel())
        for start in range(0, len(target), step):
            counts = _counted(target[start : start + step].cpu(), IGNORED + 1)[:, :classes].double()
            pixels += counts.sum(0)
            among += ((counts > 0) * counts.sum(1, keepdim=True)).sum(0)
        # One imagined pixel a class keeps the loss of the baseline finite for a class that train lacks.
        self._frequency = ((pixels + 1) / (pixels + 1).sum()).float()
        if self.config.class_weights != "none":
            there = pixels > 0
            share = (pixels / among.clamp(min=1)).clamp(min=1e-12)  # of the pixels of pictures that have the class
            weights = torch.where(there, share[there].median() / share, 0.0)
            weights = weights if self.config.class_weights == "balanced" else weights.sqrt()
            # Their mean over the training pixels is one, so that the loss keeps its size.
            self._weights = (weights * pixels.sum() / (weights * pixels).sum()).float()

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        logits, target = model(batch["input"]), batch["target"]
        known = target != IGNORED
        hits = (logits.detach().argmax(1) == target) & known
        accuracy = hits.sum(dtype=torch.float32) / known.sum().clamp(min=1)
        return self.criterion(logits, target).mean(), {"pixel_accuracy": accuracy}

    def criterion(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each picture, float32 [B]: a mean over its own pixels, so that parts of a batch add up."""
        logits, wanted = logits.float(), target.long()
        known = target != IGNORED
        weights = None if self._weights is None else self._weights.to(logits.device)
        each = F.cross_entropy(logits, wanted, weights, ignore_index=IGNORED, reduction="none")
        loss = each.sum((1, 2)) / known.sum((1, 2)).clamp(min=1)
        if self.config.dice:
            loss = loss + self.config.dice * self._dice(logits, wanted, known)
        return loss

    def _dice(self, logits: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
        """One less the overlap of chances and truth, the mean over the classes that a picture has: [B]."""
        chances = logits.softmax(1) * known.unsqueeze(1)
        inside = torch.where(known, wanted, 0)
        right = torch.zeros(chances.shape[:2], device=logits.device)
        truth = torch.zeros_like(right)
        flat = inside.flatten(1)
        right = right.scatter_add(1, flat, chances.gather(1, inside.unsqueeze(1)).flatten(1))
        truth = truth.scatter_add(1, flat, known.flatten(1).float())
        overlap = (2 * right + SMOOTH) / (chances.sum((2, 3)) + truth + SMOOTH)
        there = truth > 0
        return ((1 - overlap) * there).sum(1) / there.sum(1).clamp(min=1)

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows: confusion int64 [B, C, C], pixels of each class by what they were taken for, and loss float32 [B]; the owner
        int64 [B] where the batch has it."""
        step = max(1, AT_ONCE // batch["target"][0].numel())
        confusion, losses = [], []
        for start in range(0, len(batch["input"]), step):
            part = {name: rows[start : start + step] for name, rows in batch.items()}
            logits = model(part["input"]).float()
            losses.append(self.criterion(logits, part["target"]))
            if "truth" not in part:
                confusion.append(self._confusion(part["target"], logits.argmax(1)))
                continue
            for number, (height, width) in enumerate(part["size"].tolist()):
                tall, wide = fitted(height, width, *logits.shape[2:])
                said = labels(logits[number, :, :tall, :wide], height, width)
                confusion.append(
                    self._confusion(part["truth"][number : number + 1, :height, :width], said.unsqueeze(0))
                )
        owner = {"owner": batch["owner"]} if "owner" in batch else {}
        return {"confusion": torch.cat(confusion), "loss": torch.cat(losses), **owner}

    def joined(self, rows: Rows) -> Rows:
        """A row for each picture, those of its pieces summed: pieces of one picture are much alike."""
        if "owner" not in rows:
            return rows
        owners, place = rows["owner"].unique(return_inverse=True)
        confusion = torch.zeros((len(owners), *rows["confusion"].shape[1:]), dtype=torch.int64)
        confusion.index_add_(0, place, rows["confusion"])
        pixels = rows["confusion"].sum((1, 2)).double()
        loss, whole = (torch.zeros(len(owners), dtype=torch.float64) for _ in range(2))
        loss.index_add_(0, place, rows["loss"].double() * pixels)
        whole.index_add_(0, place, pixels)
        return {"confusion": confusion, "loss": (loss / whole.clamp(min=1)).float()}

    def _confusion(self, truth: Tensor, said: Tensor) -> Tensor:
        """int64 [B, C, C] from classes [B, H, W]."""
        classes = len(self.names)
        pairs = torch.where(truth == IGNORED, classes * classes, truth.long() * classes + said)
        return _counted(pairs, classes * classes + 1)[:, :-1].unflatten(1, (classes, classes))

    def measure(self, rows: Rows) -> dict[str, float]:
        rows = self.joined(rows)
        metrics = once(self, rows)
        if self.goal.metric not in metrics:
            raise Problem(
                f"{self.goal.metric} cannot be measured on these {len(rows['loss'])} pictures: none of their pixels has a class, "
                "or the model's answers are not finite."
            )
        return metrics

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        counts = rows["confusion"].flatten(1).double()
        classes = len(self.names)
        total = (weights.double() @ counts).unflatten(1, (classes, classes))  # [R, C, C]
        right, truth, said = total.diagonal(dim1=1, dim2=2), total.sum(2), total.sum(1)
        there = truth > 0
        nothing = torch.full_like(right, torch.nan)
        iou = torch.where(there, right / (truth + said - right), nothing)
        recall = torch.where(there, right / truth, nothing)
        metrics = {
            "loss": mean(rows["loss"], weights),
            "miou": iou.nanmean(1),
            "pixel_accuracy": right.sum(1) / truth.sum(1),
            "mean_accuracy": recall.nanmean(1),
        }
        return metrics | {f"iou/{name}": iou[:, number] for number, name in enumerate(self.names)}

    def baseline(self, rows: Rows) -> dict[str, float]:
        """The commonest class of the training split everywhere, with the frequencies of the classes as its chances."""
        assert self._frequency is not None, "study() comes before baseline()"
        frequency, rows = self._frequency, self.joined(rows)
        truth = rows["confusion"].sum(2)  # [N, C]
        confusion = torch.zeros_like(rows["confusion"])
        confusion[:, :, frequency.argmax()] = truth
        pixels = truth.sum(1, keepdim=True).clamp(min=1)
        weights = 1.0 if self._weights is None else self._weights
        loss = -(truth * weights * frequency.log()).sum(1) / pixels.squeeze(1)
        there = truth > 0
        overlap = (2 * truth * frequency + SMOOTH) / (pixels * frequency + truth + SMOOTH)
        loss = loss + self.config.dice * ((1 - overlap) * there).sum(1) / there.sum(1).clamp(min=1)
        return once(self, {"confusion": confusion, "loss": loss})

    def place(self, outputs: Iterable[tuple[Tensor, Sequence[Frame]]]) -> Iterator[dict[str, Any]]:
        """`mask`, run lengths as `data/run_lengths.py` says, at the size of the picture, and `shares`, the part of the pixels
        that each class has. Of each picture, only the mask is held."""
        item, canvas = -1, np.zeros((0, 0), dtype=np.uint8)
        for output, frames in outputs:
            for logits, frame in zip(output, frames, strict=True):
                if frame.item != item:
                    if item >= 0:
                        yield self._told(canvas)
                    item, canvas = frame.item, np.zeros((frame.height, frame.width), dtype=np.uint8)
                top, left, bottom, right = frame.keep
                inside = logits[:, top:bottom, left:right].float()
                if frame.scale == 1.0:
                    line, place = int(frame.top) + top, int(frame.left) + left
                    said = inside.argmax(0).to(torch.uint8)
                    canvas[line : line + bottom - top, place : place + right - left] = said.cpu().numpy()
                else:  # what was scaled shows the whole picture
                    canvas[:] = labels(inside, frame.height, frame.width).cpu().numpy()
        if item >= 0:
            yield self._told(canvas)

    def _told(self, mask: np.ndarray) -> dict[str, Any]:
        runs: dict[str, Any] = packed(mask)
        shares = np.bincount(runs["classes"], weights=runs["counts"]) / mask.size
        if self.colours:
            runs["colours"] = list(self.colours)
        ranked = np.argsort(-shares, kind="stable").tolist()
        return {"mask": runs, "shares": {self.names[one]: float(shares[one]) for one in ranked if shares[one] > 0}}


def labels(logits: Tensor, height: int, width: int) -> Tensor:
    """The likeliest class of each pixel, uint8 [height, width], of logits [C, h, w] enlarged or reduced between their values
    (bilinear, as `interpolate` without aligned corners), some lines at a time."""
    if logits.shape[1:] == (height, width):
        return logits.argmax(0).to(torch.uint8)
    found = torch.empty((height, width), dtype=torch.uint8, device=logits.device)
    left, right, across = _between(width, logits.shape[2], logits.device)
    step = max(1, AT_ONCE // width)
    above, below, down = _between(height, logits.shape[1], logits.device)
    for start in range(0, height, step):
        part = slice(start, start + step)
        lines = torch.lerp(logits[:, above[part]], logits[:, below[part]], down[part, None])
        found[part] = torch.lerp(lines[:, :, left], lines[:, :, right], across).argmax(0)
    return found


def _between(wanted: int, given: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `wanted` places, the two of `given` that it lies between, and how far from the first to the second."""
    place = ((torch.arange(wanted, device=device) + 0.5) * (given / wanted) - 0.5).clamp(0, given - 1)
    first = place.floor().long()
    return first, (first + 1).clamp(max=given - 1), place - first


def _counted(values: Tensor, count: int) -> Tensor:
    """How often each of 0 to count - 1 stands in each sample of whole numbers [B, ...]: int64 [B, count]."""
    flat = values.flatten(1).long() + torch.arange(len(values), device=values.device).unsqueeze(1) * count
    return torch.bincount(flat.flatten(), minlength=len(values) * count).view(len(values), count)

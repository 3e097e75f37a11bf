"""Metrics from rows, and how far to trust them.

Every metric here is a function of the samples' weights [R, N]: with one row of ones it is the metric itself, with R
rows of resampling counts it is R bootstrap replicates (Efron, 1979) in a few matrix products. One implementation
thereby gives both the value and its interval.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from deepen.randomness import generator
from deepen.tasks.base import Rows, Task

BINS = 15
"""Of the calibration error (Guo et al., 2017)."""

CHUNK = 4_000_000
"""Weights held at once while resampling, to bound memory."""


class Weighted(ABC):
    """A task whose metrics can be computed under sample weights, many sets of weights at a time."""

    def joined(self, rows: Rows) -> Rows:
        """One row per sample, where several were scored of some: what is resampled has to be independent."""
        return rows

    def blocks(self, rows: Rows) -> Rows:
        """Sums over neighbouring rows where neighbours are alike: resampled one by one, they would look more certain than they
        are."""
        return rows

    @abstractmethod
    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        """Metrics [R] by name, one for each row of `weights` [R, N]."""


def intervals(
    task: Task, rows: Rows, seed: int, repeats: int = 1000, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap interval of each metric of `task`, by resampling samples (rows [N, ...]) with replacement.

    The same seed gives the same interval. Metrics that are undefined on the rows are left out.
    """
    rows = independent(task, rows)
    rows = task.blocks(rows) if isinstance(task, Weighted) else rows
    count = len(next(iter(rows.values())))
    if count < 2:
        return {}
    found: dict[str, list[Tensor]] = {}
    random = generator(seed, "bootstrap")
    done = 0
    while done < repeats:
        part = min(repeats - done, max(1, CHUNK // count))
        picked = torch.randint(count, (part, count), generator=random)
        for name, values in _replicates(task, rows, picked).items():
            found.setdefault(name, []).append(values)
        done += part
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    ends: dict[str, tuple[float, float]] = {}
    for name, parts in found.items():
        low, high = torch.nanquantile(torch.cat(parts).double(), tails).tolist()
        if low == low:
            ends[name] = (low, high)
    return ends


def _replicates(task: Task, rows: Rows, picked: Tensor) -> dict[str, Tensor]:
    """Metrics [R] by name on the samples that each row of `picked` [R, N] names."""
    repeats, count = picked.shape
    if isinstance(task, Weighted):
        offset = picked + torch.arange(repeats).unsqueeze(1) * count
        weights = torch.bincount(offset.flatten(), minlength=repeats * count).view(repeats, count).float()
        return task.weighted(rows, weights)
    each = [task.measure({name: values[index] for name, values in rows.items()}) for index in picked]
    return {name: torch.tensor([metrics.get(name, float("nan")) for metrics in each]) for name in each[0]}


def independent(task: Task, rows: Rows) -> Rows:
    """One row per sample: pictures that were scored in pieces are put together."""
    return task.joined(rows) if isinstance(task, Weighted) else rows


def once(task: Any, rows: Rows) -> dict[str, float]:
    """The metrics of a `Weighted` task themselves: every sample counts one. Undefined ones are left out."""
    rows = task.joined(rows)
    count = len(next(iter(rows.values())))
    values = task.weighted(rows, torch.ones(1, count, dtype=torch.float64))
    return {name: float(value) for name, value in values.items() if value.isfinite()}


def mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted means [R] or [R, K] of values [N] or [N, K]."""
    columns = values.to(weights.dtype).view(len(values), -1)
    means = weights @ columns / weights.sum(dim=1, keepdim=True)
    return means.squeeze(1) if values.dim() == 1 else means


def totals(labels: Tensor, count: int, weights: Tensor) -> Tensor:
    """Summed weights [R, count] of the samples that have each label (int64 [N], a negative one counts nowhere)."""
    counted = labels >= 0
    if len(weights) == 1:
        # The one-hot matrix below is large for many classes, and this is the call of every evaluation.
        return torch.bincount(labels[counted], weights[0, counted], minlength=count).to(weights.dtype).unsqueeze(0)
    hot = torch.zeros(len(labels), count, dtype=weights.dtype)
    hot[counted.nonzero().squeeze(1), labels[counted]] = 1
    return weights @ hot


def recall_and_f1(predicted: Tensor, target: Tensor, classes: int, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Balanced accuracy [R] (mean recall over the classes that occur) and macro F1 [R] (over those that occur or are
    predicted) from int64 [N] labels."""
    support = totals(target, classes, weights)
    claimed = totals(predicted, classes, weights)
    right = totals(torch.where(predicted == target, target, -1), classes, weights)
    f1 = 2 * right / (support + claimed)  # 0/0 where a class is in neither: nanmean leaves it out
    return (right / support).nanmean(dim=1), f1.nanmean(dim=1)


def of_class(predicted: Tensor, target: Tensor, label: int, weights: Tensor) -> dict[str, Tensor]:
    """Precision, recall and F1 [R] of one class from int64 [N] labels; NaN where there is nothing to divide by."""
    there, said = mean(target == label, weights), mean(predicted == label, weights)
    both = mean((target == label) & (predicted == label), weights)
    return {"precision": both / said, "recall": both / there, "f1": 2 * both / (there + said)}


def calibration_error(confidence: Tensor, correct: Tensor, weights: Tensor) -> Tensor:
    """Expected calibration error [R]: |accuracy - confidence| averaged over 15 equal bins (Guo et al., 2017).

    `confidence` float [N] in 0..1 of the chosen class, `correct` bool [N].
    """
    bins = (confidence.double() * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
    hot = torch.nn.functional.one_hot(bins, BINS).to(weights.dtype)
    gap = (correct.to(weights.dtype) - confidence.to(weights.dtype)).unsqueeze(1) * hot
    return (weights @ gap).abs().sum(dim=1) / weights.sum(dim=1)


def auroc(scores: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Area under the ROC curve [R]: the binary one for 2 classes, else the mean over one-versus-rest; NaN if undefined.

    `scores` [N, C], `target` int64 [N]. Each sample's placement (the share of the other side that it is ordered rightly
    against, ties a half) makes the area a sum of two weighted means, which is exact for equal weights and holds to
    first order under resampling (DeLong et al., 1988); only classes with samples on both sides count.
    """
    chosen = range(1, 2) if scores.shape[1] == 2 else range(scores.shape[1])
    alike = bool((weights == weights[0, 0]).all())
    areas = []
    for label in chosen:
        inside = target == label
        score = scores[:, label].contiguous()
        positive, negative = score[inside], score[~inside]
        if not len(positive) or not len(negative):
            continue
        above = _placement(positive, negative.sort().values)  # share of negatives below each positive
        if alike:
            areas.append(above.mean().to(weights.dtype).expand(len(weights)))
            continue
        below = 1 - _placement(negative, positive.sort().values)  # share of positives above each negative
        hits, rest = weights[:, inside], weights[:, ~inside]
        area = above.mean().to(weights.dtype)
        first = hits @ above.to(weights.dtype) / hits.sum(dim=1)
        second = rest @ below.to(weights.dtype) / rest.sum(dim=1)
        areas.append(first + second - area)
    if not areas:
        return torch.full((len(weights),), float("nan"), dtype=weights.dtype)
    return torch.stack(areas).nanmean(dim=0)


def _placement(values: Tensor, ordered: Tensor) -> Tensor:
    """Share of `ordered` that is below each value, ties counted half: float64."""
    low = torch.searchsorted(ordered, values, right=False)
    high = torch.searchsorted(ordered, values, right=True)
    return (low + high).double() / (2 * len(ordered))

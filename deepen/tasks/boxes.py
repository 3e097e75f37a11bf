"""Boxes as numbers: how much two overlap, which of many to keep, which are right, and what that is worth.

Boxes are left, top, right, bottom. Everything is tensor work on whole batches; where the order of boxes decides (matching), the
loop goes over ranks, not over boxes. Matching and average precision are those of COCO (Lin et al., 2014), equal to what its
own programs compute: a detection takes the free box of its class that it overlaps most, the last of equals, and precision is
read at 101 recalls from an envelope that never rises. What takes no box but an ignored one is neither right nor wrong. Objects
that Pascal VOC calls difficult are ignored in this way too; its own program lets several detections fall to one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deepen.spec import EMPTY

THRESHOLDS = torch.from_numpy(np.linspace(0.5, 0.95, 10))
"""How much must be shared for a detection to be right. As COCO makes them, to the last bit: shares can lie on them exactly."""
RECALLS = torch.from_numpy(np.linspace(0.0, 1.0, 101))
"""Where precision is read."""

CANDIDATES = 1000
"""Of the answers to a picture, at most the surest so many are compared with each other."""
MOST = 100
"""Detections of a picture that are kept."""
NOTHING = -1
"""What a detection is about that is wrong, see `match`."""
FLOOR = 0.01
"""Answers less sure than this are not looked at."""
CHUNK = 4_000_000
"""Numbers held at once while measuring resampled rows, to bound memory."""


@dataclass(frozen=True)
class Found:
    """The detections in a batch of pictures, the surest first."""

    boxes: Tensor
    """float [B, K, 4]"""
    scores: Tensor
    """float [B, K], 0 where the place is empty."""
    classes: Tensor
    """int64 [B, K], -1 where the place is empty."""


def area(boxes: Tensor) -> Tensor:
    """[..., 4] -> [...]; 0 for boxes that are turned inside out."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def shared(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Areas of intersection and union of boxes [..., 4] that broadcast."""
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    both = (high - low).clamp(min=0).prod(dim=-1)
    return both, area(one) + area(other) - both


def overlaps(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of every pair: [..., M, 4] and [..., N, 4] -> [..., M, N], 0 for two boxes without area."""
    # Side by side: the four numbers of a box as planes are several times as fast as a last dimension of four.
    l1, t1, r1, b1 = (side.unsqueeze(-1) for side in one.unbind(-1))
    l2, t2, r2, b2 = (side.unsqueeze(-2) for side in other.unbind(-1))
    across = (torch.minimum(r1, r2) - torch.maximum(l1, l2)).clamp_(min=0)
    down = (torch.minimum(b1, b2) - torch.maximum(t1, t2)).clamp_(min=0)
    both = across.mul_(down)
    union = area(one).unsqueeze(-1) + area(other).unsqueeze(-2) - both
    return torch.where(union > 0, both / union, 0)


def covered(one: Tensor, other: Tensor) -> Tensor:
    """Which share of each of the first lies in each of the others: [..., M, 4] and [..., N, 4] -> [..., M, N], 0 for what has no
    area."""
    both, _ = shared(one.unsqueeze(-2), other.unsqueeze(-3))
    whole = area(one).unsqueeze(-1)
    return torch.where(whole > 0, both / whole, 0)


def generalised_overlap(one: Tensor, other: Tensor) -> Tensor:
    """GIoU (Rezatofighi et al., 2019) of boxes [..., 4] that broadcast, -1 to 1: it has a slope where boxes do not meet."""
    both, union = shared(one, other)
    low, high = torch.minimum(one[..., :2], other[..., :2]), torch.maximum(one[..., 2:], other[..., 2:])
    hull = (high - low).clamp(min=0).prod(dim=-1)
    tiny = 1e-7
    return both / (union + tiny) - (hull - union) / (hull + tiny)


def suppress(found: Found, overlap: float, most: int = MOST) -> Found:
    """Greedy non-maximum suppression, for all pictures at once: [B, K] -> [B, most], empty places at the end.

    Of what is left the surest stays, and what shares more than `overlap` with it and is of its class goes. `found` has the
    surest first, so a round is one look along each row; there are as many rounds as boxes may stay.
    """
    count, candidates = found.classes.shape
    sides = [side.contiguous() for side in found.boxes.unbind(-1)]
    space = area(found.boxes)
    left = found.classes >= 0
    stay = torch.zeros(count, most, dtype=torch.long, device=left.device)
    empty = torch.ones(count, most, dtype=torch.bool, device=left.device)
    for rank in range(min(most, candidates)):
        best = left.to(torch.uint8).argmax(dim=1, keepdim=True)  # the first that is left
        stay[:, rank : rank + 1], empty[:, rank : rank + 1] = best, ~left.gather(1, best)
        here = [side.gather(1, best) for side in sides]
        across = torch.minimum(sides[2], here[2]) - torch.maximum(sides[0], here[0])
        down = torch.minimum(sides[3], here[3]) - torch.maximum(sides[1], here[1])
        both = across.clamp_(min=0).mul_(down.clamp_(min=0))
        # As a product: no boxes share nothing of nothing.
        near = both > overlap * (space + space.gather(1, best) - both)
        left &= ~(near & (found.classes == found.classes.gather(1, best)))
        left.scatter_(1, best, False)  # one without area shares nothing with itself
    if not candidates:
        return Found(found.boxes.new_zeros(count, most, 4), found.scores.new_zeros(count, most), stay - 1)
    boxes = found.boxes.gather(1, stay.unsqueeze(2).expand(-1, -1, 4)).masked_fill(empty.unsqueeze(2), 0)
    scores = found.scores.gather(1, stay).masked_fill(empty, 0)
    return Found(boxes, scores, found.classes.gather(1, stay).masked_fill(empty, -1))


def pick(output: Tensor, overlap: float, floor: float = FLOOR) -> Found:
    """The detections in a model's output [B, N, 4 + C]: at most `MOST` of each picture, none twice, each picture by itself."""
    chances = output[..., 4:].float().sigmoid()
    num_classes = chances.shape[2]
    flat = chances.flatten(1)
    candidates = min(CANDIDATES, max(1, int((flat > floor).sum(dim=1).amax())))
    # Equals in the order of the cells, wherever a selection leaves them.
    places = flat.topk(candidates, dim=1).indices.sort(dim=1).values
    scores, order = flat.gather(1, places).sort(dim=1, descending=True, stable=True)
    places = places.gather(1, order)
    cell = (places // num_classes).unsqueeze(2).expand(-1, -1, 4)
    classes = torch.where(scores > floor, places % num_classes, -1)
    return suppress(Found(output[..., :4].float().gather(1, cell), scores, classes), overlap)


def kinds(truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of boxes [..., M, 5] as `spec.Boxes` has them the class, int64 [..., M] (-1 empty), whether it is ignored, and whether it
    is a crowd, bool [..., M]."""
    label = truth[..., 4].long()
    ignored = label < EMPTY
    code = EMPTY - 1 - label  # see `spec.ignored`
    return torch.where(ignored, code // 2, label), ignored, ignored & (code % 2 == 1)


def match(found: Found, truth: Tensor) -> Tensor:
    """Which box each detection is about, at each of `THRESHOLDS`: int64 [B, K, 10], -1 (`NOTHING`) where it is wrong, and -2 - j
    where box j, which is ignored, makes it neither right nor wrong.

    `truth` is [B, M, 5] as `spec.Boxes` has it. From the surest on, each takes the free box of its class that it overlaps most,
    if that is enough; ignored ones only where no other is. A crowd is always free, and what counts is the share of the
    detection that lies in it.
    """
    thresholds = THRESHOLDS.to(truth.device).unsqueeze(1)
    truth = truth.flip(1)  # so that the first of equals is the last of those given
    labels, ignored, crowd = (kind.unsqueeze(1) for kind in kinds(truth))  # [B, 1, M]
    sides = found.boxes.double(), truth[..., :4].double()
    share = overlaps(*sides)  # [B, K, M]
    if crowd.any():
        share = torch.where(crowd, covered(*sides), share)
    # An empty place is of class -1 on both sides, and is not to meet itself.
    alike = (found.classes.unsqueeze(2) == labels) & (found.classes.unsqueeze(2) >= 0)
    share = torch.where(alike, share, -1.0)
    count, ranks, num_boxes = share.shape
    about = torch.full((count, ranks, len(thresholds)), NOTHING, device=truth.device)
    if not num_boxes:
        return about
    taken = torch.zeros(count, len(thresholds), num_boxes, dtype=torch.bool, device=truth.device)
    number = torch.arange(num_boxes, device=truth.device)
    apart = bool(ignored.any())
    least = torch.full_like(thresholds, -8.0) if apart else thresholds
    given = num_boxes - 1 - number
    given = torch.where(ignored, NOTHING - 1 - given, given).expand(count, len(thresholds), num_boxes)
    for rank in range(ranks):
        free = torch.where(taken, -1.0, share[:, rank].unsqueeze(1))  # [B, 10, M]
        if apart:  # of what is enough, ignored ones below all others
            free = torch.where(free >= thresholds, free - 2 * ignored, -9.0)
        chosen = free.argmax(dim=2, keepdim=True)
        enough = free.gather(2, chosen) >= least
        taken |= (number == chosen) & enough & ~crowd
        about[:, rank] = torch.where(enough, given.gather(2, chosen), NOTHING).squeeze(2)
    return about


def count_boxes(truth: Tensor, num_classes: int) -> Tensor:
    """How many boxes of each class each picture has: int64 [B, C] from [B, M, 5]."""
    return (truth[..., 4].long().unsqueeze(2) == torch.arange(num_classes, device=truth.device)).sum(dim=1)


def curves(
    scores: Tensor, classes: Tensor, right: Tensor, ignored: Tensor, counts: Tensor, weights: Tensor, label: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Precision and recall of a class, float64 [R, H] each, down to each of its H right detections: a pair for each threshold.

    `scores` [N, K], `classes` [N, K] (-1 empty), `right` and `ignored` bool [N, K, T] are of the detections of N pictures,
    `counts` [N, C] of their boxes, and each row of `weights` [R, N] says how often each picture counts. A detection counts as
    often as its picture, and not at all where it is ignored. Only right ones can change the envelope of precision, so that it is
    computed there only.
    """
    picture, rank = (classes == label).nonzero(as_tuple=True)
    order = scores[picture, rank].sort(descending=True, stable=True).indices
    picture, rank = picture[order], rank[order]
    drawn = weights.double()[:, picture]
    said = drawn.cumsum(dim=1)
    total = weights.double() @ counts[:, label].double()
    for step in range(right.shape[2]):
        hits = right[picture, rank, step].nonzero().squeeze(1)
        found = drawn[:, hits].cumsum(dim=1)
        apart = ignored[picture, rank, step]
        told = (drawn * ~apart).cumsum(dim=1) if apart.any() else said
        # Of pictures that were not drawn nothing is said and nothing is right: that is no precision.
        yield found / told[:, hits].clamp(min=1e-300), found / total.unsqueeze(1)


def average_precision(
    scores: Tensor, classes: Tensor, right: Tensor, ignored: Tensor, counts: Tensor, weights: Tensor
) -> Tensor:
    """Average precision, float64 [R, C, T], NaN for a class without boxes. See `curves`."""
    most = int(
        torch.bincount(classes.flatten() + 1, minlength=2)[1:].amax()
    )  # of one class: it is all that is held at once
    part = max(1, CHUNK // max(1, most))
    if len(weights) > part:
        rest = (scores, classes, right, ignored, counts)
        return torch.cat([average_precision(*rest, some) for some in weights.split(part)])
    num_classes = counts.shape[1]
    answer = torch.zeros(len(weights), num_classes, right.shape[2], dtype=torch.float64)
    for label in range(num_classes):
        for step, (precision, recall) in enumerate(curves(scores, classes, right, ignored, counts, weights, label)):
            if precision.shape[1]:
                answer[:, label, step] = read(precision, recall).mean(dim=1)
    there = weights.double() @ counts.double() > 0  # [R, C]
    return torch.where(there.unsqueeze(2), answer, float("nan"))


def read(precision: Tensor, recall: Tensor) -> Tensor:
    """The best precision [R, 101] that is had at each of `RECALLS` or beyond, 0 where recall does not reach."""
    envelope = precision.flip(1).cummax(dim=1).values.flip(1)
    place = torch.searchsorted(recall.contiguous(), RECALLS.expand(len(recall), -1).contiguous())
    values = envelope.gather(1, place.clamp(max=recall.shape[1] - 1))
    return torch.where(place < recall.shape[1], values, 0.0)

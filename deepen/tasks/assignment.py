"""Which cells of a detector learn which box, and what they lose by their answers.

That is decided by what they answer now (task alignment, TOOD, Feng et al., 2021): those inside a box whose score and fit
together are best. What they learn is a score that stands for class and fit at once (quality focal loss, GFL, Li et al.,
2020) and the box (GIoU loss, Rezatofighi et al., 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from deepen.spec import EMPTY
from deepen.tasks import boxes

PER_BOX = 13
"""Cells that learn a box, at most (TOOD)."""
SCORE_POWER, FIT_POWER = 0.5, 6.0
"""How score and fit count in the choice of cells; powers of YOLOv8, whose score decides less than TOOD's."""


@dataclass(frozen=True)
class Assigned:
    """What each cell is to learn."""

    boxes: Tensor
    """float [B, N, 4]"""
    scores: Tensor
    """float [B, N, C], 0 where there is nothing to find."""
    counted: Tensor
    """bool [B, N]: False where something lies that is ignored, and the scores are not learnt."""

    @property
    def weights(self) -> Tensor:
        """How much each cell's box counts: float [B, N]."""
        return self.scores.sum(dim=2)


@torch.no_grad()
def assign(output: Tensor, cells: Tensor, truth: Tensor) -> Assigned:
    """The cells that learn each box, from a model's output [B, N, 4 + C], its cells [N, 3] and boxes [B, M, 5].

    Among the cells inside a box, those with the largest score^a * overlap^b learn it; a cell that several boxes claim goes to
    the one it overlaps most. Their target is that product, scaled so that a box's best cell learns its best overlap. A cell
    that is inside an ignored box and of no other learns nothing.
    """
    told, scores = output[..., :4], output[..., 4:].sigmoid()
    num_classes = scores.shape[2]
    box, label = truth[..., :4], truth[..., 4].long()
    overlap = boxes.overlaps(box, told)  # [B, M, N]
    # A box smaller than a cell has none inside: to each level it is at least as large as a cell of it.
    x, y, stride = cells.unbind(1)
    middle = (box[..., :2] + box[..., 2:]).unsqueeze(2) / 2  # [B, M, 1, 2]
    half = (box[..., 2:] - box[..., :2]).unsqueeze(2) / 2
    inside = (x - middle[..., 0]).abs() < torch.maximum(half[..., 0], stride / 2)
    inside &= (y - middle[..., 1]).abs() < torch.maximum(half[..., 1], stride / 2)
    spared = (inside & (label < EMPTY).unsqueeze(2)).any(dim=1)
    inside &= (label >= 0).unsqueeze(2)
    counted = inside.any(dim=1) | ~spared
    score = scores.mT.gather(1, label.clamp(min=0).unsqueeze(2).expand(-1, -1, scores.shape[1]))  # [B, M, N]
    aligned = torch.where(inside, score**SCORE_POWER * overlap**FIT_POWER, 0)
    # The last of the best is the bar, which equals pass together.
    bar = aligned.topk(min(PER_BOX, aligned.shape[2]), dim=2).values[..., -1:]
    chosen = (aligned >= bar) & (aligned > 0)
    claim = torch.where(chosen, overlap, 0)
    owner = claim.argmax(dim=1, keepdim=True)  # [B, 1, N]
    chosen &= torch.zeros_like(chosen).scatter_(1, owner, True)
    aligned, overlap = torch.where(chosen, aligned, 0), torch.where(chosen, overlap, 0)
    scale = overlap.amax(dim=2, keepdim=True) / aligned.amax(dim=2, keepdim=True).clamp(min=1e-30)
    quality = (aligned * scale).amax(dim=1)  # [B, N]
    owner = owner.squeeze(1)
    kinds = label.clamp(min=0).gather(1, owner)
    wanted = F.one_hot(kinds, num_classes) * quality.unsqueeze(2)
    return Assigned(box.gather(1, owner.unsqueeze(2).expand(-1, -1, 4)), wanted, counted)


def losses(output: Tensor, assigned: Assigned) -> tuple[Tensor, Tensor]:
    """Of each picture, summed over its cells: quality focal loss of the scores and GIoU loss of the boxes, float [B] each."""
    logits = output[..., 4:]
    off = (assigned.scores - logits.sigmoid()).square()
    scores = off * F.binary_cross_entropy_with_logits(logits, assigned.scores, reduction="none")
    scores = torch.where(assigned.counted.unsqueeze(2), scores, 0).sum(dim=(1, 2))
    fit = boxes.generalised_overlap(output[..., :4], assigned.boxes)
    return scores, ((1 - fit) * assigned.weights).sum(dim=1)

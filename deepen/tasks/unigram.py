"""How common each token is: what is known of texts by who knows no order of words, and what any model of them must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from deepen.data.dataset import Columns
from deepen.spec import PAD

PIECE = 4096
"""Texts whose tokens are counted at once."""
LOGITS = 2**25
"""Numbers that are answered at once while scoring: a large vocabulary takes much memory."""


def surprise(train: Columns, column: str, vocabulary: int, never: int = 0) -> Tensor:
    """Nats of each token, float32 [vocabulary], by how often it stands in a column int64 [N, L] of the training split. The first
    `never` tokens are not asked for; of all others each is imagined once more, so that none is impossible."""
    counts = torch.ones(vocabulary, dtype=torch.float64)
    for start in range(0, len(train), PIECE):
        tokens = train.between(start, start + PIECE)[column].cpu()
        counts += torch.bincount(tokens[tokens != PAD], minlength=vocabulary)
    counts[:never] = 0
    return -(counts / counts.sum()).log().float()

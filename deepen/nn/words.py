"""Tokens as learnt vectors."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn
from torch.nn import functional

from deepen.nn.suits import positive, share
from deepen.spec import PAD

SPREAD = 0.1
"""Deviation of a vector's numbers at the start."""


@final
class Words(nn.Module):
    """Tokens int64 [B, L] -> [B, L, width]; `PAD` is zero. While it learns, a `hidden` share of whole tokens is zero too
    (Iyyer et al., 2015), so that no single word is trusted."""

    def __init__(self, vocabulary: int, width: int, hidden: float) -> None:
        super().__init__()
        positive("embedding", width)
        self.table = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.hidden = share("word_dropout", hidden)
        nn.init.normal_(self.table.weight, 0.0, SPREAD)
        nn.init.zeros_(self.table.weight[PAD].data)

    def forward(self, tokens: Tensor) -> Tensor:
        return functional.dropout1d(self.table(tokens), self.hidden, self.training and self.hidden > 0)

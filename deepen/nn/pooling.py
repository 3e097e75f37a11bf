"""A row of vectors to one vector, whatever its length."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn

Pooling = Literal["attention", "mean", "max", "last"]


@final
class Pool(nn.Module):
    """[B, L, C] and a mask bool [B, L] of what there is -> [B, C].

    attention: a mean whose weights are learnt (Lin et al., 2017; Yang et al., 2016). last: the last that there is."""

    def __init__(self, how: Pooling, width: int) -> None:
        super().__init__()
        self.how = how
        layers = (nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False)) if how == "attention" else ()
        self.look = nn.Sequential(*layers)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        if self.how == "attention":
            return torch.einsum("bl,blc->bc", self._weights(x, there).to(x.dtype), x)
        if self.how == "mean":
            kept = x.masked_fill(~there.unsqueeze(2), 0)
            return kept.sum(1) / there.sum(1, keepdim=True).clamp(min=1)
        if self.how == "max":
            return x.masked_fill(~there.unsqueeze(2), -torch.inf).amax(1)
        last = (there.sum(1) - 1).clamp(min=0)
        return x[torch.arange(len(x), device=x.device), last]

    def looks(self, x: Tensor, there: Tensor) -> Tensor | None:
        """What each place counts, [B, 1, 1, L]; None where that is not learnt."""
        return self._weights(x, there)[:, None, None] if self.how == "attention" else None

    def _weights(self, x: Tensor, there: Tensor) -> Tensor:
        weights: Tensor = self.look(x).squeeze(2).float().masked_fill(~there, -torch.inf).softmax(dim=1)
        return weights

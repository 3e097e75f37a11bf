"""Dropout that costs little on a processor (Srivastava et al., 2014).

torch draws a float for each number there, which takes as long as the products around it. Here a draw of 64 bits serves eight
numbers, so that the share that is dropped is one of 256ths. Elsewhere it is torch's.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 256
EACH = 8
"""Bytes of a draw."""


@final
class Dropout(nn.Module):
    """While it learns, a share of the numbers is zero and the others are larger for it."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        dropped = round(self.share * LEVELS)
        if not self.training or not dropped:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.share)
        draws = torch.empty(-(-x.numel() // EACH), dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * kept.to(x.dtype) * (LEVELS / (LEVELS - dropped))  # a product is quicker than torch's masking

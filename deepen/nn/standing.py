"""Where a series stands and how far it swings, taken from what is looked back on (Kim et al., 2022, Reversible instance
normalisation against distribution shift): what is learnt then holds at any level, and the forecast is brought back to it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

LEAST = 1e-5
"""Added to variances, so that what does not move is not divided by nothing."""


def standing(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each variate of a window [B, L, C] over its moments: [B, 1, C] each."""
    mean = x.mean(1, keepdim=True)
    return mean, (x.var(1, keepdim=True, correction=0) + LEAST).sqrt()


def places(names: Sequence[str], among: Sequence[str]) -> list[int] | slice:
    """Where `names` stand `among` others; all of them in order are a slice, which copies nothing."""
    found = [list(among).index(name) for name in names]
    return slice(None) if found == list(range(len(among))) else found

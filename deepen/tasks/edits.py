"""How many items have to be put in, taken out or changed to make one sequence into another (Levenshtein, 1966)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


def distance(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """The fewest changes that turn `first` into `second`."""
    numbers: dict[Hashable, int] = {}
    a, b = (
        np.array([numbers.setdefault(item, len(numbers)) for item in row], dtype=np.int64) for row in (first, second)
    )
    places = np.arange(len(b) + 1)
    costs = places
    for number, item in enumerate(a, 1):
        changed = np.empty_like(costs)
        changed[0] = number
        changed[1:] = np.minimum(costs[1:] + 1, costs[:-1] + (b != item))
        # Putting in costs one for each place further right: the best start for it lies where cost less place is least.
        costs = np.minimum.accumulate(changed - places) + places
    return int(costs[-1])

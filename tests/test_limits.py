"""Every number of the training sections has a range, and what lies outside is told by its key."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from deepen.errors import Misuse
from deepen.limits import LIMITS, check
from deepen.recipe import Fit, Optim, Recipe, Schedule, Transfer, blank

WITHOUT = {"fit.until"}
"""May be any number: a loss or a return to reach."""


def recipe() -> Recipe:
    return blank("iris", "iris", "classify", "mlp")


def numbers() -> set[str]:
    found = set()
    for section, owner in (("fit", Fit), ("optim", Optim), ("schedule", Schedule), ("transfer", Transfer)):
        hints = get_type_hints(owner)
        for field in fields(owner):
            kinds = {hints[field.name], *get_args(hints[field.name])}
            if kinds & {int, float}:
                found.add(f"{section}.{field.name}")
    return found


def test_every_number_has_a_range() -> None:
    assert numbers() - WITHOUT == LIMITS.keys()


def test_the_defaults_lie_inside() -> None:
    check(recipe())


@pytest.mark.parametrize("key", sorted(LIMITS))
def test_a_number_below_its_range_is_told(key: str) -> None:
    made = recipe()
    made.set(key, (-1.0, 0.5) if key == "optim.betas" else -1)
    with pytest.raises(Misuse, match=f"^{key}=-1 is not usable: expected "):
        check(made)


@pytest.mark.parametrize(
    ("key", "value"),
    [("fit.accumulate", 0), ("optim.ema", 1), ("optim.lr", 0), ("schedule.warmup", 1)],
)
def test_the_edges(key: str, value: float) -> None:
    made = recipe()
    made.set(key, value)
    with pytest.raises(Misuse, match=f"^{key}={value:g} is not usable"):
        check(made)

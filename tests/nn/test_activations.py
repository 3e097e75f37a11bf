"""Activations against their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from deepen.errors import Misuse
from deepen.nn.activations import ACTIVATIONS, Activation, activation, curve

FORMULAS: dict[str, Callable[[float], float]] = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
    "identity": lambda x: x,
}


def test_the_type_names_the_table() -> None:
    assert set(get_args(Activation)) == set(ACTIVATIONS) == set(FORMULAS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_curve_is_the_formula_with_its_slope(name: str) -> None:
    x, y, slope = curve(name, 500)  # an even number of points leaves out 0, where some have a corner
    assert (x[0], x[-1]) == (-5, 5)
    formula = FORMULAS[name]
    assert np.allclose(y, [formula(value) for value in x])
    assert np.allclose(slope, [(formula(value + 1e-6) - formula(value - 1e-6)) / 2e-6 for value in x], atol=1e-6)


def test_unknown_name_gets_a_hint() -> None:
    with pytest.raises(Misuse, match="Did you mean 'relu'"):
        activation("rellu")

"""Initialisations: their spread, and what they are for."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import nn

from deepen.errors import Misuse
from deepen.nn.initialise import CHOICES, Initialisation, gain, initialise

EXPECTED = {
    "he": math.sqrt(2 / 400),
    "kaiming": math.sqrt(2 / 400),
    "xavier": math.sqrt(2) * math.sqrt(2 / (400 + 300)),
    "glorot": math.sqrt(2) * math.sqrt(2 / (400 + 300)),
    "lecun": math.sqrt(1 / 400),
    "orthogonal": math.sqrt(2) / math.sqrt(400),
    "normal": 0.02,
    "default": 1 / math.sqrt(3 * 400),
}


def test_the_type_names_the_choices() -> None:
    assert set(get_args(Initialisation)) == set(CHOICES) == set(EXPECTED)


@pytest.mark.parametrize("name", CHOICES)
def test_spread_of_a_linear_layer(name: str) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(400, 300)
    initialise(layer, name, "relu")
    assert layer.weight.std().item() == pytest.approx(EXPECTED[name], rel=0.02)
    assert (layer.bias == 0).all() or name == "default"


def test_orthogonal_rows_are_orthogonal() -> None:
    layer = nn.Linear(30, 20)
    initialise(layer, "orthogonal", "tanh")
    assert torch.allclose(layer.weight @ layer.weight.T, torch.eye(20) * gain("tanh") ** 2, atol=1e-4)


def test_default_leaves_torchs_own_start() -> None:
    layer = nn.Linear(4, 3)
    before = layer.weight.detach().clone(), layer.bias.detach().clone()
    initialise(layer, "default")
    assert torch.equal(layer.weight, before[0])
    assert torch.equal(layer.bias, before[1])


@pytest.mark.parametrize(("name", "act"), [("he", nn.ReLU()), ("lecun", nn.Identity())])
@pytest.mark.parametrize("kind", ["linear", "conv", "transposed"])
def test_a_signal_keeps_its_strength_through_many_layers(name: str, act: nn.Module, kind: str) -> None:
    torch.manual_seed(0)
    made = {
        "linear": lambda: nn.Linear(256, 256),
        "conv": lambda: nn.Conv2d(32, 32, 3, padding=1, padding_mode="circular"),
        "transposed": lambda: nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1),
    }[kind]
    layers = nn.Sequential(*[part for _ in range(4) for part in (made(), act)])
    initialise(layers, name, "relu" if name == "he" else "identity")
    x = torch.randn(512, 256) if kind == "linear" else torch.randn(16, layers[0].in_channels, 8, 8)
    with torch.no_grad():
        strength = layers(x).square().mean() / x.square().mean()
    assert 0.6 < strength < 1.6


def test_unknown_name_gets_a_hint() -> None:
    with pytest.raises(Misuse, match="Did you mean 'xavier'"):
        initialise(nn.Linear(1, 1), "xavie")

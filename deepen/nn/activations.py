"""The non-linear functions between layers, by name.

sigmoid and tanh are the classical ones; relu (Nair & Hinton, 2010), leaky_relu (Maas et al., 2013), elu (Clevert et
al., 2015), gelu (Hendrycks & Gimpel, 2016), silu (Elfwing et al., 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import nn

from deepen.errors import unknown

Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "elu", "silu", "gelu", "identity"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
}


def activation(name: str) -> nn.Module:
    """A fresh module of that name; raises `Misuse` with the nearest name when there is none."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


def curve(name: str, points: int = 501) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and dy/dx of an activation on [-5, 5], float64 [points] each, for a picture."""
    x = torch.linspace(-5, 5, points, dtype=torch.float64, requires_grad=True)
    y = activation(name)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return x.detach().numpy(), y.detach().numpy(), slope.numpy()

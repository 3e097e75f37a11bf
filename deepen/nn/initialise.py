"""How weights start, by name: the scales that keep signals and gradients from dying or exploding at the first step.

lecun (LeCun et al., 1998, Efficient BackProp), xavier or glorot (Glorot & Bengio, 2010), he or kaiming (He et al.,
2015), orthogonal (Saxe et al., 2013), normal (standard deviation 0.02, as in DCGAN and GPT-2), default (as torch does).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from deepen.errors import unknown

Initialisation = Literal["default", "he", "kaiming", "xavier", "glorot", "lecun", "orthogonal", "normal"]

CHOICES = ("default", "he", "kaiming", "xavier", "glorot", "lecun", "orthogonal", "normal")
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)


def initialise(module: nn.Module, name: str, activation: str = "relu") -> None:
    """Set the weights of every linear and convolutional layer of `module` in place, and their biases to zero.

    `activation` is what follows the layers; he, xavier and orthogonal scale by its gain. `default` leaves torch's own
    start untouched. Draws from torch's default generator. Raises `Misuse` for an unknown name.
    """
    if name not in CHOICES:
        raise unknown("initialisation", name, CHOICES)
    if name == "default":
        return
    for layer in module.modules():
        if isinstance(layer, LAYERS):
            _fill(layer, name, gain(activation))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def gain(activation: str) -> float:
    """The factor that makes up for what an activation takes from the spread of a signal."""
    if activation in ("relu", "silu", "gelu", "elu"):
        return math.sqrt(2.0)  # silu, gelu and elu have no closed form and are close to relu
    if activation == "leaky_relu":
        return nn.init.calculate_gain("leaky_relu", 0.01)
    return nn.init.calculate_gain("tanh") if activation == "tanh" else 1.0


@torch.no_grad()
def _fill(layer: nn.Module, name: str, scale: float) -> None:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    fan_in, fan_out = _fans(layer, weight)
    if name == "orthogonal":
        nn.init.orthogonal_(weight, gain=scale)
    elif name == "normal":
        weight.normal_(0.0, 0.02)
    elif name in ("he", "kaiming"):
        weight.normal_(0.0, scale / math.sqrt(fan_in))
    elif name == "lecun":
        weight.normal_(0.0, 1.0 / math.sqrt(fan_in))
    else:
        limit = scale * math.sqrt(6.0 / (fan_in + fan_out))
        weight.uniform_(-limit, limit)


def _fans(layer: nn.Module, weight: Tensor) -> tuple[float, float]:
    """How many numbers an output is summed from, and how many outputs a number goes to."""
    area = weight[0, 0].numel()
    if isinstance(layer, nn.ConvTranspose2d):  # weight is [in, out, kH, kW], and a stride thins what reaches an output
        stride = math.prod(layer.stride)
        return weight.shape[0] * area / stride, float(weight.shape[1] * area)
    return float(weight.shape[1] * area), float(weight.shape[0] * area)

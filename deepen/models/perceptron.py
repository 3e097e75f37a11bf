"""The perceptron: one weighted sum and a threshold (Rosenblatt, 1958, The perceptron: a probabilistic model).

Two classes need one unit. Its sum z answers as the logits [0, z], so that softmax over them is exactly sigmoid(z).

With `activation=step` the unit answers yes or no: the logits are [0, 20] or [0, -20], and the gradient passes the
threshold unchanged (straight-through). Softmax of such logits is 1 or 0 to within 3e-9, so the gradient of
cross-entropy for the weights is (step(z) - target) * x: following it is exactly Rosenblatt's rule, which moves the
weights only when the answer is wrong. With more classes there is a unit for each and the largest sum wins; the gradient
is then the multi-class form of the rule (Duda & Hart, 1973).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepen.errors import Problem
from deepen.nn.initialise import Initialisation, initialise
from deepen.nn.suits import answers, numbers
from deepen.spec import Quantity, Spec

SUMMARY = "one linear unit a class, sigmoid or step; the oldest of all"

SURE = 20.0
"""The logit of a yes: far enough for softmax to be 0 or 1 in float32."""


@dataclass
class Config:
    activation: Literal["sigmoid", "step"] = "sigmoid"
    """sigmoid: a probability (logistic regression). step: yes or no, and with plain sgd Rosenblatt's learning rule."""
    init: Initialisation = "default"
    """How the weights start."""


class Threshold(torch.autograd.Function):
    """Sums [B, K] -> +SURE where a unit fires, -SURE elsewhere; the gradient goes through as if this were not there.

    A single unit fires above zero; of several the one with the largest sum does.
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor) -> Tensor:
        fires = sums > 0 if sums.shape[1] == 1 else F.one_hot(sums.argmax(1), sums.shape[1])
        return fires.to(sums.dtype) * (2 * SURE) - SURE

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class Perceptron(nn.Module):
    """[B, *shape] -> [B, width]."""

    def __init__(self, size: int, width: int, *, step: bool, quantity: bool) -> None:
        super().__init__()
        self.step = step
        self.single = width == 2 and not quantity
        self.unit = nn.Linear(size, 1 if self.single else width)

    def forward(self, x: Tensor) -> Tensor:
        sums = self.unit(x.flatten(1))
        if self.step:
            sums = Threshold.apply(sums)
        return F.pad(sums, (1, 0)) if self.single else sums  # [B, 1] -> [B, 2]: [0, z]


def build(spec: Spec, config: Config) -> nn.Module:
    """[B, *spec.input.shape] -> [B, spec.output.width]. Numbers are answered by the plain sum (Widrow & Hoff, 1960)."""
    numbers(spec, "perceptron")
    width, quantity = answers(spec, "perceptron"), isinstance(spec.output, Quantity)
    if quantity and config.activation == "step":
        raise Problem("model.activation=step answers yes or no and this data asks for a number: use sigmoid.")
    model = Perceptron(spec.input_size, width, step=config.activation == "step", quantity=quantity)
    initialise(model, config.init, "identity")
    return model

"""The body of a network whose weights were taken over: what of it learns, how fast, and from which step on.

Frozen features with a new head on them: Donahue et al., 2014 (DeCAF). Lower rates for earlier layers, and thawing after the
head has learnt: Howard and Ruder, 2018 (ULMFiT). Everything is a function of the recipe and the step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from deepen.nn.backbone import body_parameters
from deepen.recipe import Transfer

LEVELS = 6
"""Different rates in a body: each is an optimizer of its own, and a hundred layers need no hundred of them."""


@dataclass(frozen=True)
class Body:
    """The parameters of a body, and when and how fast they learn."""

    parameters: Sequence[nn.Parameter]
    shares: dict[nn.Parameter, float]
    """The rate of each as a share of the head's."""
    thaw: float
    """The first step at which they learn; infinite for a body that stays as it is."""

    def learns_at(self, step: int) -> bool:
        return step >= self.thaw

    def let_learn(self, learning: bool) -> bool:
        """Freeze or thaw the parameters; whether that changed anything."""
        changed = any(parameter.requires_grad != learning for parameter in self.parameters)
        for parameter in self.parameters:
            parameter.requires_grad_(learning)
        return changed


def body_of(model: nn.Module, transfer: Transfer | None, total_steps: int) -> Body | None:
    """The body that `transfer` speaks of. None where no weights were taken over, and for a head that stands alone."""
    if transfer is None or transfer.mode == "none":
        return None
    parameters = body_parameters(model)
    if parameters is None:
        return None
    thaw = {"head": math.inf, "gradual": round(transfer.head_first * total_steps)}.get(transfer.mode, 0)
    return Body(parameters, dict(zip(parameters, shares(parameters, transfer.body_lr), strict=True)), thaw)


def thawed(transfer: Transfer) -> Transfer:
    """The same once the body has thawed: what a look at a few steps should see."""
    return replace(transfer, name="all") if transfer.name == "gradual" else transfer


def shares(parameters: Sequence[nn.Parameter], lowest: float) -> list[float]:
    """A share of the rate for each parameter of a body: `lowest` in the first layer, from there by equal factors to 1, which
    is that of the head. A layer begins with a matrix or filter; its biases and norms go with it."""
    layers, layer = [], -1
    for parameter in parameters:
        if parameter.ndim >= 2 or layer < 0:
            layer += 1
        layers.append(layer)
    return [lowest ** (1 - (LEVELS * layer // (layers[-1] + 1)) / LEVELS) for layer in layers]

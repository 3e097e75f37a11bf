"""Optimizers of our own: the fused Adam of torch without what surrounds it.

`torch.optim.Adam` spends more time in Python than in its kernel for a small network, and its first step imports torch's
compiler, 800 modules and about a second. Here the kernel is called directly. (Adam: Kingma and Ba, 2015. With decoupled
weight decay, which `optim.py` applies for every optimizer, it is AdamW: Loshchilov and Hutter, 2019.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Stepper(ABC):
    """What `optim.Optimizer` asks of an optimizer: `param_groups` with parameters and rate, `state`, `step`."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": list(params), "lr": lr}]
        self.state: dict[nn.Parameter, dict[str, Tensor]] = defaultdict(dict)

    @abstractmethod
    def step(self) -> None:
        """Move the parameters that have a gradient."""


class Adam(Stepper):
    """Running averages of the gradient and of its square, with bias correction, in one fused call."""

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(params, lr)
        self.betas, self.eps = betas, eps

    @torch.no_grad()
    def step(self) -> None:
        group = self.param_groups[0]
        moving = [p for p in group["params"] if p.grad is not None]
        if not moving:
            return
        states = [self._state(p) for p in moving]
        counts = [state["step"] for state in states]
        torch._foreach_add_(counts, 1)
        torch._fused_adamw_(
            moving,
            [p.grad for p in moving],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            counts,
            lr=group["lr"],
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=0.0,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )

    def _state(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        state = self.state[parameter]
        if not state:
            # In the memory format of the parameter: the fused kernel walks raw memory.
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state

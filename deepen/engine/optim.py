"""The optimizers: one table of names, fused where torch has it.

Sources: momentum, Polyak 1964; Nesterov 1983; Adagrad, Duchi et al. 2011; RMSprop, Hinton 2012; Adam, Kingma and Ba 2015;
AdamW, Loshchilov and Hutter 2019; Muon, Jordan et al. 2024. Weight decay is decoupled for all of them and acts on matrices
and filters only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepen.engine.muon import Muon
from deepen.engine.stepper import Adam, Stepper
from deepen.errors import unknown
from deepen.recipe import Optim

Parameters = list[nn.Parameter]


@dataclass(frozen=True)
class Kind:
    """An optimizer of the table: its usual rate and how it is built for some parameters."""

    lr: float
    build: Callable[[Parameters, Optim, float], torch.optim.Optimizer | Stepper]


OPTIMIZERS: dict[str, Kind] = {
    "sgd": Kind(0.1, lambda params, o, lr: torch.optim.SGD(params, lr, fused=_fused(params))),
    "momentum": Kind(
        0.02, lambda params, o, lr: torch.optim.SGD(params, lr, momentum=o.momentum, fused=_fused(params))
    ),
    "nesterov": Kind(
        0.02,
        lambda params, o, lr: torch.optim.SGD(params, lr, momentum=o.momentum, nesterov=True, fused=_fused(params)),
    ),
    "rmsprop": Kind(1e-3, lambda params, o, lr: torch.optim.RMSprop(params, lr, eps=o.eps)),
    "adagrad": Kind(1e-2, lambda params, o, lr: torch.optim.Adagrad(params, lr, eps=o.eps)),
    "adam": Kind(1e-3, lambda params, o, lr: Adam(params, lr, o.betas, o.eps)),
    "adamw": Kind(1e-3, lambda params, o, lr: Adam(params, lr, o.betas, o.eps)),
    "muon": Kind(0.02, lambda params, o, lr: Muon(params, lr, o.momentum)),
}

MUON_REST_LR = 0.12
"""Rate of AdamW for what muon does not take, as a share of muon's rate: 6e-3 beside 0.05."""


def _fused(params: Parameters) -> bool:
    return all(p.device.type in ("cpu", "cuda", "mps") and p.is_floating_point() for p in params)


def kind(config: Optim) -> Kind:
    """The optimizer that a recipe names."""
    if config.name not in OPTIMIZERS:
        raise unknown("optimizer", config.name, OPTIMIZERS)
    return OPTIMIZERS[config.name]


def peak_lr(config: Optim) -> float:
    """The rate of the recipe, or the optimizer's usual one."""
    return kind(config).lr if config.lr is None else config.lr


class Optimizer:
    """The optimizers of one part of a model, moved together by one learning-rate share."""

    def __init__(self, part: nn.Module, config: Optim) -> None:
        self.config = config
        self.lr = peak_lr(config)
        self.parameters = [p for p in part.parameters() if p.requires_grad]
        self.decayed = [p for p in self.parameters if p.ndim >= 2]
        self.members: list[tuple[torch.optim.Optimizer | Stepper, float]] = []
        """Each with its peak rate."""
        if config.name == "muon":
            # The first layer sees raw inputs and the last one answers: neither is a matrix between hidden spaces.
            matrices = self.decayed[1:-1]
            taken = {id(p) for p in matrices}
            rest = [p for p in self.parameters if id(p) not in taken]
            if matrices:
                self.members.append((OPTIMIZERS["muon"].build(matrices, config, self.lr), self.lr))
            if rest:
                lr = self.lr * MUON_REST_LR
                self.members.append((OPTIMIZERS["adamw"].build(rest, config, lr), lr))
        elif self.parameters:
            self.members.append((kind(config).build(self.parameters, config, self.lr), self.lr))

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Penalties, clipping, decay and the update, at `share` of the peak rate."""
        config = self.config
        if config.l1 or config.l2:
            self._penalise()
        if config.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, config.clip)
        if config.weight_decay:
            torch._foreach_mul_(list[Tensor](self.decayed), 1 - self.lr * share * config.weight_decay)
        for optimizer, lr in self.members:
            optimizer.param_groups[0]["lr"] = lr * share
            optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None

    def _penalise(self) -> None:
        """The gradients of l1 |w| + l2 w^2 / 2, added to those of the loss."""
        for weight in self.decayed:
            if weight.grad is not None:
                if self.config.l2:
                    weight.grad.add_(weight, alpha=self.config.l2)
                if self.config.l1:
                    weight.grad.add_(weight.sign(), alpha=self.config.l1)

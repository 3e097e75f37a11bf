"""The optimizers: one table of names, fused where torch has it.

Sources: momentum, Polyak 1964; Nesterov 1983; Adagrad, Duchi et al. 2011; RMSprop, Hinton 2012; Adam, Kingma and Ba 2015;
AdamW, Loshchilov and Hutter 2019; Muon, Jordan et al. 2024. Weight decay is decoupled for all of them and acts on matrices
and filters only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

    def __init__(self, part: nn.Module, config: Optim, shares: Mapping[nn.Parameter, float] | None = None) -> None:
        """`shares` of the rate, for parameters that learn more slowly than the rest."""
        self.config = config
        self.lr = peak_lr(config)
        self.parameters = [p for p in part.parameters() if p.requires_grad]
        self.decayed = [p for p in self.parameters if p.ndim >= 2]
        self.members: list[tuple[torch.optim.Optimizer | Stepper, float]] = []
        """Each with its peak rate."""
        share_of = [(p, (shares or {}).get(p, 1.0)) for p in self.parameters]
        self.levels = [
            (level, [p for p, share in share_of if share == level])
            for level in sorted({share for _, share in share_of}, reverse=True)
        ]
        """Parameters by their share of the rate."""
        # The first layer sees raw inputs and the last one answers: neither is a matrix between hidden spaces.
        matrices = {id(p) for p in self.decayed[1:-1]} if config.name == "muon" else set()
        for level, mine in self.levels:
            self._add(config.name, [p for p in mine if id(p) in matrices], self.lr * level)
            rest = [p for p in mine if id(p) not in matrices]
            if config.name == "muon":
                self._add("adamw", rest, self.lr * level * MUON_REST_LR)
            else:
                self._add(config.name, rest, self.lr * level)

    def _add(self, name: str, parameters: Parameters, lr: float) -> None:
        if parameters:
            self.members.append((OPTIMIZERS[name].build(parameters, self.config, lr), lr))

    @torch.no_grad()
    def step(self, share: float, *, bf16: bool = False) -> None:
        """Penalties, clipping, decay and the update, at `share` of the peak rate; `bf16` where the step's products were."""
        config = self.config
        if config.l1 or config.l2:
            self._penalise()
        if config.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, config.clip)
        if config.weight_decay:
            self._decay(share)
        for optimizer, lr in self.members:
            optimizer.param_groups[0]["lr"] = lr * share
            if isinstance(optimizer, Muon):
                optimizer.bf16 = bf16
            optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None

    def _decay(self, share: float) -> None:
        """Weights shrink at the rate at which they learn; frozen ones stay."""
        for level, parameters in self.levels:
            weights: list[Tensor] = [p for p in parameters if p.ndim >= 2 and p.requires_grad]
            if weights:
                torch._foreach_mul_(weights, 1 - self.lr * level * share * self.config.weight_decay)

    def _penalise(self) -> None:
        """The gradients of l1 |w| + l2 w^2 / 2, added to those of the loss."""
        for weight in self.decayed:
            if weight.grad is not None:
                if self.config.l2:
                    weight.grad.add_(weight, alpha=self.config.l2)
                if self.config.l1:
                    weight.grad.add_(weight.sign(), alpha=self.config.l1)

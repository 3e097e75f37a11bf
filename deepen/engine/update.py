"""Update: what a task calls with a loss.

One call does backward, accumulation, clipping, optimizer, schedule and the moving average of the weights, for one named
part of the model. A task that trains two networks in turn names the part; gradients reach the parameters of that part
only.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepen.engine import mode, schedule
from deepen.engine.body import body_of
from deepen.engine.optim import Optimizer
from deepen.errors import Misuse
from deepen.recipe import Optim, Schedule, Transfer
from deepen.tasks.base import Goal


class NonFiniteError(Exception):
    """A loss that is NaN or infinite, noticed before it reached the weights; or what of a state is, before it is saved."""


class Updater:
    """The `Update` of `tasks.base`, bound to a model."""

    def __init__(
        self,
        model: nn.Module,
        parts: dict[str, nn.Module],
        optim: Optim,
        rate: Schedule,
        goal: Goal,
        total_steps: int,
        device: torch.device,
        transfer: Transfer | None = None,
    ) -> None:
        self.model = model
        self._body = body_of(model, transfer, total_steps)
        # A body that stays frozen is no business of the optimizers; one that thaws later is theirs from the beginning.
        if self._body is not None:
            self._body.let_learn(self._body.thaw < math.inf)
        shares = None if self._body is None else self._body.shares
        self.optimizers = {name: Optimizer(part, optim, shares) for name, part in parts.items()}
        self.average = copy.deepcopy(model).requires_grad_(False) if optim.ema else None
        self.updates = 0
        """Calls of an optimizer so far; an acting task makes several in a step."""
        self.step = 0
        self.share = 0.0
        self._decay = optim.ema or 0.0
        self._rate = rate
        self._goal = goal
        self._total_steps = total_steps
        self._alone = len(parts) == 1
        self._weight = 1.0
        self._complete = True
        self._device = device
        self._pairs = self._averaged_pairs()

    @property
    def lr(self) -> float:
        """The rate of the first part in this step."""
        return next(iter(self.optimizers.values())).lr * self.share

    def begin(self, step: int, values: Sequence[float]) -> None:
        """Before a step: the rate is a function of the step and of the goal's values at the evaluations so far."""
        signed = values if self._goal.best == "max" else [-value for value in values]
        self.step = step
        self.share = schedule.factor(self._rate, step, self._total_steps, signed)
        if self._body is not None and self._body.let_learn(self._body.learns_at(step)):
            mode.train(self.model)

    def portion(self, weight: float, *, complete: bool) -> None:
        """Before a piece of a batch: its share of the batch, and whether it is the last."""
        self._weight, self._complete = weight, complete

    def __call__(self, loss: Tensor, part: str = "model") -> None:
        if part not in self.optimizers:
            raise Misuse(f"The task updates the part '{part}', but names the parts {', '.join(self.optimizers)}.")
        optimizer = self.optimizers[part]
        if (
            self._device.type == "cpu" and not torch.isfinite(loss).item()
        ):  # no wait on the CPU; elsewhere the log tick looks
            raise NonFiniteError
        scaled = loss if self._weight == 1.0 else loss * self._weight
        if torch.is_autocast_enabled(self._device.type):
            with torch.autocast(self._device.type, enabled=False):
                self._backward(scaled, optimizer, bf16=True)
            torch.clear_autocast_cache()  # the cast copies of the weights are stale after the step
        else:
            self._backward(scaled, optimizer, bf16=False)

    def _backward(self, loss: Tensor, optimizer: Optimizer, *, bf16: bool) -> None:
        if self._alone:
            loss.backward()
        else:
            loss.backward(inputs=optimizer.parameters)
        if self._complete:
            optimizer.step(self.share, bf16=bf16)
            self.updates += 1
            if self.average is not None:
                self._follow()

    @torch.no_grad()
    def _follow(self) -> None:
        """Moving average, with a short memory at first so that the random start is forgotten."""
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        averages, current, copies = self._pairs
        torch._foreach_lerp_(averages, current, 1 - decay)
        for average, value in copies:
            average.copy_(value)

    def _averaged_pairs(self) -> tuple[list[Tensor], list[Tensor], list[tuple[Tensor, Tensor]]]:
        if self.average is None:
            return [], [], []
        mine, theirs = self.average.state_dict(), self.model.state_dict()
        # Tied weights have several names and are one tensor, which must be moved once.
        mine = dict({(value.data_ptr(), value.shape): (name, value) for name, value in mine.items()}.values())
        floating = [name for name in mine if mine[name].is_floating_point()]
        copies = [(mine[name], theirs[name]) for name in mine if not mine[name].is_floating_point()]
        return [mine[name] for name in floating], [theirs[name] for name in floating], copies

    def state(self) -> dict[str, Tensor]:
        """Everything that moves, by name; a resumed run continues from it bit for bit."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for part, optimizer in self.optimizers.items():
            names = self._names()
            for number, (member, _) in enumerate(optimizer.members):
                for parameter, values in member.state.items():
                    for key, value in values.items():
                        assert isinstance(value, Tensor), f"optimizer state {key} is not a tensor"
                        tensors[f"optim.{part}.{number}.{names[id(parameter)]}/{key}"] = value
        return tensors

    def load(self, tensors: dict[str, Tensor], updates: int) -> None:
        """The inverse of `state`."""
        self.updates = updates
        _copy_into(self.model, tensors, "model.")
        if self.average is not None:
            _copy_into(self.average, tensors, "average.")
        by_name = dict(self.model.named_parameters())
        for part, optimizer in self.optimizers.items():
            for number, (member, _) in enumerate(optimizer.members):
                prefix = f"optim.{part}.{number}."
                for key in [key for key in tensors if key.startswith(prefix)]:
                    name, _, field = key[len(prefix) :].rpartition("/")
                    saved, parameter = tensors[key], by_name[name]
                    if field != "step" and saved.shape == parameter.shape:
                        # Fused optimizers walk raw memory: state must lie as its parameter does, not as in the file.
                        fresh = torch.empty_like(parameter, dtype=saved.dtype, requires_grad=False)
                    else:
                        # They count steps where the parameter is, the others on the CPU.
                        place = parameter.device if member.param_groups[0].get("fused") else "cpu"
                        fresh = torch.empty_like(saved, device=place)
                    member.state[parameter][field] = fresh.copy_(saved)

    def _names(self) -> dict[int, str]:
        return {id(parameter): name for name, parameter in self.model.named_parameters()}


@torch.no_grad()
def _copy_into(module: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    for name, value in module.state_dict().items():
        value.copy_(tensors[prefix + name])

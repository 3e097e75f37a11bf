"""Learning-rate finder: raise the rate from tiny to huge over a short sweep and look where the loss falls (Smith, 2017).

The rate that is taken is a third of the one at which the smoothed loss was lowest: well before it turned.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from deepen.data.loader import Loader
from deepen.engine import mode
from deepen.engine.body import thawed
from deepen.engine.update import NonFiniteError, Updater
from deepen.errors import Problem
from deepen.randomness import reseed
from deepen.recipe import Recipe, Schedule
from deepen.tasks.base import Task

STEPS = 100
LOWEST, HIGHEST = 1e-6, 3.0
SMOOTHING = 0.9
DIVERGED = 4.0
"""Times the lowest loss at which the sweep stops."""
BEFORE_THE_LOWEST = 1 / 3


@dataclass(frozen=True)
class Sweep:
    """What a sweep showed."""

    lr: float
    """The rate that was found."""
    points: list[tuple[float, float]]
    """(rate, smoothed loss)."""


def find(model: nn.Module, task: Task, recipe: Recipe, loader: Loader, device: torch.device) -> Sweep:
    """A good peak rate for this model, task and data. The model is not changed."""
    scratch = copy.deepcopy(model)
    optim = replace(recipe.optim, lr=HIGHEST, ema=None)
    parts, constant = task.parts(scratch), Schedule(name="constant")
    updater = Updater(scratch, parts, optim, constant, task.goal, STEPS, device, thawed(recipe.transfer))
    mode.train(scratch)
    smooth, lowest, found = 0.0, math.inf, None
    points: list[tuple[float, float]] = []
    for step, batch in zip(range(STEPS), loader.stream(0), strict=False):
        rate = LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
        reseed(recipe.seed, "find-lr", step)
        updater.begin(step, [])
        updater.share = rate / HIGHEST
        try:
            numbers = task.step(scratch, batch, updater)
        except NonFiniteError:
            break
        if "loss" not in numbers:
            raise Problem(f"fit.find_lr=true follows one loss; the task '{recipe.task_name}' has {', '.join(numbers)}.")
        smooth = SMOOTHING * smooth + (1 - SMOOTHING) * float(numbers["loss"])
        value = smooth / (1 - SMOOTHING ** (step + 1))
        points.append((rate, value))
        if value < lowest:
            lowest, found = value, rate
        if value > DIVERGED * lowest:
            break
    if found is None:
        raise Problem("fit.find_lr=true found no rate at which the loss falls. Set optim.lr yourself.")
    return Sweep(found * BEFORE_THE_LOWEST, points)

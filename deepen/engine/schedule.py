"""Learning-rate schedules: the rate as a function of (step, validation history), never a state.

Sources: cosine with warm-up, Loshchilov and Hutter 2017 (SGDR); cyclic, Smith 2017; one-cycle, Smith and Topin 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepen.errors import unknown
from deepen.recipe import Schedule

ONE_CYCLE_RISE = 0.25
ONE_CYCLE_START = 0.04
CYCLIC_LOW = 0.1


@dataclass(frozen=True)
class Moment:
    """What a schedule may look at."""

    progress: float
    """Share of the training that is done, 0 to 1."""
    values: Sequence[float] = ()
    """Goal metric at each evaluation so far, as "higher is better"."""


def constant(config: Schedule, now: Moment) -> float:
    return 1.0


def step(config: Schedule, now: Moment) -> float:
    """A drop by `gamma` after each `every` of the training."""
    return max(config.floor, config.gamma ** math.floor(now.progress / config.every + 1e-9))


def exponential(config: Schedule, now: Moment) -> float:
    """From the peak to `gamma` of it, by the same factor at each step."""
    return max(config.floor, config.gamma**now.progress)


def cosine(config: Schedule, now: Moment) -> float:
    """After the warm-up, half a cosine from the peak to the floor."""
    done = max(0.0, (now.progress - config.warmup) / max(1e-12, 1 - config.warmup))
    return config.floor + (1 - config.floor) * 0.5 * (1 + math.cos(math.pi * done))


def cyclic(config: Schedule, now: Moment) -> float:
    """A triangle between a tenth of the peak (or the floor) and the peak, one in each `every` of the training."""
    low = config.floor or CYCLIC_LOW
    phase = now.progress / config.every % 1.0
    return low + (1 - low) * (1 - abs(2 * phase - 1))


def one_cycle(config: Schedule, now: Moment) -> float:
    """Up from 4 % of the peak in the rising part, then down to the floor, both along half a cosine."""
    rise = config.warmup or ONE_CYCLE_RISE
    if now.progress < rise:
        return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * 0.5 * (1 - math.cos(math.pi * now.progress / rise))
    done = (now.progress - rise) / max(1e-12, 1 - rise)
    return config.floor + (1 - config.floor) * 0.5 * (1 + math.cos(math.pi * done))


def plateau(config: Schedule, now: Moment) -> float:
    """A drop by `gamma` each time `patience` evaluations in a row brought nothing better."""
    drops, waiting, best = 0, 0, -math.inf
    for value in now.values:
        if value > best:
            best, waiting = value, 0
        else:
            waiting += 1
        if waiting >= config.patience:
            drops, waiting = drops + 1, 0
    return max(config.floor, config.gamma**drops)


SCHEDULES: dict[str, Callable[[Schedule, Moment], float]] = {
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "cosine": cosine,
    "cyclic": cyclic,
    "one-cycle": one_cycle,
    "plateau": plateau,
}


def find(config: Schedule) -> Callable[[Schedule, Moment], float]:
    """The schedule that a recipe names."""
    if config.name not in SCHEDULES:
        raise unknown("schedule", config.name, SCHEDULES)
    return SCHEDULES[config.name]


def factor(config: Schedule, step_number: int, total: int, values: Sequence[float] = ()) -> float:
    """The share of the peak rate at a step (0-based) of `total`."""
    progress = step_number / max(1, total)
    share = find(config)(config, Moment(progress, values))
    rising = config.warmup > 0 and config.name != "one-cycle" and progress < config.warmup
    return share * min(1.0, (progress + 1 / max(1, total)) / config.warmup) if rising else share

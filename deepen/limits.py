"""What range each setting of a recipe makes sense in, so that a slip is told before anything is read or trained."""

from __future__ import annotations

import math

from deepen.errors import Misuse
from deepen.recipe import Recipe

COUNT = (1, math.inf, "1 or more")
POSITIVE = (math.ulp(0.0), math.inf, "more than 0")
NOT_NEGATIVE = (0, math.inf, "0 or more")
BELOW_ONE = (0, math.nextafter(1.0, 0.0), "a number from 0 to below 1")
SHARE = (0, 1, "a number from 0 to 1")

LIMITS: dict[str, tuple[float, float, str]] = {
    "optim.lr": POSITIVE,
    "optim.weight_decay": NOT_NEGATIVE,
    "optim.momentum": BELOW_ONE,
    "optim.betas": BELOW_ONE,
    "optim.eps": POSITIVE,
    "optim.l1": NOT_NEGATIVE,
    "optim.l2": NOT_NEGATIVE,
    "optim.clip": POSITIVE,
    "optim.ema": BELOW_ONE,
    "schedule.warmup": BELOW_ONE,
    "schedule.floor": SHARE,
    "schedule.every": (math.ulp(0.0), 1, "a share above 0 and up to 1"),
    "schedule.gamma": (math.ulp(0.0), 1, "a factor above 0 and up to 1"),
    "schedule.patience": COUNT,
    "transfer.body_lr": (math.ulp(0.0), 1, "a share above 0 and up to 1"),
    "transfer.head_first": BELOW_ONE,
    "fit.epochs": NOT_NEGATIVE,
    "fit.minutes": POSITIVE,
    "fit.batch_size": COUNT,
    "fit.accumulate": COUNT,
    "fit.evaluate_epochs": POSITIVE,
    "fit.patience": COUNT,
    "fit.min_delta": NOT_NEGATIVE,
    "fit.save_steps": COUNT,
    "fit.log_steps": COUNT,
}


def check(recipe: Recipe) -> None:
    """Raise `Misuse` for the first setting that is out of its range."""
    values = recipe.keys()
    for key, (low, high, expected) in LIMITS.items():
        value = values[key]
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not low <= number <= high:
                raise Misuse(f"{key}={number:g} is not usable: expected {expected}.")

"""An environment of gymnasium, by its id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

NEEDS = {
    "control": lambda folder: {
        "task.num_envs": 4,
        "task.rollout": 16,
        "task.minibatch": 32,
        "fit.epochs": 6,
        "fit.evaluate_epochs": 3,
    }
}


def make(folder: Path) -> str:
    return "CartPole-v1"


BREAKS: dict[str, tuple[Callable[[str], None], str]] = {}

"""PPO on CartPole-v1: environment steps per second while training, and what comes of a whole training.

A slice is about as many environment steps for every side. Deepen runs once as it comes, with many copies of the environment,
and once with the sizes of the script, so that one sees what the loop and what the setting is worth.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import timing
from bench.timing import Result, Slice, interleave, spread

SLICE = 32 * 512
SIDES = {
    "deepen_default": "**Deepen**, as it comes",
    "deepen_small": "Deepen with the script's sizes (4 copies, 128 steps, 4 passes, 4 minibatches)",
    "script": "one-file PPO in the manner of CleanRL",
}


def run(rounds: int, quick: bool) -> Result:
    times = interleave("ppo", list(SIDES), rounds)
    speeds = {side: [1 / value for value in values] for side, values in times.items()}
    lines = [
        (text, spread(speeds[side], "{:.0f}"), timing.ratio(speeds[side], speeds["script"]))
        for side, text in SIDES.items()
    ]
    notes = [f"Speed: slices of about {SLICE} environment steps, {rounds} rounds, the warm-up round dropped."]
    notes += [] if quick else whole(rounds)
    columns = ("side", "environment steps per second of training", "against the script")
    return Result("PPO on CartPole-v1", columns, lines, notes)


def whole(rounds: int) -> list[str]:
    """Whole trainings: Deepen with as many seeds as there are rounds, the script once."""
    seconds, returns = [], []
    for seed in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            done, answer = timing.deepen("train", "CartPole-v1", f"seed={seed}", directory=Path(home))
            _, score = timing.deepen("evaluate", answer["run"], directory=Path(home))
        seconds.append(done.seconds)
        returns.append(score["metrics"]["return"])
    script = timing.command(sys.executable, "-m", "bench.plain.ppo")
    found = re.search(r"mean return ([\d.]+)", script.output)
    assert found
    return [
        f"Whole `deepen train CartPole-v1`, seeds 0 to {rounds - 1}: {spread(seconds)} s, mean return of the sealed "
        f"evaluation episodes {spread(returns)}.",
        f"Whole script, 500,000 steps: {script.seconds:.0f} s, mean return of 100 greedy episodes {found[1]}.",
    ]


def deepen_default() -> Slice:
    return deepen(2, {})


def deepen_small() -> Slice:
    sizes = {"task.num_envs": 4, "task.rollout": 128, "task.passes": 4, "task.minibatch": 128}
    return deepen(SLICE // 512, sizes)


def deepen(updates: int, sizes: dict[str, Any]) -> Slice:
    import deepen

    lengths: dict[str, Any] = {"fit.epochs": updates + 1, "fit.evaluate_epochs": updates + 1, "fit.log_steps": 1}

    def one() -> float:
        trained = deepen.train("CartPole-v1", **lengths, **sizes)
        task = trained.recipe.task
        ticks = [row for row in trained.folder.speed_rows() if "steps_per_second" in row]
        seconds = sum(later["seconds"] - earlier["seconds"] for earlier, later in pairwise(ticks))
        return seconds / ((len(ticks) - 1) * task.num_envs * task.rollout)

    return one


def script() -> Slice:
    from bench.plain.ppo import BATCH, Trainer

    trainer = Trainer(500_000)

    def one() -> float:
        start = time.perf_counter()
        for _ in range(SLICE // BATCH):
            trainer.update()
        return (time.perf_counter() - start) / SLICE

    return one

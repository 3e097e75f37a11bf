"""The accuracy runs of docs/results.md, on real data: `make results`. Slow, so marked, and not part of `make test`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ledger import Measured, record

FIVE, THREE, TWO = (0, 1, 2, 3, 4), (0, 1, 2), (0, 1)


@dataclass(frozen=True)
class Goal:
    """A line of the table: what is trained, and what it should reach."""

    name: str
    words: str
    metric: str
    target: float | None
    reference: str
    seeds: tuple[int, ...] = FIVE
    percent: bool = True
    most_whole_seconds: float | None = None
    """Limit for the whole command."""
    most_training_seconds: float | None = None


GOALS = [
    Goal("digits", "digits", "accuracy", 97.5, "-"),
    Goal(
        "MNIST, MLP 784-128-256-10",
        "mnist --model mlp",
        "accuracy",
        98.6,
        "beginner's script 96.8 after 16 epochs; 250-100 MLP with augmentation 98.37",
    ),
    Goal("MNIST", "mnist", "accuracy", 99.5, "beginner's script 99.28 after 10 epochs; PyTorch example 99.19"),
    Goal(
        "MNIST, given a minute",
        "mnist fit.epochs=9.5 augment.rotate=8 augment.scale=0.08",
        "accuracy",
        99.6,
        "-",
        TWO,
        most_training_seconds=60,
    ),
    Goal("MNIST, five seconds", "mnist fit.epochs=0.75", "accuracy", 99.0, "-", FIVE, most_training_seconds=5),
    Goal(
        "Fashion-MNIST",
        "fashion-mnist",
        "accuracy",
        93.5,
        "2 conv under 100 K parameters 92.5; DenseNet-BC 95.4",
        TWO,
        most_whole_seconds=180,
    ),
    Goal("CartPole-v1", "CartPole-v1", "return", 475, "PPO 490 to 500", THREE, percent=False, most_whole_seconds=90),
]


@pytest.mark.results
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("goal", GOALS, ids=[goal.name for goal in GOALS])
def test_reaches_its_target(goal: Goal, tmp_path: Path) -> None:
    data = os.environ.get("DEEPEN_DATA")
    if data is None:
        pytest.skip("DEEPEN_DATA is not set: it names the folder with the real data")
    words = goal.words.format(data=data).split()
    values, whole, training = [], [], []
    for seed in goal.seeds:
        started = time.perf_counter()
        result = deepen(tmp_path, "train", *words, f"seed={seed}")
        whole.append(time.perf_counter() - started)
        training.append(result["seconds"])
        metrics = deepen(tmp_path, "evaluate", result["run"])["metrics"]
        values.append(metrics[goal.metric] * (100 if goal.percent else 1))
    command = "deepen train " + goal.words.format(data="$DEEPEN_DATA")
    row = Measured(
        goal.name,
        command,
        goal.metric,
        values,
        goal.target,
        goal.reference,
        whole,
        training,
        note=over_time(goal, whole, training),
    )
    record(row)
    assert row.reached, f"{row.name}: {row.values} against {row.target}"
    assert not row.note, row.note


def over_time(goal: Goal, whole: list[float], training: list[float]) -> str:
    """A sentence where a time limit was missed."""
    if goal.most_whole_seconds is not None and max(whole) > goal.most_whole_seconds:
        return f"**missed** its limit of {goal.most_whole_seconds:g} s for the whole command: {max(whole):.1f} s."
    if goal.most_training_seconds is not None and max(training) > goal.most_training_seconds:
        return f"**missed** its limit of {goal.most_training_seconds:g} s of training: {max(training):.1f} s."
    return ""


def deepen(folder: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "deepen", *words, "--json"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content

"""CIFAR-10 from its archive of JPEG files: what 120 s of training on this machine are worth.

`deepen train cifar10.tar.gz` with the time limit beside a plain ResNet-18 loop that stops at the same limit. The loop's
reading, and its test afterwards, are not counted; nor is Deepen's decoding, which happens once and is kept.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import timing
from bench.timing import DATA, Result, spread, tell

SECONDS = 120


def run(rounds: int, quick: bool) -> Result:
    seconds = 10 if quick else SECONDS
    archive = str(DATA / "cifar10" / "cifar10.tar.gz")
    found: dict[str, list[tuple[float, int, float]]] = {"deepen": [], "sgd": [], "adam": []}
    answer: dict[str, Any] = {}
    walls: list[float] = []
    for seed in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            words = ("train", archive, f"fit.minutes={seconds / 60:g}", f"seed={seed}")
            done, answer = timing.deepen(*words, directory=Path(home))
            _, score = timing.deepen("evaluate", answer["run"], directory=Path(home))
        walls.append(done.seconds)
        found["deepen"].append((100 * score["metrics"]["accuracy"], answer["steps"], answer["seconds"]))
        for name in ("sgd", "adam"):
            plain = timing.command(sys.executable, "-m", "bench.plain.resnet", str(seconds), name)
            steps, spent, accuracy = re.findall(r"[\d.]+", plain.output)
            found[name].append((100 * float(accuracy), int(steps), float(spent)))
        tell(
            f"  round {seed + 1}/{rounds}: " + ", ".join(f"{name} {side[-1][0]:.1f} %" for name, side in found.items())
        )
    texts = {
        "deepen": f"**`deepen train cifar10.tar.gz fit.minutes={seconds / 60:g}`** ({answer['model']})",
        "sgd": "plain ResNet-18 loop, SGD 0.1 with momentum 0.9 and weight decay 5e-4",
        "adam": "plain ResNet-18 loop, Adam 1e-3",
    }
    lines = [
        (
            text,
            spread([hit for hit, _, _ in found[side]], "{:.2f}"),
            spread([steps for _, steps, _ in found[side]], "{:.0f}"),
            spread([spent for _, _, spent in found[side]]),
        )
        for side, text in texts.items()
    ]
    notes = (
        f"{rounds} rounds in turns, Deepen with seeds 0 to {rounds - 1}; both loops: eager float32, batch 128, pictures in "
        "memory, crop and flip a batch at a time, all 50,000 training pictures; Deepen keeps a part for validation.",
        f"Whole Deepen command, with reading, validation and report: {spread(walls)} s (the first may decode the archive).",
    )
    columns = ("side", "test accuracy, %", "steps", "seconds of training")
    return Result(f"CIFAR-10 (JPEG copy) in {seconds} s of training", columns, lines, notes)

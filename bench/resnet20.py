"""CIFAR-10 from its archive of JPEG files with the paper's ResNet-20: what 2 and 10 minutes of training are worth.

`deepen train cifar10.tar.gz --model resnet20` with the time limit beside a plain loop of the same network that stops at the
same limit. The loop's reading, and its test afterwards, are not counted; nor is Deepen's decoding, which happens once and is
kept. Each side opens the test split once, after its training.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from bench import timing
from bench.timing import DATA, Result, spread, tell

LIMITS = (120, 600)


def run(rounds: int, quick: bool) -> Result:
    archive = str(DATA / "cifar10" / "cifar10.tar.gz")
    limits = (10,) if quick else LIMITS
    found: dict[tuple[str, int], list[tuple[float, int, float]]] = {}
    plans: set[str] = set()
    for seed in range(rounds):
        for seconds in limits:
            words = ("train", archive, "--model", "resnet20", f"fit.minutes={seconds / 60:g}", f"seed={seed}")
            with tempfile.TemporaryDirectory() as home:
                _, answer = timing.deepen(*words, directory=Path(home))
                _, score = timing.deepen("evaluate", answer["run"], directory=Path(home))
            plans.add(answer["plan"])
            ours = (100 * score["metrics"]["accuracy"], answer["steps"], answer["seconds"])
            plain = timing.command(sys.executable, "-m", "bench.plain.resnet20", str(seconds))
            steps, spent, accuracy = re.findall(r"[\d.]+", plain.output)
            theirs = (100 * float(accuracy), int(steps), float(spent))
            found.setdefault(("deepen", seconds), []).append(ours)
            found.setdefault(("plain", seconds), []).append(theirs)
            tell(f"  round {seed + 1}/{rounds}, {seconds} s: deepen {ours[0]:.2f} %, plain {theirs[0]:.2f} %")
    lines = []
    for (side, seconds), looks in found.items():
        ours = f"**`deepen train cifar10.tar.gz --model resnet20 fit.minutes={seconds / 60:g}`**"
        lines.append(
            (
                ours if side == "deepen" else f"plain ResNet-20 loop, {seconds} s",
                spread([hit for hit, _, _ in looks], "{:.2f}"),
                spread([steps for _, steps, _ in looks], "{:.0f}"),
                spread([spent for _, _, spent in looks]),
            )
        )
    notes = (
        f"{rounds} rounds in turns, Deepen with seeds 0 to {rounds - 1} and plan {' or '.join(sorted(plans))}; the loop: eager "
        "float32, batch 128, SGD 0.1 with momentum 0.9 and weight decay 1e-4 along half a cosine over its time, pictures in "
        "memory, crop and flip a batch at a time, all 50,000 training pictures; Deepen keeps a part for validation.",
        "The paper's 91.25 % take 64,000 steps, and lossless pictures.",
    )
    columns = ("side", "test accuracy, %", "steps", "seconds of training")
    return Result("ResNet-20 on CIFAR-10 (JPEG copy) within minutes", columns, lines, notes)

"""Tiny Shakespeare by characters: how long a GPT of nanoGPT's size for processors learns until its validation loss is 1.88.

Deepen's side is `deepen train shakespeare` with that network (4 layers, 4 heads, 128 numbers, 64 characters) and the rest of its
own recipe; the plain side is the loop of bench/plain/gpt.py with nanoGPT's settings, 2,000 iterations of 12 windows. Then what
`deepen train shakespeare` reaches within five minutes as it comes.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import timing
from bench.timing import Result, spread, tell

TARGET = 1.88
ITERATIONS, EVERY = 2000, 250
SIZE = ("--model", "gpt", "data.length=64", "model.layers=4", "model.heads=4", "model.width=128")
LENGTH = ("fit.batch_size=32", "fit.epochs=1", "fit.evaluate_epochs=0.1")
MOST_ROUNDS = 2
"""A round takes minutes."""


def run(rounds: int, quick: bool) -> Result:
    rounds = min(rounds, MOST_ROUNDS)
    ours, theirs = [], []
    for seed in range(rounds):
        settings = (*LENGTH, f"fit.until={TARGET}") if not quick else ("fit.batch_size=32", "fit.epochs=0.05")
        ours.append(trained(*SIZE, *settings, f"seed={seed}"))
        words = [str(number) for number in ((60, 30, seed) if quick else (ITERATIONS, EVERY, seed))]
        theirs.append(looks(timing.command(sys.executable, "-m", "bench.plain.gpt", *words).output))
        tell(f"  round {seed + 1}/{rounds}: deepen {ours[-1]['looks'][-1]}, plain {theirs[-1][-1]}")
    whole = trained("fit.epochs=0.02" if quick else "fit.minutes=5")
    mine, other = [reached(one["looks"]) for one in ours], [reached(one) for one in theirs]
    gains = [b[0] / a[0] for a, b in zip(mine, other, strict=True)]
    steps = statistics.median(one["steps"] for one in ours)
    lines = (
        (f"**`deepen train shakespeare {' '.join((*SIZE, *LENGTH))}`**", *shown(mine), "1"),
        (f"plain loop, nanoGPT's settings, {ITERATIONS:,} iterations", *shown(other), spread(gains, "{:.2f}")),
        ("**`deepen train shakespeare fit.minutes=5`**", *shown([best(whole["looks"])]), ""),
    )
    never = sum(loss > TARGET for _, loss in other)
    notes = (
        f"Seconds of training until a look at the whole validation split (the last tenth) finds {TARGET} or less, else "
        "until its end; the looks themselves are not counted on either side. Each side has its own schedule, laid over "
        f"the whole of its training. {rounds} rounds in turns; the last column is a side's time over Deepen's in the same round.",
        f"The plain loop ended above {TARGET} in {never} of {rounds} rounds (nanoGPT's figure is an estimate from 20 batches; "
        "here it is the whole split, in windows that follow each other): its time is then that of all its iterations.",
        f"Deepen: muon, {steps:.0f} steps of 32 windows, plan {ours[0]['plan']}. Last line: the recipe as it comes, once; "
        f"its best loss, {whole['steps']:,} steps, {whole['parameters']:,} parameters, plan {whole['plan']}, "
        f"{whole['seconds']:.0f} s of training, looks included.",
    )
    return Result(
        "Tiny Shakespeare, by characters", ("side", "seconds", "validation loss", "against Deepen"), lines, notes
    )


def trained(*words: str) -> dict[str, Any]:
    """What `deepen train` answers, with its looks: (seconds of training before it, loss)."""
    with tempfile.TemporaryDirectory() as home:
        _, answer = timing.deepen("train", "shakespeare", *words, directory=Path(home))
        from deepen import Run

        folder = Run(Path(home) / answer["run"]).folder
        losses = {row["step"]: row["validation/loss"] for row in folder.rows() if "validation/loss" in row}
        spent, found = 0.0, []
        for row in folder.speed_rows():
            if "evaluation_seconds" in row:
                spent += row["evaluation_seconds"]
                found.append((row["seconds"] - spent, losses[row["step"]]))
    return answer | {"looks": found}


def looks(output: str) -> list[tuple[float, float]]:
    """The same of the plain loop."""
    return [(float(a), float(b)) for a, b in re.findall(r"seconds ([\d.]+) validation loss ([\d.]+)", output)]


def reached(found: list[tuple[float, float]]) -> tuple[float, float]:
    """The first look that is good enough, else the last one."""
    return next((one for one in found if one[1] <= TARGET), found[-1])


def best(found: list[tuple[float, float]]) -> tuple[float, float]:
    return min(found, key=lambda one: one[1])


def shown(found: list[tuple[float, float]]) -> tuple[str, str]:
    return spread([seconds for seconds, _ in found]), spread([loss for _, loss in found], "{:.3f}")

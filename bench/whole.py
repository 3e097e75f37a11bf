"""A whole script beside a whole `deepen train`, in turns: wall time of the commands, and accuracy on the test set."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import timing
from bench.timing import Result, ratio, spread, tell


def beside(title: str, script: str, epochs: int, words: tuple[str, ...], rounds: int, quick: bool) -> Result:
    """`rounds` turns of the script for its `epochs` (one when quick) and of Deepen, each with the next seed."""
    epochs = 1 if quick else epochs
    words = (*words, "fit.epochs=1") if quick else words
    ours, theirs, looks, training, memory = [], [], [], [], []
    hits: dict[str, list[float]] = {"ours": [], "theirs": []}
    answer: dict[str, Any] = {}
    for seed in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            done, answer = timing.deepen(*words, f"seed={seed}", directory=Path(home))
            look, score = timing.deepen("evaluate", answer["run"], directory=Path(home))
        ours.append(done.seconds)
        memory.append(done.peak_megabytes)
        training.append(answer["seconds"])
        looks.append(look.seconds)
        hits["ours"].append(100 * score["metrics"]["accuracy"])
        plain = timing.command(sys.executable, "-m", script, str(epochs))
        theirs.append(plain.seconds)
        hits["theirs"].append(100 * float(re.findall(r"test accuracy ([\d.]+)", plain.output)[-1]))
        tell(f"  round {seed + 1}/{rounds}: {ours[-1]:.1f} s, {hits['ours'][-1]:.2f} %; script {theirs[-1]:.1f} s")
    lines = (
        (f"**`deepen {' '.join(words)}`**", spread(ours), spread(hits["ours"], "{:.2f}"), "1"),
        (f"`python -m {script} {epochs}`", spread(theirs), spread(hits["theirs"], "{:.2f}"), ratio(theirs, ours)),
    )
    notes = (
        f"{rounds} rounds in turns, Deepen with seeds 0 to {rounds - 1}; wall time of the whole command. The last column "
        "is the script's time over Deepen's in the same round.",
        f"Of Deepen's time {spread(training)} s were training ({answer['model']}, {answer['parameters']} parameters, "
        f"plan {answer['plan']}). Its test accuracy is that of the weights chosen on validation, from `deepen evaluate` "
        f"afterwards, which takes {spread(looks)} s more and counts its look; the script's is that of its last epoch.",
        f"Peak memory of Deepen's command: {spread(memory, '{:.0f}')} MB.",
    )
    return Result(title, ("command", "seconds", "test accuracy, %", "against Deepen"), lines, notes)

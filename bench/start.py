"""How long the first answer takes, and how much memory a training needs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench import timing
from bench.timing import DEEPEN, Result, spread

TURNS = 3
COMMANDS = {
    "`deepen --help`": (str(DEEPEN), "--help"),
    "`python -c 'import deepen'`": (sys.executable, "-c", "import deepen"),
    "`python -c 'import torch'`": (sys.executable, "-c", "import torch"),
    "`python -c pass`": (sys.executable, "-c", "pass"),
}


def run(rounds: int, quick: bool) -> Result:
    turns = rounds * TURNS
    times: dict[str, list[float]] = {text: [] for text in COMMANDS}
    for words in COMMANDS.values():
        timing.command(*words)  # the first one reads the files from disk
    for _ in range(turns):
        for text, words in COMMANDS.items():
            times[text].append(timing.command(*words).seconds)
    lines = [(text, spread(values, "{:.3f}"), "") for text, values in times.items()]
    trainings = {
        "`deepen train mnist`": ("train", "mnist"),
        "`deepen train mnist --model mlp`": ("train", "mnist", "--model", "mlp"),
    }
    for text, words in trainings.items():
        with tempfile.TemporaryDirectory() as home:
            done, _ = timing.deepen(*words, *(("fit.epochs=1",) if quick else ()), directory=Path(home))
        lines.append((text, f"{done.seconds:.1f}", f"{done.peak_megabytes:.0f}"))
    notes = (
        f"The short commands: {turns} turns each, interleaved, after one that fills the file cache. The trainings: once "
        "each, whole command. Memory is the largest resident size of the process.",
    )
    return Result("Start and memory", ("command", "seconds", "peak memory, MB"), lines, notes)

"""Two months of hours: a daily swing, a trend and what nobody knows; a moment and a value are missing."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from pathlib import Path

SETTINGS = {"data.lookback": 24, "data.horizon": 6, "fit.batch_size": 16}
NEEDS = {
    "classify": lambda folder: {"data.target": "shift"},
    "regress": lambda folder: {"data.target": "load"},
}


def make(folder: Path, hours: int = 300) -> str:
    draws, start = random.Random(1), datetime(2024, 2, 20)
    lines = ["time,load,température,shift"]
    for hour in range(hours):
        if hour == 77:
            continue
        swing = math.sin(2 * math.pi * hour / 24)
        load = f"{50 + 20 * swing + hour / 50 + draws.gauss(0, 2):.2f}"
        warmth = "" if hour == 100 else f"{10 - 5 * swing + draws.gauss(0, 1):.2f}"
        lines.append(f"{start + timedelta(hours=hour)},{load},{warmth},{hour % 24 // 8}")
    path = folder / "load.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def _lines(source: str) -> list[str]:
    return Path(source).read_text(encoding="utf-8").splitlines()


def _keep(source: str, lines: list[str]) -> None:
    Path(source).write_text("\n".join(lines) + "\n", encoding="utf-8")


BREAKS = {
    "too short for its windows": (lambda source: _keep(source, _lines(source)[:40]), "moments"),
    "a constant column": (
        lambda source: _keep(
            source, [f"{line},{'calm' if row == 0 else 7}" for row, line in enumerate(_lines(source))]
        ),
        "'calm' is constant",
    ),
    "a ragged row": (lambda source: _keep(source, [*_lines(source), "2024-03-04 12:00:00,1"]), "line 301"),
}

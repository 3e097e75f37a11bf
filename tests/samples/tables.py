"""A table with two numbers, a word and a class."""

from __future__ import annotations

import random
from pathlib import Path

SETTINGS = {"fit.batch_size": 16}
NEEDS = {"regress": lambda folder: {"data.target": "x1"}}


def make(folder: Path) -> str:
    draws = random.Random(1)
    lines = ["x1,x2,shade,kind"]
    for _ in range(90):
        a, b = draws.gauss(0, 1), draws.gauss(0, 1)
        lines.append(f"{a:.3f},{b:.3f},{draws.choice(['dark', 'bright'])},{'yes' if a + b > 0 else 'no'}")
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def _add(source: str, line: bytes) -> None:
    with Path(source).open("ab") as file:
        file.write(line + b"\n")


BREAKS = {
    "a ragged row": (lambda source: _add(source, b"1,2"), "line 92"),
    "nothing but a header": (lambda source: Path(source).write_text("x1,x2,kind\n"), "row"),
}

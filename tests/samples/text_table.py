"""A table of short texts and whether they praise, in two scripts, with what texts from anywhere may hold."""

from __future__ import annotations

import random
from pathlib import Path

SETTINGS = {"fit.batch_size": 16}
NEEDS = {"regress": lambda folder: {"data.target": "stars"}}
GOOD, BAD = ("a fine and moving film", "很好 看", "great fun 😀"), ("a dull and empty film", "不 好看", "no fun at all")


def make(folder: Path) -> str:
    draws = random.Random(1)
    lines = ["review,verdict,stars"]
    for number in range(96):
        good = draws.random() < 0.5
        words = " ".join(draws.choices(("the", "film", "was", "and", "then", "you", "see"), k=draws.randint(3, 12)))
        lines.append(
            f'"{words}, {draws.choice(GOOD if good else BAD)} {number}",{"yes" if good else "no"},{3 + 2 * good}.5'
        )
    path = folder / "reviews.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def _add(source: str, line: bytes) -> None:
    with Path(source).open("ab") as file:
        file.write(line + b"\n")


BREAKS = {
    "a row with too many cells": (lambda source: _add(source, b"a,b,c,d"), "line 98"),
    "an encoding that is not told": (
        lambda source: _add(source, "caf\xe9 is good,yes,1".encode("latin-1")),
        "encoding",
    ),
}

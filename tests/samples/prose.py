"""Running text with what texts from anywhere hold: accents, other scripts, mixed line ends, signs that turn direction."""

from __future__ import annotations

import random
from pathlib import Path

SETTINGS = {"data.length": 16, "model.width": 16, "model.layers": 1, "model.heads": 2}


def make(folder: Path) -> str:
    draws = random.Random(1)
    words = ("the", "cat", "sat", "on", "a", "mat", "Émile", "你好", "😀", "\u202eback\u202c")
    ends = ("\n", "\r\n", "\x85", "\u2028", "\n\n")
    lines = [" ".join(draws.choices(words, k=draws.randint(1, 9))) + draws.choice(ends) for _ in range(300)]
    path = folder / "story.txt"
    path.write_bytes("".join(lines).encode("utf-8"))
    return str(path)


BREAKS = {
    "an encoding that is not told": (
        lambda source: Path(source).write_bytes("caf\xe9 ".encode("latin-1") * 50),
        "encoding",
    ),
    "nothing in it": (lambda source: Path(source).write_bytes(b" \n"), "no text"),
}

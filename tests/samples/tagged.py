"""Sentences with names in them, as CoNLL's shared task has them: documents, emoji, other scripts, mixed line ends."""

from __future__ import annotations

import random
from pathlib import Path

SETTINGS = {"fit.batch_size": 16, "data.vocabulary": 300}
PEOPLE, PLACES = ("Anna", "Émile", "Bo", "王"), ("Oslo", "New York", "São Paulo", "東京")


def make(folder: Path) -> str:
    draws = random.Random(1)
    text = "-DOCSTART- -X- O\r\n\n"
    for number in range(90):
        place = draws.choice(PLACES).split()
        words = [
            (f"{draws.choice(PEOPLE)}{number}", "B-PER"),
            (draws.choice(("lives", "works", "😀")), "O"),
            ("in", "O"),
        ]
        words += [(word, "I-LOC" if at else "B-LOC") for at, word in enumerate(place)]
        words += [("often", "O")] * draws.randint(0, 3) + [(".", "O")]
        end = draws.choice(("\n", "\r\n"))
        text += "".join(f"{word} X {label}{end}" for word, label in words) + end
    path = folder / "names.conll"
    path.write_bytes(text.encode())
    return str(path)


def _change(source: str, before: str, after: str) -> None:
    path = Path(source)
    path.write_bytes(path.read_bytes().replace(before.encode(), after.encode("latin-1"), 1))


BREAKS = {
    "an encoding that is not told": (lambda source: _change(source, "often X O", "oft\xe9n X O"), "encoding"),
    "a word without its label": (lambda source: _change(source, "often X O", "often"), "received 1"),
    "one label": (
        lambda source: Path(source).write_text("".join(f"w{n} X O\n\n" for n in range(40))),
        "one label only",
    ),
}

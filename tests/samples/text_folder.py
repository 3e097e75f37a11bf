"""Texts in class folders, some empty-handed: one word, an emoji, mixed line ends."""

from __future__ import annotations

import random
from pathlib import Path

SETTINGS = {"fit.batch_size": 16}
WORDS = {"harbour": ("ship", "sea", "rope", "gull"), "kitchen": ("pan", "salt", "bread", "knife")}


def make(folder: Path) -> str:
    draws = random.Random(1)
    for name, words in WORDS.items():
        (folder / "texts" / name).mkdir(parents=True)
        for number in range(40):
            text = " ".join(draws.choices((*words, "the", "a", "and", "😀"), k=draws.randint(1, 15)))
            (folder / "texts" / name / f"{number}.txt").write_text(
                text + draws.choice(["", "\r\n", "\x85 \n"]), encoding="utf-8"
            )
    return str(folder / "texts")


def _spoil(source: str) -> None:
    (Path(source) / "harbour" / "3.txt").write_bytes("caf\xe9 ".encode("latin-1") * 9)


BREAKS = {"an encoding that is not told": (_spoil, "encoding")}

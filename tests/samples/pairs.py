"""Texts and their translations: a made-up tongue in which every word has its own, some lines short, some with accents."""

from __future__ import annotations

import random
from pathlib import Path

SETTINGS = {"fit.batch_size": 16, "data.vocabulary": 300, "data.length": 24}
WORDS = {"hund": "dog", "katze": "cat", "läuft": "runs", "schläft": "sleeps", "der": "the", "groß": "big", "😀": "😀"}


def make(folder: Path) -> str:
    draws = random.Random(1)
    (folder / "corpus").mkdir()
    for part, count in (("train", 60), ("val", 20), ("test", 20)):
        lines = [draws.choices(list(WORDS), k=draws.randint(1, 7)) for _ in range(count)]
        for side, end, say in (("de", "\n", str), ("en", "\r\n", WORDS.__getitem__)):
            text = "".join(" ".join(map(say, line)).capitalize() + "." + end for line in lines)
            (folder / "corpus" / f"{part}.{side}").write_bytes(text.encode())
    return str(folder / "corpus")


def _lose_a_line(source: str) -> None:
    path = Path(source) / "train.en"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


def _spoil(source: str) -> None:
    (Path(source) / "train.de").write_bytes("caf\xe9 gro\xdf\n".encode("latin-1") * 60)


def _forget(source: str) -> None:
    (Path(source) / "train.en").unlink()


def _empty(source: str) -> None:
    path = Path(source) / "train.de"
    path.write_bytes(b"\n" + b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


BREAKS = {
    "a line that is missing": (_lose_a_line, "59"),
    "an encoding that is not told": (_spoil, "encoding"),
    "a training text that is not there": (_forget, "train"),
    "an empty line": (_empty, "empty side"),
}

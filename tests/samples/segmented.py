"""Chinese with blanks between the words."""

from __future__ import annotations

import random
from pathlib import Path

SETTINGS = {"fit.batch_size": 16}
WORDS = ("我", "你", "喜欢", "看", "电影", "北京", "图书馆", "的", "😀", "和", "学生")


def make(folder: Path) -> str:
    draws = random.Random(1)
    path = folder / "words.txt"
    lines = ["  ".join([*draws.choices(WORDS, k=draws.randint(3, 12)), "。"]) for _ in range(90)]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    return str(path)


def _cut(source: str) -> None:
    path = Path(source)
    path.write_bytes(path.read_bytes() + b"\xe4\xb8\n")


BREAKS = {"half of a character": (_cut, "encoding")}

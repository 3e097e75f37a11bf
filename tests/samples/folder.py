"""Pictures in class folders."""

from __future__ import annotations

from pathlib import Path

from tests.samples.drawing import cut_short, scene

SETTINGS = {"fit.batch_size": 8}


def make(folder: Path) -> str:
    for number in range(36):
        picture, things, _ = scene(number, side=24, most=1)
        path = folder / "pictures" / ("dark", "bright")[things[0][4]] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return str(folder / "pictures")


def _empty(source: Path) -> None:
    next(source.rglob("*.png")).write_bytes(b"")


BREAKS = {
    "cut short": (lambda source: cut_short(next(Path(source).rglob("*.png"))), "cut short"),
    "empty file": (lambda source: _empty(Path(source)), "0 bytes"),
}

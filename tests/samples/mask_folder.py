"""Pictures with a mask of class numbers for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.samples.drawing import cut_short, scene

SPLITS = {"train": range(14), "val": range(14, 19), "test": range(19, 24)}


def make(folder: Path) -> str:
    root = folder / "scenes"
    for split, numbers in SPLITS.items():
        for name in (split, f"{split}annot"):
            (root / name).mkdir(parents=True)
        for number in numbers:
            picture, _, mask = scene(number, side=40, wide=56)
            picture.save(root / split / f"{number:02d}.png")
            Image.fromarray(mask).save(root / f"{split}annot" / f"{number:02d}.png")
    (root / "classes.txt").write_text("ground\ndark\nbright\n", encoding="utf-8")
    return str(root)


def _mask(source: str, mask: np.ndarray) -> None:
    Image.fromarray(mask).save(Path(source) / "trainannot/03.png")


BREAKS = {
    "a mask of another size": (lambda source: _mask(source, np.zeros((20, 20), dtype=np.uint8)), "03.png"),
    "a class out of range": (lambda source: _mask(source, np.full((40, 56), 9, dtype=np.uint8)), "9"),
    "a mask of colours": (lambda source: _mask(source, np.full((40, 56, 3), (9, 200, 30), dtype=np.uint8)), "03.png"),
    "a missing mask": (lambda source: (Path(source) / "trainannot/03.png").unlink(), "03.png"),
    "a missing picture": (lambda source: (Path(source) / "train/03.png").unlink(), "03.png"),
    "a mask of nothing": (lambda source: _mask(source, np.full((40, 56), 255, dtype=np.uint8)), "03.png"),
    "an empty mask file": (lambda source: (Path(source) / "trainannot/03.png").write_bytes(b""), "03.png"),
    "a picture cut short": (lambda source: cut_short(Path(source) / "train/03.png"), "cut short"),
}

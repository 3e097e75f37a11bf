"""Pictures with boxes as YOLO."""

from __future__ import annotations

from pathlib import Path

from tests.samples.drawing import cut_short, scene

SPLITS = {"train": range(14), "val": range(14, 19), "test": range(19, 24)}


def make(folder: Path) -> str:
    root = folder / "scenes"
    for split, numbers in SPLITS.items():
        for name in ("images", "labels"):
            (root / name / split).mkdir(parents=True)
        for number in numbers:
            picture, things, _ = scene(number, side=64)
            picture.save(root / "images" / split / f"{number:02d}.png")
            lines = [
                f"{kind} {(left + right) / 128} {(top + bottom) / 128} {(right - left) / 64} {(bottom - top) / 64}\n"
                for left, top, right, bottom, kind in things
            ]
            (root / "labels" / split / f"{number:02d}.txt").write_text("".join(lines), encoding="utf-8")
    text = "path: .\ntrain: images/train\nval: images/val\ntest: images/test\nnames:\n  0: dark\n  1: bright\n"
    (root / "data.yaml").write_text(text, encoding="utf-8")
    return str(root)


def _label(source: str, text: str) -> None:
    (Path(source) / "labels/train/03.txt").write_text(text, encoding="utf-8")


BREAKS = {
    "a class out of range": (lambda source: _label(source, "2 .5 .5 .2 .2\n"), "03.txt"),
    "too few numbers": (lambda source: _label(source, "0 .5 .5\n"), "03.txt"),
    "no numbers": (lambda source: _label(source, "dark a b c d\n"), "03.txt"),
    "zero area": (lambda source: _label(source, "0 .5 .5 0 .2\n"), "03"),
    "broken YAML": (lambda source: (Path(source) / "data.yaml").write_text("train: [\n"), "data.yaml"),
    "a missing folder": (
        lambda source: (Path(source) / "data.yaml").write_text("train: nowhere\nnames: [a]\n"),
        "nowhere",
    ),
    "a picture cut short": (lambda source: cut_short(Path(source) / "images/train/03.png"), "cut short"),
}

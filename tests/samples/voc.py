"""Pictures with boxes as Pascal VOC, with lists of the splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.samples.drawing import Thing, cut_short, scene

COUNT = 24


def make(folder: Path) -> str:
    root = folder / "scenes"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for number in range(COUNT):
        picture, things, _ = scene(number, side=64)
        picture.save(root / f"JPEGImages/{number:02d}.png")
        (root / f"Annotations/{number:02d}.xml").write_text(_xml(number, things), encoding="utf-8")
    lists = {"train": range(14), "val": range(14, 19), "test": range(19, COUNT)}
    for name, numbers in lists.items():
        text = "".join(f"{number:02d}\n" for number in numbers)
        (root / f"ImageSets/Main/{name}.txt").write_text(text, encoding="utf-8")
    return str(root)


def _xml(number: int, things: list[Thing]) -> str:
    objects = "".join(
        f"<object><name>{('dark', 'bright')[kind]}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for left, top, right, bottom, kind in things
    )
    return (
        f"<annotation><filename>{number:02d}.png</filename><size><width>64</width><height>64</height><depth>3</depth></size>"
        f"{objects}</annotation>"
    )


def _xml_of(source: str, change: Callable[[str], str]) -> None:
    path = Path(source) / "Annotations/03.xml"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def _drop_boxes(text: str) -> str:
    return text.partition("<object>")[0] + "</annotation>"


BREAKS = {
    "broken XML": (lambda source: _xml_of(source, lambda text: text[: len(text) // 2]), "03.xml"),
    "empty XML": (lambda source: _xml_of(source, lambda text: ""), "03.xml"),
    "entities": (lambda source: _xml_of(source, lambda text: '<!DOCTYPE a [<!ENTITY b "c">]>' + text), "03.xml"),
    "no number": (lambda source: _xml_of(source, lambda text: text.replace("<xmin>", "<xmin>x")), "03.xml"),
    "zero area": (
        lambda source: _xml_of(source, lambda text: text.replace("</object>", "", 1).replace("<xmax>", "<xmax>-", 1)),
        "03.xml",
    ),
    "no box at all": (lambda source: [_clear(path) for path in Path(source).glob("Annotations/*.xml")], "box"),
    "a missing picture": (lambda source: (Path(source) / "JPEGImages/03.png").unlink(), "03"),
    "a picture cut short": (lambda source: cut_short(Path(source) / "JPEGImages/03.png"), "cut short"),
}


def _clear(path: Path) -> None:
    path.write_text(_drop_boxes(path.read_text(encoding="utf-8")), encoding="utf-8")

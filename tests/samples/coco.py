"""Pictures with boxes and outlines as COCO, a folder and a JSON file for each split."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.samples.drawing import cut_short, scene

SPLITS = {"train": range(14), "valid": range(14, 19), "test": range(19, 24)}
NEEDS = {"segment": lambda folder: {"data.targets": "masks"}}


def make(folder: Path) -> str:
    root = folder / "scenes"
    for split, numbers in SPLITS.items():
        (root / split).mkdir(parents=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number in numbers:
            picture, things, _ = scene(number, side=64)
            picture.save(root / split / f"{number:02d}.png")
            images.append({"id": number, "file_name": f"{number:02d}.png", "width": 64, "height": 64})
            for left, top, right, bottom, kind in things:
                outline = [left, top, right, top, right, bottom, left, bottom]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": kind + 1,
                        "bbox": [left, top, right - left, bottom - top],
                        "area": (right - left) * (bottom - top),
                        "segmentation": [outline],
                        "iscrowd": 0,
                    }
                )
        categories = [{"id": 1, "name": "dark"}, {"id": 2, "name": "bright"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / split / "_annotations.coco.json").write_text(json.dumps(content), encoding="utf-8")
    return str(root)


def _json(source: str) -> Path:
    return Path(source) / "train/_annotations.coco.json"


def _change(source: str, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(_json(source).read_text(encoding="utf-8"))
    change(content)
    _json(source).write_text(json.dumps(content), encoding="utf-8")


BREAKS = {
    "broken JSON": (lambda source: cut_short(_json(source)), "_annotations.coco.json"),
    "an unknown class": (
        lambda source: _change(source, lambda content: content["annotations"][2].update(category_id=7)),
        "7",
    ),
    "an unknown picture": (
        lambda source: _change(source, lambda content: content["annotations"][2].update(image_id=99)),
        "99",
    ),
    "a box of three numbers": (
        lambda source: _change(source, lambda content: content["annotations"][2].update(bbox=[1, 2, 3])),
        "_annotations.coco.json",
    ),
    "a box outside": (
        lambda source: _change(source, lambda content: content["annotations"][2].update(bbox=[200, 200, 9, 9])),
        "outside",
    ),
    "a missing picture": (lambda source: (Path(source) / "train/03.png").unlink(), "03.png"),
}

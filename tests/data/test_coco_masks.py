"""Polygons and run lengths of COCO files as masks: where they lie, which lies over which, and what cannot be drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepen.data import coco
from deepen.data.run_lengths import packed
from deepen.errors import Misuse, Problem
from deepen.prepare import prepare
from deepen.spec import Mask

SQUARE = [[2, 3, 8, 3, 8, 9, 2, 9]]
"""Columns 2 to 7, lines 3 to 8."""


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make(root: Path, *annotations: dict[str, Any], size: tuple[int, int] = (12, 16), **image: Any) -> Path:
    """Six pictures, the first with these annotations, each other with a square of the first class."""
    (root / "images").mkdir(parents=True)
    images, shapes = [], []
    for number in range(6):
        Image.fromarray(np.full((12, 16, 3), number, dtype=np.uint8)).save(root / f"images/{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": size[0], "width": size[1]} | image)
        own = annotations if number == 0 else ({"category_id": 5, "segmentation": SQUARE},)
        shapes += [{"id": 10 * number + place, "image_id": number, **one} for place, one in enumerate(own)]
    categories = [{"id": 5, "name": "cat"}, {"id": 9, "name": "dog"}]
    (root / "boxes.json").write_text(json.dumps({"images": images, "annotations": shapes, "categories": categories}))
    return root / "boxes.json"


def first_mask(path: Path, **settings: Any) -> np.ndarray:
    """Of the picture 0."""
    dataset = coco.load(str(path), coco.Config(targets="masks", **settings), 0)
    assert dataset.test is not None
    assert dataset.spec.output == Mask(("background", "cat", "dog"))
    for part in (dataset.train, dataset.validation, dataset.test.open(lambda: 1)):
        for row in range(len(part)):
            if Path(part.origin(row)).name == "0.png":
                return part["target"][row].numpy()
    raise AssertionError


def test_a_polygon_covers_its_pixels(tmp_path: Path) -> None:
    mask = first_mask(make(tmp_path, {"category_id": 9, "segmentation": SQUARE}))
    assert set(np.unique(mask)) == {0, 2}
    rows, columns = np.nonzero(mask)
    # A pen covers the pixels that its line touches: half a pixel more or less at each side.
    assert 3 - 1 <= rows.min() <= 3
    assert 8 <= rows.max() <= 8 + 1
    assert 2 - 1 <= columns.min() <= 2
    assert 7 <= columns.max() <= 7 + 1
    assert 36 <= len(rows) <= 49


def test_the_smaller_lies_over_the_larger_and_the_later_over_the_earlier(tmp_path: Path) -> None:
    small, large = [[4, 4, 7, 4, 7, 7, 4, 7]], [[0, 0, 16, 0, 16, 12, 0, 12]]
    shapes = [
        {"category_id": 9, "segmentation": small},
        {"category_id": 5, "segmentation": large},
        {"category_id": 9, "segmentation": large},
    ]
    mask = first_mask(make(tmp_path, *shapes))
    assert mask[5, 5] == 2
    assert mask[0, 0] == 2
    mask = first_mask(make(tmp_path / "other", *shapes[:2]))
    assert (mask[5, 5], mask[0, 0]) == (2, 1)


def test_several_polygons_and_run_lengths_are_one_thing(tmp_path: Path) -> None:
    crowd = np.zeros((12, 16), dtype=np.uint8)
    crowd[10:, 12:] = 1
    runs = packed(crowd)
    shapes = [
        {"category_id": 5, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2], [10, 0, 12, 0, 12, 2, 10, 2]]},
        {"category_id": 9, "iscrowd": 1, "segmentation": {"size": runs["size"], "counts": runs["counts"]}},
    ]
    mask = first_mask(make(tmp_path, *shapes))
    assert mask[0, 0] == mask[0, 10] == 1
    assert mask[0, 6] == 0
    assert ((mask == 2) == (crowd == 1)).all()


@pytest.mark.parametrize(
    ("shape", "image", "told"),
    [
        ({"segmentation": [[1, 2, 3]]}, {}, "polygon of 3 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e300]]}, {}, "a point beyond any picture"),
        ({"segmentation": {"size": [12, 16], "counts": [5]}}, {}, "run lengths that do not fit together"),
        ({"segmentation": {"size": [4, 4], "counts": [16]}}, {}, "run lengths for 4x4 pixels"),
        ({"segmentation": {"counts": [16]}}, {}, "run lengths that do not fit together"),
        ({"segmentation": SQUARE}, {"height": None}, "no height and width"),
    ],
)
def test_what_cannot_be_drawn_is_said(tmp_path: Path, shape: dict[str, Any], image: dict[str, Any], told: str) -> None:
    path = make(tmp_path, {"category_id": 9, **shape}, {"category_id": 9, "segmentation": SQUARE}, **image)
    with pytest.raises(Problem, match=told) as caught:
        first_mask(path)
    assert "\n" not in str(caught.value)


def test_another_size_than_the_picture_is_said(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="it has 20x30 pixels and its picture 12x16"):
        first_mask(make(tmp_path, {"category_id": 9, "segmentation": SQUARE}, size=(20, 30)))


def test_boxes_without_outlines_are_found(tmp_path: Path) -> None:
    path = make(tmp_path, {"category_id": 9, "segmentation": SQUARE}, {"category_id": 5, "bbox": [0, 0, 2, 2]})
    findings = coco.load(str(path), coco.Config(targets="masks"), 0).findings
    assert [one.subject for one in findings] == ["no-shape"]
    assert "annotation 2 of boxes.json" in findings[0].text


def test_the_way_from_boxes_to_masks_is_said(tmp_path: Path) -> None:
    square = {"category_id": 9, "segmentation": SQUARE, "bbox": [2, 3, 6, 6]}
    path = make(tmp_path, square)
    content = json.loads(path.read_text())
    for one in content["annotations"]:
        one["bbox"] = [2, 3, 6, 6]
    path.write_text(json.dumps(content))
    with pytest.raises(Problem, match=r"data\.targets=masks"):
        prepare(str(path), "segment", None, {})
    prepared = prepare(str(path), "segment", None, {"data.targets": "masks", "data.size": 32})
    assert isinstance(prepared.dataset.spec.output, Mask)
    with pytest.raises(Misuse, match=r"data\.tile and data\.ignore are for masks"):
        coco.load(str(path), coco.Config(tile=True), 0)


def test_names_of_pictures_are_told_in_one_line(tmp_path: Path) -> None:
    path = make(tmp_path, file_name="a\nb\x1b[1m.png")
    with pytest.raises(Problem, match=r"its picture 'a b\?\[1m\.png' is not there"):
        coco.load(str(path), coco.Config(targets="masks"), 0)

"""COCO: what its files may look like, and what is wrong with some."""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deepen.data import coco
from deepen.data.dataset import Dataset
from deepen.data.documents import BrokenError
from deepen.errors import Problem
from deepen.sources import load as load_source
from deepen.spec import ignored
from tests.samples import coco as sample


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return Path(sample.make(tmp_path))


def load(source: Path, **options: object) -> Dataset:
    return coco.load(str(source), coco.Config(**options), 0)  # type: ignore[arg-type]


def sizes(dataset: Dataset) -> list[int]:
    return [len(dataset.train), len(dataset.validation), 0 if dataset.test is None else len(dataset.test)]


def subjects(dataset: Dataset) -> dict[str, str]:
    return {finding.subject: finding.text for finding in dataset.findings}


def change(path: Path, how: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def whole(**changes: Any) -> dict[str, Any]:
    """A file with two pictures and two boxes."""
    content: dict[str, Any] = {
        "images": [{"id": 5, "file_name": "a.png", "height": 8, "width": 9}, {"id": 6, "file_name": "b.png"}],
        "categories": [{"id": 30, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 30, "bbox": [1, 2, 3.5, 4], "segmentation": [[1, 2, 3, 4, 5, 6.5]]},
            {
                "id": 2,
                "image_id": 6,
                "category_id": 2,
                "bbox": [0, 0, 3, 4],
                "iscrowd": 1,
                "segmentation": {"size": [8, 9]},
            },
        ],
    }
    return content | changes


def test_boxes_and_parts_are_those_of_the_files(scenes: Path) -> None:
    assert coco.recognise(str(scenes)) == "pictures with boxes in JSON files (COCO)"
    dataset = load(scenes)
    assert sizes(dataset) == [14, 5, 5]
    assert dataset.spec.output.names == ("dark", "bright")  # type: ignore[union-attr]
    content = json.loads((scenes / "train/_annotations.coco.json").read_text())
    for row in range(14):
        name = Path(dataset.train.origin(row)).name
        image = next(one["id"] for one in content["images"] if one["file_name"] == name)
        expected = [
            [x, y, x + w, y + h, one["category_id"] - 1]
            for one in content["annotations"]
            if one["image_id"] == image
            for x, y, w, h in [one["bbox"]]
        ]
        assert [one for one in dataset.train["target"][row].tolist() if one[4] >= 0] == expected


def test_the_layout_of_coco_itself_in_an_archive(scenes: Path, tmp_path: Path) -> None:
    expected = load(scenes)
    root = tmp_path / "own"
    (root / "annotations").mkdir(parents=True)
    for part, name in {"train": "train2017", "valid": "val2017", "test": "test2017"}.items():
        (scenes / part / "_annotations.coco.json").rename(root / f"annotations/instances_{name}.json")
        (scenes / part).rename(root / name)
    (root / "annotations/captions_val2017.json").write_text("{}")
    (root / "annotations/person_keypoints_val2017.json").write_text(json.dumps(whole()))
    with tarfile.open(tmp_path / "own.tar", "w") as archive:
        archive.add(root, "coco")
    for source in (root, tmp_path / "own.tar"):
        assert coco.recognise(str(source))
        dataset = load(source)
        assert sizes(dataset) == [14, 5, 5]
        assert torch.equal(dataset.train["target"], expected.train["target"])


def test_a_json_file_with_its_pictures_beside_it_or_elsewhere(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = scenes / "train/_annotations.coco.json"
    assert coco.recognise(str(file)) == "a JSON file of pictures with boxes (COCO)"
    assert sizes(load(file)) == [10, 1, 3]
    (tmp_path / "labels.json").write_bytes(file.read_bytes())
    file.unlink()
    (tmp_path / "again/train").mkdir(parents=True)
    (tmp_path / "again/train/00.png").write_bytes((scenes / "train/00.png").read_bytes())
    with pytest.raises(Problem, match=r"'00\.png' may be 'again/train/00\.png' or 'scenes/train/00\.png'"):
        load(tmp_path / "labels.json")
    monkeypatch.chdir(tmp_path)
    dataset, recipe, _ = load_source("labels.json", {"data.images": "scenes/train"})
    assert sizes(dataset) == [10, 1, 3]
    assert recipe.data.images == str(scenes / "train")
    with pytest.raises(Problem, match="no folder or archive 'nowhere'"):
        load(tmp_path / "labels.json", images="nowhere")


def test_paths_in_a_file_may_name_folders(tmp_path: Path, scenes: Path) -> None:
    file = scenes / "train/_annotations.coco.json"

    def rename(content: dict[str, Any]) -> None:
        for number, image in enumerate(content["images"]):
            lead = ("train/", "./train/", "C:\\data\\train\\", "/home/me/train/")[number % 4]
            image["file_name"] = lead + image["file_name"]

    change(file, rename)
    assert sizes(load(scenes)) == [14, 5, 5]


def test_files_whose_part_is_not_clear_are_refused(scenes: Path) -> None:
    (scenes / "test").rename(scenes / "more")
    with pytest.raises(Problem, match=r"not clear what part of the data 'more/_annotations.coco.json' is"):
        load(scenes)


def test_one_file_for_everything_is_split_here(scenes: Path) -> None:
    for part in ("valid", "test"):
        (scenes / part / "_annotations.coco.json").unlink()
    assert sizes(load(scenes)) == [10, 1, 3]


def test_a_picture_in_two_files_is_held_out(scenes: Path) -> None:
    change(
        scenes / "train/_annotations.coco.json",
        lambda content: content["images"].append({"id": 999, "file_name": "../valid/14.png"}),
    )
    with pytest.raises(Problem, match=r"'valid/14.png' stands in 'valid/_annotations.coco.json' already"):
        load(scenes)
    assert sizes(load(scenes, skip_bad=True)) == [14, 5, 5]


def test_crowds_are_ignored_and_counted(scenes: Path) -> None:
    before = load(scenes)
    change(scenes / "train/_annotations.coco.json", lambda content: content["annotations"][0].update(iscrowd=1))
    dataset = load(scenes)
    found, given = dataset.train["target"], before.train["target"]
    ((row, place),) = (found != given).any(dim=2).nonzero().tolist()
    assert torch.equal(found[row, place, :4], given[row, place, :4])
    assert found[row, place, 4] == ignored(int(given[row, place, 4]), crowd=True)
    assert any(fact.startswith("Ignored boxes: 1 of crowds;") for fact in dataset.facts)
    assert not any(fact.startswith("Ignored boxes") for fact in before.facts)


def test_a_name_above_others_is_no_class(scenes: Path) -> None:
    """Roboflow puts the name of the project before the classes."""
    for part in sample.SPLITS:

        def above(content: dict[str, Any]) -> None:
            for category in content["categories"]:
                category["supercategory"] = "things"
            content["categories"].insert(0, {"id": 0, "name": "things", "supercategory": "none"})

        change(scenes / part / "_annotations.coco.json", above)
    assert load(scenes).spec.output.names == ("dark", "bright")  # type: ignore[union-attr]


def test_pictures_that_no_file_names_are_left_out(scenes: Path) -> None:
    (scenes / "train/new.png").write_bytes((scenes / "train/00.png").read_bytes())
    dataset = load(scenes)
    assert sizes(dataset) == [14, 5, 5]
    assert "train/new.png" in subjects(dataset)["no-labels"]


def test_what_is_read_of_a_file(tmp_path: Path) -> None:
    found = coco.parse(json.dumps(whole()).encode())
    assert found.wrong == []
    assert found.categories == {30: "dog", 2: "cat"}
    assert [(one.name, one.height, one.width) for one in found.images.values()] == [("a.png", 8, 9), ("b.png", 0, 0)]
    first, second = found.annotations
    assert (first.picture, first.category, first.corners) == (5, 30, (1, 2, 4.5, 6))
    assert (first.polygons, first.runs, first.crowd) == (((1, 2, 3, 4, 5, 6.5),), None, False)
    assert (second.polygons, second.runs, second.crowd) == ((), {"size": [8, 9]}, True)
    (tmp_path / "x.json").write_text(json.dumps(whole()), encoding="utf-16")
    assert coco.parse(tmp_path / "x.json").annotations == found.annotations
    named = whole(images=[{"id": "five", "file_name": "猫.png"}], annotations=[])
    assert coco.parse(json.dumps(named).encode()).images["five"].name == "猫.png"


NO_FILE = {
    "": "no well-formed JSON",
    "{": "no well-formed JSON",
    "[1]": "holds a list",
    "{}": "'images' is missing, expected a list",
    '{"images": {}}': "'images' is an object",
    '{"images": [], "annotations": 3}': "'annotations' is a number",
    '{"images": [], "annotations": []}': "'categories' is missing",
    "[" * 100_000: "nested too deeply",
    '{"images": [' + "9" * 5000 + "]}": "no well-formed JSON",
}


@pytest.mark.parametrize("content", NO_FILE, ids=range(len(NO_FILE)))
def test_what_is_no_coco_file_is_told(content: str) -> None:
    with pytest.raises(BrokenError, match=NO_FILE[content]):
        coco.parse(content.encode())


def entry(key: str, number: int, **changes: Any) -> dict[str, Any]:
    content = whole()
    content[key][number].update(changes)
    return content


WRONG: dict[str, dict[str, Any]] = {
    "image 1 is a list, expected an object": whole(images=[[]], annotations=[]),
    "image 2 has the file_name None, expected a path": entry("images", 1, file_name=None),
    "image 2 ('b.png') has the id 5, which 'a.png' has too": entry("images", 1, id=5),
    "image 1 has the id True, expected a whole number or text": entry("images", 0, id=True),
    "category 1 has the name 7, expected text": entry("categories", 0, name=7),
    "category 1 has the name '?', expected letters": entry("categories", 0, name="\ud800"),
    "category 2 ('cat') has the id 30, which 'dog' has too": entry("categories", 1, id=30),
    "annotation 1 has the image_id 9, which no image has": entry("annotations", 0, image_id=9),
    "annotation 1 has the category_id 9, which no category has": entry("annotations", 0, category_id=9),
    "annotation 1 has the bbox [1, 2, 3], expected a list of 4 numbers": entry("annotations", 0, bbox=[1, 2, 3]),
    "annotation 1 has the bbox [1, 2, 3, '4'], expected numbers": entry("annotations", 0, bbox=[1, 2, 3, "4"]),
    "annotation 1 has the bbox [1, 2, 3, True], expected numbers": entry("annotations", 0, bbox=[1, 2, 3, True]),
    "annotation 1 has a bbox with a number beyond any picture": entry("annotations", 0, bbox=[1, 2, 3, 10**400]),
    "annotation 1 has text as segmentation, expected polygons or run lengths": entry(
        "annotations", 0, segmentation="x"
    ),
    "annotation 1 has a polygon of 4 numbers, expected x, y of three points or more": entry(
        "annotations", 0, segmentation=[[1, 2, 3, 4]]
    ),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_entry_is_told_by_its_number(text: str) -> None:
    assert text in coco.parse(json.dumps(WRONG[text]).encode()).wrong


def test_a_wrong_entry_ends_the_training_or_is_left_out(scenes: Path) -> None:
    change(scenes / "train/_annotations.coco.json", lambda content: content["annotations"][2].pop("bbox"))
    with pytest.raises(Problem, match=r"1 fault .*train/_annotations\.coco\.json': annotation 3 has no bbox"):
        load(scenes)
    assert sizes(load(scenes, skip_bad=True)) == [14, 5, 5]


def test_nothing_else_is_taken_for_coco(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.png").write_bytes(b"")
    (tmp_path / "settings.json").write_text('{"images": ["a", "b"], "size": 3}')
    assert coco.recognise(str(tmp_path)) is None
    assert coco.recognise(str(tmp_path / "settings.json")) is None
    assert coco.recognise(str(tmp_path / "missing.json")) is None


def test_keys_at_the_end_of_a_large_file_are_seen(tmp_path: Path) -> None:
    content = whole(info="x" * (3 * coco.GLANCE_BYTES))
    (tmp_path / "x.json").write_text(json.dumps({key: content[key] for key in ("images", "info", "categories")}))
    assert coco.recognise(str(tmp_path / "x.json"))


def test_damage_of_any_kind_ends_in_a_sentence() -> None:
    draws = random.Random(0)
    good = json.dumps(whole()).encode()
    pieces = (b"", b"null", b"nan", b"NaN", b"1e999", b"{}", b"[]", b'"', b"-", b"\\ud800", b"true", b"0.5", b"\xff")
    for _ in range(2000):
        content = bytearray(good)
        for _ in range(draws.randint(1, 3)):
            place = draws.randrange(len(content) + 1)
            content[place : place + draws.randint(0, 6)] = draws.choice(pieces)
        try:
            for text in coco.parse(bytes(content)).wrong:
                assert text.isprintable()
        except BrokenError as error:
            assert str(error).isprintable()  # noqa: PT017 - either outcome is right

"""YOLO: what its files may look like, and what is wrong with some."""

from __future__ import annotations

import random
import tarfile
from pathlib import Path

import pytest
import torch

from deepen.data import yolo
from deepen.data.dataset import Dataset
from deepen.data.documents import BrokenError
from deepen.data.yolo_file import described, label_of, lines
from deepen.errors import Problem
from deepen.recipe import Data
from tests.samples import yolo as sample


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return Path(sample.make(tmp_path))


def load(source: Path, **options: object) -> Dataset:
    return yolo.load(str(source), Data(**options), 0)  # type: ignore[arg-type]


def sizes(dataset: Dataset) -> list[int]:
    return [len(dataset.train), len(dataset.validation), 0 if dataset.test is None else len(dataset.test)]


def subjects(dataset: Dataset) -> dict[str, str]:
    return {finding.subject: finding.text for finding in dataset.findings}


def describe(scenes: Path, text: str) -> Path:
    (scenes / "data.yaml").write_text(text)
    return scenes


def test_boxes_and_parts_are_those_of_the_files(scenes: Path) -> None:
    assert yolo.recognise(str(scenes)) == "pictures with boxes in text files (YOLO)"
    dataset = load(scenes)
    assert sizes(dataset) == [14, 5, 5]
    assert dataset.spec.output.names == ("dark", "bright")  # type: ignore[union-attr]
    for row in range(14):
        label = scenes / "labels/train" / f"{Path(dataset.train.origin(row)).stem}.txt"
        told = [[float(word) for word in line.split()] for line in label.read_text().splitlines()]
        expected = [
            [(x - w / 2) * 64, (y - h / 2) * 64, (x + w / 2) * 64, (y + h / 2) * 64, c] for c, x, y, w, h in told
        ]
        boxes = dataset.train["target"][row]
        assert torch.allclose(boxes[boxes[:, 4] >= 0], torch.tensor(expected).reshape(-1, 5), atol=1e-4)


def test_a_yaml_file_and_an_archive_give_the_same(scenes: Path, tmp_path: Path) -> None:
    expected = load(scenes)
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as archive:
        archive.add(scenes, "scenes")
    for source in (scenes / "data.yaml", tmp_path / "x.tgz"):
        assert yolo.recognise(str(source))
        dataset = load(source)
        assert sizes(dataset) == [14, 5, 5]
        assert torch.equal(dataset.train["target"], expected.train["target"])
    assert load(tmp_path / "x.tgz").name == "x"
    assert load(scenes / "data.yaml").name == "scenes"


def roboflow(scenes: Path) -> Path:
    for part in sample.SPLITS:
        folder = scenes / ("valid" if part == "val" else part)
        folder.mkdir()
        for kind in ("images", "labels"):
            (scenes / kind / part).rename(folder / kind)
    for kind in ("images", "labels"):
        (scenes / kind).rmdir()
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['dark', 'bright']\n"
    return describe(scenes, text)


def test_the_layout_of_roboflow(scenes: Path, tmp_path: Path) -> None:
    expected = load(scenes)
    dataset = load(roboflow(scenes))
    assert sizes(dataset) == [14, 5, 5]
    assert torch.equal(dataset.train["target"], expected.train["target"])
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(scenes, ".")
    assert sizes(load(tmp_path / "x.tar")) == [14, 5, 5]


def test_paths_may_lead_up_or_be_absolute_or_lists(scenes: Path) -> None:
    (scenes / "config").mkdir()
    yaml = scenes / "config/my.yaml"
    names = "names: [dark, bright]\n"
    yaml.write_text(f"train: ../images/train\nval: ../images/val\n{names}")
    assert sizes(load(yaml)) == [14, 5, 0]
    yaml.write_text(f"path: {scenes}\ntrain: [images/train, images/val]\nval: images/test\n{names}")
    assert sizes(load(yaml)) == [19, 5, 0]
    yaml.write_text(f"path: ..\ntrain: images/train\n{names}")
    assert sizes(load(yaml)) == [10, 1, 3]


def test_files_of_paths(scenes: Path) -> None:
    (scenes / "train.txt").write_text(
        "./images/train/00.png\nimages/train/01.png\n\n/home/me/scenes/images/train/02.png\n"
    )
    (scenes / "val.txt").write_text("images/val/14.png\n")
    describe(scenes, "train: train.txt\nval: val.txt\nnames: [dark, bright]\n")
    assert sizes(load(scenes)) == [3, 1, 0]
    (scenes / "val.txt").write_text("images/val/14.png\nimages/val/99.png\n")
    with pytest.raises(Problem, match=r"val\.txt': line 2 names 'images/val/99\.png', which is not there"):
        load(scenes)


def test_without_validation_the_split_is_drawn(scenes: Path) -> None:
    assert sizes(load(describe(scenes, "train: images\nval: ~\nnames: [dark, bright]\n"))) == [17, 2, 5]


def test_a_picture_in_two_parts_is_held_out(scenes: Path) -> None:
    dataset = load(describe(scenes, "train: images\nval: images/val\nnames: [dark, bright]\n"))
    assert sizes(dataset) == [19, 5, 0]
    assert subjects(dataset)["two-lists"].startswith("5 pictures are in two parts")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ("val: images/train", [10, 1, 3]),  # as coco8 and coco128
        ("val: images/train\ntest: images/train", [10, 1, 3]),
        ("val: images/train\ntest: images/test", [13, 1, 5]),
        ("val: images", [14, 10, 0]),
    ],
)
def test_a_folder_that_is_train_and_another_part_is_learnt_from_and_not_measured(
    scenes: Path, parts: str, expected: list[int]
) -> None:
    dataset = load(describe(scenes, f"train: images/train\n{parts}\nnames: [dark, bright]\n"))
    assert sizes(dataset) == expected
    told = subjects(dataset)["two-lists"]
    assert told.startswith("All 14 pictures of train are in another of the parts too")
    assert ("validation is drawn from train" in told) == (parts != "val: images")
    held = [dataset.validation, *([dataset.test.open(lambda: 1)] if dataset.test else [])]
    origins = [part.origin(row) for part in (dataset.train, *held) for row in range(len(part))]
    assert len(set(origins)) == len(origins) == sum(expected)


def test_files_are_named_by_the_path_that_was_given(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(scenes.parent)
    (scenes / "labels/train/00.txt").write_text("0 0.5 0.5 0.2\n")
    for source in (Path(scenes.name), Path(scenes.name) / "data.yaml"):
        with pytest.raises(Problem, match=f": '{scenes.name}/labels/train/00.txt': line 1 has 4 numbers"):
            load(source)
        dataset = load(source, skip_bad=True)
        assert dataset.train.origin(0).startswith(f"{scenes.name}/images/train/")


def test_a_part_that_is_not_there(scenes: Path) -> None:
    dataset = load(describe(scenes, "train: images/train\nval: nowhere\nnames: [dark, bright]\n"))
    assert sizes(dataset) == [10, 1, 3]
    assert "validation lies in 'nowhere', which is not there" in subjects(dataset)["missing-part"]
    (scenes / "nowhere").mkdir()
    assert "holds no picture" in subjects(load(scenes))["missing-part"]
    with pytest.raises(Problem, match="says that train lies in 'images/none', which is not there"):
        load(describe(scenes, "train: images/none\nnames: [dark, bright]\n"))


def test_parts_that_lie_far_apart_are_refused(scenes: Path) -> None:
    text = f"train: {scenes / 'images/train'}\nval: /usr/share\nnames: [dark, bright]\n"
    with pytest.raises(Problem, match="too far apart"):
        load(describe(scenes, text))


def test_pictures_without_label_files_show_nothing(scenes: Path) -> None:
    (scenes / "labels/train/00.txt").unlink()
    (scenes / "labels/train/01.txt").write_text("\n")
    dataset = load(scenes)
    assert sizes(dataset) == [14, 5, 5]
    assert subjects(dataset)["no-labels"].startswith("1 of 24 pictures have no label file")
    assert subjects(dataset)["no-boxes"].startswith("2 of 24 pictures have no box")


def test_a_label_file_without_its_picture_is_bad(scenes: Path) -> None:
    (scenes / "images/train/00.png").unlink()
    (scenes / "labels/train/classes.txt").write_text("dark\nbright\n")
    with pytest.raises(Problem, match=r"1 fault .*labels/train/00\.txt': its picture is not there"):
        load(scenes)
    assert sizes(load(scenes, skip_bad=True)) == [13, 5, 5]


def test_label_files_without_a_description_are_told(scenes: Path) -> None:
    (scenes / "data.yaml").unlink()
    assert yolo.recognise(str(scenes))
    with pytest.raises(Problem, match=r"holds no data\.yaml: expected one that says names, train and val"):
        load(scenes)


def test_nothing_else_is_taken_for_yolo(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.png").write_bytes(b"")
    (tmp_path / "a/notes.txt").write_text("0 1 2 3 4")
    (tmp_path / "settings.yaml").write_text("names: 3\nother: 4\n")
    assert yolo.recognise(str(tmp_path)) is None
    assert yolo.recognise(str(tmp_path / "settings.yaml")) is None
    assert yolo.recognise(str(tmp_path / "missing.yaml")) is None


@pytest.mark.parametrize(
    ("picture", "label"),
    [
        ("images/train/1.png", "labels/train/1.txt"),
        ("train/images/1.a.png", "train/labels/1.a.txt"),
        ("images/x/images/1.jpg", "images/x/labels/1.txt"),
        ("images.jpg", "images.txt"),
        ("a/1.jpg", "a/1.txt"),
    ],
)
def test_where_labels_lie(picture: str, label: str) -> None:
    assert label_of(picture) == label


def test_what_is_read_of_lines() -> None:
    content = b"\xef\xbb\xbf1 .5 .5 .2 .4\r\n\r\n0 0.1 0.2 0.3 0.2 0.2 0.9\n0.0 1 1 1e-1 nan"
    read = list(lines(content, 2))
    assert [(number, line) for number, line, _ in read] == [(1, 1), (0, 3), (0, 4)]
    assert read[0][2] == pytest.approx((0.4, 0.3, 0.6, 0.7))
    assert read[1][2] == (0.1, 0.2, 0.3, 0.9)
    assert list(lines(b"", 2)) == []


LINES = {
    "0 .5 .5 .2": "line 1 has 4 numbers, expected 5",
    "0 .5 .5 .2 .2\n0 .5 .5 .2 .2 .9": "line 2 has 6 numbers, expected 5",
    "dog .5 .5 .2 .2": "line 1 is 'dog .5 .5 .2 .2', expected numbers",
    "2 .5 .5 .2 .2": "line 1 has the class 2, expected 0 to 1",
    "-1 .5 .5 .2 .2": "line 1 has the class -1",
    "0.5 .5 .5 .2 .2": "line 1 has the class 0.5",
    "nan .5 .5 .2 .2": "line 1 has the class nan",
    "\x00 .5 .5 .2 .2": "expected numbers",
}


@pytest.mark.parametrize("content", LINES)
def test_a_wrong_line_is_told_by_its_number(content: str, scenes: Path) -> None:
    with pytest.raises(BrokenError, match=LINES[content].replace(".", r"\.")) as caught:
        list(lines(content.encode(), 2))
    assert str(caught.value).isprintable()
    (scenes / "labels/train/03.txt").write_text(content)
    with pytest.raises(Problem, match=r"labels/train/03\.txt': line"):
        load(scenes)
    assert sizes(load(scenes, skip_bad=True)) == [13, 5, 5]


def test_names_are_those_that_are_written() -> None:
    assert described(b"train: a\nnames: [no, 1.50, 'NA', 010, \xe7\xba\xa2]\nnc: 5").names == [
        "no",
        "1.50",
        "NA",
        "010",
        "红",
    ]
    assert described(b"train: a\nnames:\n  1: b\n  0: a\n").names == ["a", "b"]
    assert described(b"train: a\nnames: [a]\ndownload: |\n  import os\n").parts == {"train": ["a"]}


def test_nothing_is_run() -> None:
    """A tag is not followed: the list under it is read as the list that it is."""
    assert described(b"train: a\nnames: !!python/object/apply:os.system ['true']").names == ["true"]


DESCRIPTIONS = {
    b"": "holds no keys",
    b"- a": "holds no keys",
    b"train: [": "no well-formed YAML",
    b"\xff\xfe\xfa": "no well-formed YAML",
    b"train: a\n\tnames: b": "no well-formed YAML",
    b"names: [a]": "has no 'train'",
    b"train: {a: b}\nnames: [a]": "'train' is neither a path nor a list of paths",
    b"train: a\npath: [a]\nnames: [a]": "'path' is no path",
    b"train: a": "'names' are neither a list nor names by number",
    b"train: a\nnames: []": "'names' are neither",
    b"train: a\nnames: [[a]]": "'names' are neither",
    b"train: a\nnames: {1: a}": "'names' are not numbered from 0 to 0",
    b"train: a\nnames: [a, b, a]": "'names' hold 'a' twice",
    b"train: a\nnames: [a, '']": "class 1 has the name ''",
    b"train: a\nnames: [a]\nnc: 2": "has 1 names and says that there are 2",
    b"train: a\nnames: [a, &x [*x]]": "YAML|names",
    b"[" * 5000: "no well-formed YAML",
}


@pytest.mark.parametrize("content", DESCRIPTIONS, ids=range(len(DESCRIPTIONS)))
def test_a_broken_description_is_told_in_a_sentence(content: bytes, scenes: Path) -> None:
    with pytest.raises(BrokenError, match=DESCRIPTIONS[content]) as caught:
        described(content)
    assert str(caught.value).isprintable()
    (scenes / "data.yaml").write_bytes(content)
    if yolo.recognise(str(scenes / "data.yaml")):
        with pytest.raises(Problem, match=r"data\.yaml"):
            load(scenes / "data.yaml")


def test_damage_of_any_kind_ends_in_a_sentence() -> None:
    draws = random.Random(0)
    goods = {
        b"path: .\ntrain: x\nval: [a, b]\nnc: 2\nnames:\n  0: a\n  1: b\n": True,
        b"0 .5 .5 .2 .2\n1 1 2 3 4 5 6\n": False,
    }
    pieces = (
        b"",
        b"!!int x",
        b"&a",
        b"*a",
        b"[",
        b"{",
        b"? ",
        b"- ",
        b"<<: 3",
        b"\x00",
        b"9" * 999,
        b"nan",
        b"\n",
        b"\xff",
    )
    for number in range(3000):
        good = list(goods)[number % 2]
        content = bytearray(good)
        for _ in range(draws.randint(1, 3)):
            place = draws.randrange(len(content) + 1)
            content[place : place + draws.randint(0, 6)] = draws.choice(pieces)
        try:
            described(bytes(content)) if goods[good] else list(lines(bytes(content), 2))
        except BrokenError as error:
            assert str(error).isprintable()  # noqa: PT017 - either outcome is right

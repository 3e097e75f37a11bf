from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepen.data import folder, loose, pixels
from deepen.data.dataset import Dataset
from deepen.data.image_files import UnreadableError
from deepen.errors import Misuse, Problem
from deepen.recipe import Data
from deepen.sources import find_source
from deepen.spec import Nothing


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def paint(path: Path, size: tuple[int, int] = (40, 32), shade: int = 0) -> Path:
    """A plain picture, width by height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 100, 200)).save(path)
    return path


def lay(root: Path, count: int, size: tuple[int, int] = (40, 32)) -> Path:
    for number in range(count):
        paint(root / f"{number:02d}.png", size, shade=10 * number)
    return root


def pack(root: Path, target: Path, within: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(root.rglob("*.png")):
            archive.write(path, within + str(path.relative_to(root)))
    return target


def load(path: Path, **options: object) -> Dataset:
    return loose.load(str(path), Data(**options), 0)  # type: ignore[arg-type]


def test_pictures_have_one_reader(tmp_path: Path) -> None:
    flat = lay(tmp_path / "flat", 3)
    paint(tmp_path / "classes" / "a" / "1.png")
    paint(tmp_path / "classes" / "b" / "1.png")
    paint(tmp_path / "mixed" / "1.png")
    paint(tmp_path / "mixed" / "a" / "1.png")
    paint(tmp_path / "hidden" / "1.png")
    paint(tmp_path / "hidden" / ".thumbnails" / "1.png")
    readers = {
        flat: "loose",
        flat / "00.png": "loose",
        pack(flat, tmp_path / "flat.zip"): "loose",
        pack(flat, tmp_path / "wrapped.zip", "flat/"): "loose",
        pack(flat, tmp_path / "deep.zip", "pictures/flat/"): "folder",
        tmp_path / "classes": "folder",
        pack(tmp_path / "classes", tmp_path / "classes.zip"): "folder",
        tmp_path / "mixed": "folder",
        tmp_path / "hidden": "loose",
    }
    for path, reader in readers.items():
        assert find_source(str(path))[0].name == reader, path
        assert (loose.recognise(str(path)) is None) == (reader == "folder"), path
        assert (folder.recognise(str(path)) is None) == (reader == "loose"), path
    (tmp_path / "text.txt").write_text("x", encoding="utf-8")
    (tmp_path / "nothing").mkdir()
    assert loose.recognise(str(tmp_path / "nothing")) is None
    assert loose.recognise(str(tmp_path / "missing")) is None
    assert loose.recognise(str(tmp_path / "text.txt")) is None


def test_each_row_is_the_picture_that_its_origin_names(tmp_path: Path) -> None:
    dataset = load(lay(tmp_path / "some", 20))
    assert dataset.name == "some"
    assert isinstance(dataset.spec.output, Nothing)
    assert dataset.test is not None
    opened = dataset.test.open(lambda: 1)
    assert [len(dataset.train), len(dataset.validation), len(opened)] == [14, 2, 4]
    origins = []
    for columns in (dataset.train, dataset.validation, opened):
        assert set(columns.arrays) == {"input"}
        for row in range(len(columns)):
            origins.append(columns.origin(row))
            assert columns["input"][row, 0, 0, 0] == 10 * int(Path(columns.origin(row)).stem)
            assert Path(columns.origin(row)).is_file()
    assert len(set(origins)) == 20


def test_an_archive_holds_the_same(tmp_path: Path) -> None:
    root = lay(tmp_path / "some", 6)
    plain, packed = load(root), load(pack(root, tmp_path / "some.zip", "some/"))
    assert packed.name == "some"
    assert torch.equal(plain.train["input"], packed.train["input"])
    assert packed.train.origin(0).startswith(f"{tmp_path / 'some.zip'}/some/")


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1, 1, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (5, [3, 1, 1]), (30, [21, 3, 6])]
)
def test_few_pictures_are_split_as_far_as_they_go(tmp_path: Path, count: int, sizes: list[int]) -> None:
    dataset = load(lay(tmp_path / "some", count))
    assert [len(dataset.train), len(dataset.validation), len(dataset.test or ())] == sizes
    assert (dataset.validation is dataset.train) == (count == 1)
    assert any("nothing is held out" in fact for fact in dataset.facts) == (count == 1)


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(40, 32)], (32, 40)),
        ([(200, 150), (150, 220)], (128, 128)),
        ([(900, 700), (600, 800), (500, 500)], (256, 256)),
        ([(20, 10), (30, 12)], (32, 32)),
        ([(300, 300)], (256, 256)),
    ],
    ids=["one size stays", "largest side that fits", "limit", "smallest", "one large size"],
)
def test_the_size_suits_the_pictures(tmp_path: Path, sizes: list[tuple[int, int]], side: tuple[int, int]) -> None:
    for number in range(6):
        paint(tmp_path / "some" / f"{number}.png", sizes[number % len(sizes)], shade=number)
    dataset = load(tmp_path / "some")
    assert (dataset.preprocess.height, dataset.preprocess.width) == side
    assert any(f"{side[0]}x{side[1]}" in fact for fact in dataset.facts)
    assert load(tmp_path / "some", size=24).preprocess.height == 24


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        ((60, 40), {}, (40, 60)),
        ((1200, 800), {}, (256, 384)),
        ((1200, 800), {"size": 90}, (60, 90)),
        ((60, 40), {"size": 120}, (80, 120)),
    ],
)
def test_a_single_picture_keeps_its_form(
    tmp_path: Path, size: tuple[int, int], options: dict[str, int], expected: tuple[int, int]
) -> None:
    dataset = load(paint(tmp_path / "a picture.png", size), **options)
    assert dataset.name == "a picture"
    assert (dataset.preprocess.height, dataset.preprocess.width) == expected
    assert dataset.train.origin(0) == str(tmp_path / "a picture.png")


def test_grey_pictures_stay_grey_unless_asked_otherwise(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("L", (20, 20), 50 * number).save(tmp_path / f"{number}.png")
    assert load(tmp_path).preprocess.channels == 1
    assert load(tmp_path, channels=3).preprocess.channels == 3


def test_bad_files_are_told_and_left_out_when_asked(tmp_path: Path) -> None:
    root = lay(tmp_path / "some", 6)
    (root / "bad.png").write_bytes(b"")
    with pytest.raises(Problem, match=r"1 picture of 7.*bad\.png.*0 bytes.*skip_bad"):
        load(root)
    dataset = load(root, skip_bad=True)
    assert [Path(bad.path).name for bad in dataset.bad] == ["bad.png"]
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test or ()) == 6
    with pytest.raises(Problem, match="0 bytes"):
        load(root / "bad.png", skip_bad=True)


def test_what_cannot_be_followed_is_said(tmp_path: Path) -> None:
    root = lay(tmp_path / "some", 4)
    with pytest.raises(Misuse, match=r"data\.test"):
        load(root, test="other")
    with pytest.raises(Misuse, match="kept whole"):
        load(root / "00.png", size=20, resize=30)
    with pytest.raises(Misuse, match="column of a table"):
        load(root, target="x")


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    path = paint(tmp_path / "1.png")
    first = load(path).digest
    assert load(path).digest == first
    paint(path, shade=9)
    assert load(path).digest != first


def test_a_picture_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = paint(tmp_path / "1.png", (90, 60))
    assert pixels.whole(path)[0].shape == (60, 90, 3)
    assert pixels.whole(path, 30)[0].shape == (20, 30, 3)
    assert pixels.whole(path, 180)[0].shape == (120, 180, 3)
    assert pixels.whole(np.zeros((7, 9, 1), dtype=np.uint8))[0].shape == (7, 9, 3)
    with pytest.raises(UnreadableError, match="shape"):
        pixels.whole(np.zeros((7, 9), dtype=np.uint8))
    monkeypatch.setattr(pixels, "MOST_WHOLE", 1000)
    small, size = pixels.whole(path)
    high, wide, _ = small.shape
    assert size == (60, 90)
    assert high * wide <= 1000 < (high + 2) * (wide + 2)
    assert wide / high == pytest.approx(1.5, abs=0.05)

"""Pictures with masks: which belong together, what the numbers mean, rows beside the whole, tiles, and what is wrong."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deepen.data import camvid, decode, mask_folder, mask_rows
from deepen.data.dataset import Dataset
from deepen.data.framed import fitted
from deepen.data.mask_folder import pair, recognise
from deepen.data.masks import Options, meaning
from deepen.errors import Misuse, Problem
from deepen.sources import find_source
from deepen.spec import Mask

Mend = Callable[[Path], Any]


def counted(seen: list[list[int]]) -> np.ndarray:
    """As many pixels of each number as masks have it."""
    return np.bincount([one for values in seen for one in values], minlength=256)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def noise(height: int, width: int, top: int = 256, *, seed: int = 0, depth: int | None = 3) -> np.ndarray:
    shape = (height, width, depth) if depth else (height, width)
    return np.random.default_rng(seed).integers(0, top, shape, dtype=np.uint8)


def folder(root: Path, *, count: int = 10, size: tuple[int, int] = (12, 16), classes: int = 3) -> Path:
    """images/ and masks/ of noise."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        Image.fromarray(noise(*size, seed=number)).save(root / f"images/{number}.png")
        Image.fromarray(noise(*size, classes, seed=number, depth=None)).save(root / f"masks/{number}.png")
    return root


def load(root: Path, **settings: Any) -> Dataset:
    return mask_folder.load(str(root), Options(**settings), 0)


def everything(dataset: Dataset, column: str) -> dict[str, np.ndarray]:
    """Rows of all splits by the last name of their picture."""
    assert dataset.test is not None
    parts = (dataset.train, dataset.validation, dataset.test.open(lambda: 1))
    return {
        Path(part.origin(row)).stem: part[column][row].numpy()
        for part in parts
        for row in range(len(part))
        if column in part.arrays
    }


def names(dataset: Dataset) -> tuple[str, ...]:
    assert isinstance(dataset.spec.output, Mask)
    return dataset.spec.output.names


@pytest.mark.parametrize(
    ("files", "pairs"),
    [
        (["images/a.jpg", "masks/a.png"], {"images/a.jpg": "masks/a.png"}),
        (["img/a.jpg", "ann/a.png", "img/b.jpg", "ann/b.png"], {"img/a.jpg": "ann/a.png", "img/b.jpg": "ann/b.png"}),
        (["x/images/a.jpg", "x/labels/a_mask.png"], {"x/images/a.jpg": "x/labels/a_mask.png"}),
        (["train/a.jpg", "trainannot/a.png"], {"train/a.jpg": "trainannot/a.png"}),
        (["train_images/a.jpg", "train_masks/a_gt.png"], {"train_images/a.jpg": "train_masks/a_gt.png"}),
        (["train/images/a.jpg", "train/masks/a.png"], {"train/images/a.jpg": "train/masks/a.png"}),
        (["masks/val/a.png", "images/val/a.jpg"], {"images/val/a.jpg": "masks/val/a.png"}),
        (["a.jpg", "a_mask.png"], {"a.jpg": "a_mask.png"}),
        (["a.jpg", "masks/a.png"], {"a.jpg": "masks/a.png"}),
        (["images/a.b.jpg", "masks/a.b.png"], {"images/a.b.jpg": "masks/a.b.png"}),
        (["images/one_mask.jpg", "masks/one_mask.png"], {"images/one_mask.jpg": "masks/one_mask.png"}),
        (
            ["leftImg8bit/train/u/u_1_leftImg8bit.png", "gtFine/train/u/u_1_gtFine_labelIds.png"],
            {"leftImg8bit/train/u/u_1_leftImg8bit.png": "gtFine/train/u/u_1_gtFine_labelIds.png"},
        ),
    ],
)
def test_pictures_and_masks_are_paired_by_name(files: list[str], pairs: dict[str, str]) -> None:
    found = pair(files)
    assert found.mask_of == pairs
    assert not found.bad


def test_splits_are_read_off_folders() -> None:
    found = pair([f"set/{split}{end}/a.png" for split in ("train", "val", "test") for end in ("", "annot")])
    assert found.splits == {"set/train/a.png": "train", "set/val/a.png": "validation", "set/test/a.png": "test"}


def test_what_has_no_partner_is_told_and_what_lies_beside_is_left_out() -> None:
    found = pair(["images/a.jpg", "images/b.jpg", "masks/a.png", "masks/c.png", "masks/a_gt.png", "cover.jpg"])
    assert found.mask_of == {"images/a.jpg": "masks/a.png"}
    assert {bad.path: bad.reason.partition(":")[0] for bad in found.bad} == {
        "images/b.jpg": "it has no mask",
        "masks/c.png": "there is no picture of that name",
        "masks/a_gt.png": "'images/a.jpg' has another mask, 'masks/a.png'",
    }
    assert found.loose == ["cover.jpg"]


def test_pictures_of_one_name_are_told() -> None:
    found = pair(
        ["images/b.png", "images/b.jpg", "images/a.png", "masks/a.png", "masks/b.png", "images/c.png", "images/c.jpg"]
    )
    assert found.mask_of == {"images/a.png": "masks/a.png", "images/b.jpg": "masks/b.png"}
    (finding,) = found.findings
    assert (finding.subject, finding.details) == ("same-name", {"files": ["images/b.png"], "count": 1})
    assert "'images/b.jpg' is, 'images/b.png' is left out" in finding.text
    assert sorted(bad.path for bad in found.bad) == ["images/c.jpg", "images/c.png"]
    assert not pair(["train/a.png", "train/a.jpg", "val/images/b.jpg", "val/masks/b.png"]).bad


def test_a_data_set_tells_pictures_of_one_name(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes")
    first = sorted((root / "images").iterdir())[0]
    Image.fromarray(noise(12, 16)).save(first.with_suffix(".bmp"))
    (finding,) = load(root).findings
    assert finding.subject == "same-name"
    assert f"images/{first.name}" in finding.text


def test_class_folders_are_not_masks(tmp_path: Path) -> None:
    for name in ("cat", "label", "images"):
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.fromarray(noise(4, 4)).save(tmp_path / name / f"{name}{number}.png")
    assert recognise(str(tmp_path)) is None
    assert find_source(str(tmp_path))[0].name == "folder"
    assert recognise(str(tmp_path / "missing")) is None


def test_a_folder_is_recognised_and_read_as_it_is(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes", count=10)
    assert find_source(str(root))[0].name == "mask-folder"
    dataset = load(root)
    assert names(dataset) == ("0", "1", "2")
    assert (len(dataset.train), len(dataset.validation)) == (7, 1)
    inputs, targets = everything(dataset, "input"), everything(dataset, "target")
    for number in range(10):
        assert (inputs[str(number)] == noise(12, 16, seed=number)).all()
        assert (targets[str(number)] == noise(12, 16, 3, seed=number, depth=None)).all()
    assert set(dataset.train.arrays) == set(dataset.validation.arrays) == {"input", "target"}


def test_an_archive_reads_like_its_folder(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes")
    (root / "classes.txt").write_text("ground\ndark\nbright\n")
    with tarfile.open(tmp_path / "scenes.tar.gz", "w:gz") as archive:
        archive.add(root, "scenes")
    packed, plain = load(tmp_path / "scenes.tar.gz"), load(root)
    assert recognise(str(tmp_path / "scenes.tar.gz")) == "an archive of pictures with masks"
    assert names(packed) == names(plain) == ("ground", "dark", "bright")
    assert torch.equal(packed.train["target"], plain.train["target"])
    assert torch.equal(packed.train["input"], plain.train["input"])


def test_scaled_pictures_keep_the_whole_mask_for_what_is_measured(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes", count=10, size=(24, 32))
    Image.fromarray(noise(40, 20, seed=99)).save(root / "images/tall.png")
    Image.fromarray(noise(40, 20, 3, seed=99, depth=None)).save(root / "masks/tall.png")
    dataset = load(root, size=16)
    assert dataset.spec.input.shape == (3, 16, 16)
    assert set(dataset.train.arrays) == {"input", "target"}
    assert set(dataset.validation.arrays) == {"input", "target", "truth", "size"}
    targets, truths, sizes = (everything(dataset, column) for column in ("target", "truth", "size"))
    for stem, target in targets.items():
        height, width = (40, 20) if stem == "tall" else (24, 32)
        mask = noise(height, width, 3, seed=99 if stem == "tall" else int(stem), depth=None)
        tall, wide = fitted(height, width, 16, 16)
        lines = np.floor((np.arange(tall) + 0.5) * height / tall).astype(int)
        places = np.floor((np.arange(wide) + 0.5) * width / wide).astype(int)
        assert (target[:tall, :wide] == mask[lines[:, None], places]).all()
        assert (target[tall:] == 255).all()
        assert (target[:, wide:] == 255).all()
        if stem in truths:
            assert tuple(sizes[stem]) == (height, width)
            assert truths[stem].shape == (40, 32)
            assert (truths[stem][:height, :width] == mask).all()


def test_only_what_is_measured_is_kept_at_its_own_size(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes", count=10, size=(24, 32))
    before = load(root, size=16)
    learnt = Path(before.train.origin(0)).stem
    for name, depth in (("images", 3), ("masks", None)):
        Image.fromarray(noise(50, 300, 3, depth=depth)).save(root / f"{name}/{learnt}.png")
    assert load(root, size=16).validation["truth"].shape == (1, 24, 32)


def test_room_for_one_huge_mask_beside_many_is_asked_for_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path / "scenes", count=40, size=(8, 8))
    for split in ("val", "test"):
        for name in ("images", "masks"):
            (root / name / split).mkdir()
        for number in range(12):
            for name in ("images", "masks"):
                (root / f"{name}/{number + (12 if split == 'test' else 0)}.png").rename(
                    root / f"{name}/{split}/{number}.png"
                )
    for name, depth in (("images", 3), ("masks", None)):
        Image.fromarray(noise(60, 400, 3, depth=depth)).save(root / f"{name}/val/3.png")
    assert load(root, size=16).validation["truth"].shape == (12, 60, 400)
    monkeypatch.setattr(decode, "LARGE", 100)
    monkeypatch.setattr(mask_rows, "MOST_SPARSE", 1000)
    with pytest.raises(Problem, match=r"need 576,000 bytes in .*'masks/val/3\.png' has 60x400 pixels.*data\.tile=true"):
        load(root, size=16)
    assert len(load(root, size=16, tile=True).validation) > 12


def test_tiles_cover_a_picture_and_measure_each_pixel_once(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes", count=8, size=(50, 40))
    dataset = load(root, tile=True, size=32)
    assert dataset.preprocess.to_json()["tile"]
    assert dataset.spec.input.shape == (3, 32, 32)
    assert (len(dataset.train), len(dataset.validation)) == (5 * 4, 4)
    assert (dataset.train["target"] < 255).all()
    stem = Path(dataset.validation.origin(0).partition(" from ")[0]).stem
    assert set(dataset.train.arrays) == {"input", "target"}
    assert len(dataset.validation["owner"].unique()) == 1
    counts = np.bincount(noise(50, 40, 3, seed=int(stem), depth=None).ravel(), minlength=256)
    assert (np.bincount(dataset.validation["target"].numpy().ravel(), minlength=256)[:255] == counts[:255]).all()
    # What is shown for prediction is what was trained on, tile by tile.
    shown = torch.cat([rows for rows, _ in dataset.preprocess.pieces([root / f"images/{stem}.png"])])
    assert torch.equal(shown, dataset.validation["input"])


def test_large_rows_are_mapped_and_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path / "scenes", count=10, size=(24, 32))
    (root / "masks/3.png").unlink()
    (root / "images/3.png").unlink()
    wanted = [{"size": 16}, {"tile": True, "size": 16}, {"ignore": (2,)}]
    plain = [load(root, **settings) for settings in wanted]
    monkeypatch.setattr(decode, "LARGE", 100)
    for _ in range(2):
        for before, settings in zip(plain, wanted, strict=True):
            mapped = load(root, **settings)
            assert mapped.train.mapped
            for part in ("train", "validation"):
                for column, rows in getattr(before, part).arrays.items():
                    assert torch.equal(getattr(mapped, part)[column], rows), (settings, part, column)


def test_palettes_give_numbers_and_colours(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes")
    for path in (root / "masks").iterdir():
        image = Image.open(path)
        coloured = Image.fromarray(np.asarray(image))
        coloured.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
        coloured.save(path)
    output = load(root).spec.output
    assert output == Mask(("0", "1", "2"), ("#000000", "#ff0000", "#0000ff"))


def test_zero_and_255_are_two_classes_and_said_so(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes", classes=2)
    for path in (root / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) * 255).save(path)
    dataset = load(root)
    assert names(dataset) == ("background", "foreground")
    assert "Masks hold only 0 and 255: 255 is read as class 1 (data.ignore=255 leaves it out)." in dataset.facts
    assert (everything(dataset, "target")["4"] == noise(12, 16, 2, seed=4, depth=None)).all()


@pytest.mark.parametrize("mode", ["1", "I;16"])
def test_one_bit_and_sixteen_bit_masks_are_numbers_too(tmp_path: Path, mode: str) -> None:
    root = folder(tmp_path / "scenes", classes=2)
    for path in (root / "masks").iterdir():
        values = np.asarray(Image.open(path))
        made = Image.fromarray(values.astype(bool)) if mode == "1" else Image.fromarray(values.astype(np.uint16))
        made.save(path)
    assert (everything(load(root), "target")["4"] == noise(12, 16, 2, seed=4, depth=None)).all()


@pytest.mark.parametrize(
    ("seen", "given", "ignore", "expected"),
    [
        ([[0, 1], [1, 2, 255]], (), (), {0: 0, 1: 1, 2: 2, 255: 255}),
        ([[0, 1, 2]], ("a", "b", "c"), (2,), {0: 0, 1: 1, 2: 255}),
        ([[0, 1, 2]], (), (0,), {0: 255, 1: 1, 2: 2}),
        ([[0, 255]], (), (), {0: 0, 255: 1}),
        ([[0, 1, 255]], ("a", "b"), (), {0: 0, 1: 1, 255: 255}),
        ([[0, 80, 160, 255]], (), (), {0: 0, 80: 1, 160: 2, 255: 3}),
        ([[0, 128, 255]], (), (), {0: 0, 128: 1, 255: 2}),
        ([[0, 128, 255]], (), (255,), {0: 0, 128: 1, 255: 255}),
        ([[0, 15, 255]], (), (), {0: 0, 15: 1, 255: 255}),
    ],
)
def test_numbers_mean_classes(
    seen: list[list[int]], given: tuple[str, ...], ignore: tuple[int, ...], expected: dict[int, int]
) -> None:
    classes = meaning(counted(seen), given, ignore)
    assert {number: int(classes.table[number]) for number in expected} == expected
    assert max(one for one in expected.values() if one != 255) == len(classes.names) - 1
    assert not classes.unknown


@pytest.mark.parametrize(("seen", "ignore"), [([[0], [0]], ()), ([[0, 1]], (1,)), ([[255]], ()), ([[]], ())])
def test_one_class_is_nothing_to_tell_apart(seen: list[list[int]], ignore: tuple[int, ...]) -> None:
    with pytest.raises(Problem, match="fewer than two classes"):
        meaning(counted(seen), (), ignore)


@pytest.mark.parametrize("values", [range(256), range(0, 256, 15)])
def test_soft_edges_are_not_taken_for_classes(tmp_path: Path, values: range) -> None:
    pixels = np.zeros(256, dtype=np.int64)
    pixels[list(values)] = 10
    pixels[[0, 255]] = 60_000
    with pytest.raises(
        Problem, match=r"soft edges of 0/255 masks\. Threshold them, or name the classes in classes\.txt"
    ):
        meaning(pixels, (), ())
    assert len(meaning(pixels, [str(one) for one in range(255)], ()).names) == 255
    many = np.zeros(256, dtype=np.int64)
    many[:150] = 100 - np.arange(150) // 2
    assert len(meaning(many, (), ()).names) == 150  # as many classes, none of which has nearly all


@pytest.mark.parametrize(
    ("amounts", "ignore", "told"),
    [
        ({0: 60, 1: 30, 255: 10}, (), "Pixels of class 255 are neither learnt nor measured: 10 % of all."),
        ({0: 60, 1: 30, 2: 10}, (2,), "Pixels of class 2 are neither learnt nor measured (data.ignore): 10 % of all."),
        (
            {0: 60, 128: 30, 255: 10},
            (),
            "Masks hold the numbers 0, 128, 255: they are read as the classes 0 to 2 (data.ignore=255 leaves 255 out).",
        ),
    ],
)
def test_what_is_ignored_is_told_with_its_share(amounts: dict[int, int], ignore: tuple[int, ...], told: str) -> None:
    pixels = np.zeros(256, dtype=np.int64)
    pixels[list(amounts)] = list(amounts.values())
    assert meaning(pixels, (), ignore).facts == [told]


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("classes.txt", "sky\n\nthe road\n# no class\nTree\n", ("sky", "the road", "Tree")),
        ("names.txt", "2: tree\n0: sky\n1: road\n", ("sky", "road", "tree")),
        ("labels.json", '["天空", "road", "tree"]', ("天空", "road", "tree")),
        ("labels.json", '{"sky": 0, "tree": 2}', ("sky", "1", "tree")),
        ("classes.json", '{"0": "sky", "1": "road", "2": "tree"}', ("sky", "road", "tree")),
    ],
)
def test_names_are_read(tmp_path: Path, file: str, text: str, expected: tuple[str, ...]) -> None:
    root = folder(tmp_path / "scenes")
    (root / file).write_text(text, encoding="utf-8")
    assert names(load(root)) == expected


def test_a_line_that_counts_as_no_name_is_told(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes")
    (root / "classes.txt").write_text("sky\n #road\ntree\nhouse\n", encoding="utf-8")
    dataset = load(root)
    assert names(dataset) == ("sky", "tree", "house")
    (finding,) = dataset.findings
    assert (finding.level, finding.subject, finding.details) == ("warning", "remark", {"lines": ["#road"]})
    (root / "classes.txt").write_text("0 sky\n1 #road\n2 tree\n", encoding="utf-8")
    dataset = load(root)
    assert (names(dataset), dataset.findings) == (("sky", "#road", "tree"), [])


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("classes.txt", "", "names no classes"),
        ("classes.txt", "a\nb\na\n", "'a' twice"),
        ("labels.json", "{", "is not JSON"),
        ("labels.json", '{"a": "b"}', "names no classes"),
        ("labels.json", '{"a": 300}', "names no classes from 0 to 254"),
    ],
)
def test_names_that_are_none_are_refused(tmp_path: Path, file: str, text: str, told: str) -> None:
    root = folder(tmp_path / "scenes")
    (root / file).write_text(text, encoding="utf-8")
    with pytest.raises(Problem, match=told):
        load(root)


def save(pixels: np.ndarray) -> Mend:
    return lambda path: Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("where", "damage", "told"),
    [
        ("masks/3.png", save(noise(16, 12, 3, depth=None)), "it has 16x12 pixels and its picture 12x16"),
        ("masks/3.png", Path.unlink, "images/3.png': it has no mask"),
        ("images/3.png", Path.unlink, "masks/3.png': there is no picture of that name"),
        ("masks/3.png", save(np.full((12, 16), 7, dtype=np.uint8)), "has the class number 7: expected 0 to 2, 255"),
        ("masks/3.png", save(noise(12, 16)), r"its pixels are colours \(RGB\): expected class numbers"),
        ("masks/3.png", save(np.full((12, 16), 300, dtype=np.uint16)), "from 300 to 300: expected class numbers"),
        ("masks/3.png", lambda path: path.write_bytes(b""), r"'masks/3.png' cannot be used: the file is empty"),
        ("masks/3.png", lambda path: path.write_bytes(path.read_bytes()[:60]), "masks/3.png' cannot be used"),
        ("images/3.png", lambda path: path.write_bytes(b"text"), "images/3.png': it is not a picture"),
        (
            "masks/3.png",
            lambda path: Image.fromarray(noise(12, 16, 3, depth=None)).save(path, format="JPEG"),
            "it is a JPEG, whose compression changes class numbers",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_and_may_be_gone_without(
    tmp_path: Path, where: str, damage: Mend, told: str
) -> None:
    root = folder(tmp_path / "scenes")
    (root / "classes.txt").write_text("a\nb\nc\n")
    damage(root / where)
    with pytest.raises(Problem, match=told) as caught:
        load(root)
    assert "data.skip_bad=true" in str(caught.value)
    assert "\n" not in str(caught.value)
    dataset = load(root, skip_bad=True)
    assert len(dataset.bad) == 1
    assert len(everything(dataset, "target")) == 9
    assert any("1 pictures or masks that cannot be used are left out" in fact for fact in dataset.facts)


def test_masks_of_nothing_and_classes_that_do_not_occur_are_found(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes")
    (root / "classes.txt").write_text("a\nb\nc\nd\n")
    save(np.full((12, 16), 255, dtype=np.uint8))(root / "masks/3.png")
    findings = {one.subject: one.text for one in load(root).findings}
    assert "masks/3.png" in findings["all-ignored"]
    assert findings["absent-class"] == "No mask has 'd'."


def test_nothing_that_can_be_used_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path / "scenes", count=2)
    for path in (root / "images").iterdir():
        path.write_bytes(b"text")
    with pytest.raises(Problem, match="2 of 2 pictures or masks cannot be used"):
        load(root, skip_bad=True)
    with pytest.raises(Problem, match="has no picture with a mask of the same name"):
        load(root / "images")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ignore": (300,)}, "data.ignore=300 is out of range"),
        ({"test": "other"}, "put test pictures and masks into folders named test"),
        ({"resize": 20}, "with masks they stay whole"),
        ({"target": "x"}, "holds pictures"),
        ({"size": 0}, "out of range"),
    ],
)
def test_settings_that_masks_cannot_follow_are_refused(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(Misuse, match=told):
        load(folder(tmp_path / "scenes"), **settings)


@pytest.mark.skipif(not os.environ.get("DEEPEN_DATA"), reason="DEEPEN_DATA is not set")
def test_camvid_is_as_published() -> None:
    dataset = camvid.load("camvid", camvid.Config(), 0)
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (367, 101, 233)
    assert dataset.spec.input.shape == (3, 180, 240)
    assert len(names(dataset)) == 11
    counts = torch.bincount(dataset.train["target"].flatten(), minlength=256)
    assert counts[11:255].sum() == 0
    assert 0.03 < counts[255] / counts.sum() < 0.05
    assert set(dataset.validation.arrays) == {"input", "target"}
    assert not dataset.bad
    assert not dataset.findings

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepen.data import decode as decoding
from deepen.data import folder
from deepen.data.dataset import Dataset
from deepen.data.layout import lay_out, natural, typos
from deepen.data.pixels import ImagePreprocess
from deepen.errors import Misuse, Problem
from deepen.recipe import Data


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def shade(name: str) -> int:
    """A grey by which a picture can be recognised."""
    return int(np.frombuffer(name.encode(), np.uint8).astype(int).sum()) % 200 + 20


def lay(root: Path, counts: dict[str, int], ending: str = "png") -> Path:
    """A folder of plain pictures, `counts` in each folder."""
    for place, count in counts.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            name = f"{number}.{ending}"
            Image.new("L", (6, 5), shade(f"{place}/{name}")).save(root / place / name)
    return root


def load(root: Path, **options: object) -> Dataset:
    return folder.load(str(root), Data(**options), 0)  # type: ignore[arg-type]


def names_of(dataset: Dataset) -> tuple[str, ...]:
    names: tuple[str, ...] = dataset.spec.output.names  # type: ignore[union-attr]
    return names


def subjects(dataset: Dataset) -> dict[str, str]:
    return {finding.subject: finding.level for finding in dataset.findings}


def test_each_row_is_the_picture_that_its_origin_names_with_its_class(tmp_path: Path) -> None:
    dataset = load(lay(tmp_path / "pets", {"cat": 20, "dog": 30}))
    assert dataset.name == "pets"
    assert [len(dataset.train), len(dataset.validation)] == [35, 5]
    assert dataset.test is not None
    assert len(dataset.test) == 10
    origins = []
    for columns in (dataset.train, dataset.validation, dataset.test.open(lambda: 1)):
        for row in range(len(columns)):
            place = Path(columns.origin(row))
            origins.append(place)
            assert (columns["input"][row] == shade(f"{place.parent.name}/{place.name}")).all()
            assert names_of(dataset)[columns["target"][row]] == place.parent.name
    assert sorted(origins) == sorted((tmp_path / "pets").rglob("*.png"))


def test_given_splits_are_kept_and_said(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"train/a": 4, "train/b": 3, "val/a": 2, "val/b": 2, "test/a": 1, "test/b": 5})
    dataset = load(root)
    assert [len(dataset.train), len(dataset.validation), dataset.test and len(dataset.test)] == [7, 4, 6]
    assert "6 in test/, 7 in train/, 4 in val/, 2 classes (a, b)" in dataset.facts[0]
    for row in range(len(dataset.train)):
        assert "/train/" in dataset.train.origin(row)


LAYOUTS = {
    "flat": (["a/1.png", "b/2.png"], ["a", "b"], ["train", "train"]),
    "nested below a class": (["a/x/y/1.png", "b/2.png"], ["a", "b"], ["train", "train"]),
    "splits": (["Train/a/1.png", "valid/b/2.png", "TEST/a/3.png"], ["a", "b", "a"], ["train", "validation", "test"]),
    "wrapped": (["w/train/a/1.png", "w/val/b/2.png"], ["a", "b"], ["train", "validation"]),
    "wrapped flat": (["w/a/1.png", "w/b/2.png"], ["a", "b"], ["train", "train"]),
    "wrapped twice": (["v/w/a/1.png", "v/w/b/2.png"], ["a", "b"], ["train", "train"]),
    "train alone": (["train/a/1.png", "train/b/2.png"], ["a", "b"], ["train", "train"]),
    "a class that is called train": (
        ["train/1.png", "bus/2.png", "test/3.png"],
        ["train", "bus", "test"],
        ["train"] * 3,
    ),
    "no classes": (["1.png", "2.png"], [None, None], ["train", "train"]),
    "one class": (["a/1.png", "a/2.png"], ["a", "a"], ["train", "train"]),
    "loose pictures": (["a/1.png", "b/2.png", "3.png"], ["a", "b", None], ["train", "train", "train"]),
    "unlabelled test": (["train/a/1.png", "val/a/2.png", "test/3.png"], ["a", "a", None], ["train", "validation", ""]),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layouts(kind: str) -> None:
    names, classes, splits = LAYOUTS[kind]
    layout = lay_out(names)
    assert (layout.classes, layout.splits) == (classes, splits)


def test_class_names_survive_and_sort_as_people_count(tmp_path: Path) -> None:
    names = ["10", "9", "NA", "猫", "two words", "null", "Ärger"]
    dataset = load(lay(tmp_path / "x", dict.fromkeys(names, 6)))
    assert names_of(dataset) == ("9", "10", "NA", "null", "two words", "Ärger", "猫")
    assert sorted(["b2", "b10", "a", "b1"], key=natural) == ["a", "b1", "b2", "b10"]
    assert sorted(["²", "1", "x"], key=natural) == ["1", "x", "²"]


def test_class_names_that_look_alike_are_found() -> None:
    (finding,) = typos(["Cat", "cat ", "dog", "caf\u00e9"])
    assert finding.details["names"] == ["Cat", "cat "]
    (finding,) = typos(["caf\u00e9", "cafe\u0301"])
    assert finding.subject == "label-typos"
    assert typos(["cat", "dog"]) == []


def test_every_ending_is_read_in_any_case(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"a": 5, "b": 5})
    for number, ending in enumerate(("JPG", "jpeg", "webp", "bmp", "tif", "TIFF", "gif", "Png")):
        Image.new("L", (6, 5), 100).save(root / "a" / f"more{number}.{ending}")
    dataset = load(root, channels=1)
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test or ()))) == 18


def test_what_systems_leave_behind_is_no_picture(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"a": 5, "b": 5, "__MACOSX/a": 2, ".hidden/a": 2})
    (root / "a" / "._0.png").write_bytes(b"junk")
    (root / "a" / "Thumbs.db").write_bytes(b"junk")
    dataset = load(root)
    assert dataset.bad == []
    assert names_of(dataset) == ("a", "b")


def test_bad_pictures_are_all_found_first_and_left_out_only_when_asked(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"a": 8, "b": 8})
    (root / "a" / "empty.png").write_bytes(b"")
    (root / "b" / "text.jpg").write_text("not a picture " * 9)
    whole = (root / "a" / "0.png").read_bytes()
    (root / "b" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    for _ in range(2):
        with pytest.raises(Problem) as caught:
            load(root)
        text = str(caught.value)
        assert text.startswith("4 pictures of 20 cannot be read")
        assert "a/empty.png': the file is empty" in text
        assert "and 1 more" in text
        assert "data.skip_bad=true" in text
    dataset = load(root, skip_bad=True)
    assert sorted(Path(bad.path).name for bad in dataset.bad) == ["cut.png", "empty.png", "gone.png", "text.jpg"]
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test or ()))) == 16
    assert any("4 pictures that cannot be read are left out" in fact for fact in dataset.facts)


def test_odd_pictures_are_read_like_plain_ones(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"a": 5, "b": 5})
    Image.new("CMYK", (6, 5), (0, 255, 255, 0)).save(root / "a" / "cmyk.jpg")
    Image.fromarray(np.full((5, 6), 65535, np.uint16)).save(root / "a" / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (5, 6), "blue").save(root / "b" / "turned.jpg", exif=exif)
    Image.new("RGB", (6, 5), "green").save(root / "b" / "really_a_png.jpg", "PNG")
    dataset = load(root)
    assert dataset.bad == []
    # Turned upright, the one that lay on its side has the size of all others.
    assert dataset.preprocess.to_json()["height"] == 5
    assert any("All pictures are 5x6" in fact for fact in dataset.facts)
    assert any("are grey" in fact for fact in dataset.facts)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: root, ["no folder or archive"]),
        (lambda root: lay(root, {"": 3}), ["3 pictures but no class folders", "<class>"]),
        (lambda root: lay(root, {"cat": 3}), ["one class only, 'cat'"]),
        (lambda root: (root.mkdir(), (root / "a.txt").write_text("x")), ["no picture", "1 .txt", "<class>"]),
        (lambda root: root.mkdir(), ["no picture", "nothing"]),
        (lambda root: root.write_text("x"), ["neither a folder nor an archive"]),
    ],
)
def test_what_is_no_folder_of_classes_is_refused_with_what_was_seen(tmp_path: Path, make, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "x")
    with pytest.raises(Problem) as caught:
        load(tmp_path / "x")
    assert all(word in str(caught.value) for word in words), caught.value
    assert caught.value.exit_code == 1


def test_sizes_out_of_range_are_misuse(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"a": 3, "b": 3})
    for size in (0, -3, 100_000):
        with pytest.raises(Misuse, match="out of range"):
            load(root, size=size)


def test_what_a_person_should_know_of_the_classes(tmp_path: Path) -> None:
    root = lay(
        tmp_path / "x", {"train/a": 5, "train/b": 5, "train/Only": 4, "val/a": 2, "val/b": 2, "val/only": 2, "val/d": 1}
    )
    (root / "train" / "empty").mkdir()
    found = load(root)
    assert subjects(found) == {
        "label-typos": "warning",
        "empty-folder": "warning",
        "tiny-class": "warning",
        "class-in-one-split": "warning",
    }
    levels = [(one.level, one.details["names"]) for one in found.findings if one.subject == "class-in-one-split"]
    assert levels == [("error", ["d", "only"]), ("warning", ["Only"])]


def test_loose_pictures_are_not_used_and_counted(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"a": 5, "b": 5, "": 3})
    dataset = load(root)
    (finding,) = dataset.findings
    assert (finding.subject, finding.details) == ("no-class", {"count": 3})
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test or ()))) == 10
    for row in range(len(dataset.train)):
        place = Path(dataset.train.origin(row))
        assert (dataset.train["input"][row] == shade(f"{place.parent.name}/{place.name}")).all()


def test_a_second_folder_is_the_test_split(tmp_path: Path) -> None:
    root, other = lay(tmp_path / "x", {"a": 10, "b": 10}), lay(tmp_path / "y", {"b": 4})
    lay(other, {"a": 3})
    dataset = load(root, test=str(other))
    assert dataset.test is not None
    sealed = dataset.test.open(lambda: 1)
    assert len(sealed) == 7
    assert [names_of(dataset)[number] for number in sealed["target"].tolist()] == ["a"] * 3 + ["b"] * 4
    assert len(dataset.train) + len(dataset.validation) == 20
    lay(other, {"unknown": 1})
    with pytest.raises(Problem, match="'unknown'"):
        load(root, test=str(other))
    with pytest.raises(Misuse, match="second test split"):
        load(lay(tmp_path / "z", {"train/a": 3, "train/b": 3, "test/a": 1}), test=str(other))


def pack(root: Path, path: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(root.rglob("*.*")):
                archive.write(file, file.relative_to(root.parent))
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.add(root, root.name)
    return path


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_an_archive_trains_on_the_same_rows_as_its_folder(tmp_path: Path, name: str) -> None:
    root = lay(tmp_path / "x", {"train/猫": 6, "train/b": 6, "val/猫": 2, "val/b": 2})
    packed = load(pack(root, tmp_path / name))
    plain = load(root)
    assert packed.name == plain.name == "x"
    assert names_of(packed) == names_of(plain) == ("b", "猫")
    key = lambda columns: sorted(zip(columns["input"].flatten(1).tolist(), columns["target"].tolist(), strict=True))  # noqa: E731
    assert key(packed.train) == key(plain.train)
    assert key(packed.validation) == key(plain.validation)


def test_large_sets_are_mapped_split_by_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay(tmp_path / "x", {"a": 20, "b": 30})
    small = load(root)
    monkeypatch.setattr(decoding, "LARGE", 100)
    for _ in range(2):
        large = load(root)
        for part in ("train", "validation"):
            ours, theirs = getattr(large, part), getattr(small, part)
            assert ours.mapped
            assert not theirs.mapped
            assert torch.equal(ours["input"], theirs["input"])
            assert torch.equal(ours["target"], theirs["target"])
            assert ours.origins == theirs.origins
        assert large.preprocess == small.preprocess


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"a": 5, "b": 5})
    first = load(root).digest
    assert load(root).digest == first
    Image.new("L", (6, 5), 1).save(root / "a" / "0.png")
    assert load(root).digest != first


def test_recognising(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"a": 1, "b": 1})
    assert folder.recognise(str(root)) == "a folder of pictures"
    assert folder.recognise(str(pack(root, tmp_path / "x.zip"))) == "an archive of pictures"
    assert folder.recognise(str(root / "a" / "0.png")) is None
    assert folder.recognise(str(tmp_path / "nothing")) is None
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    (sounds / "a.wav").write_bytes(b"RIFF")
    assert folder.recognise(str(sounds)) is None


def test_names_that_are_not_utf8_are_said(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"a": 2, "b": 2})
    (root / os.fsdecode(b"caf\xe9")).mkdir()
    with pytest.raises(Problem, match="not UTF-8"):
        load(root)


def test_a_limit_and_a_size_are_kept(tmp_path: Path) -> None:
    dataset = load(lay(tmp_path / "x", {"a": 30, "b": 30}), limit=10, size=4, channels=3)
    assert len(dataset.train) == 10
    assert dataset.train["input"].shape[1:] == (4, 4, 3)
    assert dataset.train["target"].bincount().tolist() == [5, 5]


def test_an_archive_with_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("L", (3, 3)).save(content, "PNG")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("a/1.png", "b/1.png", "a/1.png"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content.getvalue())
            archive.addfile(entry, io.BytesIO(content.getvalue()))
    with pytest.raises(Problem, match="twice"):
        load(tmp_path / "x.tar")


def test_given_mean_deviation_and_centre_are_followed_and_kept(tmp_path: Path) -> None:
    root = lay(tmp_path / "pets", {"cat": 12, "dog": 12})
    plain = load(root, size=4)
    given = load(root, size=4, resize=5, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
    preprocess = given.preprocess
    assert isinstance(preprocess, ImagePreprocess)
    assert preprocess == ImagePreprocess(3, 4, 4, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), resize=5)
    assert given.spec.input.shape == (3, 4, 4)
    path = given.train.origins[0]  # type: ignore[index]
    assert torch.equal(preprocess.encode([path])[0], given.train["input"][0]), "training and predict see the same"
    assert isinstance(plain.preprocess, ImagePreprocess)
    assert plain.preprocess.resize is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resize": 8}, "give data.size as well"),
        ({"size": 8, "resize": 6}, r"expected 8 \(data.size\) to"),
        ({"size": 8, "resize": 5000}, "data.resize=5000 is out of range"),
        ({"mean": (0.5,)}, "data.mean was given without data.std"),
        ({"std": (0.5,)}, "data.std was given without data.mean"),
        ({"mean": (0.5,), "std": (0.0,)}, "expected numbers above 0"),
        ({"mean": (0.5,), "std": (-1.0,)}, "expected numbers above 0"),
        ({"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}, "has 3 numbers: expected 1"),
        ({"mean": (0.5,), "std": (0.5,), "channels": 3}, "has 1 number: expected 3"),
    ],
)
def test_settings_of_pictures_that_contradict_each_other(options: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=words):
        load(lay(tmp_path / "pets", {"cat": 12, "dog": 12}), **options)


def test_label_files_that_are_broken_are_told_where_folders_are_classes(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"train2017": 5, "val2017": 5})
    assert load(root).findings == []
    (root / "instances.json").write_text('{"images": [')
    (finding,) = load(root).findings
    assert (finding.level, finding.subject) == ("warning", "unread-labels")
    assert "'instances.json' is no well-formed JSON" in finding.text

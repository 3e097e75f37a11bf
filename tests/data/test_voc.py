"""Pascal VOC: what its files may look like, and what is wrong with some."""

from __future__ import annotations

import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from deepen.data import bccd, voc
from deepen.data.dataset import Dataset
from deepen.data.documents import BrokenError
from deepen.errors import Problem
from deepen.recipe import Data
from deepen.spec import Boxes, ignored
from tests.samples import voc as sample


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return Path(sample.make(tmp_path))


def load(source: Path, **options: object) -> Dataset:
    return voc.load(str(source), Data(**options), 0)  # type: ignore[arg-type]


def named(dataset: Dataset) -> list[list[str]]:
    parts = [dataset.train, dataset.validation]
    if dataset.test is not None:
        parts.append(dataset.test.open(lambda: 1))
    return [sorted(Path(part.origin(row)).stem for row in range(len(part))) for part in parts]


def subjects(dataset: Dataset) -> dict[str, str]:
    return {finding.subject: finding.text for finding in dataset.findings}


def xml(*objects: str, size: str = "<size><width>64</width><height>64</height></size>", more: str = "") -> str:
    inside = "".join(f"<object>{one}</object>" for one in objects)
    return f"<annotation><filename>x.png</filename>{size}{inside}{more}</annotation>"


def box(left: object = 1, top: object = 2, right: object = 30, bottom: object = 40, name: str = "cat") -> str:
    corners = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    return f"<name>{name}</name><bndbox>{corners}</bndbox>"


def test_boxes_and_parts_are_those_of_the_files(scenes: Path) -> None:
    dataset = load(scenes)
    assert [len(part) for part in named(dataset)] == [14, 5, 5]
    assert dataset.spec.output.names == ("bright", "dark")  # type: ignore[union-attr]
    for row in range(len(dataset.train)):
        content = (scenes / "Annotations" / f"{Path(dataset.train.origin(row)).stem}.xml").read_bytes()
        told = [(*thing.corners, float(thing.name == "dark")) for thing in voc.parse(content).objects]
        target = dataset.train["target"][row]
        assert [tuple(one) for one in target.tolist() if one[4] >= 0] == told


def test_an_archive_and_a_wrapped_folder_give_the_same(scenes: Path, tmp_path: Path) -> None:
    expected = load(scenes)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(scenes, "VOCdevkit/VOC2007")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        for path in sorted(scenes.rglob("*")):
            packed.write(path, path.relative_to(scenes))
    for source in (tmp_path / "x.tar.gz", tmp_path / "x.zip", scenes.parent):
        assert voc.recognise(str(source)) == "pictures with boxes in XML files (Pascal VOC)"
        dataset = load(source)
        assert named(dataset) == named(expected)
        assert torch.equal(dataset.train["target"], expected.train["target"])
        assert torch.equal(dataset.train["input"], expected.train["input"])


def test_files_beside_each_other_in_folders_of_parts(scenes: Path, tmp_path: Path) -> None:
    """As Roboflow writes it."""
    for part, numbers in {"train": range(10), "valid": range(10, 14), "test": range(14, 18)}.items():
        (tmp_path / "flat" / part).mkdir(parents=True)
        for number in numbers:
            (scenes / f"JPEGImages/{number:02d}.png").rename(tmp_path / "flat" / part / f"{number:02d}.png")
            (scenes / f"Annotations/{number:02d}.xml").rename(tmp_path / "flat" / part / f"{number:02d}.xml")
    assert voc.recognise(str(tmp_path / "flat"))
    assert [len(part) for part in named(load(tmp_path / "flat"))] == [10, 4, 4]
    assert [len(part) for part in named(load(tmp_path / "flat/train"))] == [7, 1, 2]


def test_folders_of_other_names(scenes: Path) -> None:
    (scenes / "JPEGImages").rename(scenes / "images")
    (scenes / "Annotations").rename(scenes / "annotations")
    assert [len(part) for part in named(load(scenes))] == [14, 5, 5]


def test_nothing_else_is_taken_for_voc(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.png").write_bytes(b"")
    (tmp_path / "a/notes.xml").write_text("<notes/>")
    assert voc.recognise(str(tmp_path)) is None
    assert voc.recognise(str(tmp_path / "a/1.png")) is None
    assert voc.recognise(str(tmp_path / "missing")) is None


def test_without_lists_the_split_is_drawn(scenes: Path) -> None:
    for path in (scenes / "ImageSets/Main").iterdir():
        path.unlink()
    assert [len(part) for part in named(load(scenes))] == [17, 2, 5]


def test_trainval_is_used_where_train_is_not(scenes: Path) -> None:
    lists = scenes / "ImageSets/Main"
    (lists / "trainval.txt").write_text((lists / "train.txt").read_text() + (lists / "val.txt").read_text())
    assert [len(part) for part in named(load(scenes))] == [14, 5, 5]
    (lists / "train.txt").unlink()
    (lists / "val.txt").unlink()
    assert [len(part) for part in named(load(scenes))] == [17, 2, 5]


def test_a_picture_in_two_lists_is_held_out(scenes: Path) -> None:
    with (scenes / "ImageSets/Main/train.txt").open("a") as file:
        file.write("\n15.png\n 20 \n")
    dataset = load(scenes)
    assert [len(part) for part in named(dataset)] == [14, 5, 5]
    assert subjects(dataset)["two-lists"].startswith("2 pictures are in two lists")


def test_lists_that_name_the_same_pictures_are_learnt_from_and_not_measured(scenes: Path) -> None:
    lists = scenes / "ImageSets/Main"
    (lists / "val.txt").write_text((lists / "train.txt").read_text())
    dataset = load(scenes)
    train, validation, test = named(dataset)
    assert [len(train), len(validation), len(test)] == [13, 1, 5]
    assert not set(train) & {*validation, *test}
    told = subjects(dataset)["two-lists"]
    assert told.startswith("All 14 pictures of train are in another of the lists too")
    assert "validation is drawn from train" in told


def test_pictures_in_no_list_are_left_out(scenes: Path) -> None:
    (scenes / "ImageSets/Main/test.txt").unlink()
    dataset = load(scenes)
    assert [len(part) for part in named(dataset)] == [14, 5]
    assert subjects(dataset)["no-part"].startswith("5 pictures stand in no list")


def test_pictures_without_an_xml_file_are_left_out(scenes: Path) -> None:
    for path in (scenes / "ImageSets/Main").iterdir():
        path.unlink()
    (scenes / "Annotations/07.xml").unlink()
    dataset = load(scenes)
    assert "07.png" in subjects(dataset)["no-labels"]
    assert sum(len(part) for part in named(dataset)) == 23


def test_difficult_objects_are_ignored_and_counted(scenes: Path) -> None:
    text = xml(box(), box(2, 3, 9, 9) + "<difficult>1</difficult>", box(5, 5, 20, 20) + "<difficult> 0 </difficult>")
    (scenes / "Annotations/00.xml").write_text(text)
    dataset = load(scenes)
    row = [Path(dataset.train.origin(row)).stem for row in range(14)].index("00")
    assert isinstance(dataset.spec.output, Boxes)
    cat = dataset.spec.output.names.index("cat")
    assert dataset.train["target"][row, :3, 4].tolist() == [cat, ignored(cat, crowd=False), cat]
    assert dataset.train["target"][row, 1, :4].tolist() == [2, 3, 9, 9]
    assert any(fact.startswith("Ignored boxes: 1 of difficult objects;") for fact in dataset.facts)
    assert "difficult" not in subjects(dataset)


def test_what_is_only_ever_difficult_is_no_class(scenes: Path) -> None:
    text = xml(box(name="bright"), box(2, 3, 9, 9, "dog") + "<difficult>1</difficult>")
    (scenes / "Annotations/00.xml").write_text(text)
    dataset = load(scenes)
    assert dataset.spec.output.names == ("bright", "dark")  # type: ignore[union-attr]
    assert "object 2 of Annotations/00.xml" in subjects(dataset)["difficult"]


def test_parts_of_an_object_are_not_taken_for_it() -> None:
    """The person layout of VOC has boxes of head and hands inside an object."""
    part = "<part><name>head</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
    (thing,) = voc.parse(xml(part + box() + part).encode()).objects
    assert (thing.name, thing.corners) == ("cat", (1, 2, 30, 40))


def test_what_is_read_of_a_file() -> None:
    content = xml(box("1.5", " 2 ", "3e1", 40, "a\n b"), size="<size><width>0</width><height>0</height></size>")
    annotation = voc.parse(content.encode("utf-16"))
    assert annotation.size is None
    assert annotation.filename == "x.png"
    assert (annotation.objects[0].name, annotation.objects[0].corners) == ("a b", (1.5, 2, 30, 40))
    assert voc.parse(xml(box(name="红细胞")).encode()).objects[0].name == "红细胞"


BROKEN = {
    "": "no well-formed XML",
    "<annotation>": "no well-formed XML .* in line 1",
    "<notes/>": "begins with <notes>",
    '<!DOCTYPE annotation SYSTEM "file:///etc/passwd"><annotation/>': "document type",
    '<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>': "document type",
    xml("<name>cat</name>"): "object 1 .'cat'. has no xmin",
    xml(box(), box(name=" ")): "object 2 has the name ''",
    xml(box(left="one")): "xmin of object 1 .'cat'. is 'one', expected a number",
    xml(size="<size><width>wide</width><height>3</height></size>"): "the width is 'wide'",
    '<?xml version="1.0" encoding="klingon"?><annotation/>': "XML|decoded",
}


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_file_is_told_in_a_sentence(content: str, scenes: Path) -> None:
    with pytest.raises(BrokenError, match=BROKEN[content]) as caught:
        voc.parse(content.encode())
    assert "\n" not in str(caught.value)
    (scenes / "Annotations/03.xml").write_text(content)
    with pytest.raises(Problem, match=r"Annotations/03\.xml"):
        load(scenes)
    dataset = load(scenes, skip_bad=True)
    assert [Path(one.path).name for one in dataset.bad] == ["03.xml"]
    assert "03" not in named(dataset)[0]


def test_entities_do_not_unfold() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + level)} "{f"&{chr(97 + level)};" * 10}">' for level in range(9)
    )
    with pytest.raises(BrokenError, match="document type"):
        voc.parse(f"{bomb}]><annotation><filename>&j;</filename></annotation>".encode())


def test_a_huge_file_is_not_read(scenes: Path) -> None:
    (scenes / "Annotations/03.xml").write_bytes(b" " * (voc.MOST_BYTES + 1))
    with pytest.raises(Problem, match=r"03\.xml': it has more bytes than the limit of 4,194,304"):
        load(scenes)


def test_names_in_lists_that_nothing_has_are_bad(scenes: Path) -> None:
    with (scenes / "ImageSets/Main/val.txt").open("a") as file:
        file.write("99\n")
    with pytest.raises(Problem, match=r"val\.txt': line 6 names '99', which has no picture"):
        load(scenes)
    (scenes / "ImageSets/Main/val.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(Problem, match=r"val\.txt': it is not written in UTF-8"):
        load(scenes)


def test_two_files_for_a_picture_are_bad(scenes: Path) -> None:
    text = (scenes / "Annotations/03.xml").read_text()
    (scenes / "Annotations/x03.xml").write_text(text)
    with pytest.raises(Problem, match=r"x03\.xml': it labels the picture 'JPEGImages/03.png', which another"):
        load(scenes)


def test_only_a_file_name_that_differs_from_the_xml_files_leads_to_the_picture(scenes: Path) -> None:
    (scenes / "Annotations/03.xml").rename(scenes / "Annotations/y.xml")
    for path in (scenes / "ImageSets/Main").iterdir():
        path.unlink()
    assert sum(len(part) for part in named(load(scenes))) == 24


def test_damage_of_any_kind_ends_in_a_sentence() -> None:
    draws = random.Random(0)
    good = xml(box(), box(name="dog")).encode()
    for _ in range(2000):
        content = bytearray(good)
        for _ in range(draws.randint(1, 4)):
            place = draws.randrange(len(content) + 1)
            content[place : place + draws.randint(0, 9)] = draws.choice(
                (
                    b"",
                    draws.randbytes(draws.randint(1, 6)),
                    b"&amp;",
                    b"&x;",
                    b"<!DOCTYPE a>",
                    b"</object>",
                    b"nan",
                    b"]]>",
                )
            )
            if draws.random() < 0.2:
                del content[place:]
        try:
            voc.parse(bytes(content))
        except BrokenError as error:
            assert str(error).isprintable()  # noqa: PT017 - either outcome is right


def test_the_same_content_has_the_same_digest_and_other_boxes_another(scenes: Path) -> None:
    first = load(scenes).digest
    assert load(scenes).digest == first
    (scenes / "Annotations/03.xml").write_text(xml(box()))
    assert load(scenes).digest != first


def test_bccd_says_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPEN_DATA", str(tmp_path / "nothing"))
    with pytest.raises(Problem, match=r"BCCD is not in '.*nothing/bccd': put the folder"):
        bccd.load("bccd", Data(), 0)


@pytest.mark.skipif(
    not os.environ.get("DEEPEN_DATA"), reason="DEEPEN_DATA is not set: it names the folder of data sets"
)
def test_bccd_has_its_own_parts() -> None:
    dataset = bccd.load("bccd", Data(size=160), 0)
    assert [len(part) for part in named(dataset)] == [205, 87, 72]
    assert dataset.spec.output.names == ("Platelets", "RBC", "WBC")  # type: ignore[union-attr]
    assert dataset.train["input"].shape == (205, 120, 160, 3)
    assert dataset.name == "bccd"
    assert "364 pictures, 4,886 boxes: 4,153 RBC, 372 WBC, 361 Platelets" in dataset.facts[0]
    assert subjects(dataset)["boxes-empty"].startswith("2 boxes of no width or height")

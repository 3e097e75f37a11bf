"""Label files beside pictures: found, read within limits, and led back to their pictures."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

import pytest

from deepen.data import documents
from deepen.data.documents import BrokenError, Pictures, part_in, parts_of
from deepen.errors import Problem


def lay(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def packed(root: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(root, ".")
    return path


def test_a_glance_sees_every_kind_of_file_the_highest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [f"a/{number:04d}.jpg" for number in range(300)]
    root = lay(tmp_path / "x", *pictures, "a/zz.json", "top.yaml", ".hidden/x.xml", "__MACOSX/x.xml", "b/c/deep.xml")
    seen = documents.glance(str(root))
    assert seen[0] == "top.yaml"
    assert "a/zz.json" in seen
    assert "b/c/deep.xml" in seen
    assert sum(name.endswith(".jpg") for name in seen) == documents.GLANCED_FILES
    assert not [name for name in seen if "hidden" in name or "MACOSX" in name]
    monkeypatch.setattr(documents, "GLANCED_ENTRIES", 10)
    assert "b/c/deep.xml" not in documents.glance(str(root))
    assert documents.glance(str(root / "top.yaml")) == ()
    assert documents.glance(str(tmp_path / "missing")) == ()


def test_a_glance_into_an_archive(tmp_path: Path) -> None:
    archive = packed(lay(tmp_path / "x", "a/1.jpg", "b.json", ".DS_Store"), tmp_path / "x.tgz")
    assert sorted(documents.glance(str(archive))) == ["a/1.jpg", "b.json"]
    assert documents.listed(archive) == {"a/1.jpg", "b.json"}
    assert dict(documents.peek(str(archive), ["b.json", "none"], 100)) == {"b.json": b"b.json"}
    assert dict(documents.peek(str(archive), ["b.json"], 3)) == {}
    (tmp_path / "broken.zip").write_bytes(b"PK no archive")
    assert documents.glance(str(tmp_path / "broken.zip")) == ()
    with pytest.raises(Problem, match="damaged"):
        documents.collect(tmp_path / "broken.zip", lambda name: True, 100)


@pytest.mark.parametrize("as_archive", [False, True])
def test_what_is_wanted_is_read_within_limits(
    as_archive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = lay(tmp_path / "x", "b.xml", "a/c.xml", "a/much.xml", "a/d.jpg", ".hidden/e.xml")
    (root / "a/much.xml").write_bytes(b"x" * 101)
    source = packed(root, tmp_path / "x.tgz") if as_archive else root
    found, bad = documents.collect(source, lambda name: name.endswith(".xml"), 100)
    assert found == {"a/c.xml": b"a/c.xml", "b.xml": b"b.xml"}
    assert [(one.path, one.reason) for one in bad] == [("a/much.xml", "it has more bytes than the limit of 100")]
    monkeypatch.setattr(documents, "MOST_BYTES", 10)
    with pytest.raises(Problem, match="over 10 bytes together"):
        documents.collect(source, lambda name: name.endswith(".xml"), 100)


def test_what_cannot_be_read_is_bad(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", "a.xml")
    (root / "b.xml").symlink_to(root / "nothing")
    found, bad = documents.collect(root, lambda name: True, 100)
    assert list(found) == ["a.xml"]
    assert [(one.path, one.reason) for one in bad] == [("b.xml", "No such file or directory")]


def test_a_name_twice_in_an_archive_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("a.xml"))
    with pytest.raises(Problem, match=r"holds 'a\.xml' twice"):
        documents.collect(tmp_path / "x.tar", lambda name: True, 100)


def test_parts_by_words_in_names() -> None:
    assert part_in("annotations/instances_val2017.json") == "validation"
    assert part_in("valid/_annotations.coco.json") == "validation"
    assert part_in("train/test/x.json") == "test"
    assert part_in("training_set/x.json") == "train"
    assert part_in("minival/detrain.json") is None
    assert parts_of(["a.json", "b.json"]) == {"a.json": "train", "b.json": "train"}
    assert parts_of(["test/x.json"]) == {"test/x.json": "train"}
    assert parts_of(["train.json", "test.json"]) == {"train.json": "train", "test.json": "test"}
    with pytest.raises(Problem, match=r"not clear what part of the data 'more\.json' is"):
        parts_of(["train.json", "more.json"])


def test_pictures_by_what_label_files_call_them() -> None:
    pictures = Pictures(["train/a.png", "val/a.png", "val/b.png", "c.png", "x/d.png", "y/d.png"])
    here = PurePosixPath("train")
    assert pictures.find("a.png", here, "train") == "train/a.png"
    assert pictures.find("c.png", here, "train") == "c.png"
    assert pictures.find("val/a.png", here, "train") == "val/a.png"
    assert pictures.find("/home/me/b.png", here, "train") == "val/b.png"
    assert pictures.find("a.png", PurePosixPath("labels"), "validation") == "val/a.png"
    with pytest.raises(BrokenError, match="is not there"):
        pictures.find("e.png", here, "train")
    with pytest.raises(BrokenError, match="is not there"):
        pictures.find("/", here, "train")
    with pytest.raises(BrokenError, match=r"may be 'x/d\.png' or 'y/d\.png'"):
        pictures.find("d.png", here, "train")


def test_the_digest_is_of_names_and_content() -> None:
    one = documents.digest({"a": b"1", "b": b"2"}, "more")
    assert one == documents.digest({"b": b"2", "a": b"1"}, "more")
    assert one != documents.digest({"a": b"1", "b": b"3"}, "more")
    assert one != documents.digest({"a": b"1", "c": b"2"}, "more")
    assert one != documents.digest({"a": b"1", "b": b"2"}, "other")


def test_texts_of_documents_fit_into_a_line() -> None:
    assert documents.plain("a\n b\x00\ud800红") == "a b??红"
    assert documents.class_name(" red\n  cell ") == "red cell"
    for text in ("", " \n", "a\x07"):
        with pytest.raises(BrokenError, match="expected letters"):
            documents.class_name(text)

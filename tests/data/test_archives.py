import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from deepen.data import archives
from deepen.data.archives import walk
from deepen.errors import Problem

FILES = {"a/1.jpg": b"one", "b/猫 10.png": b"two" * 100, "b/NA/3.gif": b""}


def tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("name", "mode"), [("x.tar", "w"), ("x.tar.gz", "w:gz"), ("X.TGZ", "w:gz"), ("x.tar.gz", "w"), ("x.zip", "")]
)
def test_members_come_in_order_with_their_content(tmp_path: Path, name: str, mode: str) -> None:
    path = tar(tmp_path / name, FILES, mode) if mode else packed(tmp_path / name, FILES)
    assert archives.is_archive(path)
    assert {member.name: member.read() for member in walk(path)} == FILES


def test_folders_are_told_apart(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        entry = tarfile.TarInfo("./empty")
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
    packed(tmp_path / "x.zip", {"empty/": b""})
    for name in ("x.tar", "x.zip"):
        (member,) = walk(tmp_path / name)
        assert member.name == "empty/"
        assert member.is_folder


@pytest.mark.parametrize("name", ["../out.jpg", "a/../../out.jpg", "/etc/out.jpg", "C:/out.jpg", "..\\out.jpg"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Problem, match="leads out"):
        list(walk(tar(tmp_path / "x.tar", {"a/1.jpg": b"1", name: b"2"}, "w")))
    with pytest.raises(Problem, match="leads out"):
        list(walk(packed(tmp_path / "x.zip", {"a/1.jpg": b"1", name: b"2"})))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_only_regular_files_of_a_tar_are_read(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        entry = tarfile.TarInfo("a/1.jpg")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(Problem, match="only regular files"):
        list(walk(tmp_path / "x.tar"))


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        entry = zipfile.ZipInfo("a/1.jpg")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(Problem, match="is a link"):
        list(walk(tmp_path / "x.zip"))


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 1000)
    zeros = {f"a/{number}.bmp": bytes(10**6) for number in range(3)}
    for path in (tar(tmp_path / "x.tar.gz", zeros), packed(tmp_path / "x.zip", zeros)):
        with pytest.raises(Problem, match="100 times its own size"):
            list(walk(path))
    monkeypatch.setattr(archives, "FREE_BYTES", 10**9)
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1000)
    with pytest.raises(Problem, match="limit of 1,000 for one file"):
        list(walk(tmp_path / "x.zip"))
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 10**7)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    with pytest.raises(Problem, match="over 2 members"):
        list(walk(tmp_path / "x.tar.gz"))


def test_a_zip_that_lies_about_sizes_is_damaged(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", {"a/1.bmp": bytes(10**6)})
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 10**6), struct.pack("<I", 10)))
    with pytest.raises(Problem, match="damaged"):
        [member.read() for member in walk(path)]


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar", "x.zip"])
def test_cut_and_foreign_archives_are_damaged(tmp_path: Path, name: str) -> None:
    files = {f"a/{number}.jpg": bytes(range(256)) * 20 for number in range(5)}
    path = (
        packed(tmp_path / name, files)
        if name == "x.zip"
        else tar(tmp_path / name, files, "w:gz" if "gz" in name else "w")
    )
    content = path.read_bytes()
    for wrong in (content[: len(content) // 2], b"no archive at all" * 60, b""):
        path.write_bytes(wrong)
        with pytest.raises(Problem, match="damaged or cut short"):
            [member.read() for member in walk(path)]


def test_a_tar_that_is_cut_between_two_members_is_noticed(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", {"a/1.jpg": b"1", "b/2.jpg": b"2"}, "w")
    path.write_bytes(path.read_bytes()[:1024])
    with pytest.raises(Problem, match="cut short"):
        list(walk(path))


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", {"a/1.jpg": b"1"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(Problem, match="encrypted"):
        list(walk(path))


@pytest.mark.parametrize("encoding", ["utf-8", "gb2312"])
def test_names_of_old_packers_are_read(tmp_path: Path, encoding: str) -> None:
    path = packed(tmp_path / "x.zip", {"aaaaaa/1.jpg": b"1"})
    raw = "猫咪".encode(encoding).ljust(6, b"_")
    path.write_bytes(path.read_bytes().replace(b"aaaaaa", raw))
    (member,) = walk(path)
    assert member.name == raw.decode(encoding) + "/1.jpg"

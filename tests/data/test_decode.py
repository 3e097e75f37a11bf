import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepen.data import decode as module
from deepen.data import piles
from deepen.data.decode import Shape, choose, decode
from deepen.data.image_files import Header
from deepen.data.piles import pile_at
from deepen.data.pixels import ImagePreprocess
from deepen.data.progress import shown_by


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """130 pictures of noise in two folders, long unchanged, two of them unreadable."""
    generator = np.random.default_rng(0)
    root = tmp_path / "pictures"
    for number in range(130):
        path = root / "ab"[number % 2] / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (9, 7, 3), dtype=np.uint8)).save(path)
    (root / "a" / "bad.png").write_bytes(b"")
    (root / "b" / "bad.jpg").write_text("text" * 100)
    (root / "a" / "notes.txt").write_text("x")
    age(root)
    return root


def age(root: Path) -> None:
    for path in root.rglob("*"):
        os.utime(path, (10**9, 10**9))


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    reads: list[Path] = []
    real = piles._sha256
    monkeypatch.setattr(piles, "_sha256", lambda path: (reads.append(path), real(path))[1])
    return reads


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_decode", lambda *a: pytest.fail("decoded again"))


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_are_those_of_encode_one_by_one(pictures: Path, threads: int) -> None:
    made = decode(pile_at(str(pictures)), Shape(), threads=threads)
    assert made.rows.shape == (130, 9, 7, 3)
    one_by_one = ImagePreprocess(3, 9, 7, (0, 0, 0), (1, 1, 1)).encode([pictures / name for name in made.names])
    assert torch.equal(made.rows, one_by_one)
    assert [(bad.path, bad.reason[:12]) for bad in made.bad] == [
        ("a/bad.png", "the file is "),
        ("b/bad.jpg", "it is not a "),
    ]
    assert made.listing.others == {".txt": 1}


def test_a_second_start_neither_reads_nor_decodes(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = decode(pile_at(str(pictures)), Shape())
    reads = count_reads(monkeypatch)
    forbid_decoding(monkeypatch)
    second = decode(pile_at(str(pictures)), Shape())
    assert reads == []
    assert torch.equal(first.rows, second.rows)
    assert (first.names, first.bad, first.facts) == (second.names, second.bad, second.facts)
    assert first.listing.others == second.listing.others


def test_the_same_content_elsewhere_is_not_decoded_again(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode(pile_at(str(pictures)), Shape())
    moved = pictures.rename(pictures.with_name("moved"))
    forbid_decoding(monkeypatch)
    assert len(decode(pile_at(str(moved)), Shape()).rows) == 130


def test_one_changed_file_is_read_alone_and_everything_decoded_anew(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = decode(pile_at(str(pictures)), Shape())
    reads = count_reads(monkeypatch)
    Image.new("RGB", (7, 9), "red").save(pictures / "a" / "000.png")
    after = decode(pile_at(str(pictures)), Shape())
    assert reads == [pictures / "a" / "000.png"]
    assert after.rows[0, 0, 0].tolist() == [255, 0, 0]
    assert torch.equal(before.rows[1:], after.rows[1:])
    # Changed just now: it could change again within the same tick of the clock, and so is read again.
    decode(pile_at(str(pictures)), Shape())
    assert len(reads) == 2


def test_other_settings_are_another_entry(pictures: Path) -> None:
    assert decode(pile_at(str(pictures)), Shape()).rows.shape[1:] == (9, 7, 3)
    assert decode(pile_at(str(pictures)), Shape(4, 4, 1)).rows.shape[1:] == (4, 4, 1)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize("harm", [flip, cut, Path.unlink])
@pytest.mark.parametrize("part", ["rows", "manifest.json"])
@pytest.mark.parametrize("large", [False, True])
def test_a_damaged_entry_is_made_again(
    pictures: Path, cache: Path, harm: Callable[[Path], None], part: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 1000 if large else 2**29)
    first = decode(pile_at(str(pictures)), Shape()).rows.clone()
    (entry,) = (cache / "deepen" / "decoded").iterdir()
    harm(entry / part)
    assert torch.equal(decode(pile_at(str(pictures)), Shape()).rows, first)
    forbid_decoding(monkeypatch)
    assert torch.equal(decode(pile_at(str(pictures)), Shape()).rows, first)


def test_large_rows_are_mapped_and_equal(pictures: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = decode(pile_at(str(pictures)), Shape())
    (entry,) = (cache / "deepen" / "decoded").iterdir()
    (entry / "rows").unlink()
    monkeypatch.setattr(module, "LARGE", 1000)
    monkeypatch.setattr(module, "BLOCK", 500)
    for _ in range(2):
        large = decode(pile_at(str(pictures)), Shape())
        assert large.folder == entry
        assert torch.equal(large.rows, small.rows)
        assert (large.names, large.bad) == (small.names, small.bad)
    large.rows[:] = 0
    assert torch.equal(decode(pile_at(str(pictures)), Shape()).rows, small.rows), "what is kept was written to"


def test_nothing_half_written_is_left(pictures: Path, cache: Path) -> None:
    decode(pile_at(str(pictures)), Shape())
    assert not [path for path in cache.rglob("*") if path.name.startswith(".") or path.name.endswith(".part")]


def test_what_killed_processes_left_is_swept_away(pictures: Path, cache: Path) -> None:
    decode(pile_at(str(pictures)), Shape())
    (entry,) = (cache / "deepen" / "decoded").iterdir()
    old, young = (entry.with_name(f".{entry.name}.{number}") for number in (1, 2))
    old.mkdir()
    young.mkdir()
    os.utime(old, (10**9, 10**9))
    (entry / "rows").unlink()
    decode(pile_at(str(pictures)), Shape())
    assert not old.exists()
    assert young.exists()


def test_a_cache_that_cannot_be_written_is_said_aloud(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    made = decode(pile_at(str(pictures)), Shape())
    assert len(made.rows) == 130
    assert "could not be kept" in made.facts[-1]


def test_an_archive_gives_what_its_folder_gives(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for path in sorted(pictures.rglob("*.*")):
            archive.write(path, path.relative_to(pictures).as_posix())
    folder = decode(pile_at(str(pictures)), Shape())
    for in_memory in (2**28, 1000):
        monkeypatch.setattr(piles, "IN_MEMORY", in_memory)
        monkeypatch.setattr(module, "VERSION", in_memory)
        zipped = decode(pile_at(str(tmp_path / "pictures.zip")), Shape())
        assert torch.equal(zipped.rows, folder.rows)
        assert zipped.names == folder.names


def test_progress_is_reported_to_the_end(pictures: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    with shown_by(lambda what, done, total: seen.append((what, done, total))):
        decode(pile_at(str(pictures)), Shape())
    decoding = [(done, total) for what, done, total in seen if what == "decoding pictures"]
    assert decoding[-1] == (130, 132)
    assert decoding == sorted(decoding)


@pytest.mark.parametrize(
    ("sizes", "shape", "expected"),
    [
        ([(28, 28, 1)] * 3, Shape(), (28, 28, 1)),
        ([(32, 32, 3), (32, 32, 1)], Shape(), (32, 32, 3)),
        ([(480, 640, 3)] * 3, Shape(), (64, 64, 3)),
        ([(50, 70, 3), (60, 52, 3), (90, 55, 3)], Shape(), (48, 48, 3)),
        ([(10, 11, 3), (12, 10, 3)], Shape(), (32, 32, 3)),
        ([(28, 28, 1)], Shape(16, 16, 3), (16, 16, 3)),
        ([(28, 28, 3)], Shape(channels=1), (28, 28, 1)),
    ],
)
def test_the_size_is_decided_and_said(
    sizes: list[tuple[int, int, int]], shape: Shape, expected: tuple[int, int, int]
) -> None:
    *chosen, facts = choose([Header(*size) for size in sizes], shape)
    assert tuple(chosen) == expected
    assert facts


def test_a_palette_of_greys_counts_as_grey() -> None:
    for colours, channels in (([0, 0, 0, 200, 200, 200], 1), ([0, 0, 0, 200, 10, 200], 3)):
        image = Image.new("P", (3, 3), 1)
        image.putpalette(colours)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        assert module.header(buffer.getvalue()).channels == channels

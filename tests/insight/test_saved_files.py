"""No file that is there is written over, and what one command writes stays together."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from deepen.errors import Misuse
from deepen.insight.files import distinct, room, write_picture


def test_names_are_distinct() -> None:
    sources = [("a", ".svg"), ("a", ".svg"), ("a-2", ".svg"), ("A", ".svg"), ("a", ".png"), ("a", ".svg")]
    assert distinct(sources) == ["a.svg", "a-2.svg", "a-2-2.svg", "A-3.svg", "a.png", "a-4.svg"]
    assert len(set(distinct([("é", ""), ("e\u0301", "")]))) == 2


def test_a_folder_without_these_names_is_taken(tmp_path: Path) -> None:
    named = tmp_path / "deep" / "out"
    assert room(named, ["a.png"], "--out") == named
    (named / "other.png").write_text("mine")
    assert room(named, ["a.png", "b.png"], "--out") == named
    (named / "b.png").symlink_to("nowhere")
    (tmp_path / "deep" / "out-2").write_text("a file in the way")
    assert room(named, ["a.png", "b.png"], "--out") == tmp_path / "deep" / "out-3"
    assert (tmp_path / "deep" / "out-3").is_dir()


def test_what_cannot_be_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Misuse, match=r"--out .*file cannot be made"):
        room(tmp_path / "file", ["a.png"], "--out")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Misuse, match=r"has a file file already"):  # there is no name for a folder beside this one
        room(Path(), ["file"], "--out")


def test_a_picture_is_written_whole(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        write_picture(tmp_path / name, Image.new("RGB", (4, 3)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.png"]

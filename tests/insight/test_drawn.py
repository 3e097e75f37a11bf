"""Answers drawn: a file for each input, whatever it is called, and none for what cannot be drawn."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

Trained = dict[str, Path]


def test_classes(call: Any, trained: Trained, tmp_path: Path) -> None:
    source = trained["source pictures"]
    done = call("predict", str(trained["pictures"]), str(source), "--save", str(tmp_path / "out"), "--json")
    assert done.code == 0, done.err
    saved = [Path(path) for path in done.json["saved"]]
    assert len(saved) == len(set(saved)) == 24  # red/00.png and green/00.png are called the same
    for path in saved:
        drawn = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        assert drawn.tag.endswith("svg")
        assert {"red", "green"} <= {element.text for element in drawn.iter() if element.tag.endswith("text")}


def test_rows_of_a_table(call: Any, trained: Trained, tmp_path: Path) -> None:
    done = call("predict", str(trained["table"]), str(trained["source table"]), "--save", str(tmp_path), "--json")
    assert done.code == 0, done.err
    with Path(done.json["saved"][0]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["category"] for row in rows] == [answer["category"] for answer in done.json["predictions"]]


def test_a_name_that_could_be_markup(call: Any, trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "a<b>&'.png"
    Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8)).save(path)
    done = call("predict", str(trained["pictures"]), str(path), "--save", str(tmp_path / "out"), "--json")
    assert done.code == 0, done.err
    ElementTree.fromstring(Path(done.json["saved"][0]).read_text(encoding="utf-8"))


def test_a_folder_that_cannot_be_made(call: Any, trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = call("predict", str(trained["pictures"]), str(trained["source pictures"]), "--save", str(tmp_path / "file"))
    assert done.code == 2
    assert "--save" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("word", ["--save"])
def test_a_folder_is_needed(call: Any, trained: Trained, word: str) -> None:
    assert call("predict", str(trained["pictures"]), "x.png", word).code == 2


def test_no_picture_is_written_over(call: Any, trained: Trained, tmp_path: Path) -> None:
    source = trained["source pictures"] / "red"
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = call("predict", str(trained["pictures"]), str(tmp_path), "--save", str(tmp_path), "--json")
    assert done.code == 0, done.err
    assert {name: (tmp_path / name).read_bytes() for name in before} == before

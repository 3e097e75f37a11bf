from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import deepen
from deepen.insight.tags import MOST_WORDS, Line, bars, drawn
from deepen.run import Run
from tests.samples import tagged

NAMES = ("O", "B-PER", "I-PER", "B-LOC")


def test_words_stand_under_their_labels_and_wrong_ones_are_marked() -> None:
    lines = [Line(["Anna", "<b>", "in", "Oslo"], [1, 2, 0, 3], [1, 0, 0, 3], "a:1"), Line([], [], [], "a:2")]
    svg = drawn("Sentences", lines, NAMES)
    ElementTree.fromstring(svg)
    assert "&lt;b&gt;" in svg
    assert svg.count("line-through") == 1
    assert "&lt;b&gt;: O, but it is I-PER" in svg
    assert len(set(re.findall(r"fill:([^;]+);fill-opacity", svg))) == 3, (
        "a colour for each kind, none for what is in none"
    )


def test_long_words_and_sentences_stay_within_the_picture() -> None:
    words = ["x" * 400, *["word"] * 100, "王\u202e\ud800"]
    svg = drawn("Long", [Line(words, [0] * 102, None, "a:1")], NAMES)
    root = ElementTree.fromstring(svg.encode("utf-8", "replace").decode())
    width = float(root.attrib["width"])
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(box.attrib.get("x", 0)) + float(box.attrib["width"]) <= width + 0.1
    assert f"and {102 - MOST_WORDS} more" in svg


def test_labels_are_drawn_with_what_was_said_and_what_is_there() -> None:
    right, said, there = np.array([3, 0, 0]), np.array([4, 2, 0]), np.array([5, 0, 0])
    svg = bars("Kinds", ("LOC", "PER", "a b"), right, said, there, paint=("#123456", "", ""))
    ElementTree.fromstring(svg)
    assert "75.0 %" in svg
    assert "60.0 %" in svg
    assert ">66.7 %" in svg


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("tags")
    settings: dict[str, Any] = {
        "fit.epochs": 2,
        "fit.batch_size": 8,
        "plan": "fp32",
        "model.width": 16,
        "device": "cpu",
    }
    return deepen.train(tagged.make(folder), runs=folder / "runs", **settings)


def test_the_report_shows_sentences_labels_and_what_is_mixed_up(run: Run) -> None:
    assert {"examples", "classes", "confusion", "samples"} <= {path.stem for path in run.folder.pictures.glob("*.svg")}
    report = run.folder.report.read_text(encoding="utf-8")
    for told in (
        "Labels words, 4 labels",
        "Each kind, whole chunks",
        "Validation sentences",
        "giving each word the label",
    ):
        assert told in report


def test_raw_answers_of_many_texts_are_filled_up(run: Run) -> None:
    model = run.load()
    logits = model.logits(["Anna", "Anna lives in Oslo.", *["Bo works"] * 300])
    assert logits.shape[0] == 302
    assert torch.allclose(logits[:1, :1], model.logits(["Anna"]), atol=1e-5)


def test_texts_files_and_standard_input_are_answered(
    run: Run, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (
        ("a.txt", "Anna lives in Oslo, often.\r\n\nBo works\n"),
        ("b.json", '["Anna in Oslo", ["New York", "Bo"]]'),
        ("c.jsonl", '{"text": "Bo"}\n{"tokens": ["Bo", "😀"]}\n'),
        ("d.csv", "text,number\nAnna,3\n"),
        ("e.conll", "Anna\nlives\n\nBo\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        done = call("predict", str(run.path), str(tmp_path / name), "--json")
        assert done.code == 0, done.err
        assert len(done.json["predictions"]) == {"d.csv": 1}.get(name, 2)
    done = call("predict", str(run.path), "Anna lives in São Paulo.", "--json")
    tags = done.json["predictions"][0]["tags"]
    assert [one["token"] for one in tags] == ["Anna", "lives", "in", "São", "Paulo", "."]
    assert call("predict", str(run.path), "  ", "--json").json["predictions"][0]["entities"] == []
    done = call("predict", str(run.path), str(tmp_path / "a.txt"), "--save", str(tmp_path / "drawn"))
    assert done.code == 0, done.err
    assert (
        (tmp_path / "drawn" / "predictions.csv").read_text(encoding="utf-8").startswith("input,token,label,probability")
    )


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("none.conll", None, "There is no file"),
        ("a.json", '{"text": 3}', "item 1: expected a text"),
        ("b.jsonl", "{", "no JSON"),
    ],
)
def test_what_cannot_be_read_is_told(
    run: Run, call: Any, tmp_path: Path, name: str, text: str | None, told: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = call("predict", str(run.path), str(tmp_path / name))
    assert done.code == 1
    assert told in done.err
    assert done.err.count("\n") == 1

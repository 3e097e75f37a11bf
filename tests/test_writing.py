"""`deepen generate` on a model that continues texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import deepen
from deepen import Run

TEXT = "the cat sat on the mat. the dog sat on the cat.\n" * 200


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("writing")
    (folder / "story.txt").write_text(TEXT, encoding="utf-8")
    settings: dict[str, Any] = {
        "data.length": 32,
        "model.layers": 1,
        "model.heads": 2,
        "model.width": 32,
        "fit.epochs": 25,
        "plan": "fp32",
        "device": "cpu",
    }
    return deepen.train(folder / "story.txt", runs=folder / "runs", **settings)


def test_it_has_learnt_something(run: Run) -> None:
    evaluation = run.evaluate()
    assert evaluation.metrics["loss"] < 0.7 * evaluation.baseline["loss"]


def test_a_text_goes_on(run: Run, call: Any) -> None:
    words = ("generate", str(run.path), "--prompt", "the cat", "--tokens", "40", "--seed", "3")
    first, second = call(*words, "--json"), call(*words, "--json")
    assert first.code == 0, first.err
    assert first.json["text"] == second.json["text"]
    assert len(first.json["text"]) == 40
    assert first.json["prompt"] == "the cat"
    shown = call(*words)
    assert shown.out.replace("\n", "").strip() == ("the cat" + first.json["text"]).replace("\n", "").strip()
    alone = call("generate", str(run.path), "--tokens", "5", "--temperature", "0", "--json")
    assert len(alone.json["text"]) == 5
    stopped = call(*words, "--temperature", "0", "--stop", "t", "--json")
    assert "t" not in stopped.json["text"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tokens", "0"], "--tokens 0"),
        (["--temperature", "-1"], "--temperature"),
        (["--top-k", "0"], "--top-k"),
        (["--top-p", "3"], "--top-p"),
        (["story.txt"], "--prompt"),
    ],
)
def test_what_cannot_be_used_is_told(run: Run, call: Any, words: list[str], said: str) -> None:
    done = call("generate", str(run.path), *words)
    assert done.code == 2
    assert said in done.err


def test_a_prompt_longer_than_the_context_is_read_from_its_end(run: Run, call: Any) -> None:
    done = call("generate", str(run.path), "--prompt", TEXT, "--tokens", "50", "--json")
    assert done.code == 0, done.err
    assert len(done.json["text"]) == 50


def test_what_writes_does_not_answer(run: Run, call: Any, tmp_path: Path) -> None:
    done = call("predict", str(run.path), "the cat")
    assert done.code == 1
    assert "--prompt" in done.err

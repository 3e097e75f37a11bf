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


def test_signs_that_were_never_learnt_are_told(run: Run, call: Any) -> None:
    shown = call("generate", str(run.path), "--prompt", "the 猫 sat", "--tokens", "5")
    assert shown.code == 0
    assert "1 of the 9 tokens of the prompt were never learnt" in shown.err
    assert "never learnt" not in call("generate", str(run.path), "--prompt", "the cat", "--tokens", "5").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tokens", "0"], "--tokens 0"),
        (["--temperature", "-1"], "--temperature"),
        (["--top-k", "0"], "--top-k"),
        (["--top-p", "3"], "--top-p"),
        (["--top-p", "nan"], "--top-p nan"),
        (["--temperature", "nan"], "--temperature nan"),
        (["--stop="], "--stop is empty"),
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
    assert "the prompt has 9,600 tokens and the model sees 32 at once" in done.err
    end = call("generate", str(run.path), "--prompt", TEXT[-32:], "--tokens", "50", "--json")
    assert end.json["text"] == done.json["text"]
    assert "the prompt has" not in end.err


def test_what_writes_does_not_answer(run: Run, call: Any, tmp_path: Path) -> None:
    done = call("predict", str(run.path), "the cat")
    assert done.code == 1
    assert "--prompt" in done.err


def test_how_fast_it_wrote_is_told(run: Run, call: Any) -> None:
    """Beside the text, so that what is kept of standard output is the text alone."""
    words = ("generate", str(run.path), "--prompt", "the cat", "--tokens", "40")
    done = call(*words, "--json")
    assert done.json["tokens"] == 40
    assert done.json["tokens_per_second"] == pytest.approx(40 / done.json["seconds"])
    shown = call(*words)
    assert "40 tokens in " in shown.err
    assert "tokens in " not in shown.out
    stopped = call(*words, "--temperature", "0", "--stop", "t", "--json")
    assert 0 < stopped.json["tokens"] < 40


@pytest.mark.parametrize("option", ["--count", "--size"])
def test_what_is_for_pictures_is_refused(run: Run, call: Any, option: str) -> None:
    done = call("generate", str(run.path), option, "3")
    assert done.code == 2
    assert f"{option} 3 is for pictures" in done.err


def test_a_prompt_without_a_token_is_none(run: Run, tmp_path: Path, call: Any) -> None:
    """A blank is no word."""
    (tmp_path / "story.txt").write_text(TEXT, encoding="utf-8")
    settings = {"data.tokens": "words", "data.length": 8, "model.layers": 1, "model.width": 16, "model.heads": 2}
    worded = deepen.train(tmp_path / "story.txt", runs=tmp_path, plan="fp32", device="cpu", epochs=0, **settings)
    done = call("generate", str(worded.path), "--prompt", "  ", "--tokens", "3", "--json")
    assert done.code == 0, done.err
    assert done.json["tokens"] == 3


def test_numbers_at_the_edge_of_what_is_usable(run: Run, call: Any) -> None:
    words = ("generate", str(run.path), "--prompt", "the cat", "--tokens", "30", "--json")
    likeliest = call(*words, "--temperature", "0").json["text"]
    assert call(*words, "--temperature", "1e-300").json["text"] == likeliest
    assert call(*words, "--top-k", "1").json["text"] == call(*words, "--top-p", "1e-30").json["text"] == likeliest
    assert call(*words, "--top-k", "9999").json["text"] == call(*words, "--top-p", "1").json["text"]
    for seed in ("-1", str(10**30)):
        first, second = (call(*words, "--seed", seed) for _ in range(2))
        assert first.code == 0, first.err
        assert first.json["text"] == second.json["text"]
    assert call(*words, "--temperature", "1e300").code == 0


def test_an_empty_prompt_is_the_beginning_of_a_line(run: Run, call: Any) -> None:
    words = ("generate", str(run.path), "--tokens", "20", "--temperature", "0", "--json")
    assert call(*words).json["text"] == call(*words, "--prompt", "").json["text"]
    assert call(*words).json["text"] == call(*words, "--prompt", "\n").json["text"]

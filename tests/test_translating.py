"""`deepen predict` on a model that answers texts with texts."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import deepen
from deepen import Run
from deepen.tasks.translate import Translate
from tests.samples import pairs as sample


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("translating")
    settings: dict[str, Any] = {
        **sample.SETTINGS,
        "model.layers": 1,
        "model.width": 64,
        "model.hidden": 64,
        "model.dropout": 0.0,
        "optim.name": "adamw",
        "optim.lr": 0.01,
        "optim.ema": None,
        "fit.epochs": 25,
        "fit.evaluate_epochs": 25,
        "task.beam": 2,
        "plan": "fp32",
        "device": "cpu",
    }
    return deepen.train(sample.make(folder), model="seq2seq-transformer", runs=folder / "runs", **settings)


def test_it_has_learnt_something_and_tells_it(run: Run) -> None:
    evaluation = run.evaluate()
    assert evaluation.metrics["bleu"] > evaluation.baseline["bleu"] + 10
    low, high = evaluation.intervals["sacrebleu"]
    assert low <= evaluation.metrics["sacrebleu"] <= high
    report = run.folder.report.read_text(encoding="utf-8")
    assert "giving the text back as it is" in report
    assert "Where it looks while it writes" in report
    assert "mask" not in run.folder.report.read_text(encoding="utf-8").split("What next")[1]


def test_a_text_a_file_and_standard_input(run: Run, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["Der hund läuft.", "Der hund, die katze", "😀"]
    file = tmp_path / "new.txt"
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")
    by_file = call("predict", str(run.path), str(file), "--json")
    assert by_file.code == 0, by_file.err
    answers = [one["text"] for one in by_file.json["predictions"]]
    assert len(answers) == 3
    assert all(isinstance(answer, str) for answer in answers)
    assert call("predict", str(run.path), texts[0], "--json").json["predictions"] == [
        {"input": texts[0], "text": answers[0]}
    ]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    received = call("predict", str(run.path), "-", "--json")
    assert [one["text"] for one in received.json["predictions"]] == answers
    shown = call("predict", str(run.path), str(file))
    assert all(answer in shown.out for answer in answers)
    saved = call("predict", str(run.path), str(file), "--save", str(tmp_path / "saved"), "--json")
    assert saved.code == 0, saved.err
    assert answers[0] in Path(saved.json["saved"][0]).read_text(encoding="utf-8-sig")


def test_the_bundle_gives_the_logits_of_the_first_token_and_keeps_how_it_writes(run: Run) -> None:
    model, dataset = run.load(), run.data()
    assert isinstance(model.task, Translate)
    assert model.task.config.beam == 2
    rows = dataset.validation.take(torch.arange(3))["input"]
    texts = [dataset.preprocess.shown(row) for row in rows]
    with torch.no_grad():
        expected = torch.cat([model.module(row[row > 0][None]) for row in rows])
    assert torch.allclose(model.logits([*texts]), expected, atol=1e-5)
    assert [one["text"] for one in model.predict(texts)] == [model.predict(text)[0]["text"] for text in texts]


def test_nothing_is_made_of_nothing_and_what_was_not_read_is_told_behind_the_answer(
    run: Run, call: Any, tmp_path: Path
) -> None:
    long = "der hund läuft " * 30
    table = tmp_path / "new.csv"
    table.write_text(f"de,n\nder hund,1\n,2\n{long},3\n", encoding="utf-8")
    first, empty, cut = (line.split("\t") for line in call("predict", str(run.path), str(table)).out.splitlines())
    assert len(first) == len(empty) == 2
    assert first[1] != empty[1] == ""
    assert cut[1] == run.load().predict([long.strip()])[0]["text"]
    assert "only the first 24 of" in cut[2]
    assert run.load().predict(["  "])[0]["text"] == ""


def test_accumulation_follows_the_big_batch(tmp_path: Path) -> None:
    """Pieces of a batch weigh as much as the tokens of their answers."""
    source, found = sample.make(tmp_path), []
    for parts in (1, 4):
        settings: dict[str, Any] = {
            **sample.SETTINGS,
            "model.dropout": 0.0,
            "optim.name": "sgd",
            "optim.lr": 0.1,
            "optim.ema": None,
            "fit.epochs": 3,
            "fit.accumulate": parts,
            "plan": "fp32",
            "device": "cpu",
        }
        run = deepen.train(source, model="seq2seq", runs=tmp_path / f"runs{parts}", **settings)
        found.append(run.load().module.state_dict())
    for name, values in found[0].items():
        assert torch.allclose(found[1][name], values, atol=1e-6), name


def test_a_file_without_a_text_is_told(run: Run, call: Any, tmp_path: Path) -> None:
    file = tmp_path / "new.txt"
    file.write_text("\n \n", encoding="utf-8")
    called = call("predict", str(run.path), str(file))
    assert called.code == 1
    assert "new.txt holds no text" in called.err

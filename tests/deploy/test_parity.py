"""The same raw input gives the same numbers to whoever asks: evaluation, `predict` on files, and the Python API."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import deepen
from deepen import Run
from deepen.engine import evaluate

CLOSE = {"rtol": 0, "atol": 1e-5}
SOME = 40


def logits_of_evaluation(run: Run) -> tuple[Tensor, Tensor]:
    """(logits, stored rows) of the test split, as `evaluate` scores it."""
    loaded, dataset = run.load(), run.data()
    assert dataset.test is not None
    columns = dataset.test.open(lambda: 1)
    rows = evaluate.score(loaded.task, loaded.module, columns, loaded.preprocess, torch.device("cpu"))
    return rows["logits"], columns["input"]


def predicted(run: Run, *inputs: str) -> list[dict[str, Any]]:
    """The answers of the command line."""
    done = subprocess.run(
        [sys.executable, "-m", "deepen", "predict", str(run.path), *inputs, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)["predictions"]
    return answers


def test_pictures(digits_run: Run, tmp_path: Path) -> None:
    logits, stored = logits_of_evaluation(digits_run)
    pixels = stored[:SOME, :, :, 0].numpy()
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number:03d}.png")
    model = deepen.load(digits_run.path)
    expected = logits[:SOME]

    assert torch.allclose(model.logits(pixels), expected, **CLOSE)
    assert torch.allclose(model.logits(torch.from_numpy(pixels)), expected, **CLOSE)
    assert torch.allclose(model.logits(list(pixels)), expected, **CLOSE)
    assert torch.allclose(model.logits([Image.fromarray(picture) for picture in pixels]), expected, **CLOSE)
    assert torch.allclose(model.logits(folder), expected, **CLOSE)
    assert torch.allclose(model.logits(sorted(folder.iterdir())), expected, **CLOSE)
    assert torch.allclose(torch.cat([model.logits(path) for path in sorted(folder.iterdir())]), expected, **CLOSE)

    chances = expected.softmax(1)
    for answers in (predicted(digits_run, str(folder)), model.predict(pixels)):
        assert len(answers) == SOME
        for answer, row in zip(answers, chances, strict=True):
            assert answer["category"] == str(int(row.argmax()))
            assert answer["probability"] == pytest.approx(float(row.max()), abs=1e-5)
            assert dict(map(tuple, answer["top"])) == pytest.approx(
                {str(i): float(row[i]) for i in row.topk(5).indices.tolist()}, abs=1e-5
            )


def test_colour_copies_of_grey_pictures(digits_run: Run, tmp_path: Path) -> None:
    """What a person has is often a colour file of a grey picture."""
    logits, stored = logits_of_evaluation(digits_run)
    model = deepen.load(digits_run.path)
    for number, mode in enumerate(("RGB", "RGBA", "P", "L")):
        path = tmp_path / f"{number}.png"
        Image.fromarray(stored[number, :, :, 0].numpy()).convert(mode).save(path)
        assert torch.allclose(model.logits(path), logits[number : number + 1], **CLOSE), mode


def test_rows_of_a_table(table_run: Run, table_file: Path, tmp_path: Path) -> None:
    logits, _ = logits_of_evaluation(table_run)
    dataset = table_run.data()
    assert dataset.test is not None
    columns = dataset.test.open(lambda: 1)
    lines = [int(columns.origin(row).rpartition(":")[2]) for row in range(len(columns))]
    with table_file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    header, chosen = rows[0], [rows[line - 1] for line in lines]
    model = deepen.load(table_run.path)

    with_target, without, shuffled = (tmp_path / f"{name}.csv" for name in ("with", "without", "shuffled"))
    _write(with_target, header, chosen)
    _write(without, header[:-1], [row[:-1] for row in chosen])
    _write(shuffled, header[::-1], [row[::-1] for row in chosen])
    for path in (with_target, without, shuffled):
        assert torch.allclose(model.logits(path), logits, **CLOSE), path.name
    records = [dict(zip(header[:-1], row, strict=False)) for row in chosen]
    assert torch.allclose(model.logits(records), logits, **CLOSE)

    answers = predicted(table_run, str(without))
    assert [answer["category"] for answer in answers] == [model.spec.output.names[i] for i in logits.argmax(1).tolist()]
    for answer, row in zip(answers, logits.softmax(1), strict=True):
        assert answer["probability"] == pytest.approx(float(row.max()), abs=1e-5)


def _write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def test_a_prediction_does_not_depend_on_its_company(digits_run: Run) -> None:
    _, stored = logits_of_evaluation(digits_run)
    pixels = stored[:SOME, :, :, 0].numpy()
    model = deepen.load(digits_run.path)
    alone = torch.cat([model.logits(pixels[number : number + 1]) for number in range(SOME)])
    assert torch.allclose(model.logits(pixels), alone, **CLOSE)
    many = np.concatenate([pixels] * 8)  # more than one batch
    assert torch.allclose(model.logits(many), torch.cat([alone] * 8), **CLOSE)


def test_scores_do_not_depend_on_the_batch_size(digits_run: Run) -> None:
    loaded, dataset = digits_run.load(), digits_run.data()
    measured = []
    for batch_size in (1, 7, 64, 1000):
        rows = evaluate.score(
            loaded.task, loaded.module, dataset.validation, loaded.preprocess, torch.device("cpu"), batch_size
        )
        assert len(rows["target"]) == len(dataset.validation)
        measured.append(loaded.task.measure(rows))
    for metrics in measured[1:]:
        assert metrics == pytest.approx(measured[0], abs=1e-6)

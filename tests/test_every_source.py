"""What holds for every reader and every task of the registry, none of which is named here.

Each reader brings a small sample (`tests/samples`). On it every task that can do something with it is trained, stopped in the
middle and resumed, asked for answers in every way, and shown damaged data.
"""

from __future__ import annotations

import importlib
import json
import math
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import deepen
from deepen import Problem, Run, registry
from deepen.engine import checkpoint
from deepen.prepare import prepare
from deepen.sources import find_source
from deepen.spec import Image
from deepen.tasks.base import Generates, Places, Supervised, Transforms
from deepen.training import Interrupted

READERS = [name for name, entry in registry.entries("data").items() if "recognise" in entry.offers]
TASKS = list(registry.entries("task"))
SHORT: dict[str, Any] = {
    "fit.epochs": 2,
    "fit.batch_size": 8,
    "fit.save_steps": 2,
    "fit.log_steps": 3,
    "optim.ema": 0.9,
    "plan": "fp32",
    "device": "cpu",
}


def sample(reader: str) -> Any:
    return importlib.import_module(f"tests.samples.{reader.replace('-', '_')}")


def settings(reader: str, task: str, folder: Path) -> dict[str, Any]:
    needs = getattr(sample(reader), "NEEDS", {})
    return SHORT | getattr(sample(reader), "SETTINGS", {}) | (needs[task](folder) if task in needs else {})


def train(source: str, reader: str, task: str, root: Path) -> Run:
    return deepen.train(source, task=task, runs=root / "runs", **settings(reader, task, root))


class Case:
    """A task trained on a sample."""

    def __init__(self, reader: str, task: str, root: Path) -> None:
        self.reader, self.task, self.root = reader, task, root
        (root / "data").mkdir(parents=True)
        self.source = sample(reader).make(root / "data")
        self.run = train(self.source, reader, task, root)


def possible() -> tuple[list[tuple[str, str]], list[str]]:
    """(reader, task) wherever the task does something with the reader's sample, and what is said where not."""
    found, refused = [], []
    for reader in READERS:
        with tempfile.TemporaryDirectory() as folder:
            source = sample(reader).make(Path(folder))
            for task in TASKS:
                try:
                    prepare(source, task, None, settings(reader, task, Path(folder)))
                    found.append((reader, task))
                except Problem as problem:
                    refused.append(str(problem))
    return found, refused


CASES, REFUSED = possible()


@pytest.fixture(scope="module")
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    reader, task = request.param
    return Case(reader, task, tmp_path_factory.mktemp(f"{reader}-{task}"))


every_case = pytest.mark.parametrize("case", CASES, indirect=True, ids="-".join)


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_has_a_sample_and_recognises_it(reader: str, tmp_path: Path) -> None:
    source = sample(reader).make(tmp_path)
    entry, reason = find_source(source)
    assert entry.name == reader
    assert reason


@pytest.mark.parametrize("task", TASKS)
def test_every_task_does_something_with_some_sample(task: str) -> None:
    assert task in {task for _, task in CASES}


def test_what_does_not_fit_together_is_told_in_a_sentence() -> None:
    assert REFUSED
    assert not [text for text in REFUSED if "\n" in text or len(text) < 40]


@every_case
def test_it_is_told(case: Case) -> None:
    result = case.run.result
    assert result["stopped"] == "finished"
    assert math.isfinite(result["best"]["value"])
    report = case.run.folder.report.read_text(encoding="utf-8")
    assert "<svg" in report
    assert ">nan<" not in report.lower()


def interrupt_at(number: int) -> Callable[..., Any]:
    real, left = checkpoint.save_file, [number]

    def save(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments, **named)

    return save


def state(run: Run) -> tuple[str, bytes, dict[str, Any]]:
    folder = checkpoint.folders(run.folder.checkpoints)[0]
    kept = json.loads((folder / "state.json").read_text())
    del kept["seconds"]
    return folder.name, (folder / "state.safetensors").read_bytes(), kept


@every_case
def test_stopped_and_resumed_it_is_the_undisturbed_run(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", interrupt_at(3))
        with pytest.raises(Interrupted) as caught:
            train(case.source, case.reader, case.task, case.root / "stopped")
    run = deepen.resume(caught.value.run.path)
    assert state(run) == state(case.run)
    for name in ("metrics.jsonl", "model/model.safetensors", "model/goldens.safetensors", "model/bundle.json"):
        assert (run.path / name).read_bytes() == (case.run.path / name).read_bytes(), name


@every_case
def test_the_test_split_is_scored(case: Case, call: Any) -> None:
    split = "test" if case.run.folder.read("data.json")["samples"]["test"] else "validation"
    done = call("evaluate", str(case.run.path), "--split", split, "--json")
    assert done.code == 0, done.err
    goal = case.run.result["best"]["metric"]
    assert math.isfinite(done.json["metrics"][goal])
    assert done.json["looks"] == (1 if split == "test" else 0)
    low, high = done.json["intervals"].get(goal, (-math.inf, math.inf))
    assert low <= high


@every_case
def test_the_bundle_gives_what_evaluation_saw(case: Case) -> None:
    """Raw inputs through `logits`, beside the stored rows of the validation split."""
    model, dataset = case.run.load(), case.run.data()
    if not isinstance(model.task, Supervised):
        pytest.skip(f"{case.task} does not answer inputs")
    columns = dataset.validation
    origins = [columns.origin(row) for row in range(min(6, len(columns)))]
    if not all(Path(origin).is_file() for origin in origins):
        pytest.skip(f"the samples of {case.reader} are not files of their own")
    with torch.no_grad():
        rows = model.preprocess.tensor(columns.take(torch.arange(len(origins)))["input"])
        expected = model.module.eval()(rows)
    assert torch.allclose(model.logits(origins), expected, rtol=0, atol=1e-5)


@every_case
def test_it_answers_a_file_a_folder_and_a_pattern(case: Case, call: Any, tmp_path: Path) -> None:
    model, dataset = case.run.load(), case.run.data()
    origins = [dataset.validation.origin(row) for row in range(min(3, len(dataset.validation)))]
    if not isinstance(model.task, Supervised) or not all(Path(origin).is_file() for origin in origins):
        pytest.skip("the samples are not files of their own, or nothing is answered")
    folder = tmp_path / "new pictures [1]"
    folder.mkdir()
    for number, origin in enumerate(origins):
        (folder / f"{number}{Path(origin).suffix}").write_bytes(Path(origin).read_bytes())
    some = str(folder / f"0{Path(origins[0]).suffix}")
    pattern = str(tmp_path / "new*" / "*")
    for words in ([some], [str(folder)], [pattern], [some, pattern]):
        done = call("predict", str(case.run.path), *words, "--json")
        assert done.code == 0, done.err
        assert (
            len(done.json["predictions"]) == {1: len(origins), 2: len(origins) + 1}[len(words)]
            if words != [some]
            else 1
        )
    first = call("predict", str(case.run.path), some, "--json").json["predictions"][0]
    every = call("predict", str(case.run.path), str(folder), "--json").json["predictions"][0]
    assert _rounded(first) == _rounded(every)
    done = call("predict", str(case.run.path), str(folder), "--save", str(tmp_path / "drawn"), "--json")
    assert done.code == 0, done.err
    assert len(done.json["saved"]) >= (len(origins) if isinstance(dataset.spec.input, Image) else 1)
    assert all(Path(path).stat().st_size for path in done.json["saved"])
    assert call("predict", str(case.run.path), some).code == 0


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value


@every_case
def test_a_damaged_bundle_is_refused(case: Case, call: Any, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(case.run.path / "model", tmp_path / "bundle"))
    content = bytearray((bundle / "model.safetensors").read_bytes())
    content[-8] ^= 0x40
    (bundle / "model.safetensors").write_bytes(content)
    task = case.run.load().task
    verb = "generate" if isinstance(task, Generates | Transforms) and not isinstance(task, Places) else "predict"
    words = [] if verb == "generate" else ["x.png"]
    done = call(verb, str(bundle), *words)
    assert done.code == 1
    assert "damaged" in done.err


@pytest.mark.parametrize("reader", READERS)
def test_the_doctor_finds_no_fault_with_the_sample(reader: str, call: Any, tmp_path: Path) -> None:
    done = call("doctor", sample(reader).make(tmp_path), "--json")
    assert done.code == 0, (done.err, done.out)
    assert done.json["bad"] == []


BROKEN = [pytest.param(reader, name, id=f"{reader}-{name}") for reader in READERS for name in sample(reader).BREAKS]


@pytest.mark.parametrize(("reader", "name"), BROKEN)
def test_damaged_data_is_told_in_a_sentence(
    reader: str, name: str, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    source = sample(reader).make(tmp_path / "data")
    damage, words = sample(reader).BREAKS[name]
    damage(source)
    done = call("train", source, "epochs=1", "plan=fp32")
    told = done.err if done.code else done.out + Path("runs/latest/report.html").read_text(encoding="utf-8")
    assert done.code in (0, 1, 2)
    assert words in told, told
    if done.code:
        assert done.err.count("\n") == 1, done.err
        assert not Path("runs").exists()
    done = call("doctor", source, "--json")
    assert done.code in (0, 1, 2)
    assert "Traceback" not in done.err

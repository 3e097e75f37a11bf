"""Training as a whole: what is told, what is kept, what the seed means, and that the test split stays sealed."""

from __future__ import annotations

import errno
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import deepen
from deepen import Misuse, Problem, Run
from deepen.data import dataset as datasets
from deepen.engine import checkpoint
from deepen.prepare import prepare
from deepen.settle import settle
from deepen.training import Failed

TINY: dict[str, Any] = {"model.widths": (8,), "fit.epochs": 2, "fit.batch_size": 128, "plan": "fp32", "device": "cpu"}


def weights(run: Run) -> dict[str, Tensor]:
    return load_file(run.path / "model" / "model.safetensors")


def same(first: Run, second: Run) -> bool:
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def train(root: Path, source: str = "digits", **settings: Any) -> Run:
    return deepen.train(source, model="mlp", runs=root, **(TINY | settings))


def test_the_seed_decides(tmp_path: Path) -> None:
    chosen = {"model.dropout": 0.3, "augment.shift": 1}
    first, second = train(tmp_path, seed=4, **chosen), train(tmp_path, seed=4, **chosen)
    assert same(first, second)
    assert first.folder.metrics.read_bytes() == second.folder.metrics.read_bytes()
    assert not same(first, train(tmp_path, seed=5, **chosen))


def test_random_numbers_drawn_before_do_not_matter(tmp_path: Path) -> None:
    first = train(tmp_path)
    torch.rand(1234)
    assert same(first, train(tmp_path))


def test_a_run_has_its_parts(tmp_path: Path) -> None:
    run = train(tmp_path)
    names = {path.name for path in run.path.iterdir()}
    parts = {"recipe.yaml", "metrics.jsonl", "checkpoints", "model", "report.html", "environment.json", "result.json"}
    assert parts <= names
    assert not [path for path in run.path.rglob("*") if "unfinished" in path.name]
    result = run.result
    assert result["stopped"] == "finished"
    assert result["steps"] == run.folder.rows()[-1]["step"]
    bests = [row for row in run.folder.rows() if row.get("best")]
    assert result["best"] == {
        "metric": "accuracy",
        "value": bests[-1]["validation/accuracy"],
        "step": bests[-1]["step"],
    }
    assert run.evaluate(split="validation").metrics["accuracy"] == pytest.approx(result["best"]["value"])


def test_best_is_the_highest_of_all_evaluations(tmp_path: Path) -> None:
    run = train(tmp_path, **{"fit.epochs": 6, "optim.lr": 0.03, "schedule.name": "constant"})
    values = [row["validation/accuracy"] for row in run.folder.rows() if "validation/accuracy" in row]
    assert run.best["value"] == max(values)
    assert len(set(values)) > 1


def test_no_training_opens_the_test_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = datasets.Sealed.open

    def watched(sealed: datasets.Sealed, count_look: Any) -> Any:
        opened.append(True)
        return real(sealed, count_look)

    monkeypatch.setattr(datasets.Sealed, "open", watched)
    run = train(tmp_path, **{"fit.minutes": 5.0, "fit.patience": 3})
    assert opened == []
    assert run.folder.looks() == 0
    run.evaluate(split="validation")
    assert opened == []
    run.evaluate()
    assert opened == [True]


def test_what_the_test_split_holds_does_not_matter(tmp_path: Path) -> None:
    """A training is the same whatever stands in the rows that are sealed."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(200, 3, generator=generator)
    runs = []
    for number in range(2):
        folder = tmp_path / f"data-{number}"
        folder.mkdir()
        for name, part in (("train", rows[:150]), ("test", rows[150:] * (1 + 9 * number))):
            lines = [f"{a:.4f},{b:.4f},{c:.4f},{'up' if a + b > 0 else 'down'}" for a, b, c in part.tolist()]
            (folder / f"{name}.csv").write_text("\n".join(["a,b,c,y", *lines]) + "\n")
        runs.append(
            train(tmp_path / f"runs-{number}", str(folder / "train.csv"), **{"data.test": str(folder / "test.csv")})
        )
    assert same(*runs)
    assert runs[0].evaluate().metrics != runs[1].evaluate().metrics


def test_looks_are_counted_and_told(tmp_path: Path) -> None:
    run = train(tmp_path)
    assert "The test split is still sealed" in run.folder.report.read_text()
    first = run.evaluate()
    assert "The sealed test split has been opened once" in run.folder.report.read_text()
    assert (first.looks, first.samples, first.split) == (1, 359, "test")
    second = Run(run.path).evaluate()
    assert second.looks == 2
    assert second.metrics == first.metrics
    low, high = first.intervals["accuracy"]
    assert low <= first.metrics["accuracy"] <= high
    assert first.baseline["accuracy"] < 0.2
    told = json.loads((run.path / "evaluation-test.json").read_text())
    assert told["looks"] == 2
    assert "The sealed test split has been opened 2 times" in run.folder.report.read_text()


def test_the_look_is_counted_before_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(tmp_path)
    monkeypatch.setattr(checkpoint, "write_text", _full)
    with pytest.raises(OSError, match="No space"):
        run.evaluate()
    monkeypatch.undo()
    assert run.folder.looks() == 0
    assert not (run.path / "evaluation-test.json").exists()


def _full(*arguments: Any, **named: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_nan_ends_with_a_sentence_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer, self.calls = nn.Linear(64, 10), 0

        def forward(self, pictures: Tensor) -> Tensor:
            self.calls += self.training
            answer: Tensor = self.answer(pictures.flatten(1)) * (float("nan") if self.calls > 15 else 1.0)
            return answer

    settings = {"fit.epochs": 5, "fit.batch_size": 128, "plan": "fp32", "device": "cpu"}
    with pytest.raises(Failed, match=r"NaN or infinite at step 15 \(learning rate .*; .*optim.lr") as caught:
        deepen.train("digits", model=Breaks(), runs=tmp_path, **settings)
    run = caught.value.run
    assert run.result["stopped"] == "nan"
    assert all(torch.isfinite(value).all() for value in weights(run).values())
    assert run.best["step"] == 10


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"epochs": "many"}, "epochs=many is not usable"),
        ({"optim.lrr": 0.1}, "Did you mean 'optim.lr'"),
        ({"plan": "fp31"}, "plan=fp31 is not known"),
        ({"optim.name": "adamm"}, "Did you mean 'adam"),
        ({"schedule.name": "cosinus"}, "Did you mean 'cosine'"),
        ({"device": "gpu"}, "device=gpu"),
        ({"fit.accumulate": 0}, "fit.accumulate=0 is not usable"),
    ],
)
def test_misuse_is_told_and_leaves_nothing(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(Misuse, match=told):
        train(tmp_path / "runs", **settings)
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 700 kB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small disk cannot be mounted here: not root, or no tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


class Warned:
    """A watcher that remembers the warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def data(self, *_: Any) -> None: ...

    def start(self, *_: Any) -> None: ...

    def report(self, report: Any) -> None:
        if report.kind == "warning":
            self.texts.append(report.text)


@pytest.mark.parametrize("cleared", [True, False])
def test_a_full_disk(small_disk: Path, cleared: bool) -> None:
    """The training goes on and tries again; when there is still no room at its end it fails, and can be resumed."""
    ballast = small_disk / "ballast"

    class Filling(Warned):
        steps = 0

        def report(self, report: Any) -> None:
            super().report(report)
            if report.kind == "evaluation":
                self.steps += 1
                if self.steps == 2:
                    free = shutil.disk_usage(small_disk).free
                    ballast.write_bytes(b"x" * max(0, free - 16_000))
                if self.steps == 4 and cleared:
                    ballast.unlink()

    watch = Filling()
    settings = {"fit.epochs": 6, "model.widths": (32,), "optim.lr": 0.002}
    if cleared:
        run = train(small_disk / "runs", watch=watch, **settings)
        assert run.result["stopped"] == "finished"
    else:
        with pytest.raises(Failed, match=r"[Mm]ake room, then: deepen resume") as caught:
            train(small_disk / "runs", watch=watch, **settings)
        run = caught.value.run
        ballast.unlink()
        deepen.resume(run.path)
    assert watch.texts
    for text in watch.texts:
        if text.startswith("Could not save"):
            assert re.search(rf"to {small_disk}\S*: .* \(about [\d,]+ bytes needed, [\d,]+ free\)", text)
    assert any("No space left on device" in text for text in watch.texts)
    whole = train(small_disk.parent / "elsewhere", **settings)
    assert same(run, whole)
    assert run.folder.metrics.read_bytes() == whole.folder.metrics.read_bytes()
    assert run.folder.report.is_file()


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_on_the_command_line(small_disk: Path) -> None:
    words = ["train", "digits", "--model", "mlp", "model.widths=2000", "epochs=1", "plan=fp32", "device=cpu", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "deepen", *words, "--runs", str(small_disk / "runs")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr
    assert json.loads(done.stdout)["exit"] == 1


def test_a_folder_that_cannot_be_written(small_disk: Path) -> None:
    train(small_disk / "runs")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        with pytest.raises(Problem, match=r"could not be made under .*Read-only"):
            train(small_disk / "runs")
        model = deepen.load(small_disk / "runs" / "latest")
        assert model.predict(torch.zeros(1, 8, 8, dtype=torch.uint8))
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


def test_a_training_without_a_single_score_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepen.prepare import Prepared

    real = Prepared.validate

    def lost(prepared: Prepared, model: nn.Module) -> dict[str, float]:
        return dict.fromkeys(real(prepared, model), float("nan"))

    monkeypatch.setattr(Prepared, "validate", lost)
    with pytest.raises(Failed, match="No evaluation gave a number for accuracy"):
        train(tmp_path)


def test_running_statistics_that_are_no_numbers_end_a_training(tmp_path: Path) -> None:
    class Statistics(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = nn.Linear(64, 10)
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, pictures: Tensor) -> Tensor:
            if self.training:
                self.seen += float("inf")
            answer: Tensor = self.answer(pictures.flatten(1))
            return answer

    settings = {"fit.epochs": 2, "plan": "fp32", "device": "cpu"}
    with pytest.raises(Failed, match="seen was the first of the weights to be so") as caught:
        deepen.train("digits", model=Statistics(), runs=tmp_path, **settings)
    assert not (caught.value.run.path / "model").exists()


@pytest.mark.parametrize("plan", ["fp32", "auto"])
def test_minutes_lay_the_schedule_over_the_steps_that_fit(plan: str) -> None:
    """However the plan came about, the number of steps is measured and not the one of a training without end."""
    prepared = prepare("iris", None, "mlp", {"fit.minutes": 0.05, "plan": plan})
    steps = settle(prepared).total_steps
    assert 1 <= steps < 100_000

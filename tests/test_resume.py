"""Resume: stopped anywhere in any way, a run goes on as if it had not been, or says why it cannot."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import deepen
from deepen import Problem, Run
from deepen.deploy import bundle
from deepen.engine import checkpoint
from deepen.training import Interrupted

SETTINGS: dict[str, Any] = {
    "model.widths": (8,),
    "model.dropout": 0.3,
    "fit.epochs": 3,
    "fit.batch_size": 128,
    "fit.evaluate_epochs": 1,
    "fit.save_steps": 3,
    "fit.log_steps": 4,
    "fit.accumulate": 2,
    "optim.ema": 0.9,
    "augment.shift": 1,
    "plan": "bf16",
    "device": "cpu",
}


def train(root: Path, source: str | Path = "digits", **rest: Any) -> Run:
    return deepen.train(source, model="mlp", runs=root, **(SETTINGS | rest))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that nobody disturbed."""
    return train(tmp_path_factory.mktemp("whole"))


def last_state(run: Run) -> tuple[str, bytes, dict[str, Any]]:
    folder = checkpoint.folders(run.folder.checkpoints)[0]
    state = json.loads((folder / "state.json").read_text())
    del state["seconds"]
    return folder.name, (folder / "state.safetensors").read_bytes(), state


def assert_same(run: Run, whole: Run) -> None:
    assert last_state(run) == last_state(whole)
    for name in ("metrics.jsonl", "model/model.safetensors", "model/goldens.safetensors", "model/bundle.json"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert run.best == whole.best
    assert run.result["stopped"] == whole.result["stopped"]
    assert run.folder.report.is_file()
    assert not [path for path in run.path.rglob("*") if "unfinished" in path.name]


class At:
    """Does something at the n-th call of a function, before or after it."""

    def __init__(self, real: Callable[..., Any], number: int, act: Callable[[], None]) -> None:
        self.real, self.left, self.act = real, number, act

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.act()
        return self.real(*arguments, **named)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


PLACES = {
    "first file of a save": (checkpoint, "save_file", 4),
    "flushing": (checkpoint, "flush", 17),
    "taking its place": (checkpoint, "_take_place", 6),
    "reading back": (checkpoint, "verify", 3),
    "writing the best model": (bundle, "write", 2),
}


@pytest.mark.parametrize("place", PLACES)
def test_interrupted_inside_a_save(tmp_path: Path, whole: Run, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, number = PLACES[place]
    with monkeypatch.context() as patch:
        patch.setattr(module, name, At(getattr(module, name), number, interrupt))
        with pytest.raises(Interrupted, match=r"state saved.*deepen resume") as caught:
            train(tmp_path)
    run = caught.value.run
    assert caught.value.exit_code == 130
    assert run.result["stopped"] == "interrupted"
    assert run.result["steps"] < whole.result["steps"]
    assert_same(deepen.resume(run.path), whole)


@pytest.mark.parametrize("place", PLACES)
def test_torn_down_inside_a_save(tmp_path: Path, whole: Run, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second Ctrl-C does not wait: whatever is half written is left behind."""

    def twice() -> None:
        interrupt()
        interrupt()

    module, name, number = PLACES[place]
    with monkeypatch.context() as patch:
        patch.setattr(module, name, At(getattr(module, name), number, twice))
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    assert_same(deepen.resume(tmp_path / "latest"), whole)


def test_interrupted_again_and_again(tmp_path: Path, whole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = None
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "save_file", At(checkpoint.save_file, 3, interrupt))
            with pytest.raises(Interrupted) as caught:
                train(tmp_path) if path is None else deepen.resume(path)
        path = caught.value.run.path
    assert path is not None
    assert_same(deepen.resume(path), whole)


def test_handlers_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(tmp_path, **{"fit.epochs": 1})
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_on_the_command_line(tmp_path: Path, number: signal.Signals) -> None:
    words = ["train", "digits", "--model", "mlp", "model.widths=8", "fit.epochs=2000", "fit.log_steps=5", "plan=fp32"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "deepen", *words, "device=cpu", "--runs", str(tmp_path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        log = tmp_path / "latest" / "metrics.jsonl"
        until = time.monotonic() + 120
        while not (log.is_file() and log.read_text().count("\n") > 3):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "deepen resume" in err
    assert json.loads(out)["exit"] == 130
    run = Run(tmp_path / "latest")
    assert run.result["stopped"] == "interrupted"
    found, warnings = checkpoint.latest(run.folder.checkpoints)
    assert found is not None
    assert (found.step, warnings) == (run.result["steps"], [])


def test_a_finished_run_is_left_as_it_is(whole: Run) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in whole.path.rglob("*") if path.is_file() and path.name != ".lock"
    }
    assert deepen.resume(whole.path).result == whole.result
    assert before == {
        path: path.stat().st_mtime_ns for path in whole.path.rglob("*") if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("lost", ["report.html", "result.json"])
@pytest.mark.parametrize("early", [False, True])
def test_killed_after_the_last_step_only_the_telling_is_left(tmp_path: Path, lost: str, early: bool) -> None:
    run = train(tmp_path, **({"fit.epochs": 20, "fit.patience": 1, "optim.lr": 1e-6} if early else {}))
    assert run.result["stopped"] == ("early" if early else "finished")
    state, log, best = last_state(run), run.folder.metrics.read_bytes(), run.best
    (run.path / lost).unlink()
    again = deepen.resume(run.path)
    assert again.result["stopped"] == ("early" if early else "finished")
    assert (last_state(again), again.folder.metrics.read_bytes(), again.best) == (state, log, best)
    assert again.folder.report.is_file()


class Told:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def data(self, *_: Any) -> None: ...

    def start(self, *_: Any) -> None: ...

    def report(self, report: Any) -> None:
        if report.kind == "warning":
            self.warnings.append(report.text)


def test_a_damaged_checkpoint_is_told_and_the_one_before_used(tmp_path: Path, whole: Run) -> None:
    run = Path(shutil.copytree(whole.path, tmp_path / "run-1"))
    for name in ("result.json", "report.html"):
        (run / name).unlink()
    newest = checkpoint.folders(run / "checkpoints")[0]
    content = bytearray((newest / "state.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "state.safetensors").write_bytes(content)
    watch = Told()
    resumed = deepen.resume(run, watch=watch)
    assert len(watch.warnings) == 1
    assert f"{newest.name} is damaged and was passed over" in watch.warnings[0]
    assert_same(resumed, whole)


def test_all_checkpoints_damaged_is_told(tmp_path: Path, whole: Run) -> None:
    run = Path(shutil.copytree(whole.path, tmp_path / "run-1"))
    (run / "result.json").unlink()
    for folder in checkpoint.folders(run / "checkpoints"):
        (folder / "state.json").write_text("{")
    with pytest.raises(Problem, match="None of the 2 checkpoints"):
        deepen.resume(run)


def table(path: Path, *, rows: int = 90, shift: float = 0.0) -> Path:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(rows, 2, generator=generator) + shift
    lines = [f"{a:.4f},{b:.4f},{'up' if a > b else 'down'}" for a, b in values.tolist()]
    path.write_text("\n".join(["a,b,y", *lines]) + "\n")
    return path


def interrupted(root: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    settings = {key: value for key, value in SETTINGS.items() if not key.startswith("augment")}
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", At(checkpoint.save_file, 1, interrupt))
        with pytest.raises(Interrupted) as caught:
            deepen.train(source, model="mlp", runs=root, **(settings | {"fit.batch_size": 8}))
    return caught.value.run


def test_changed_data_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = table(tmp_path / "data.csv")
    run = interrupted(tmp_path / "runs", source, monkeypatch)
    table(source, shift=0.5)
    with pytest.raises(Problem, match=r"data.csv changed since this run began"):
        deepen.resume(run.path)
    table(source)
    assert deepen.resume(run.path).result["stopped"] == "finished"
    table(source, shift=0.5)
    with pytest.raises(Problem, match="is not what this run was trained on"):
        run.evaluate()
    assert run.folder.looks() == 0


def test_lost_data_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = table(tmp_path / "data.csv")
    run = interrupted(tmp_path / "runs", source, monkeypatch)
    source.unlink()
    with pytest.raises(Problem, match=r"data of this run is gone: nothing lies at .*data\.csv"):
        deepen.resume(run.path)


def test_a_run_may_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = table(tmp_path / "data.csv")
    run = interrupted(tmp_path / "runs", source, monkeypatch)
    moved = run.path.rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert deepen.resume("elsewhere").result["run"] == str(moved)


def test_stopped_before_it_was_settled(tmp_path: Path, whole: Run) -> None:
    for number, lost in enumerate((("settled.json",), ("settled.json", "data.json"))):
        run = Path(shutil.copytree(whole.path, tmp_path / f"run-{number}"))
        for name in (*lost, "result.json"):
            (run / name).unlink()
        with pytest.raises(Problem, match="stopped before its first step: start it again with `deepen train digits`"):
            deepen.resume(run)


def test_stopped_before_its_first_checkpoint(tmp_path: Path, whole: Run) -> None:
    """Whatever was logged or kept until then is made again."""
    run = Path(shutil.copytree(whole.path, tmp_path / "run-1"))
    for name in ("result.json", "report.html"):
        (run / name).unlink()
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    assert_same(deepen.resume(run), whole)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Dropout(0.2), nn.Linear(8, 10))

    def forward(self, pictures: Tensor) -> Tensor:
        answer: Tensor = self.body(pictures)
        return answer


def own(seed: int) -> Own:
    torch.manual_seed(seed)
    return Own()


def test_own_modules_go_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {key: value for key, value in SETTINGS.items() if not key.startswith("model.")}
    undisturbed = deepen.train("digits", model=own(0), runs=tmp_path / "a", **settings)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", At(checkpoint.save_file, 4, interrupt))
        with pytest.raises(Interrupted) as caught:
            deepen.train("digits", model=own(0), runs=tmp_path / "b", **settings)
    path = caught.value.run.path
    with pytest.raises(Problem, match="your own class"):
        deepen.resume(path)
    assert_same(deepen.resume(path, model=own(99)), undisturbed)


def test_only_one_at_a_time_and_the_first_is_not_disturbed(tmp_path: Path, whole: Run) -> None:
    """A resume, a prediction and an evaluation in the middle of a training, at its worst moments."""
    tried = []

    class Meddler(Told):
        def report(self, report: Any) -> None:
            if report.kind == "evaluation":
                run = tmp_path / "latest"
                half = run.resolve() / "checkpoints" / ".unfinished-step-000000001"
                half.mkdir()
                with pytest.raises(Problem, match="being trained by another process"):
                    deepen.resume(run)
                assert half.is_dir(), "what another process is writing was swept away"
                half.rmdir()
                tried.append(report.step)

    run = deepen.train("digits", model="mlp", runs=tmp_path, watch=Meddler(), **SETTINGS)
    assert len(tried) == 3
    assert_same(run, whole)

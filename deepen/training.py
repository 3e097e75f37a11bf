"""Train and resume: from what the user said to a run folder. The only file that knows every part."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import nn

from deepen.data.dataset import Dataset, Finding
from deepen.deploy import bundle
from deepen.engine import checkpoint, device
from deepen.engine.fit import Report, Training, fit
from deepen.engine.plan import Plan
from deepen.engine.run import Folder
from deepen.errors import Problem
from deepen.insight import audit as auditing
from deepen.insight.grid import picture
from deepen.prepare import Prepared, Settled, build, load, prepare, settle
from deepen.run import Run
from deepen.story import tell
from deepen.tasks.base import Rows
from deepen.version import VERSION


class Watcher(Protocol):
    """Whoever wants to see a training as it goes; the console is one."""

    def data(self, dataset: Dataset, findings: list[Finding]) -> None: ...

    def start(self, prepared: Prepared, settled: Settled, folder: Folder) -> None: ...

    def report(self, report: Report) -> None: ...


class Failed(Problem):
    """A training that ended badly; its run folder holds the last good state."""

    def __init__(self, text: str, run: Run) -> None:
        super().__init__(text)
        self.run = run


class Interrupted(Problem):
    """A training that the user stopped, with its state saved."""

    exit_code = 130

    def __init__(self, run: Run) -> None:
        super().__init__(f"Stopped, with the state saved. Go on with: deepen resume {run.path}")
        self.run = run


def audit(source: str, **settings: Any) -> tuple[Dataset, list[Finding]]:
    """What is wrong with the data, without training."""
    dataset, draft, _ = load(source, settings)
    return dataset, auditing.audit(dataset, seed=draft.seed)


def train(
    source: str | Path,
    *,
    task: str | None = None,
    model: str | nn.Module | None = None,
    runs: str | Path = "runs",
    watch: Watcher | None = None,
    **settings: Any,
) -> Run:
    """Train `model` for `task` on `source` and return the run.

    Settings are keys of the recipe, in full in a dictionary (`**{"fit.epochs": 5}`) or bare where only one section has
    them (`epochs=5`). Raises `Problem` for what cannot be used, `Failed` when the training broke off, `Interrupted` on Ctrl-C.
    """
    prepared = prepare(str(source), task, model, settings)
    dataset = prepared.dataset
    findings = auditing.audit(dataset, seed=prepared.recipe.seed)
    if watch is not None:
        watch.data(dataset, findings)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise Problem(f"{errors[0].text} {errors[0].mend}".strip())
    settled = settle(prepared)
    recipe = prepared.recipe
    stem = Path(recipe.source).name.partition(".")[0] or "data"
    name = f"{stem}-{recipe.task_name}-{recipe.model_name.rpartition(':')[2].lower()}"
    folder = Folder.create(Path(runs), name, recipe)
    folder.write("environment.json", {"deepen": VERSION, **device.environment(prepared.device)})
    folder.write("settled.json", settled.to_json())
    folder.write("data.json", described(dataset, findings))
    return _go(prepared, settled, folder, None, findings, watch)


def resume(path: str | Path, *, model: nn.Module | None = None, watch: Watcher | None = None) -> Run:
    """Go on exactly where the run stopped; on the CPU bit for bit as if it had not.

    `model` is needed for a model of your own class. Resuming a finished run changes nothing and returns it.
    """
    folder = Folder.open(path)
    recipe = folder.recipe()
    settled = Settled(**folder.read("settled.json")) if folder.read("settled.json") else None
    if folder.read("result.json").get("stopped") in ("finished", "early", "time"):
        return Run(folder.path)
    if settled is None:
        raise Problem(f"{path} was stopped before its first step: start it again with `deepen train {recipe.source}`.")
    found, warnings = checkpoint.latest(folder.checkpoints)
    dataset = Run(folder.path).data()
    if dataset.digest != folder.read("data.json")["digest"]:
        raise Problem(f"The data at {recipe.source} changed since this run began. Restore it, or train again.")
    if settled.lr is not None:
        recipe.optim.lr = settled.lr
    prepared = build(recipe, None, "as before", dataset, model)
    findings = auditing.audit(dataset, seed=recipe.seed)
    if watch is not None:
        watch.data(dataset, findings)
        for text in warnings:
            watch.report(Report("warning", 0, 0.0, text=text))
    return _go(prepared, settled, folder, found, findings, watch)


def _go(
    prepared: Prepared,
    settled: Settled,
    folder: Folder,
    found: checkpoint.Checkpoint | None,
    findings: list[Finding],
    watch: Watcher | None,
) -> Run:
    recipe = prepared.recipe
    plan = Plan.parse(settled.plan)
    prepared.model = plan.prepare(prepared.model)
    if watch is not None:
        watch.start(prepared, settled, folder)
    with folder.locked(), _stop_on_interrupt() as stopped:
        folder.rewind(None if found is None else found.state)
        training = Training(
            task=prepared.task,
            model=prepared.model,
            open_stream=prepared.open_stream,
            validate=prepared.validate,
            recipe=recipe,
            plan=plan,
            device=prepared.device,
            folder=folder,
            total_steps=settled.total_steps,
            steps_per_epoch=prepared.steps_per_epoch,
            should_stop=stopped.is_set,
            seconds_before=0.0 if found is None else found.state["seconds"],
        )
        keeper = _Keeper(prepared, folder)
        end = None
        for report in fit(training, found):
            keeper.take(report)
            if watch is not None:
                watch.report(report)
            end = report
        assert end is not None
        assert end.kind == "end"
        run = Run(folder.path)
        summary(prepared, settled, folder, end)
        if end.stopped == "nan":
            raise Failed(end.text, run)
        if end.stopped == "interrupted":
            raise Interrupted(run)
        tell(prepared, settled, folder, findings, keeper.rows)
        if not end.saved or keeper.unsaved:
            raise Failed(
                f"The last state could not be saved to {folder.path}. Make room, then: deepen resume {folder.path}", run
            )
    return run


class _Keeper:
    """Writes what the reports say into the run: the metric log, the best bundle, the previews."""

    def __init__(self, prepared: Prepared, folder: Folder) -> None:
        self.prepared, self.folder = prepared, folder
        self.unsaved = False
        self.rows: Rows | None = None
        """Validation rows of the best weights, where this session evaluated them."""
        p = prepared
        self.examples = p.task.examples(p.model, p.dataset.validation, p.dataset.preprocess, bundle.GOLDENS)

    def take(self, report: Report) -> None:
        if report.kind in ("log", "evaluation"):
            row: dict[str, Any] = {"step": report.step, "epoch": report.epoch, **report.numbers}
            if report.best:
                row["best"] = True
            self.folder.log(row, report.speed)
        if report.kind == "evaluation" and report.model is not None:
            for name, pixels in self.prepared.task.preview(report.model).items():
                self.folder.samples.mkdir(exist_ok=True)
                picture(pixels).save(self.folder.samples / f"{name}-{report.step:07d}.png")
            if report.best:
                self.rows = self.prepared.rows
                self._keep(report)

    def _keep(self, report: Report) -> None:
        p = self.prepared
        assert report.model is not None
        facts = {
            "digest": p.dataset.digest,
            "parameters": p.parameters,
            "step": report.step,
            "validation": {name.partition("/")[2]: value for name, value in report.numbers.items()},
            "versions": {"deepen": VERSION, "torch": torch.__version__},
        }
        try:
            bundle.write(self.folder.model, report.model, p.recipe, p.task, p.dataset.preprocess, self.examples, facts)
            self.unsaved = False
        except OSError as error:
            self.unsaved = True
            raise Problem(checkpoint.no_room(error, self.folder.model, p.parameters * 4)) from error


def summary(prepared: Prepared, settled: Settled, folder: Folder, end: Report) -> None:
    """Write `result.json`: what `train --json` prints."""
    rows, speeds = folder.rows(), folder.speed_rows()
    bests = [row for row in rows if row.get("best")]
    metric = prepared.task.goal.metric
    seconds = max((row["seconds"] for row in speeds if "seconds" in row), default=0.0)
    best = {"metric": metric, "value": bests[-1][f"validation/{metric}"], "step": bests[-1]["step"]} if bests else None
    batch = prepared.loader.batch_size if prepared.loader is not None else 1
    folder.write(
        "result.json",
        {
            "run": str(folder.path),
            "data": prepared.recipe.source,
            "task": prepared.recipe.task_name,
            "model": prepared.recipe.model_name,
            "parameters": prepared.parameters,
            "plan": settled.plan,
            "steps": end.step,
            "epochs": end.epoch,
            "seconds": seconds,
            "samples_per_second": end.step * batch / seconds if seconds else 0.0,
            "best": best,
            "stopped": end.stopped,
        },
    )


def described(dataset: Dataset, findings: list[Finding]) -> dict[str, Any]:
    """What a run remembers of its data."""
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "spec": dataset.spec.to_json(),
        "samples": {
            "train": len(dataset.train),
            "validation": len(dataset.validation),
            "test": 0 if dataset.test is None else len(dataset.test),
        },
        "facts": dataset.facts,
        "bad": [vars(bad) for bad in dataset.bad],
        "findings": [vars(finding) for finding in findings],
    }


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """The first Ctrl-C asks the loop to stop after its step; the second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

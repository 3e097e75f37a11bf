"""Train and resume: from what the user said to a run folder. The only file that knows every part."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from torch import nn

from deepen import beginning
from deepen.data.dataset import Dataset, Finding
from deepen.engine import checkpoint, device
from deepen.engine.fit import Training, fit
from deepen.engine.plan import Plan
from deepen.engine.report import Report
from deepen.engine.run import Folder
from deepen.errors import Misuse, Problem
from deepen.insight import audit as auditing
from deepen.keeping import Keeper, described, summary
from deepen.prepare import Prepared, build, prepare
from deepen.recipe import blank
from deepen.run import Run
from deepen.settle import Settled, keep_features, settle
from deepen.sources import find_source, load
from deepen.story import tell
from deepen.version import VERSION

REPORT_BYTES = 1_000_000
"""About what a report needs."""


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
    """A training that the user stopped, with its state saved: of an acting task the last scheduled one."""

    exit_code = 130

    def __init__(self, run: Run, *, acting: bool) -> None:
        said = (
            "Stopped. It goes on from its last scheduled checkpoint"
            if acting
            else "Stopped, with the state saved. Go on"
        )
        super().__init__(f"{said} with: deepen resume {shlex.quote(str(run.path))}")
        self.run = run


def audit(source: str, *, thorough: bool = False, **settings: Any) -> tuple[Dataset, list[Finding]]:
    """What is wrong with the data, without training. `thorough` also reads very large sets for duplicates."""
    found = find_source(source, settings=settings)
    known = vars(blank(source, found[0].name, "", "").data)
    for key in settings:
        if key != "seed" and not key.startswith("data.") and key not in known:
            raise Misuse(f"{key} says nothing about the data: an audit takes data.* and seed. Leave it out.")
    dataset, draft, _ = load(source, settings, found=found)
    return dataset, auditing.audit(dataset, seed=draft.seed, thorough=thorough)


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
    Folder.check_root(Path(runs))
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
    name = f"{stem}-{recipe.task_name}-{recipe.model_name.rpartition(':')[2].rpartition('<locals>.')[2].lower()}"
    folder = Folder.create(Path(runs), name, recipe)
    with folder.locked():
        folder.write("environment.json", {"deepen": VERSION, **device.environment(prepared.device)})
        folder.write("data.json", described(dataset, findings))
        beginning.keep(folder, prepared.whole(prepared.model), prepared.start, recipe, dataset.preprocess)
        folder.write("settled.json", settled.to_json())  # the last one: with it, the run can be resumed
        return _go(prepared, settled, folder, None, findings, watch)


def resume(path: str | Path, *, model: nn.Module | None = None, watch: Watcher | None = None) -> Run:
    """Go on exactly where the run stopped; on the CPU bit for bit as if it had not.

    `model` is needed for a model of your own class. Resuming a finished run changes nothing and returns it.
    """
    folder = Folder.open(path)
    with folder.locked():
        return _resume(path, folder, model, watch)


def _resume(path: str | Path, folder: Folder, model: nn.Module | None, watch: Watcher | None) -> Run:
    recipe = folder.recipe()
    settled = Settled(**folder.read("settled.json")) if folder.read("settled.json") else None
    result = folder.read("result.json")
    if result.get("stopped") in ("finished", "early", "time") and result["saved"] and folder.report.is_file():
        return Run(folder.path)
    if settled is None:
        raise Problem(f"{path} was stopped before its first step: start it again with `deepen train {recipe.source}`.")
    found, warnings = checkpoint.latest(folder.checkpoints)
    dataset = Run(folder.path).data()
    if dataset.digest != folder.read("data.json")["digest"]:
        raise Problem(f"The data at {recipe.source} changed since this run began. Restore it, or train again.")
    if settled.lr is not None:
        recipe.optim.lr = settled.lr
    prepared = build(recipe, None, "as before", dataset, model, folder)
    findings = auditing.audit(dataset, seed=recipe.seed)
    if watch is not None:
        watch.data(dataset, findings)
        for text in warnings:
            watch.report(Report("warning", 0, 0.0, text=text))
    keep_features(prepared)
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
    with _stop_on_interrupt() as stopped:
        keeper = Keeper(prepared, folder)
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
            may_save=lambda: keeper.unsaved is None,
            seconds_before=0.0 if found is None else found.state["seconds"],
        )
        end = None
        for report in fit(training, found):
            warnings = keeper.take(report)
            if watch is not None:
                watch.report(report)
                for text in warnings:
                    watch.report(Report("warning", report.step, report.epoch, text=text))
            end = report
        assert end is not None
        assert end.kind == "end"
        run = Run(folder.path)
        saved = end.saved and keeper.unsaved is None
        again = f"Make room, then: deepen resume {shlex.quote(str(folder.path))}"
        try:
            summary(prepared, settled, folder, end, saved)
            if saved and folder.model.exists() and end.stopped in ("finished", "early", "time"):
                tell(prepared, settled, folder, findings, keeper.rows)
        except OSError as error:
            raise Failed(f"{checkpoint.no_room(error, folder.path, REPORT_BYTES)} {again}", run) from error
        if end.stopped == "nan":
            raise Failed(end.text, run)
        if not saved:
            raise Failed(f"The last state could not be saved to {folder.path}. {again}", run)
        if end.stopped != "interrupted" and not folder.model.exists():
            raise Failed(
                f"No evaluation gave a number for {prepared.task.goal.metric}, so there is no best model in "
                f"{folder.path}. Try a lower optim.lr, or another task.goal.",
                run,
            )
        if end.stopped == "interrupted":
            raise Interrupted(run, acting=prepared.dataset.acting)
    return run


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

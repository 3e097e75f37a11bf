"""Keeping: what a training leaves in its run folder as it goes, and when it has ended."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from deepen.data.dataset import Dataset, Finding
from deepen.deploy import bundle
from deepen.engine import checkpoint
from deepen.engine.report import Report
from deepen.engine.run import Folder
from deepen.insight import written
from deepen.insight.grid import picture
from deepen.prepare import Prepared
from deepen.settle import Settled
from deepen.tasks.base import Continues, Rows, Writes
from deepen.version import VERSION

PREVIEW_BYTES = 20_000
"""About what a preview needs."""


class Keeper:
    """Writes what the reports say into the run: the metric log, the best bundle, the previews."""

    def __init__(self, prepared: Prepared, folder: Folder) -> None:
        self.prepared, self.folder = prepared, folder
        self.unsaved: tuple[nn.Module, dict[str, Any]] | None = None
        """The best weights and their facts, where they have not reached the disk."""
        self.rows: Rows | None = None
        """Validation rows of the best weights, where this session evaluated them."""
        p = prepared
        self.begun = written.beginning(p.dataset) if isinstance(p.task, Writes) else ""
        """What is gone on with at each evaluation, where the task writes."""
        self.examples = p.task.examples(p.model, p.dataset.validation, p.dataset.preprocess, bundle.GOLDENS)

    def take(self, report: Report) -> list[str]:
        """Write it down; a warning for what could not be written, which is tried again with the next report."""
        if report.kind in ("log", "evaluation"):
            row: dict[str, Any] = {"step": report.step, "epoch": report.epoch, **report.numbers}
            if report.best:
                row["best"] = True
            self.folder.log(row, report.speed)
        warnings = []
        if report.kind == "evaluation" and report.model is not None:
            try:
                self._preview(report.model, report.step)
            except OSError as error:
                warnings.append(checkpoint.no_room(error, self.folder.samples, PREVIEW_BYTES))
            if report.best:
                self.rows = self.prepared.rows
                self.unsaved = (report.model, self._facts(report))
        if self.unsaved is not None:
            warnings += self._keep(*self.unsaved)
        return warnings

    def _preview(self, model: nn.Module, step: int) -> None:
        for name, pixels in self.prepared.task.preview(model).items():
            self.folder.samples.mkdir(exist_ok=True)
            finished = self.folder.samples / f"{name}-{step:07d}.png"
            unfinished = finished.with_suffix(".unfinished")
            picture(pixels).save(unfinished, format="PNG")
            unfinished.replace(finished)
        task = self.prepared.task
        if isinstance(task, Writes) and isinstance(model, Continues):
            text = written.continuation(task, model, self.prepared.dataset, self.begun)
            written.keep(self.folder.samples, step, text)

    def _facts(self, report: Report) -> dict[str, Any]:
        p = self.prepared
        return {
            "digest": p.dataset.digest,
            "parameters": p.parameters,
            "step": report.step,
            "validation": {name.partition("/")[2]: value for name, value in report.numbers.items()},
            **({} if p.start is None else {"transfer": p.start.told}),
            "versions": {"deepen": VERSION, "torch": torch.__version__},
        }

    def _keep(self, module: nn.Module, facts: dict[str, Any]) -> list[str]:
        p = self.prepared
        try:
            whole = p.whole(module)
            bundle.write(self.folder.model, whole, p.recipe, p.task, p.dataset.preprocess, self.examples, facts)
        except OSError as error:
            # The training goes on with these weights: the best ones have to be set aside until there is room.
            self.unsaved = (copy.deepcopy(module), facts)
            return [f"{checkpoint.no_room(error, self.folder.model, p.parameters * 4)} It is tried again."]
        self.unsaved = None
        return []


def summary(prepared: Prepared, settled: Settled, folder: Folder, end: Report, saved: bool) -> None:
    """Write `result.json`: what `train --json` prints."""
    rows, speeds = folder.rows(), folder.speed_rows()
    bests = [row for row in rows if row.get("best")]
    metric = prepared.task.goal.metric
    seconds = max((row["seconds"] for row in speeds if "seconds" in row), default=0.0)
    best = {"metric": metric, "value": bests[-1][f"validation/{metric}"], "step": bests[-1]["step"]} if bests else None
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
            "samples_per_second": end.step * prepared.batch_size / seconds if seconds else 0.0,
            "best": best,
            "stopped": end.stopped,
            "saved": saved,
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

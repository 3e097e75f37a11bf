"""A small real training for the engine's tests: a perceptron of two layers on iris, at a thread, in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deepen import prepare
from deepen.engine.fit import Training, fit
from deepen.engine.plan import Plan
from deepen.engine.report import Report
from deepen.engine.run import Folder
from deepen.settle import settle

Make = Callable[..., Training]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make(**settings)`: a `Training` over iris whose run folder is new. `own` replaces the model."""
    count = 0

    def made(*, own: nn.Module | None = None, total: int | None = None, **settings: Any) -> Training:
        nonlocal count
        count += 1
        defaults = {
            "task.goal": "accuracy",
            "model.dropout": 0.0,
            "optim.ema": None,
            "optim.weight_decay": 0.0,
            "fit.epochs": 4,
            "fit.batch_size": 16,
            "fit.log_steps": 5,
            "plan": "fp32",
            "device": "cpu",
            "seed": 3,
        }
        chosen = defaults | {key.replace("__", "."): value for key, value in settings.items()}
        if own is None:
            chosen = {"model.widths": (8,)} | chosen
        else:
            chosen = {key: value for key, value in chosen.items() if not key.startswith("model.")}
        prepared = prepare.prepare("iris", "classify", own or "mlp", chosen)
        folder = Folder.create(tmp_path / f"runs-{count}", "iris", prepared.recipe)
        settled = settle(prepared)
        return Training(
            task=prepared.task,
            model=Plan().prepare(prepared.model),
            open_stream=prepared.open_stream,
            validate=prepared.validate,
            recipe=prepared.recipe,
            plan=Plan(),
            device=prepared.device,
            folder=folder,
            total_steps=total or settled.total_steps,
            steps_per_epoch=prepared.steps_per_epoch,
        )

    return made


@pytest.fixture
def keep() -> Callable[..., list[Report]]:
    """`keep(training, resumed=None, **changes)`: run `fit` to its end, writing the log as a run does; its reports."""

    def kept(training: Training, resumed: Any = None, **changes: Any) -> list[Report]:
        reports = []
        for report in fit(replace(training, **changes), resumed):
            if report.kind in ("log", "evaluation"):
                training.folder.log({"step": report.step, **report.numbers})
            reports.append(report)
        return reports

    return kept

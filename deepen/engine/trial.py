"""A few real steps on a scratch copy of a model, for choosing a plan or a learning rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepen.engine.plan import Plan, Trial
from deepen.engine.update import Updater
from deepen.recipe import Recipe
from deepen.tasks.base import Batch, Task

HORIZON = 1_000_000
"""Total steps that a trial pretends to have: its rates are those of the very beginning."""


def trial_of(task: Task, recipe: Recipe, device: torch.device) -> Trial:
    """Runs one step per batch as the training would."""

    def trial(model: nn.Module, plan: Plan, batches: list[Batch]) -> list[dict[str, Tensor]]:
        model.train()
        updater = Updater(model, task.parts(model), recipe.optim, recipe.schedule, task.goal, HORIZON, device)
        numbers = []
        for step, batch in enumerate(batches):
            updater.begin(step, [])
            with plan.precision(), plan.autocast(device):
                numbers.append(task.step(model, plan.place(batch), updater))
        return numbers

    return trial

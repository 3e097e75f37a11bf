"""A few real steps on a scratch copy of a model, for choosing a plan or a learning rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepen.engine import mode
from deepen.engine.body import thawed
from deepen.engine.plan import Plan, Trial
from deepen.engine.update import Updater
from deepen.recipe import Recipe
from deepen.tasks.base import Batch, Task

HORIZON = 1_000_000
"""Total steps that a trial pretends to have: its rates are those of the very beginning."""


def trial_of(task: Task, recipe: Recipe, device: torch.device) -> Trial:
    """Runs one step per batch as the training would; of a body that thaws later, as it will when it has."""
    transfer = thawed(recipe.transfer)

    def trial(model: nn.Module, plan: Plan, batches: list[Batch]) -> list[dict[str, Tensor]]:
        parts = task.parts(model)
        updater = Updater(model, parts, recipe.optim, recipe.schedule, task.goal, HORIZON, device, transfer)
        mode.train(model)
        numbers = []
        for step, batch in enumerate(batches):
            updater.begin(step, [])
            with plan.precision(), plan.autocast(device):
                numbers.append(task.step(model, plan.place(batch), updater))
        return numbers

    return trial

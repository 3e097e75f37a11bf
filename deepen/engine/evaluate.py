"""Scores of a split: every sample once, in float32, whatever the training's precision."""

from __future__ import annotations

import torch
from torch import nn

from deepen.data.dataset import Columns
from deepen.data.loader import in_order
from deepen.data.preprocess import Preprocess
from deepen.tasks.base import Rows, Task

BATCH = 512


@torch.no_grad()
def score(
    task: Task,
    model: nn.Module,
    columns: Columns,
    preprocess: Preprocess,
    device: torch.device,
    batch_size: int = BATCH,
) -> Rows:
    """The rows of `task.score` for all samples of a split, on the CPU."""
    training = model.training
    model.eval()
    try:
        parts = [
            {name: rows.cpu() for name, rows in task.score(model, batch).items()}
            for batch in in_order(columns, preprocess, batch_size=batch_size, device=device)
        ]
    finally:
        model.train(training)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

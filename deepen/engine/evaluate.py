"""Scores of a split: every sample once, in float32, whatever the training's precision."""

from __future__ import annotations

import torch
from torch import nn

from deepen.data.dataset import Columns
from deepen.data.loader import in_order
from deepen.data.preprocess import Preprocess
from deepen.data.ragged import by_length
from deepen.engine import mode
from deepen.tasks.base import Rows, Task

BATCH = 512
NUMBERS = 2**23
"""Of the input that one batch may hold: the maps of a network for photographs take many times as much."""
LEAST = 8


@torch.no_grad()
def score(
    task: Task,
    model: nn.Module,
    columns: Columns,
    preprocess: Preprocess,
    device: torch.device,
    batch_size: int | None = None,
) -> Rows:
    """The rows of `task.score` for all samples of a split, on the CPU."""
    size = batch_size or min(BATCH, max(LEAST, NUMBERS // max(1, columns.widest)))
    seen, places = by_length(columns)
    with mode.evaluating(model):
        parts = [
            {name: rows.cpu() for name, rows in task.score(model, batch).items()}
            for batch in in_order(seen, preprocess, batch_size=size, device=device)
        ]
    together = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return together if places is None else {name: rows[places] for name, rows in together.items()}

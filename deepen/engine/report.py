"""Report: what the training loop tells whoever reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import nn

Stopped = Literal["finished", "early", "time", "nan", "interrupted"]


@dataclass(frozen=True)
class Report:
    """Something that happened in a training."""

    kind: Literal["log", "evaluation", "warning", "end"]
    step: int
    epoch: float
    numbers: dict[str, float] = field(default_factory=dict)
    """train/... and lr of a log tick, validation/... of an evaluation: a function of recipe and data alone."""
    speed: dict[str, float] = field(default_factory=dict)
    """What depends on the clock."""
    best: bool = False
    """Whether this evaluation is the best so far."""
    model: nn.Module | None = None
    """At an evaluation: the model whose weights were evaluated (the average, where there is one)."""
    stopped: Stopped | None = None
    saved: bool = True
    """At the end: whether the last state reached the disk."""
    text: str = ""
    """A warning, or why the training ended."""

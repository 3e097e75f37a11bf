"""What first became NaN or infinite, when a training breaks off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepen.engine.plan import Plan
from deepen.randomness import reseed
from deepen.tasks.base import Batch, Task


def not_finite(model: nn.Module) -> str | None:
    """The first of its parameters and running statistics that is not."""
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            return name
    return None


def culprit(task: Task, model: nn.Module, plan: Plan, batch: Batch, device: torch.device, seed: int, step: int) -> str:
    """In words, from a second look at the step that gave such a loss. The model is not changed."""
    broken = not_finite(model)
    if broken is not None:
        return f"{broken} was the first of the weights to be so"
    found: list[str] = []
    # The forward pass of a training moves running statistics, whatever becomes of its loss.
    kept = {name: value.clone() for name, value in model.named_buffers()}

    def look(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(f"{name} ({type(module).__name__})")

        return hook

    hooks = [m.register_forward_hook(look(name)) for name, m in model.named_modules() if not list(m.children())]
    try:
        reseed(seed, "step", step)
        placed = plan.place(batch)
        if not torch.isfinite(placed["input"]).all():
            return "the input of this batch already was"
        with torch.no_grad(), plan.autocast(device):
            task.step(model, placed, _Silent(step))
    finally:
        for hook in hooks:
            hook.remove()
        with torch.no_grad():
            for name, value in model.named_buffers():
                value.copy_(kept[name])
    return f"the first module with such an output was {found[0]}" if found else "it arose in the loss itself"


class _Silent:
    """An update that changes nothing, for looking at a step again."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, loss: Tensor, part: str = "model") -> None: ...

from __future__ import annotations

import torch
from torch import nn

from deepen.engine.culprit import culprit
from deepen.engine.plan import Plan
from deepen.spec import Category, Image, Spec
from deepen.tasks import classify


class Rootless(nn.Module):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return input.sqrt()


def test_the_second_look_changes_nothing() -> None:
    """Running statistics move in every forward pass of a training."""
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), Rootless(), nn.Linear(16, 2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    task = classify.build(Spec(Image(1, 4, 4), Category(("a", "b"))), classify.Config())
    batch = {"input": torch.randn(8, 1, 4, 4) + 3, "target": torch.zeros(8, dtype=torch.int64)}
    said = culprit(task, model, Plan(), batch, torch.device("cpu"), 0, 3)
    assert "2 (Rootless)" in said
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

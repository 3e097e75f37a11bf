"""The learning-rate finder: a rate that learns, found without touching the model, and kept through a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import deepen
from deepen import Problem, prepare
from deepen.engine import checkpoint, lr_finder
from deepen.errors import Misuse
from deepen.settle import settle

SETTINGS: dict[str, Any] = {"plan": "fp32", "device": "cpu", "seed": 1, "fit.batch_size": 32, "fit.epochs": 3}


def prepared(model: str | nn.Module = "mlp", **settings: Any) -> prepare.Prepared:
    return prepare.prepare("digits", "classify", model, SETTINGS | settings)


def found(made: prepare.Prepared) -> float:
    assert made.loader is not None
    return lr_finder.find(made.model, made.task, made.recipe, made.loader, made.device).lr


def test_the_model_is_not_touched_and_the_answer_is_the_same_again() -> None:
    made = prepared(**{"model.widths": (16,), "model.dropout": 0.2})
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    rates = [found(made), found(made)]
    assert rates[0] == rates[1]
    assert all(torch.equal(before[name], value) for name, value in made.model.state_dict().items())
    assert made.recipe.optim.lr is None or made.recipe.optim.lr != lr_finder.HIGHEST


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_rate_lies_below_where_it_diverges_and_learns(name: str) -> None:
    settings = {"model.widths": (16,), "optim.name": name, "schedule.name": "constant", "optim.ema": None}
    rate = found(prepared(**settings))
    assert 1e-4 < rate < 1.5

    def loss_after(lr: float) -> float:
        made = prepared(**settings, **{"optim.lr": lr})
        from deepen.engine.trial import trial_of

        stream = made.open_stream(0)
        batches = [next(stream) for _ in range(60)]
        numbers = trial_of(made.task, made.recipe, made.device)(made.model, prepare.plan.Plan(), batches)
        return float(torch.stack([number["loss"] for number in numbers[-10:]]).mean())

    assert loss_after(rate) < loss_after(rate / 100)


class Constant(nn.Module):
    """Answers what no rate can change for the better: not a number."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = nn.Linear(64, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        answer: Tensor = self.answer(pictures.flatten(1)) * float("nan")
        return answer


def test_no_rate_is_told() -> None:
    with pytest.raises(Problem, match="found no rate at which the loss falls"):
        found(prepared(Constant()))


def test_acting_has_no_batches_to_sweep_over() -> None:
    pytest.importorskip("gymnasium")
    settings = {"fit.find_lr": True, "device": "cpu", "task.num_envs": 2}
    with pytest.raises(Misuse, match=r"fit\.find_lr=true sweeps over batches"):
        settle(prepare.prepare("CartPole-v1", None, None, settings))


def test_a_found_rate_is_kept_through_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepen.training import Interrupted

    settings = SETTINGS | {"model.widths": (16,), "fit.find_lr": True, "fit.save_steps": 10}
    whole = deepen.train("digits", model="mlp", runs=tmp_path / "whole", **settings)
    assert whole.folder.read("settled.json")["lr"] == whole.recipe.optim.lr
    real: Callable[..., Any] = checkpoint.save_file
    left = iter([0, 0, 1] + [0] * 99)

    def interrupting(*arguments: Any, **named: Any) -> None:
        if next(left):
            import signal

            signal.raise_signal(signal.SIGINT)
        real(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", interrupting)
        with pytest.raises(Interrupted) as caught:
            deepen.train("digits", model="mlp", runs=tmp_path / "parted", **settings)
    run = deepen.resume(caught.value.run.path)
    assert run.folder.metrics.read_bytes() == whole.folder.metrics.read_bytes()

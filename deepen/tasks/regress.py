"""Regression: one or more numbers for each sample.

Squared, absolute or Huber's loss (Huber, 1964, Robust estimation of a location parameter) on targets that are
standardised with the training split's mean and scale, so that one learning rate suits prices and percentages alike.
Metrics are in the user's units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepen.data.dataset import Columns
from deepen.data.preprocess import Preprocess
from deepen.errors import Misuse, Problem
from deepen.spec import Quantity, Spec
from deepen.tasks.base import Answers, Batch, Goal, Rows, Supervised
from deepen.tasks.measures import Weighted, mean, once

SUMMARY = "One or more numbers for each sample"


@dataclass
class Config:
    """What is minimised, and which metric decides."""

    loss: Literal["mse", "mae", "huber"] = "mse"
    """mse: squared error; mae: absolute error, which asks for the median; huber: squared if small, absolute beyond."""
    delta: float = 1.0
    """huber: where squared turns into absolute, in standard deviations of the target."""
    goal: Literal["r2", "rmse", "mae", "loss"] = "r2"
    """Validation metric that decides which weights are best."""


def natural(spec: Spec) -> bool:
    return isinstance(spec.output, Quantity)


def build(spec: Spec, config: Config) -> Regress:
    if not isinstance(spec.output, Quantity):
        kind = type(spec.output).__name__.lower()
        column = "For a table, name a column of numbers with --target."
        hint = column if kind == "category" else "Leave out --as to let the data decide."
        raise Problem(f"regress needs data whose target is a number, not {kind}. {hint}")
    if config.delta <= 0:
        raise Misuse(f"task.delta={config.delta} is not usable: expected more than 0.")
    return Regress(spec, config)


@final
class Regress(Supervised, Answers, Weighted):
    """Models answer in standardised units [B, K]; the target is float32 [B, K] in the user's."""

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.output, Quantity)
        self.spec = spec
        self.config = config
        self.names = spec.output.names
        self.goal = Goal(config.goal, "max" if config.goal == "r2" else "min")
        self._mean = torch.tensor(spec.output.mean or (0.0,) * len(self.names))
        self._scale = torch.tensor(spec.output.scale or (1.0,) * len(self.names))
        self._centre: Tensor | None = None

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        self._centre = train["target"].double().mean(dim=0)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over the batch; where augmentation mixed samples, `mix` [B] is the weight of `target`."""
        answer, target = model(batch["input"]), self._standard(batch["target"])
        if "mix" in batch:
            # A blend of two numbers is a number, so that the target itself is mixed.
            target = torch.lerp(self._standard(batch["target_other"]), target, batch["mix"].unsqueeze(1))
        return self.criterion(answer, target).mean(), {}

    def criterion(self, answer: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample, float32 [B], from standardised [B, K] on both sides."""
        answer = answer.float()
        if self.config.loss == "mse":
            each = F.mse_loss(answer, target, reduction="none")
        elif self.config.loss == "mae":
            each = F.l1_loss(answer, target, reduction="none")
        else:
            each = F.huber_loss(answer, target, reduction="none", delta=self.config.delta)
        return each.mean(dim=1)

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows: prediction and target float32 [B, K] in the user's units, loss float32 [B]."""
        answer = model(batch["input"]).float()
        loss = self.criterion(answer, self._standard(batch["target"]))
        return {"prediction": self._usual(answer), "target": batch["target"], "loss": loss}

    def measure(self, rows: Rows) -> dict[str, float]:
        metrics = once(self, rows)
        if self.goal.metric not in metrics:
            raise Problem(
                f"{self.goal.metric} cannot be measured on these {len(rows['target'])} samples: their targets are all "
                "the same, or the model's answers are not finite. Choose another task.goal or larger splits."
            )
        return metrics

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        """Several targets count alike in each metric, as the mean of theirs."""
        # float64, and targets moved to zero: a spread that is small beside its mean is not lost in rounding.
        weights, target = weights.double(), rows["target"].double()
        error = rows["prediction"].double() - target
        target = target - target.mean(dim=0)
        squared = mean(error.square(), weights)
        spread = mean(target.square(), weights) - mean(target, weights).square()
        r2 = torch.where(spread > 0, 1 - squared / spread, torch.nan)
        return {
            "loss": mean(rows["loss"], weights),
            "r2": r2.mean(dim=1),
            "rmse": squared.sqrt().mean(dim=1),
            "mae": mean(error.abs(), weights).mean(dim=1),
        }

    def baseline(self, rows: Rows) -> dict[str, float]:
        """The mean of the training split for every sample."""
        assert self._centre is not None, "study() comes before baseline()"
        constant = self._centre.float().expand_as(rows["target"])
        loss = self.criterion(self._standard(constant), self._standard(rows["target"]))
        return once(self, {"prediction": constant, "target": rows["target"], "loss": loss})

    def answer(self, output: Tensor) -> list[dict[str, Any]]:
        """`quantity`: the number in the user's units, or {name: number} where there are several."""
        values = self._usual(output.float()).tolist()
        if len(self.names) == 1:
            return [{"quantity": row[0]} for row in values]
        return [{"quantity": dict(zip(self.names, row, strict=True))} for row in values]

    def _standard(self, target: Tensor) -> Tensor:
        mean, scale = self._on(target)
        return (target - mean) / scale

    def _usual(self, answer: Tensor) -> Tensor:
        mean, scale = self._on(answer)
        return answer * scale + mean

    def _on(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        if self._mean.device != tensor.device:
            self._mean, self._scale = self._mean.to(tensor.device), self._scale.to(tensor.device)
        return self._mean, self._scale

"""Forecasting: what some variates will be at the next moments, from what they were at the last ones.

Losses, `mse` and `mae` are in deviations of the training part, means over all windows, moments and variates, as Informer (Zhou et
al., 2021) and all that compare with it report them; `rmse/NAME` and `mae/NAME` are those of one variate in the user's units. A
moment whose value is not known is neither learnt nor scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.data.dataset import Columns
from deepen.data.lookback import SeriesPreprocess
from deepen.data.preprocess import Preprocess
from deepen.errors import Misuse, Problem
from deepen.spec import Horizon, Series, Spec
from deepen.tasks.base import Answers, Batch, Goal, Rival, Rivalled, Rows, Supervised
from deepen.tasks.measures import Weighted, once

SUMMARY = "What comes next in a series, for one or more variates"

MOST_NAMED = 20
"""Variates up to which each has metrics of its own."""
PIECE = 512
"""Windows that are looked at together."""


@dataclass
class Config:
    """What is minimised, and which metric decides."""

    loss: Literal["mse", "mae", "huber"] = "mse"
    """mse: squared error; mae: absolute error, which asks for the median; huber: squared if small, absolute beyond."""
    delta: float = 1.0
    """huber: where squared turns into absolute, in deviations of the training part."""
    goal: Literal["mse", "mae", "loss"] = "mse"
    """Validation metric that decides which weights are best."""


def natural(spec: Spec) -> bool:
    return isinstance(spec.input, Series) and isinstance(spec.output, Horizon)


def build(spec: Spec, config: Config) -> Forecast:
    if not natural(spec):
        raise Problem(
            "forecast goes on with a series, and this data is none: name a table with a column of equally spaced times and "
            "columns of numbers, or a known series such as etth1."
        )
    if config.delta <= 0:
        raise Misuse(f"task.delta={config.delta:g} is not usable: expected more than 0.")
    return Forecast(spec, config)


@final
class Forecast(Supervised, Answers, Weighted, Rivalled):
    """Models answer in scaled units [B, H, K]; `target` is the same, NaN where it is not known."""

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.input, Series)
        assert isinstance(spec.output, Horizon)
        self.spec = spec
        self.config = config
        self.goal = Goal(config.goal, "min")
        self.names, self.horizon = spec.output.names, spec.output.length
        self.season = 1
        """Moments after which things come again; 1 where that is not known, or longer than what is looked back on."""
        self._at = [spec.input.names.index(name) for name in self.names]
        self._mean = torch.tensor(spec.output.mean or (0.0,) * len(self.names), dtype=torch.float64)
        self._scale = torch.tensor(spec.output.scale or (1.0,) * len(self.names), dtype=torch.float64)

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        if isinstance(preprocess, SeriesPreprocess) and preprocess.season <= preprocess.length:
            self.season = preprocess.season

    def expected(self, count: int) -> tuple[int, ...]:
        return (count, self.horizon, len(self.names))

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        known = batch["target"].isfinite()
        each = self._criterion(model(batch["input"]).float(), batch["target"].nan_to_num())
        return (each * known).sum() / known.sum().clamp(min=1), {}  # a piece of a batch may ask nothing

    def counted(self, batch: Batch) -> float:
        """Values that are known."""
        return float(batch["target"].isfinite().sum())

    def _criterion(self, answer: Tensor, target: Tensor) -> Tensor:
        if self.config.loss == "mse":
            return functional.mse_loss(answer, target, reduction="none")
        if self.config.loss == "mae":
            return functional.l1_loss(answer, target, reduction="none")
        return functional.huber_loss(answer, target, reduction="none", delta=self.config.delta)

    def last(self, input: Tensor) -> Tensor:
        """The forecast that all stays as it was last: [B, H, K]."""
        return input[:, -1:, self._at].expand(-1, self.horizon, -1)

    def again(self, input: Tensor) -> Tensor:
        """The forecast that the last season comes again and again: [B, H, K]."""
        steps = torch.arange(self.horizon, device=input.device) % self.season
        return input[:, input.shape[1] - self.season + steps][:, :, self._at]

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows: sums of a window's errors over its moments, float32 [B, K], `squared` and `absolute`, and over its variates,
        `ahead` [B, H]; how many were `known`, [B, K] and `known_ahead` [B, H]; `loss` [B]. With `last_` before it, the same of
        who repeats the last value."""
        last = self._errors(self.last(batch["input"]), batch["target"])
        own = self._errors(model(batch["input"]).float(), batch["target"])
        return own | {f"last_{name}": rows for name, rows in last.items() if not name.startswith("known")}

    def _errors(self, answer: Tensor, target: Tensor) -> Rows:
        known, target = target.isfinite(), target.nan_to_num()
        error = (answer - target) * known
        return {
            "known": known.sum(1).float(),
            "known_ahead": known.sum(2).float(),
            "squared": error.square().sum(1),
            "absolute": error.abs().sum(1),
            "ahead": error.square().sum(2),
            "loss": (self._criterion(answer, target) * known).sum((1, 2)),
        }

    def seasonal(self, columns: Columns) -> Rows:
        """The rows of who repeats the last season, for all windows of a split."""
        pieces = [columns.between(start, start + PIECE) for start in range(0, len(columns), PIECE)]
        rows = [self._errors(self.again(piece["input"]), piece["target"]) for piece in pieces]
        return {name: torch.cat([row[name] for row in rows]).cpu() for name in rows[0]}

    def rival(self, columns: Columns) -> Rival | None:
        if self.season == 1:
            return None
        return Rival("repeating the last season", once(self, self.seasonal(columns)), fitted=False)

    def blocks(self, rows: Rows) -> Rows:
        """Windows that begin within one horizon share what they forecast: they are resampled together (the bootstrap of
        blocks that follow each other, Carlstein, 1986)."""
        count = len(rows["known"])
        block = torch.arange(count) // self.horizon
        blocks = int(block[-1]) + 1 if count else 0
        return {
            name: values.new_zeros(blocks, *values.shape[1:]).index_add_(0, block, values)
            for name, values in rows.items()
        }

    def measure(self, rows: Rows) -> dict[str, float]:
        return once(self, rows)

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        weights = weights.double()
        known = weights @ rows["known"].double()
        squared, absolute = (weights @ rows[name].double() for name in ("squared", "absolute"))
        count = known.sum(1)
        metrics = {"mse": squared.sum(1) / count, "mae": absolute.sum(1) / count}
        # Where the loss is one of these it is the same number to the last digit, and need not be shown twice.
        metrics["loss"] = metrics.get(self.config.loss, weights @ rows["loss"].double() / count)
        if len(self.names) <= MOST_NAMED:
            rmse, mae = (squared / known).sqrt() * self._scale, absolute / known * self._scale
            for number, name in enumerate(self.names):
                metrics |= {f"rmse/{name}": rmse[:, number], f"mae/{name}": mae[:, number]}
        return metrics

    def baseline(self, rows: Rows) -> dict[str, float]:
        """All stays as it was last."""
        return once(self, rows | {name: rows[f"last_{name}"] for name in ("squared", "absolute", "loss")})

    def answer(self, output: Tensor) -> list[dict[str, Any]]:
        """`series`: for each variate its values at the next moments, in the user's units."""
        return [{"series": series} for series in self._told(output)]

    def _told(self, output: Tensor) -> Iterator[dict[str, list[float]]]:
        for window in self.usual(output):
            yield dict(zip(self.names, window.T.tolist(), strict=True))

    def usual(self, scaled: Tensor) -> Tensor:
        """[B, H, K] in the user's units, float64."""
        return scaled.double().cpu() * self._scale + self._mean

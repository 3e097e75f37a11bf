"""One linear layer over time (Zeng et al., 2023, Are transformers effective for time series forecasting?).

A forecast is a weighted sum of the moments before, with the same weights for all variates or with own ones for each. What makes
that work is what is done first: DLinear takes the trend apart, a moving mean, and gives it and what is left a layer each;
NLinear subtracts the last value; RLinear (Li et al., 2023) the mean, and divides by the deviation. Afterwards it is put back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.errors import Misuse
from deepen.nn.standing import places, standing
from deepen.nn.suits import forecasts, share
from deepen.spec import Spec

SUMMARY = "one linear layer over time for the trend, one for what is left (Zeng et al., 2023); for series"

PRESETS = {
    "dlinear": {},
    "nlinear": {
        "first": "last",
        "summary": "one linear layer over time, the last value subtracted before (Zeng et al., 2023); for series",
    },
    "rlinear": {
        "first": "standing",
        "summary": "one linear layer over time, mean and deviation of the past taken out before (Li et al., 2023); for series",
    },
}


@dataclass
class Config:
    first: Literal["trend", "last", "standing"] = "trend"
    """What is taken out before, and put back afterwards. trend: a moving mean, forecast by a layer of its own. last: the last
    value. standing: the mean and the deviation of what is looked back on."""
    individual: bool = False
    """Whether each variate has weights of its own."""
    window: int = 25
    """trend: moments that the moving mean is over, an odd number."""
    dropout: float = 0.0
    """Share of the moments before that are switched off at each training step."""


@final
class DLinear(nn.Module):
    """[B, L, C] -> [B, H, K]."""

    def __init__(self, length: int, horizon: int, variates: int, at: list[int] | slice, config: Config) -> None:
        super().__init__()
        self.first, self.window, self.at = config.first, config.window, at
        layers = variates if config.individual else 1
        self.rest = Layers(length, horizon, layers)
        self.trend = Layers(length, horizon, layers) if config.first == "trend" else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input: Tensor) -> Tensor:
        x = input[:, :, self.at].transpose(1, 2)  # [B, K, L]
        if self.trend is not None:
            trend = moving_mean(x, self.window)
            answer = self.rest(self.dropout(x - trend)) + self.trend(trend)
        elif self.first == "last":
            last = x[:, :, -1:]
            answer = self.rest(self.dropout(x - last)) + last
        else:
            mean, deviation = (part.transpose(1, 2) for part in standing(x.transpose(1, 2)))
            answer = self.rest(self.dropout((x - mean) / deviation)) * deviation + mean
        return answer.transpose(1, 2)


@final
class Layers(nn.Module):
    """[B, K, L] -> [B, K, H]: one linear layer for all variates, or one for each."""

    def __init__(self, length: int, horizon: int, layers: int) -> None:
        super().__init__()
        # About the mean of what was before, so that little has to be unlearnt where data is scarce.
        self.weight = nn.Parameter(torch.empty(layers, horizon, length).uniform_(0, 2 / length))
        self.bias = nn.Parameter(torch.zeros(layers, horizon))

    def forward(self, x: Tensor) -> Tensor:
        if len(self.weight) == 1:
            return functional.linear(x, self.weight[0], self.bias[0])
        return torch.einsum("bkl,khl->bkh", x, self.weight) + self.bias


def moving_mean(x: Tensor, window: int) -> Tensor:
    """The mean over `window` moments around each of [B, K, L]; at the ends, the first and the last value go on."""
    reach = window // 2
    return functional.avg_pool1d(functional.pad(x, (reach, reach), mode="replicate"), window, stride=1)


def build(spec: Spec, config: Config) -> DLinear:
    """[B, *spec.input.shape] -> [B, spec.output.length, spec.output.width]."""
    series, horizon = forecasts(spec, "dlinear")
    if config.window < 1 or config.window % 2 == 0:
        raise Misuse(f"model.window={config.window} is not usable: expected an odd number, 1 or more.")
    share("dropout", config.dropout)
    at = places(horizon.names, series.names)
    return DLinear(series.length, horizon.length, horizon.width, at, config)

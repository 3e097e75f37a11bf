"""PatchTST: a transformer that reads a series in patches (Nie et al., 2023, A time series is worth 64 words).

Each variate is read by itself, with the same weights. Its past, brought to mean 0 and deviation 1, is cut into patches that
overlap by half; each is a token of an encoder, and one linear layer over all of them forecasts. With so few series, the network
has to be narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.errors import Misuse
from deepen.nn.attention import Attention
from deepen.nn.standing import places, standing
from deepen.nn.suits import forecasts, positive, share
from deepen.spec import Spec

SUMMARY = "transformer that reads a series in patches (PatchTST, Nie et al., 2023); for series"


@dataclass
class Config:
    patch: int = 16
    """Moments in a patch."""
    stride: int = 8
    """Moments from the beginning of a patch to that of the next one."""
    width: int = 16
    """Numbers that stand for a patch."""
    heads: int = 4
    """Of the attention."""
    layers: int = 3
    """Layers on top of each other."""
    hidden: int = 128
    """Units inside of a layer."""
    dropout: float = 0.3
    """Share of numbers switched off at each training step."""


@final
class PatchTST(nn.Module):
    """[B, L, C] -> [B, H, K]."""

    def __init__(self, length: int, horizon: int, at: list[int] | slice, config: Config) -> None:
        super().__init__()
        self.at, self.patch, self.stride = at, config.patch, config.stride
        # The last value goes on for a stride, so that the newest moments stand in a patch of their own.
        patches = (length + config.stride - config.patch) // config.stride + 1
        self.embedding = nn.Linear(config.patch, config.width)
        self.position = nn.Parameter(torch.empty(patches, config.width).uniform_(-0.02, 0.02))
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.head = nn.Linear(patches * config.width, horizon)

    def forward(self, input: Tensor) -> Tensor:
        x = input[:, :, self.at]
        mean, deviation = standing(x)
        x = ((x - mean) / deviation).transpose(1, 2).flatten(0, 1)  # [B K, L]
        patches = functional.pad(x, (0, self.stride), mode="replicate").unfold(1, self.patch, self.stride)
        x = self.dropout(self.embedding(patches) + self.position)
        for layer in self.layers:
            x = layer(x)
        answer = self.head(x.flatten(1)).view(len(input), -1, self.head.out_features).transpose(1, 2)
        return answer * deviation + mean


@final
class Layer(nn.Module):
    """[N, patches, width] -> the same: attention, then two linear layers, each added to its input and normalised over the batch,
    which suits series better than over a token, says the paper."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = Attention(config.width, config.heads, bias=False)  # the norms have biases of their own
        self.norms = nn.ModuleList(nn.BatchNorm1d(config.width) for _ in range(2))
        self.feed = nn.Sequential(
            nn.Linear(config.width, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.width, bias=False),
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self._normal(0, x + self.dropout(self.attention(x)))
        return self._normal(1, x + self.dropout(self.feed(x)))

    def _normal(self, number: int, x: Tensor) -> Tensor:
        answer: Tensor = self.norms[number](x.transpose(1, 2)).transpose(1, 2)
        return answer


def build(spec: Spec, config: Config) -> PatchTST:
    """[B, *spec.input.shape] -> [B, spec.output.length, spec.output.width]."""
    series, horizon = forecasts(spec, "patchtst")
    for key in ("patch", "stride", "width", "heads", "layers", "hidden"):
        positive(key, getattr(config, key))
    share("dropout", config.dropout)
    if config.width % config.heads:
        raise Misuse(
            f"model.width={config.width} cannot be shared among model.heads={config.heads}: expected a multiple of them."
        )
    if config.patch > series.length:
        raise Misuse(
            f"model.patch={config.patch} is longer than the {series.length} moments that are looked back on: set a smaller one, "
            "or a larger data.lookback."
        )
    return PatchTST(series.length, horizon.length, places(horizon.names, series.names), config)

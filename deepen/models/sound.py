"""Networks for sound: convolutions over a spectrogram, then, for what is said in order, a recurrence over what they found.

The form is that of small keyword spotters (Sainath & Parada, 2015) and, with the recurrence, of Deep Speech 2 (Amodei et al.,
2015). Recordings differ in length: after each layer what lies beyond the end of one is set to zero again, as the convolution's
own margin is, so that an answer does not depend on what else is in the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from deepen.errors import Misuse
from deepen.nn.pooling import Pool, Pooling
from deepen.nn.recurrent import Recurrent
from deepen.nn.suits import answers, positive, share, sounds
from deepen.spec import PAD, Sentence, Spec

SUMMARY = "convolutions over a spectrogram (Sainath & Parada, 2015); for sound"

PRESETS = {
    "sound-cnn": {},
    "sound-gru": {
        "layers": 2,
        "summary": "convolutions over a spectrogram, then a GRU both ways (Deep Speech 2, 2015); for sound",
    },
}
NEVER = -30.0
"""Logit beyond the end of a recording of every token but the one that is none."""


@dataclass
class Config:
    channels: tuple[int, ...] = (32, 64, 96)
    """Filters of each stage, all of which halve the number of bands."""
    strides: tuple[int, ...] = (2, 2, 1)
    """Frames that each stage makes one of."""
    width: int = 128
    """Numbers that stand for a moment, and units of the recurrence in each direction."""
    layers: int = 0
    """Layers of the recurrence."""
    pooling: Pooling = "attention"
    """attention, mean, max or last: how the moments of a recording become one answer. A mean is thinned out by the silence around
    what is said, which differs from speaker to speaker."""
    dropout: float = 0.2
    """Share of numbers switched off between the parts at each training step."""


@final
class Stage(nn.Module):
    """[B, before, F, bands] and what is there, bool [B, F] -> [B, channels, ceil(F / stride), ceil(bands / 2)] and the same."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = nn.Conv2d(before, channels, 3, stride=(stride, 2), padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        there = there[:, :: self.stride]
        mask = there[:, None, :, None]
        x = self.first_norm(self.first(x)).relu() * mask
        return (x + self.second_norm(self.second(x)).relu()) * mask, there


@final
class Sound(nn.Module):
    """Spectrograms [B, F, bands] -> [B, width_out], or, where a sentence is asked, [B, ceil(F / stride), width_out]: a logit
    per token for every moment, of which the token `PAD` means that nothing is said."""

    def __init__(self, bands: int, width_out: int, config: Config, *, sentence: bool) -> None:
        super().__init__()
        self.stride = math.prod(config.strides)
        self.sentence = sentence
        stages, before = [], 1
        for channels, stride in zip(config.channels, config.strides, strict=True):
            stages.append(Stage(before, channels, stride))
            before, bands = channels, math.ceil(bands / 2)
        self.stages = nn.ModuleList(stages)
        self.join = nn.Sequential(nn.Linear(before * bands, config.width), nn.LayerNorm(config.width), nn.ReLU())
        sizes = [config.width] + [2 * config.width] * (config.layers - 1)
        self.layers = nn.ModuleList(
            Recurrent("gru", size, config.width, bidirectional=True) for size in sizes[: config.layers]
        )
        width = 2 * config.width if config.layers else config.width
        self.dropout = nn.Dropout(config.dropout)
        self.pool = None if sentence else Pool(config.pooling, width)
        self.head = nn.Linear(width, width_out)
        nn.init.zeros_(self.head.bias)

    def forward(self, input: Tensor) -> Tensor:
        there = (input != 0).any(2)
        x = input.unsqueeze(1)
        for stage in self.stages:
            x, there = stage(x, there)
        x = self.join(self.dropout(x.transpose(1, 2).flatten(2)))  # [B, F', width]
        lengths = there.sum(1)
        for layer in self.layers:
            x = layer(self.dropout(x), lengths)
        x = self.dropout(x)
        if self.pool is not None:
            answer: Tensor = self.head(self.pool(x, there))
            return answer
        logits: Tensor = self.head(x)
        silence = torch.full((logits.shape[2],), NEVER, dtype=logits.dtype, device=logits.device)
        silence[PAD] = 0
        return torch.where(there.unsqueeze(2), logits, silence)


def build(spec: Spec, config: Config) -> Sound:
    """Spectrograms [B, F, bands] -> [B, spec.output.width], or [B, F', vocabulary] for a `Sentence`."""
    sound = sounds(spec, "sound-gru" if config.layers else "sound-cnn")
    sentence = isinstance(spec.output, Sentence)
    width_out = spec.output.width if sentence else answers(spec, "sound-cnn")
    positive("channels", *config.channels)
    positive("strides", *config.strides)
    positive("width", config.width)
    if config.layers < 0:
        raise Misuse(f"model.layers={config.layers} is not usable: expected 0 or more.")
    if len(config.strides) != len(config.channels):
        count = len(config.channels)
        raise Misuse(f"model.strides has {len(config.strides)} numbers: expected {count}, as model.channels.")
    share("dropout", config.dropout)
    return Sound(sound.bands, width_out, config, sentence=sentence)

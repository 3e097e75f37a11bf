"""Recurrent networks for texts and series: plain, LSTM and GRU, stacked, read one way or both.

A word is a learnt vector, some moments of a series are a linear map of them; layer by layer each place sees what came before it
(and, read both ways, what comes after); a weighted mean over the places answers (Yang et al., 2016, Hierarchical attention
networks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from deepen.nn.headed import Headed
from deepen.nn.pooling import Pool, Pooling
from deepen.nn.recurrent import Cell, Recurrent
from deepen.nn.standing import places, standing
from deepen.nn.suits import answers, forecasts, positive, share, texts
from deepen.nn.words import Words
from deepen.spec import PAD, Labels, Series, Spec

SUMMARY = "LSTM: reads a text or a series step by step, both ways (Hochreiter & Schmidhuber, 1997)"

PRESETS = {
    "rnn": {"cell": "rnn", "summary": "plain recurrent network: reads a text or a series step by step (Elman, 1990)"},
    "lstm": {},
    "gru": {
        "cell": "gru",
        "summary": "GRU: reads a text or a series step by step, an LSTM with fewer gates (Cho et al., 2014)",
    },
}


@dataclass
class Config:
    cell: Cell = "lstm"
    """rnn, lstm or gru."""
    embedding: int = 128
    """Numbers that stand for a token, or for a segment of a series."""
    width: int = 128
    """Units of a layer, in each direction."""
    layers: int = 1
    """Layers on top of each other."""
    bidirectional: bool = True
    """Whether it is also read from the end."""
    pooling: Pooling = "attention"
    """attention, mean, max or last: how the places become one answer."""
    dropout: float = 0.3
    """Share of numbers switched off between the parts at each training step."""
    segment: int = 12
    """Moments of a series that are read at once: fewer and longer steps, over which less is forgotten (Lin et al., 2023)."""
    word_dropout: float = 0.0
    """Share of tokens that are hidden at each training step."""


@final
class RNN(Headed):
    """Tokens int64 [B, L], or segments of a series, float32 [B, L, C] -> [B, width_out]. `words` makes vectors of them. With
    `each` every place has an answer of its own: [B, L, width_out]."""

    head_name = "head"

    def __init__(self, words: nn.Module, width_out: int, config: Config, *, each: bool = False) -> None:
        super().__init__()
        self.words = words
        ways = 2 if config.bidirectional else 1
        sizes = [config.embedding] + [ways * config.width] * (config.layers - 1)
        self.layers = nn.ModuleList(
            Recurrent(config.cell, before, config.width, bidirectional=config.bidirectional) for before in sizes
        )
        self.dropout = nn.Dropout(config.dropout)
        self.pool = None if each else Pool(config.pooling, ways * config.width)
        head = nn.Linear(ways * config.width, width_out)
        nn.init.zeros_(head.bias)
        setattr(self, self.head_name, head)

    def forward(self, input: Tensor) -> Tensor:
        answer: Tensor = self.head(self.body(input))
        return answer

    def body(self, input: Tensor) -> Tensor:
        there = input != PAD if input.dim() == 2 else input.new_ones(input.shape[:2], dtype=torch.bool)
        lengths = there.sum(1)
        x = self.words(input)
        for layer in self.layers:
            x = layer(self.dropout(x), lengths)
        seen: Tensor = self.dropout(x if self.pool is None else self.pool(x, there))
        return seen


@final
class Forecaster(nn.Module):
    """[B, L, C] -> [B, H, K]: each variate is read by itself, beside its mean and deviation, some moments at a time."""

    def __init__(self, rnn: RNN, segment: int, at: list[int] | slice) -> None:
        super().__init__()
        self.rnn, self.segment, self.at = rnn, segment, at

    def forward(self, input: Tensor) -> Tensor:
        x = input[:, :, self.at]
        mean, deviation = standing(x)
        rows = ((x - mean) / deviation).transpose(1, 2).flatten(0, 1)  # [B K, L]
        oldest = rows.shape[1] % self.segment
        answer = self.rnn(rows[:, oldest:].unflatten(1, (-1, self.segment)))
        return answer.view(len(x), x.shape[2], -1).transpose(1, 2) * deviation + mean


def build(spec: Spec, config: Config) -> nn.Module:
    """Tokens [B, L] -> [B, spec.output.width], for labels [B, L, spec.output.width]; a series [B, L, C] ->
    [B, spec.output.length, spec.output.width]."""
    positive("width", config.width)
    positive("layers", config.layers)
    positive("segment", config.segment)
    share("dropout", config.dropout)
    if isinstance(spec.input, Series):
        series, horizon = forecasts(spec, "rnn")
        positive("embedding", config.embedding)
        share("word_dropout", config.word_dropout)
        segment = min(config.segment, series.length)
        rnn = RNN(nn.Linear(segment, config.embedding), horizon.length, config)
        return Forecaster(rnn, segment, places(horizon.names, series.names))
    text, each = texts(spec, "rnn"), isinstance(spec.output, Labels)
    width_out = spec.output.width if each else answers(spec, "rnn")
    return RNN(Words(text.vocabulary, config.embedding, config.word_dropout), width_out, config, each=each)

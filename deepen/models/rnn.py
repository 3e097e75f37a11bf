"""Recurrent networks for texts: plain, LSTM and GRU, stacked, read one way or both.

A word is a learnt vector; layer by layer each place sees what came before it (and, read both ways, what comes after); a
weighted mean over the places answers (Yang et al., 2016, Hierarchical attention networks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from deepen.nn.pooling import Pool, Pooling
from deepen.nn.recurrent import Cell, Recurrent
from deepen.nn.suits import answers, positive, share, texts
from deepen.nn.words import Words
from deepen.spec import PAD, Spec

SUMMARY = "LSTM: reads a text word by word, both ways (Hochreiter & Schmidhuber, 1997)"

PRESETS = {
    "rnn": {"cell": "rnn", "summary": "plain recurrent network: reads a text word by word (Elman, 1990)"},
    "lstm": {},
    "gru": {"cell": "gru", "summary": "GRU: reads a text word by word, an LSTM with fewer gates (Cho et al., 2014)"},
}


@dataclass
class Config:
    cell: Cell = "lstm"
    """rnn, lstm or gru."""
    embedding: int = 128
    """Numbers that stand for a token."""
    width: int = 128
    """Units of a layer, in each direction."""
    layers: int = 1
    """Layers on top of each other."""
    bidirectional: bool = True
    """Whether texts are also read from their end."""
    pooling: Pooling = "attention"
    """attention, mean, max or last: how the places of a text become one answer."""
    dropout: float = 0.3
    """Share of numbers switched off between the parts at each training step."""
    word_dropout: float = 0.0
    """Share of tokens that are hidden at each training step."""


@final
class RNN(nn.Module):
    """Tokens int64 [B, L] -> [B, width_out]."""

    def __init__(self, vocabulary: int, width_out: int, config: Config) -> None:
        super().__init__()
        self.words = Words(vocabulary, config.embedding, config.word_dropout)
        ways = 2 if config.bidirectional else 1
        sizes = [config.embedding] + [ways * config.width] * (config.layers - 1)
        self.layers = nn.ModuleList(
            Recurrent(config.cell, before, config.width, bidirectional=config.bidirectional) for before in sizes
        )
        self.dropout = nn.Dropout(config.dropout)
        self.pool = Pool(config.pooling, ways * config.width)
        self.head = nn.Linear(ways * config.width, width_out)
        nn.init.zeros_(self.head.bias)

    def forward(self, input: Tensor) -> Tensor:
        there = input != PAD
        lengths = there.sum(1)
        x = self.words(input)
        for layer in self.layers:
            x = layer(self.dropout(x), lengths)
        answer: Tensor = self.head(self.dropout(self.pool(x, there)))
        return answer


def build(spec: Spec, config: Config) -> RNN:
    """Tokens [B, L] -> [B, spec.output.width]."""
    text, width_out = texts(spec, "rnn"), answers(spec, "rnn")
    positive("width", config.width)
    positive("layers", config.layers)
    share("dropout", config.dropout)
    return RNN(text.vocabulary, width_out, config)

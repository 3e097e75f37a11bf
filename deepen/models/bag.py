"""A bag of words and word pairs: the mean of what each stands for, and a linear answer (Joulin et al., 2016, fastText).

Pairs have no vocabulary: they are hashed into a table of fixed size (Weinberger et al., 2009). It knows no order beyond
them, learns in seconds, and is what anything larger has to beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from deepen.nn.headed import Headed
from deepen.nn.suits import answers, positive, share, texts
from deepen.nn.words import Words
from deepen.spec import PAD, Spec

SUMMARY = "the mean of words and word pairs (fastText, Joulin et al., 2016); the honest cheap baseline for texts"

FIRST, SECOND = 1_000_003, 8_191
"""Odd multipliers that spread pairs over the table."""


@dataclass
class Config:
    embedding: int = 64
    """Numbers that stand for a word or a pair."""
    pairs: int = 65_536
    """Places that word pairs are hashed to; 0 leaves pairs out."""
    dropout: float = 0.2
    """Share of numbers switched off before the answer at each training step."""
    word_dropout: float = 0.1
    """Share of words and pairs that are hidden at each training step."""


@final
class Bag(Headed):
    """Tokens int64 [B, L] -> [B, width_out]."""

    head_name = "head"

    def __init__(self, vocabulary: int, width_out: int, config: Config) -> None:
        super().__init__()
        self.words = Words(vocabulary, config.embedding, config.word_dropout)
        self.pairs = Words(config.pairs + 1, config.embedding, config.word_dropout) if config.pairs else None
        self.dropout = nn.Dropout(config.dropout)
        head = nn.Linear(config.embedding, width_out)
        nn.init.zeros_(head.bias)
        setattr(self, self.head_name, head)

    def forward(self, input: Tensor) -> Tensor:
        answer: Tensor = self.head(self.body(input))
        return answer

    def body(self, input: Tensor) -> Tensor:
        total, count = self.words(input).sum(1), (input != PAD).sum(1, keepdim=True)
        if self.pairs is not None:
            hashed = hashes(input, self.pairs.table.num_embeddings - 1)
            total = total + self.pairs(hashed).sum(1)
            count = count + (hashed != PAD).sum(1, keepdim=True)
        mean: Tensor = self.dropout(total / count.clamp(min=1))
        return mean


def hashes(tokens: Tensor, places: int) -> Tensor:
    """The place from 1 to `places` of each pair of neighbours, int64 [B, L - 1]; `PAD` where there is none."""
    before, after = tokens[:, :-1], tokens[:, 1:]
    hashed = (before * FIRST + after * SECOND) % places + 1
    return hashed.masked_fill(after == PAD, PAD)


def build(spec: Spec, config: Config) -> Bag:
    """Tokens [B, L] -> [B, spec.output.width]."""
    text, width_out = texts(spec, "bag"), answers(spec, "bag")
    if config.pairs:
        positive("pairs", config.pairs)
    share("dropout", config.dropout)
    return Bag(text.vocabulary, width_out, config)

"""Text CNN (Kim, 2014, Convolutional neural networks for sentence classification).

Filters look at three, four and five words in a row; the strongest answer of each, wherever it was, decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from deepen.errors import Misuse
from deepen.nn.headed import Headed
from deepen.nn.suits import answers, positive, share, texts
from deepen.nn.words import Words
from deepen.spec import PAD, Spec

SUMMARY = "filters over three, four and five words in a row (Kim, 2014); for texts"


@dataclass
class Config:
    embedding: int = 128
    """Numbers that stand for a token."""
    widths: tuple[int, ...] = (3, 4, 5)
    """Words that the filters look at."""
    filters: int = 100
    """Of each width."""
    dropout: float = 0.5
    """Share of numbers switched off before the answer at each training step."""
    word_dropout: float = 0.0
    """Share of tokens that are hidden at each training step."""


@final
class TextCNN(Headed):
    """Tokens int64 [B, L] -> [B, width_out]."""

    head_name = "head"

    def __init__(self, vocabulary: int, width_out: int, config: Config) -> None:
        super().__init__()
        self.widths = config.widths
        self.words = Words(vocabulary, config.embedding, config.word_dropout)
        # As wide a margin as a filter: a text of one word has a place for each of its words.
        self.filters = nn.ModuleList(
            nn.Conv1d(config.embedding, config.filters, width, padding=width - 1) for width in config.widths
        )
        self.dropout = nn.Dropout(config.dropout)
        head = nn.Linear(len(config.widths) * config.filters, width_out)
        nn.init.zeros_(head.bias)
        setattr(self, self.head_name, head)

    def forward(self, input: Tensor) -> Tensor:
        answer: Tensor = self.head(self.body(input))
        return answer

    def body(self, input: Tensor) -> Tensor:
        x = self.words(input).transpose(1, 2)
        lengths = (input != PAD).sum(1, keepdim=True)
        found = []
        for layer, width in zip(self.filters, self.widths, strict=True):
            maps = layer(x).relu()
            places = torch.arange(maps.shape[2], device=x.device)
            beyond = places >= lengths + width - 1  # sees nothing of the text: not even how far it reaches
            found.append(maps.masked_fill(beyond.unsqueeze(1), 0).amax(2))
        strongest: Tensor = self.dropout(torch.cat(found, dim=1))
        return strongest


def build(spec: Spec, config: Config) -> TextCNN:
    """Tokens [B, L] -> [B, spec.output.width]."""
    text, width_out = texts(spec, "textcnn"), answers(spec, "textcnn")
    positive("filters", config.filters)
    if not config.widths or min(config.widths) < 1:
        raise Misuse(
            f"model.widths={','.join(map(str, config.widths))} is not usable: expected numbers of words, 1 or more."
        )
    share("dropout", config.dropout)
    return TextCNN(text.vocabulary, width_out, config)

"""A recurrent network that answers a text with a text, looking back at each step (Bahdanau, Cho & Bengio, 2015).

A GRU reads the text both ways. Another one writes the answer: before each token, it weighs all places that were read by how well
they fit what it has written so far (additive attention), and takes their weighted mean beside the token before. Unlike there, a
tanh stands before the last layer in place of a maxout, and the last layer shares its weights with the vectors of the tokens
(Press & Wolf, 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from deepen.nn.dropping import Dropout
from deepen.nn.recurrent import Recurrent, begin
from deepen.nn.suits import positive, sentences, share
from deepen.nn.words import Words
from deepen.spec import BEGIN, PAD, Spec

MOST_HELD = 2**28
"""Numbers that comparing leaves for the backward pass, a gigabyte: of more, of long texts, it is done again there instead."""
SUMMARY = "GRU with additive attention: answers a text with a text (Bahdanau et al., 2015)"


@dataclass
class Config:
    embedding: int = 192
    """Numbers that stand for a token, on both sides."""
    width: int = 192
    """Units that read, in each direction."""
    writing: int = 384
    """Units that write."""
    attention: int = 128
    """Units that compare what was written with what was read."""
    layers: int = 1
    """Layers that read, on top of each other."""
    dropout: float = 0.4
    """Share of numbers switched off between the parts at each training step."""
    word_dropout: float = 0.0
    """Share of tokens that are hidden at each training step."""


@final
class Seq2Seq(nn.Module):
    """Tokens [B, L] and the answers so far [B, M] -> logits of the token after each [B, M, answers]; without answers, of the
    first token [B, answers]."""

    def __init__(self, vocabulary: int, answers: int, config: Config) -> None:
        super().__init__()
        read = 2 * config.width
        self.words = Words(vocabulary, config.embedding, config.word_dropout)
        self.reading = nn.ModuleList(
            Recurrent("gru", before, config.width, bidirectional=True)
            for before in [config.embedding] + [read] * (config.layers - 1)
        )
        self.start = nn.Linear(config.width, config.writing)
        self.keys = nn.Linear(read, config.attention, bias=False)
        self.query = nn.Linear(config.writing, config.attention)
        self.fit = nn.Linear(config.attention, 1, bias=False)
        self.cell = nn.GRUCell(config.embedding + read, config.writing)
        begin(self.cell, "gru")
        self.said = nn.Linear(config.writing + read + config.embedding, config.embedding)
        self.bias = nn.Parameter(torch.zeros(answers))
        self.answers = Words(answers, config.embedding, config.word_dropout)
        self.dropout = Dropout(config.dropout)
        self.width = config.width

    def forward(self, input: Tensor, begun: Tensor | None = None) -> Tensor:
        if begun is None:
            return self.forward(input, input.new_full((len(input), 1), BEGIN))[:, 0]
        return self._written(input, begun)[0]

    def attended(self, input: Tensor, begun: Tensor) -> Tensor:
        """How much each token of an answer looked at each place that was read, [B, M, L], before it was written."""
        return self._written(input, begun)[1]

    def _written(self, input: Tensor, begun: Tensor) -> tuple[Tensor, Tensor]:
        memory = self.read(input)
        words = self.dropout(self.answers(begun))
        state = self.begin(memory)["state"]
        states, contexts, looks = [], [], []
        look = self._look
        if torch.is_grad_enabled() and memory["keys"].numel() * begun.shape[1] > MOST_HELD:
            look = partial(checkpoint, look, use_reentrant=False, preserve_rng_state=False)
        for place in range(begun.shape[1]):
            context, weights = look(memory, state)
            state = self._step(words[:, place : place + 1], context, state)
            states.append(state)
            contexts.append(context)
            looks.append(weights)
        return self._logits(torch.cat(states, 1), torch.cat(contexts, 1), words), torch.cat(looks, 1)

    def read(self, input: Tensor) -> dict[str, Tensor]:
        """What was read, and what it is found by."""
        there = input != PAD
        lengths = there.sum(1)
        x = self.words(input)
        for layer in self.reading:
            x = layer(self.dropout(x), lengths)
        x = self.dropout(x)
        return {"read": x, "keys": self.keys(x), "there": there}

    def begin(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state before the first token, [B, 1, writing], from what the backward reading knows at its end."""
        return {"state": self.start(memory["read"][:, :1, self.width :]).tanh()}

    def go_on(
        self, token: Tensor, memory: dict[str, Tensor], state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits [B, K, answers] after tokens [B, K], each the last of one of K answers to a text, and their states."""
        words = self.answers(token)
        context, _ = self._look(memory, state["state"])
        after = self._step(words, context, state["state"])
        return self._logits(after, context, words), {"state": after}

    def _look(self, memory: dict[str, Tensor], state: Tensor) -> tuple[Tensor, Tensor]:
        """What states [B, K, writing] take from what was read, [B, K, read], and the weights [B, K, L]."""
        fits = self.fit((memory["keys"].unsqueeze(1) + self.query(state).unsqueeze(2)).tanh()).squeeze(3)
        weights = fits.float().masked_fill(~memory["there"].unsqueeze(1), -torch.inf).softmax(2).to(fits.dtype)
        return weights @ memory["read"].to(weights.dtype), weights

    def _step(self, words: Tensor, context: Tensor, state: Tensor) -> Tensor:
        after: Tensor = self.cell(torch.cat([words, context.to(words.dtype)], 2).flatten(0, 1), state.flatten(0, 1))
        return after.view(*state.shape[:2], -1)

    def _logits(self, states: Tensor, contexts: Tensor, words: Tensor) -> Tensor:
        said = self.said(self.dropout(torch.cat([states, contexts.to(states.dtype), words.to(states.dtype)], 2))).tanh()
        return functional.linear(self.dropout(said), self.answers.table.weight, self.bias)


def build(spec: Spec, config: Config) -> Seq2Seq:
    """Tokens [B, L] and [B, M] -> [B, M, answers]."""
    text, answer = sentences(spec, "seq2seq")
    for key in ("embedding", "width", "writing", "attention", "layers"):
        positive(key, getattr(config, key))
    share("dropout", config.dropout)
    return Seq2Seq(text.vocabulary, answer.vocabulary, config)

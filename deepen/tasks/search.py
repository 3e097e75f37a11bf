"""How a text is written token by token: the likeliest next one (greedy), or several answers kept in sight (beam search).

Of answers of different length the longer are less likely, so that sums of log chances are divided by ((5 + length) / 6) to a
power (Wu et al., 2016). Texts whose answer is done leave the batch: what is computed is what is still being written.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from deepen.data.tokenizer import END, HIDDEN, UNKNOWN
from deepen.spec import BEGIN, PAD

NEVER = (PAD, UNKNOWN, BEGIN, HIDDEN)
"""Tokens that are not written."""


class Seq2Seq(Protocol):
    """What a model is that answers a text with a text. What it read and what it has written are tensors by name, [B, ...] and
    [B, K, ...] for K answers to each of B texts."""

    def read(self, input: Tensor) -> dict[str, Tensor]: ...

    def begin(self, memory: dict[str, Tensor]) -> dict[str, Tensor]: ...

    def go_on(
        self, token: Tensor, memory: dict[str, Tensor], state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits [B, K, vocabulary] after the last tokens [B, K], and the states with them."""


@torch.no_grad()
def write(model: Seq2Seq, input: Tensor, *, beam: int, penalty: float, room: Tensor) -> list[list[int]]:
    """The best answer found to each text of `input` [B, L]: at most `room` tokens, int64 [B], without the end.

    A text is done when `beam` answers to it have ended."""
    count, longest = len(input), int(room.max())
    memory = model.read(input)
    state = model.begin(memory)
    texts = torch.arange(count, device=input.device)
    told = input.new_full((count, 1, 1), BEGIN)
    chances = torch.zeros(count, 1, device=input.device)
    best = chances.new_full((count,), -torch.inf)
    answers: list[list[int]] = [[] for _ in range(count)]
    ended = torch.zeros(count, dtype=torch.int64, device=input.device)
    held = input.new_full((count, longest + 1), PAD)  # the best ended answer of each text
    for length in range(1, longest + 1):
        logits, state = model.go_on(told[:, :, -1], memory, state)
        logits = logits.float()
        logits[:, :, NEVER] = -torch.inf
        total = chances.unsqueeze(2) + logits.log_softmax(2)
        vocabulary = total.shape[2]
        values, places = total.flatten(1).topk(min(2 * beam, total[0].numel()), dim=1)
        parents, tokens = places // vocabulary, places % vocabulary
        divided = values / ((5 + length) / 6) ** penalty
        last = room == length
        # What ends counts where it is among the best; what has no room left ends here.
        ends = ((tokens == END) | last.unsqueeze(1)) & (torch.arange(places.shape[1], device=input.device) < beam)
        value, which = divided.masked_fill(~ends, -torch.inf).max(1)
        better = value > best
        if better.any():
            best = torch.where(better, value, best)
            rows = better.nonzero().squeeze(1)
            held[rows] = PAD
            held[rows, :length] = told[rows, parents[rows, which[rows]]]
            held[rows, length] = tokens[rows, which[rows]]
        ended += ends.sum(1)
        done = (ended >= beam) | last
        for text, row in zip(texts[done].tolist(), held[done].tolist(), strict=True):
            answers[text] = [token for token in row[1:] if token not in (PAD, END)]
        if done.all():
            break
        going = values.masked_fill(tokens == END, -torch.inf)
        chances, order = going.topk(min(beam, going.shape[1]), dim=1)
        parents, tokens = parents.gather(1, order), tokens.gather(1, order)
        rows = torch.arange(len(told), device=input.device).unsqueeze(1)
        if done.any():
            kept = (~done).nonzero().squeeze(1)
            memory = {name: part[kept] for name, part in memory.items()}
            rows, parents, tokens, chances = kept.unsqueeze(1), parents[kept], tokens[kept], chances[kept]
            texts, room, best, ended, held = texts[kept], room[kept], best[kept], ended[kept], held[kept]
        state = {name: part[rows, parents] for name, part in state.items()}
        told = torch.cat([told[rows, parents], tokens.unsqueeze(2)], 2)
    return answers

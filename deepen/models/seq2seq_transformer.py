"""The Transformer as it was first described: one half reads a text, the other writes the answer (Vaswani et al., 2017).

The norms stand before each part instead of after it, which learns more calmly (Wang et al., 2019). Places are told by sines, and
the vectors of the written tokens are those of the last layer too (Press & Wolf, 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.errors import Misuse
from deepen.nn.attending import attend
from deepen.nn.attention import Attention, weights
from deepen.nn.dropping import Dropout
from deepen.nn.suits import positive, sentences, share
from deepen.spec import BEGIN, PAD, Spec

SUMMARY = "encoder-decoder Transformer: answers a text with a text (Vaswani et al., 2017)"
BASE = 10_000.0
"""Of the wave lengths that tell places."""


@dataclass
class Config:
    layers: int = 3
    """Blocks that read, on top of each other."""
    writing_layers: int | None = None
    """Blocks that write. Default: as many."""
    width: int = 192
    """Numbers that stand for a place."""
    heads: int = 4
    """Heads of an attention; they share out the width."""
    hidden: int = 512
    """Units inside a block."""
    dropout: float = 0.3
    """Share of numbers switched off at each training step."""


@final
class Looking(nn.Module):
    """Places that look at others: what is looked at is held as keys and values, so that it is computed once."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.held = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def hold(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, heads, L, size] of places [B, L, width]."""
        keys, values = self._split(self.held(x), 2 * self.heads).chunk(2, dim=1)
        return keys, values

    def forward(
        self, x: Tensor, held: tuple[Tensor, Tensor], *, there: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """[B, M, width] looking at what is held; `there` bool [B, L]: at these only. `causal`: none after a place itself."""
        mask = None if there is None else there[:, None, None, :]
        query = self._split(self.query(x), self.heads)
        y = attend(query, *held, attn_mask=mask, dropout_p=0.0, is_causal=causal)
        answer: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return answer

    def weights(self, x: Tensor, held: tuple[Tensor, Tensor], there: Tensor) -> Tensor:
        """How much each place looks at each of the others, [B, M, L], the mean over the heads."""
        query = self._split(self.query(x), self.heads)
        return weights(query, held[0], there[:, None, None, :]).mean(1)

    def _split(self, x: Tensor, heads: int) -> Tensor:
        return x.unflatten(2, (heads, -1)).transpose(1, 2)


@final
class Between(nn.Sequential):
    """What a place makes of what it has seen."""

    def __init__(self, config: Config) -> None:
        layers = (nn.Linear(config.width, config.hidden), nn.ReLU(), Dropout(config.dropout))
        super().__init__(*layers, nn.Linear(config.hidden, config.width))


@final
class Reader(nn.Module):
    """[B, L, width] -> [B, L, width]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.before_look, self.before_hidden = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.look = Attention(config.width, config.heads)
        self.hidden = Between(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        x = x + self.dropout(self.look(self.before_look(x), there=there))
        answer: Tensor = x + self.dropout(self.hidden(self.before_hidden(x)))
        return answer


@final
class Writer(nn.Module):
    """Looks back at what is written, then across at what was read."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.before_back, self.before_across, self.before_hidden = (nn.LayerNorm(config.width) for _ in range(3))
        self.back, self.across = (Looking(config.width, config.heads) for _ in range(2))
        self.hidden = Between(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, held: tuple[Tensor, Tensor], there: Tensor) -> Tensor:
        """All tokens of an answer at once, [B, M, width]."""
        seen = self.before_back(x)
        return self._rest(x, self.back(seen, self.back.hold(seen), causal=True), held, there)

    def step(
        self, x: Tensor, held: tuple[Tensor, Tensor], there: Tensor, before: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The last tokens of K answers to each text, [B, K, width], each after its own past of keys and values
        [B, K, heads, T, size]; and that past with them in it."""
        rows, answers = x.shape[:2]
        seen = self.before_back(x).flatten(0, 1).unsqueeze(1)
        keys, values = self.back.hold(seen)
        if before is not None:
            keys = torch.cat([before[0].flatten(0, 1), keys], 2)
            values = torch.cat([before[1].flatten(0, 1), values], 2)
        back = self.back(seen, (keys, values)).view(rows, answers, -1)
        after = keys.unflatten(0, (rows, answers)), values.unflatten(0, (rows, answers))
        return self._rest(x, back, held, there), after

    def _rest(self, x: Tensor, back: Tensor, held: tuple[Tensor, Tensor], there: Tensor) -> Tensor:
        x = x + self.dropout(back)
        x = x + self.dropout(self.across(self.before_across(x), held, there=there))
        answer: Tensor = x + self.dropout(self.hidden(self.before_hidden(x)))
        return answer


@final
class Seq2SeqTransformer(nn.Module):
    """Tokens [B, L] and the answers so far [B, M] -> logits of the token after each [B, M, answers]; without answers, of the
    first token [B, answers]."""

    places: Tensor

    def __init__(self, vocabulary: int, answers: int, longest: int, config: Config) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, config.width, padding_idx=PAD)
        self.readers = nn.ModuleList(Reader(config) for _ in range(config.layers))
        self.after_reading = nn.LayerNorm(config.width)
        self.writers = nn.ModuleList(Writer(config) for _ in range(config.writing_layers or config.layers))
        self.after_writing = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)
        self.answers = nn.Embedding(answers, config.width, padding_idx=PAD)
        self.register_buffer("places", waves(longest, config.width), persistent=False)
        for name, parameter in self.named_parameters():
            if name in ("words.weight", "answers.weight"):
                nn.init.normal_(parameter, 0.0, config.width**-0.5)
                nn.init.zeros_(parameter[PAD].data)
            elif parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    @property
    def _writers(self) -> Sequence[Writer]:
        return cast(Sequence[Writer], self.writers)

    def forward(self, input: Tensor, begun: Tensor | None = None) -> Tensor:
        if begun is None:
            return self.forward(input, input.new_full((len(input), 1), BEGIN))[:, 0]
        return self._logits(self._written(input, begun)[0])

    def attended(self, input: Tensor, begun: Tensor) -> Tensor:
        """How much each token of an answer looked at each place that was read, [B, M, L], before it was written: the mean over
        heads and layers."""
        return self._written(input, begun, looks=True)[1]

    def _written(self, input: Tensor, begun: Tensor, *, looks: bool = False) -> tuple[Tensor, Tensor]:
        memory = self.read(input)
        x = self._placed(self.answers, begun, 0)
        seen = []
        for number, layer in enumerate(self._writers):
            held = memory[f"keys {number}"], memory[f"values {number}"]
            x = layer(x, held, memory["there"])
            if looks:
                seen.append(layer.across.weights(layer.before_across(x), held, memory["there"]))
        return x, torch.stack(seen).mean(0) if looks else x[:, :, :0]

    def read(self, input: Tensor) -> dict[str, Tensor]:
        """What each block that writes may look at: keys and values of the text."""
        there = input != PAD
        x = self._placed(self.words, input, 0)
        for layer in self.readers:
            x = layer(x, there)
        x = self.after_reading(x)
        memory = {"there": there}
        for number, writer in enumerate(self._writers):
            memory[f"keys {number}"], memory[f"values {number}"] = writer.across.hold(x)
        return memory

    def begin(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """Nothing is written yet; `told` [B, 1, 0] counts its tokens."""
        there = memory["there"]
        return {"told": there.new_zeros(len(there), 1, 0)}

    def go_on(
        self, token: Tensor, memory: dict[str, Tensor], state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits [B, K, answers] after tokens [B, K], each the last of one of K answers to a text, and their states."""
        place = state["told"].shape[2]
        x = self._placed(self.answers, token.reshape(-1, 1), place).view(*token.shape, -1)
        after = {"told": functional.pad(state["told"], (0, 1))}
        for number, layer in enumerate(self._writers):
            held = memory[f"keys {number}"], memory[f"values {number}"]
            before = (state[f"keys {number}"], state[f"values {number}"]) if place else None
            x, (keys, values) = layer.step(x, held, memory["there"], before)
            after |= {f"keys {number}": keys, f"values {number}": values}
        return self._logits(x), after

    def _placed(self, table: nn.Embedding, tokens: Tensor, place: int) -> Tensor:
        scale = math.sqrt(table.embedding_dim)
        placed: Tensor = self.dropout(table(tokens) * scale + self.places[place : place + tokens.shape[1]])
        return placed

    def _logits(self, x: Tensor) -> Tensor:
        return functional.linear(self.after_writing(x), self.answers.weight)


def waves(longest: int, width: int) -> Tensor:
    """Sines and cosines of each place, [longest, width], their wave lengths from 2 pi to 10,000 times as long."""
    rates = BASE ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = torch.arange(longest, dtype=torch.float32).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


def build(spec: Spec, config: Config) -> Seq2SeqTransformer:
    """Tokens [B, L] and [B, M] -> [B, M, answers]."""
    text, answer = sentences(spec, "seq2seq-transformer")
    for key in ("layers", "width", "heads", "hidden"):
        positive(key, getattr(config, key))
    positive("writing_layers", 1 if config.writing_layers is None else config.writing_layers)
    share("dropout", config.dropout)
    if config.width % config.heads:
        raise Misuse(
            f"model.width={config.width} cannot be shared by model.heads={config.heads}: expected a multiple of it."
        )
    return Seq2SeqTransformer(text.vocabulary, answer.vocabulary, max(text.length, answer.length), config)

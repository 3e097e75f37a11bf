"""Transformer encoder for texts: every place looks at every other, before and after it (Vaswani et al., 2017).

Two forms of one layer, under BERT's parameter names. `transformer`: norms before each part, which learns from nothing without
a fragile warm-up (Xiong et al., 2020). `bert`: norms after each part and one on what goes in (Devlin et al., 2019), as the
published weights were trained; the constants are theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.errors import Misuse
from deepen.nn.attending import attend
from deepen.nn.attention import rotation, turned, weights
from deepen.nn.headed import Headed
from deepen.nn.pooling import Pool
from deepen.nn.suits import answers, hidden_tokens, positive, share, texts
from deepen.spec import PAD, Labels, Spec, Text, Tokens

SUMMARY = "Transformer encoder: every word looks at every other (Vaswani et al., 2017); for texts"

PRESETS = {
    "transformer": {},
    "bert": {
        "form": "bert",
        "summary": "BERT: the Transformer whose published weights know a language (Devlin et al., 2019)",
    },
}


@dataclass
class Config:
    layers: int = 4
    """Layers on top of each other."""
    heads: int = 4
    """Heads of an attention; they share out the width."""
    width: int = 128
    """Numbers that stand for a place."""
    hidden: int | None = None
    """Units inside a layer. Default: four times the width."""
    form: Literal["transformer", "bert"] = "transformer"
    """Which kind of layer: norms before its parts, or after them as in BERT."""
    positions: Literal["learnt", "rotary"] = "learnt"
    """How a place is told: by a vector of its own, or by turning what looks and what is looked at."""
    places: int | None = None
    """Places that have a vector. Default: as many as the longest text has."""
    pooling: Literal["mean", "first"] = "mean"
    """How places become one answer: their mean, or the first one alone, which is [CLS] in BERT."""
    dropout: float = 0.1
    """Share of numbers switched off at each training step."""
    eps: float | None = None
    """What keeps a norm from dividing by zero. Default: 1e-12 in BERT, else 1e-5."""


@final
class SelfAttention(nn.Module):
    """[B, L, width] and what there is to look at, bool [B, L] -> [B, L, width]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads, self.size = config.heads, config.width // config.heads
        self.rotary, self.dropout = config.positions == "rotary", config.dropout
        self.query, self.key, self.value = (nn.Linear(config.width, config.width) for _ in range(3))

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        query, key = self._looking(x)
        y = attend(
            query,
            key,
            self._split(self.value(x)),
            attn_mask=there[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return y.transpose(1, 2).flatten(2)

    def looks(self, x: Tensor, there: Tensor) -> Tensor:
        """Where each place looks, [B, heads, L, L]: rows sum to one."""
        return weights(*self._looking(x), there[:, None, None, :])

    def _looking(self, x: Tensor) -> tuple[Tensor, Tensor]:
        query, key = self._split(self.query(x)), self._split(self.key(x))
        if self.rotary:
            waves = rotation(0, x.shape[1], self.size, x.device)
            query, key = turned(query, waves), turned(key, waves)
        return query, key

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, self.size)).transpose(1, 2)  # [B, heads, L, size]


@final
class Ending(nn.Module):
    """What adds a part's answer to the stream: of `before` numbers those of a place, and the norm beside it."""

    def __init__(self, before: int, config: Config) -> None:
        super().__init__()
        self.dense = nn.Linear(before, config.width)
        self.LayerNorm = norm(config)


def norm(config: Config) -> nn.LayerNorm:
    return nn.LayerNorm(config.width, eps=config.eps or (1e-12 if config.form == "bert" else 1e-5))


@final
class Layer(nn.Module):
    """[B, L, width] -> [B, L, width]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden = config.hidden or 4 * config.width
        self.after = config.form == "bert"
        self.attention = nn.ModuleDict({"self": SelfAttention(config), "output": Ending(config.width, config)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(config.width, hidden)})
        self.output = Ending(hidden, config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        look, looked, made = self.attention["self"], self.attention["output"], self.output
        assert isinstance(looked, Ending)
        if self.after:
            x = looked.LayerNorm(x + self.dropout(looked.dense(look(x, there))))
            x = made.LayerNorm(x + self.dropout(made.dense(self._inside(x))))
        else:
            x = x + self.dropout(looked.dense(look(looked.LayerNorm(x), there)))
            x = x + self.dropout(made.dense(self._inside(made.LayerNorm(x))))
        return x

    def _inside(self, x: Tensor) -> Tensor:
        return functional.gelu(self.intermediate["dense"](x))


@final
class Layers(nn.Module):
    """All of them, [B, L, width] -> [B, L, width]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        for layer in self.layer:
            x = layer(x, there)
        return x


@final
class Embeddings(nn.Module):
    """Tokens int64 [B, L] and their places as vectors [B, L, width]."""

    def __init__(self, text: Text, config: Config) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(text.vocabulary, config.width)
        if config.positions == "learnt":
            self.position_embeddings = nn.Embedding(config.places or text.length, config.width)
        if config.form == "bert":  # one of two, where two texts are read at once; ours are always the first
            self.token_type_embeddings = nn.Embedding(2, config.width)
            self.LayerNorm = norm(config)
        self.learnt, self.bert = config.positions == "learnt", config.form == "bert"

    def forward(self, input: Tensor) -> Tensor:
        x: Tensor = self.word_embeddings(input)
        if self.learnt:
            x = x + self.position_embeddings.weight[: input.shape[1]]
        if self.bert:
            x = self.LayerNorm(x + self.token_type_embeddings.weight[0])
        return x


@final
class Predictions(nn.Module):
    """What stands at each place, [..., width] -> [..., vocabulary], told by how near it is to the vector of each token."""

    def __init__(self, vocabulary: int, config: Config) -> None:
        super().__init__()
        self.transform = Ending(config.width, config)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        x = self.transform.LayerNorm(functional.gelu(self.transform.dense(x)))
        return functional.linear(x, table, self.bias)


@final
class Encoder(Headed):
    """Tokens int64 [B, L] -> [B, width_out] of a whole text, [B, L, width_out] where each place is asked for its label,
    [B, L, vocabulary] where tokens are hidden. L is at most the number of places that have a vector."""

    def __init__(self, spec: Spec, width_out: int, config: Config) -> None:
        super().__init__()
        text = texts(spec, "transformer")
        self.hides, self.each = isinstance(spec.output, Tokens), isinstance(spec.output, Tokens | Labels)
        self.pooling = config.pooling
        width = config.width
        self.embeddings = Embeddings(text, config)
        self.encoder = Layers(config)
        self.norm = nn.Identity() if config.form == "bert" else norm(config)
        self.dropout = nn.Dropout(config.dropout)
        self.pool = Pool("mean", width)
        if self.hides:
            self.cls = nn.ModuleDict({"predictions": Predictions(text.vocabulary, config)})
        else:
            if config.pooling == "first" and not self.each:
                self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)})
            self.classifier = nn.Linear(width, width_out)
        self.head_name = "cls.predictions" if self.hides else "classifier"
        begin(self, config)

    def forward(self, input: Tensor) -> Tensor:
        return self.answered(self.body(input))

    def body(self, input: Tensor) -> Tensor:
        """[B, L, width] where each place is asked, else [B, width]."""
        x = self.seen(input)
        if self.each:
            return x if self.hides else self.dropout(x)
        if self.pooling == "mean":
            return self.dropout(self.pool(x, input != PAD))
        return self.dropout(self.pooler["dense"](x[:, 0]).tanh())

    def answered(self, seen: Tensor) -> Tensor:
        """The answer to what the body makes of texts, or of some of their places."""
        known = (self.embeddings.word_embeddings.weight,) if self.hides else ()
        answer: Tensor = self.head(seen, *known)
        return answer

    def at(self, input: Tensor, places: Tensor) -> Tensor:
        """Answers [n, vocabulary] for some places of texts only, bool [B, L]: what hides few tokens asks for no others."""
        return self.answered(self.seen(input)[places])

    def seen(self, input: Tensor) -> Tensor:
        """What each place knows of its text, [B, L, width]; what stands at those that only fill up is meaningless."""
        there = input != PAD
        there[:, 0] = True  # a text of nothing looks at nothing, rather than dividing by it
        answer: Tensor = self.norm(self.encoder(self.dropout(self.embeddings(input)), there))
        return answer


def begin(model: Encoder, config: Config) -> None:
    """BERT's start; where norms stand before the parts, what adds to the stream is the smaller the more there are who add
    (Radford et al., 2019)."""
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            deeper = (
                math.sqrt(2 * config.layers) if config.form != "bert" and name.endswith("output.dense.weight") else 1.0
            )
            nn.init.normal_(parameter, 0.0, 0.02 / deeper)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)


def build(spec: Spec, config: Config) -> Encoder:
    """Tokens [B, L] -> [B, spec.output.width], or [B, L, spec.output.width] for labels and hidden tokens."""
    text = texts(spec, "transformer")
    if isinstance(spec.output, Tokens):
        width_out = hidden_tokens(spec, "transformer").vocabulary
    else:
        width_out = spec.output.width if isinstance(spec.output, Labels) else answers(spec, "transformer")
    for key in ("layers", "heads", "width"):
        positive(key, getattr(config, key))
    share("dropout", config.dropout)
    if config.width % config.heads or (config.positions == "rotary" and config.width // config.heads % 2):
        even = ", with an even part for each" if config.positions == "rotary" else ""
        raise Misuse(
            f"model.width={config.width} cannot be shared by model.heads={config.heads}: expected a multiple of it{even}."
        )
    if config.hidden is not None:
        positive("hidden", config.hidden)
    if config.places is not None and config.places < text.length:
        raise Misuse(
            f"model.places={config.places} is fewer than a text may have tokens ({text.length}): expected at least as many, or "
            f"data.length={config.places}."
        )
    return Encoder(spec, width_out, config)

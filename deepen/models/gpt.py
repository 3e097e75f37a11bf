"""GPT: a Transformer that continues texts, each place looking at those before it only.

Two forms of one block. `gpt2`: layer norms before each part, learnt positions, GELU (Radford et al., 2019), with GPT-2's
names. `llama`: root mean square norms, rotary positions, a gated SwiGLU, no biases (Touvron et al., 2023; Shazeer, 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.errors import Misuse
from deepen.nn.attention import BASE, Attention, Cache
from deepen.nn.headed import Headed
from deepen.nn.suits import positive, share, texts, tokens
from deepen.spec import Spec

SUMMARY = "GPT: continues texts (Radford et al., 2019), at a size that a laptop trains"

PRESETS = {
    "gpt": {},
    "llama": {"form": "llama", "summary": "GPT in the form of Llama: RMS norms, rotary positions, SwiGLU (2023)"},
}


@dataclass
class Config:
    layers: int = 4
    """Blocks on top of each other."""
    heads: int = 4
    """Heads of an attention; they share out the width."""
    width: int = 128
    """Numbers that stand for a place."""
    groups: int | None = None
    """Heads of keys and values, each shared by as many heads of queries. Default: one for each."""
    hidden: int | None = None
    """Units inside a block. Default: four times the width (llama: two thirds of that)."""
    form: Literal["gpt2", "llama"] = "gpt2"
    """Which kind of block."""
    dropout: float = 0.0
    """Share of numbers switched off at each training step."""
    bias: bool = False
    """Whether gpt2's linear parts have biases, as the published ones have."""
    tied: bool = True
    """Whether tokens are told by how near they are to the vectors that they are read as, rather than by vectors of their own."""
    base: float = BASE
    """llama: base of the wave lengths with which places turn."""
    eps: float = 1e-5
    """What keeps a norm from dividing by zero."""


@final
class MLP(nn.Module):
    """What a place makes of what it has seen."""

    def __init__(self, width: int, hidden: int, *, gated: bool, bias: bool, dropout: float) -> None:
        super().__init__()
        self.gated = gated
        self.c_fc = nn.Linear(width, 2 * hidden if gated else hidden, bias=bias)
        self.c_proj = nn.Linear(hidden, width, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c_fc(x)
        if self.gated:
            gate, x = x.chunk(2, dim=-1)
            x = functional.silu(gate) * x
        else:
            x = functional.gelu(x, approximate="tanh")
        answer: Tensor = self.dropout(self.c_proj(x))
        return answer


@final
class Block(nn.Module):
    """[B, L, width] -> [B, L, width]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        llama = config.form == "llama"
        bias = config.bias and not llama
        hidden = config.hidden or (8 * math.ceil(config.width / 3) if llama else 4 * config.width)
        self.ln_1, self.ln_2 = (norm(config) for _ in range(2))
        self.attn = Attention(
            config.width,
            config.heads,
            groups=config.groups,
            bias=bias,
            dropout=config.dropout,
            rotary=llama,
            base=config.base,
        )
        self.mlp = MLP(config.width, hidden, gated=llama, bias=bias, dropout=config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        x = x + self.dropout(self.attn(self.ln_1(x), causal=True, cache=cache))
        answer: Tensor = x + self.mlp(self.ln_2(x))
        return answer


def norm(config: Config) -> nn.Module:
    if config.form == "llama":
        return nn.RMSNorm(config.width, eps=config.eps)
    return nn.LayerNorm(config.width, eps=config.eps, bias=config.bias)


@final
class GPT(Headed):
    """Tokens int64 [B, L] -> logits of the token after each [B, L, vocabulary]. L is at most `context`."""

    def __init__(self, vocabulary: int, context: int, config: Config) -> None:
        super().__init__()
        self.context = context
        self.wte = nn.Embedding(vocabulary, config.width)
        self.wpe = nn.Embedding(context, config.width) if config.form == "gpt2" else None
        self.drop = nn.Dropout(config.dropout)
        self.h = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.ln_f = norm(config)
        if not config.tied:
            self.lm_head = nn.Linear(config.width, vocabulary, bias=False)
        self.head_name = "" if config.tied else "lm_head"
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # What adds to the stream of a place is the smaller the more there are who add (Radford et al., 2019).
                deeper = math.sqrt(2 * config.layers) if name.endswith("c_proj.weight") else 1.0
                nn.init.normal_(parameter, 0.0, 0.02 / deeper)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, input: Tensor) -> Tensor:
        return self._told(self.body(input))

    def body(self, input: Tensor) -> Tensor:
        return self.seen(input)

    def _told(self, seen: Tensor) -> Tensor:
        return functional.linear(seen, self.get_parameter(f"{self.head_name or 'wte'}.weight"))

    def seen(self, input: Tensor, caches: list[Cache] | None = None) -> Tensor:
        """What each place knows, [B, L, width]; `caches` hold the places before, one for each layer."""
        x = self.wte(input)
        if self.wpe is not None:
            start = caches[0].filled if caches else 0
            x = x + self.wpe(torch.arange(start, start + input.shape[1], device=input.device))
        x = self.drop(x)
        for number, block in enumerate(self.h):
            x = block(x, caches[number] if caches else None)
        answer: Tensor = self.ln_f(x)
        return answer

    def begin(self) -> list[Cache]:
        """Empty caches for a text that is continued."""
        return [Cache(self.context) for _ in self.h]

    def go_on(self, input: Tensor, caches: list[Cache]) -> Tensor:
        """Logits [B, vocabulary] of the token after `input` [B, L], which follows what `caches` hold."""
        return self._told(self.seen(input, caches)[:, -1])


def build(spec: Spec, config: Config) -> GPT:
    """Tokens [B, L] -> [B, L, vocabulary]."""
    text = texts(spec, "gpt")
    tokens(spec, "gpt")
    for key in ("layers", "heads", "width", "base", "eps"):
        positive(key, getattr(config, key))
    share("dropout", config.dropout)
    if config.width % config.heads or (config.form == "llama" and config.width // config.heads % 2):
        raise Misuse(
            f"model.width={config.width} cannot be shared by model.heads={config.heads}: expected a multiple of it"
            f"{', with an even part for each' if config.form == 'llama' else ''}."
        )
    if config.groups is not None and (config.groups < 1 or config.heads % config.groups):
        raise Misuse(
            f"model.groups={config.groups} does not divide model.heads={config.heads}: expected 1 to {config.heads}."
        )
    return GPT(text.vocabulary, text.length, config)

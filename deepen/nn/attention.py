"""Attention: each place looks at others and takes from them what fits (Bahdanau, Cho & Bengio, 2015; Vaswani et al., 2017).

Several heads, keys and values shared by groups of them if asked (Ainslie et al., 2023), places told by turning queries and keys
(rotary positions, Su et al., 2021), what was seen before kept in a cache when a text is continued token by token. The products
are those of `attending`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from deepen.nn.attending import attend

BASE = 10_000.0
"""Of the wave lengths of rotary positions."""


@dataclass
class Cache:
    """Keys and values of the places before, of one layer: [B, heads, room, head size], the first `filled` of them."""

    room: int
    keys: Tensor = field(default_factory=lambda: torch.empty(0))
    values: Tensor = field(default_factory=lambda: torch.empty(0))
    filled: int = 0

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values so far, these [B, heads, L, head size] included."""
        if not self.filled:
            shape = (*keys.shape[:2], self.room, keys.shape[3])
            self.keys, self.values = keys.new_empty(shape), values.new_empty(shape)
        end = self.filled + keys.shape[2]
        self.keys[:, :, self.filled : end] = keys
        self.values[:, :, self.filled : end] = values
        self.filled = end
        return self.keys[:, :, :end], self.values[:, :, :end]


@final
class Attention(nn.Module):
    """[B, L, width] -> [B, L, width]. Parameters have the names of GPT-2: `c_attn` for queries, keys and values together,
    `c_proj` for what is made of them."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        groups: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        rotary: bool = False,
        base: float = BASE,
    ) -> None:
        super().__init__()
        self.heads, self.groups, self.size = heads, groups or heads, width // heads
        self.dropout, self.rotary, self.base = dropout, rotary, base
        self.c_attn = nn.Linear(width, (heads + 2 * self.groups) * self.size, bias=bias)
        self.c_proj = nn.Linear(heads * self.size, width, bias=bias)

    def forward(
        self, x: Tensor, *, causal: bool = False, there: Tensor | None = None, cache: Cache | None = None
    ) -> Tensor:
        """`there` bool [B, L]: places that may be looked at. `causal`: none after a place itself, so that nobody has to be kept
        from what fills a row up."""
        assert not causal or there is None
        rows, length, _ = x.shape
        parts = self.c_attn(x).view(rows, length, -1, self.size).transpose(1, 2)
        query, key, value = parts.split([self.heads, self.groups, self.groups], dim=1)
        before = 0 if cache is None else cache.filled
        if self.rotary:
            waves = rotation(before, length, self.size, x.device, self.base)
            query, key = turned(query, waves), turned(key, waves)
        if cache is not None:
            key, value = cache.add(key, value)
        if self.groups != self.heads:
            key, value = (part.repeat_interleave(self.heads // self.groups, dim=1) for part in (key, value))
        mask = None if there is None else there[:, None, None, :]
        if causal and before and length > 1:
            own = torch.arange(before, before + length, device=x.device).unsqueeze(1)
            mask = torch.arange(before + length, device=x.device) <= own
        y = attend(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal and not before and mask is None,
        )
        answer: Tensor = self.c_proj(y.transpose(1, 2).reshape(rows, length, -1))
        return answer

    def looks(
        self, x: Tensor, *, causal: bool = False, there: Tensor | None = None, cache: Cache | None = None
    ) -> Tensor:
        """Where each place looks, [B, heads, L, L], if nothing was read before: rows sum to one."""
        length = x.shape[1]
        parts = self.c_attn(x).unflatten(2, (-1, self.size)).transpose(1, 2)
        query, key, _ = parts.split([self.heads, self.groups, self.groups], dim=1)
        if self.rotary:
            waves = rotation(0, length, self.size, x.device, self.base)
            query, key = turned(query, waves), turned(key, waves)
        mask = onwards(length, x.device) if causal else None if there is None else there[:, None, None, :]
        return weights(query, key.repeat_interleave(self.heads // self.groups, dim=1), mask)


def onwards(length: int, device: torch.device) -> Tensor:
    """Which place may look at which where none looks ahead, bool [length, length]."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def weights(query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
    """How much each place takes from each: softmax of the scaled products, [B, heads, L, K] from [B, heads, L, size] and
    [B, heads, K, size]. `mask` is true where one may look. What `scaled_dot_product_attention` computes and keeps to itself."""
    products = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    if mask is not None:
        products = products.masked_fill(~mask, -torch.inf)
    return products.softmax(dim=3)


def rotation(start: int, length: int, size: int, device: torch.device, base: float = BASE) -> Tensor:
    """Cosines and sines [2, length, size / 2] of the places from `start` on."""
    rates = base ** (-torch.arange(0, size, 2, device=device, dtype=torch.float32) / size)
    angles = torch.arange(start, start + length, device=device, dtype=torch.float32).unsqueeze(1) * rates
    return torch.stack([angles.cos(), angles.sin()])


def turned(x: Tensor, waves: Tensor) -> Tensor:
    """Pairs of neighbouring numbers of [B, heads, L, size] turned by the angles of their places."""
    even, odd = x.float().unflatten(3, (-1, 2)).unbind(dim=4)
    cosine, sine = waves
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=4).flatten(3).to(x.dtype)

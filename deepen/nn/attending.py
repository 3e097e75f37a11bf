"""The products of attention, by the quicker of two ways that compute the same.

torch's `scaled_dot_product_attention` never holds all weights at once, which saves memory. On a processor in bfloat16 it pays for
that with most of its time: two batched products with a softmax between them take a third of it at 256 places, a fifth at 64
(forward and backward; in float32 both ways cost the same). So they are written out where the weights are not too many to hold.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

MOST_WEIGHTS = 2**25
"""Weights of a layer that are held for the backward pass: 64 MB."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Tensor:
    """As torch's `scaled_dot_product_attention`: [B, heads, L, size] from queries of that shape and [B, heads, K, size]. The mask
    is bool, true where one may look."""
    if worth_writing_out(query, key):
        return written_out(query, key, value, attn_mask, dropout_p, is_causal)
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask=attn_mask, dropout_p=dropout_p, is_causal=is_causal
    )


def worth_writing_out(query: Tensor, key: Tensor) -> bool:
    """Whether these are learnt from in bfloat16 on a processor, and few enough."""
    return (
        query.device.type == "cpu"
        and query.dtype == torch.bfloat16
        and query.requires_grad
        and query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2] <= MOST_WEIGHTS
    )


def written_out(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Tensor:
    """The same as products and a softmax. A place that may look nowhere gets a mean of everything instead of NaN."""
    rows, heads, length, _ = query.shape
    flat = [part.reshape(rows * heads, part.shape[2], part.shape[3]) for part in (query, key, value)]
    scale = 1 / math.sqrt(query.shape[3])
    if is_causal:
        later = torch.full((length, key.shape[2]), -torch.inf, dtype=query.dtype, device=query.device).triu_(1)
        products = torch.baddbmm(later, flat[0], flat[1].mT, alpha=scale)
    else:
        products = torch.bmm(flat[0] * scale, flat[1].mT)
    if attn_mask is not None:
        lowest = torch.finfo(products.dtype).min
        products = products.unflatten(0, (rows, heads)).masked_fill(~attn_mask, lowest).flatten(0, 1)
    weights = functional.dropout(products.softmax(dim=2), dropout_p, dropout_p > 0)
    return torch.bmm(weights, flat[2]).unflatten(0, (rows, heads))

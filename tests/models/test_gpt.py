from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from deepen.errors import Misuse, Problem
from deepen.models import gpt
from deepen.nn.attention import Attention, rotation, turned
from deepen.spec import Category, Spec, Text, Tokens

SPEC = Spec(Text(16, 40), Tokens(40))
FORMS = ({}, {"form": "llama"}, {"form": "llama", "groups": 2}, {"groups": 1, "bias": True})


def model(**fields: object) -> gpt.GPT:
    torch.manual_seed(0)
    return gpt.build(SPEC, gpt.Config(layers=2, heads=4, width=32, **fields)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("fields", FORMS)
def test_no_place_knows_what_comes_after_it(fields: dict[str, object]) -> None:
    net, tokens = model(**fields), torch.randint(1, 40, (2, 16))
    changed = tokens.clone()
    changed[:, 10:] = torch.randint(1, 40, (2, 6))
    assert torch.allclose(net(tokens)[:, :10], net(changed)[:, :10], atol=1e-6)
    assert net(tokens).shape == (2, 16, 40)


@pytest.mark.parametrize("fields", FORMS)
@pytest.mark.parametrize("pieces", [[1] * 16, [5, 1, 1, 9], [16]])
def test_the_cache_changes_nothing(fields: dict[str, object], pieces: list[int]) -> None:
    net, tokens = model(**fields), torch.randint(1, 40, (2, 16))
    whole, caches, at = net(tokens), net.begin(), 0
    for piece in pieces:
        answer = net.go_on(tokens[:, at : at + piece], caches)
        at += piece
        assert torch.allclose(answer, whole[:, at - 1], atol=1e-5)


def test_attention_is_torchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(24, 3), nn.MultiheadAttention(24, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.c_attn.weight)
        theirs.in_proj_bias.copy_(ours.c_attn.bias)
        theirs.out_proj.weight.copy_(ours.c_proj.weight)
        theirs.out_proj.bias.copy_(ours.c_proj.bias)
    x, there = torch.randn(2, 7, 24), torch.tensor([[1] * 7, [1] * 4 + [0] * 3]).bool()
    expected = theirs(x, x, x, key_padding_mask=~there, need_weights=False)[0]
    assert torch.allclose(ours(x, there=there)[there], expected[there], atol=1e-5)
    mask = nn.Transformer.generate_square_subsequent_mask(7)
    assert torch.allclose(ours(x, causal=True), theirs(x, x, x, attn_mask=mask, need_weights=False)[0], atol=1e-5)


def test_turned_places_know_only_how_far_they_are_apart() -> None:
    query, key = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def product(first: int, second: int) -> torch.Tensor:
        cpu = torch.device("cpu")
        return (turned(query, rotation(first, 1, 8, cpu)) * turned(key, rotation(second, 1, 8, cpu))).sum()

    assert torch.allclose(product(3, 1), product(103, 101), atol=1e-4)
    assert not torch.allclose(product(3, 1), product(3, 2), atol=1e-3)


def test_it_starts_as_if_all_tokens_were_alike() -> None:
    torch.manual_seed(1)
    tokens = torch.randint(1, 40, (8, 16))
    loss = nn.functional.cross_entropy(model()(tokens).flatten(0, 1), torch.randint(1, 40, (128,)))
    assert abs(loss.item() - math.log(40)) < 0.1


@pytest.mark.parametrize(
    "fields", [{"width": 30}, {"form": "llama", "width": 12, "heads": 4}, {"groups": 3}, {"layers": 0}]
)
def test_settings_that_do_not_fit(fields: dict[str, object]) -> None:
    with pytest.raises(Misuse, match=r"model\."):
        gpt.build(SPEC, gpt.Config(**fields))  # type: ignore[arg-type]


def test_classes_are_refused() -> None:
    with pytest.raises(Problem, match="token for every place"):
        gpt.build(Spec(SPEC.input, Category(("a", "b"))), gpt.Config())

"""What is written out against torch's own attention."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from deepen.nn import attending
from deepen.nn.attending import attend, worth_writing_out, written_out
from deepen.nn.attention import Attention


def parts(dtype: torch.dtype, length: int = 9, keys: int = 9) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, size, 8, dtype=dtype).requires_grad_() for size in (length, keys, keys)]


@pytest.mark.parametrize(("causal", "masked", "keys"), [(True, False, 9), (False, False, 7), (False, True, 7)])
def test_answers_and_gradients_are_torchs(causal: bool, masked: bool, keys: int) -> None:
    ours, theirs = parts(torch.float32, keys=keys), parts(torch.float32, keys=keys)
    mask = torch.rand(2, 1, 1, keys) < 0.7 if masked else None
    if mask is not None:
        mask[..., 0] = True
    a = written_out(*ours, attn_mask=mask, is_causal=causal)
    b = scaled_dot_product_attention(*theirs, attn_mask=mask, is_causal=causal)
    assert torch.allclose(a, b, atol=1e-6)
    a.square().sum().backward()
    b.square().sum().backward()
    for mine, its in zip(ours, theirs, strict=True):
        assert mine.grad is not None
        assert its.grad is not None
        assert torch.allclose(mine.grad, its.grad, atol=1e-5)


def test_in_bfloat16_it_is_as_near_to_float32_as_torchs() -> None:
    exact = scaled_dot_product_attention(*parts(torch.float32), is_causal=True)
    rounded = parts(torch.bfloat16)
    assert worth_writing_out(rounded[0], rounded[1])
    far = (attend(*rounded, is_causal=True) - exact).abs().max()
    theirs = (scaled_dot_product_attention(*rounded, is_causal=True) - exact).abs().max()
    assert far <= 2 * theirs


def test_where_nothing_may_be_seen_nothing_is_nan() -> None:
    rounded = parts(torch.bfloat16)
    attend(*rounded, attn_mask=torch.zeros(2, 1, 1, 9, dtype=torch.bool)).sum().backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in rounded)


def test_dropout_drops_weights() -> None:
    ones = [torch.ones(4, 4, 16, 8) for _ in range(3)]
    torch.manual_seed(0)
    dropped = written_out(*ones, dropout_p=0.5)
    assert abs(dropped.mean().item() - 1) < 0.1
    assert dropped.std() > 0.05
    assert torch.allclose(written_out(*ones), torch.ones(4, 4, 16, 8))


def test_it_is_torchs_where_that_is_no_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, rounded = parts(torch.float32), parts(torch.bfloat16)
    assert not worth_writing_out(exact[0], exact[1])
    assert not worth_writing_out(rounded[0].detach(), rounded[1])
    monkeypatch.setattr(attending, "MOST_WEIGHTS", 100)
    assert not worth_writing_out(rounded[0], rounded[1])
    assert torch.equal(attend(*exact, is_causal=True), scaled_dot_product_attention(*exact, is_causal=True))


def test_who_looks_back_only_is_kept_from_nothing_else() -> None:
    """A mask beside it would have to be joined with the order, and must not replace it."""
    attention = Attention(8, 2)
    with pytest.raises(AssertionError):
        attention(torch.zeros(1, 3, 8), causal=True, there=torch.ones(1, 3, dtype=torch.bool))

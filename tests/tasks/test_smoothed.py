"""The quick cross-entropy beside torch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from deepen.tasks import smoothed


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_gradient_are_those_of_torch(
    smoothing: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoothed, "AT_ONCE", 700)  # several pieces, the last one smaller
    torch.manual_seed(0)
    logits = (3 * torch.randn(50, 37)).to(dtype).requires_grad_()
    target = torch.randint(0, 37, (50,))
    target[::3] = 0
    ours = smoothed.cross_entropy(logits, target, ignored=0, smoothing=smoothing)
    torchs = functional.cross_entropy(logits.float(), target, ignore_index=0, label_smoothing=smoothing)
    assert float(ours.detach()) == pytest.approx(float(torchs.detach()), rel=1e-5)
    (slope,), (expected,) = (torch.autograd.grad(2 * loss, logits) for loss in (ours, torchs))
    assert (slope.float() - expected.float()).abs().max() < (1e-7 if dtype == torch.float32 else 4e-4)


def test_nothing_asked_is_no_loss() -> None:
    logits = torch.randn(4, 5, requires_grad=True)
    loss = smoothed.cross_entropy(logits, torch.zeros(4, dtype=torch.int64), ignored=0, smoothing=0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()

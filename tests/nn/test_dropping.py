from __future__ import annotations

import pytest
import torch

from deepen.nn.dropping import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_is_zero_and_the_mean_stays(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(3, 70_001, dtype=dtype, requires_grad=True)
    y = Dropout(0.3)(x)
    assert float((y == 0).float().mean()) == pytest.approx(0.3, abs=0.005)
    assert float(y.detach().float().mean()) == pytest.approx(1, abs=0.01)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_nothing_is_dropped_that_is_not_learning() -> None:
    x = torch.randn(5, 7)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_the_same_seed_drops_the_same() -> None:
    x, layer = torch.randn(50, 7), Dropout(0.5)
    torch.manual_seed(1)
    first = layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first)
    assert not torch.equal(layer(x), first)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(400, 400)) != 0).float() - 0.5
    for lag in range(1, 9):
        assert float((kept[:, lag:] * kept[:, :-lag]).mean()) == pytest.approx(0, abs=0.003)

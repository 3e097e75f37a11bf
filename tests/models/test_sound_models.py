from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deepen.errors import Misuse, Problem
from deepen.models import sound
from deepen.spec import PAD, Audio, Category, Sentence, Spec, Table

AUDIO = Audio(60, 13, 8000)
LENGTHS = (60, 1, 37, 2, 24)


def recordings() -> Tensor:
    x = torch.randn(len(LENGTHS), 60, 13, generator=torch.Generator().manual_seed(0))
    for row, length in enumerate(LENGTHS):
        x[row, length:] = 0
    return x


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("pooling", ["mean", "attention", "max", "last"])
def test_an_answer_does_not_depend_on_what_fills_up(layers: int, pooling: str) -> None:
    torch.manual_seed(0)
    config = sound.Config(channels=(6, 8), strides=(2, 3), width=8, layers=layers, pooling=pooling)  # type: ignore[arg-type]
    model = sound.build(Spec(AUDIO, Category(("a", "b", "c"))), config).eval()
    x = recordings()
    together = model(x)
    for row, length in enumerate(LENGTHS):
        assert torch.allclose(model(x[row : row + 1, :length])[0], together[row], atol=1e-5)


@pytest.mark.parametrize("layers", [0, 2])
def test_nothing_is_said_beyond_the_end(layers: int) -> None:
    torch.manual_seed(0)
    config = sound.Config(channels=(6, 8), strides=(2, 2), width=8, layers=layers)
    model = sound.build(Spec(AUDIO, Sentence(9, 7)), config).eval()
    assert model.stride == 4
    x = recordings()
    together = model(x)
    assert together.shape == (5, 15, 7)
    for row, length in enumerate(LENGTHS):
        moments = -(-length // 4)
        assert torch.allclose(model(x[row : row + 1, :length])[0], together[row, :moments], atol=1e-5)
        chances = together[row, moments:].softmax(1)
        assert (chances[:, PAD] > 1 - 1e-6).all()


def test_a_padded_batch_teaches_what_its_recordings_teach() -> None:
    """Without batch normalisation in the way, the gradient is that of the recordings one by one."""
    torch.manual_seed(0)
    model = sound.build(
        Spec(AUDIO, Category(("a", "b"))), sound.Config(channels=(4,), strides=(2,), width=6, layers=1)
    ).eval()
    x = recordings()
    model(x).square().sum().backward()
    together = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    for row, length in enumerate(LENGTHS):
        model(x[row : row + 1, :length]).square().sum().backward()
    apart = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(together, apart, strict=True))


def test_what_does_not_suit_is_told() -> None:
    with pytest.raises(Problem, match="is for recordings"):
        sound.build(Spec(Table(("a",)), Category(("a", "b"))), sound.Config())
    with pytest.raises(Misuse, match=r"model\.strides has 2 numbers: expected 3"):
        sound.build(Spec(AUDIO, Category(("a", "b"))), sound.Config(strides=(2, 2)))

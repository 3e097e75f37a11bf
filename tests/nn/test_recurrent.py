from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from deepen.nn.pooling import Pool
from deepen.nn.recurrent import CELLS, Recurrent, at, turning


@pytest.mark.parametrize("cell", CELLS)
def test_both_ways_are_torchs_own_over_packed_rows(cell: str) -> None:
    torch.manual_seed(0)
    ours = Recurrent(cell, 5, 7, bidirectional=True)  # type: ignore[arg-type]
    theirs = CELLS[cell](5, 7, batch_first=True, bidirectional=True)
    state = {f"{name}": value for name, value in ours.forwards.state_dict().items()}
    assert ours.backwards is not None
    state |= {f"{name}_reverse": value for name, value in ours.backwards.state_dict().items()}
    theirs.load_state_dict(state)
    x, lengths = torch.randn(4, 9, 5), torch.tensor([9, 1, 4, 6])
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(theirs(packed)[0], batch_first=True)[0]
    found = ours(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        assert torch.allclose(found[row, :length], expected[row, :length], atol=1e-6)


def test_turning_is_its_own_inverse() -> None:
    places = turning(torch.tensor([3, 0, 5]), 5)
    assert places.tolist() == [[2, 1, 0, 3, 4], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]]
    assert places.gather(1, places).tolist() == [list(range(5))] * 3


def test_rows_at_places_are_a_gather() -> None:
    torch.manual_seed(0)
    mine = torch.randn(3, 5, 2).requires_grad_()
    other = mine.detach().clone().requires_grad_()
    places, pull = turning(torch.tensor([3, 0, 5]), 5), torch.randn(3, 5, 2)
    found, expected = at(mine, places), other.gather(1, places.unsqueeze(2).expand(-1, -1, 2))
    assert torch.equal(found, expected)
    found.backward(pull)
    expected.backward(pull)
    assert mine.grad is not None
    assert other.grad is not None
    assert torch.equal(mine.grad, other.grad)


@pytest.mark.parametrize("how", ["attention", "mean", "max", "last"])
def test_padding_changes_nothing(how: str) -> None:
    torch.manual_seed(0)
    pool: nn.Module = Pool(how, 6)  # type: ignore[arg-type]
    x = torch.randn(3, 5, 6)
    there = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]).bool()
    found = pool(x, there)
    for row, length in enumerate([5, 2, 1]):
        alone = pool(x[row : row + 1, :length], there[row : row + 1, :length])
        assert torch.allclose(found[row], alone[0], atol=1e-6)
    assert torch.isfinite(found).all()

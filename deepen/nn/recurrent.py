"""One layer of a recurrent network over rows of different length.

The cells are torch's: plain (Elman, 1990), LSTM (Hochreiter & Schmidhuber, 1997), GRU (Cho et al., 2014). Read backwards, a
row begins with its own last token and not with what fills it up: it is turned around within its length first. So each
direction is one call of torch's fast kernel on the padded batch, exact without packing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, final

import torch
from torch import Tensor, nn

Cell = Literal["rnn", "lstm", "gru"]
CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


@final
class Recurrent(nn.Module):
    """[B, L, before] and lengths int64 [B] -> [B, L, width], or [B, L, 2 * width] read both ways. What lies beyond the end
    of a row is meaningless."""

    def __init__(self, cell: Cell, before: int, width: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.forwards = CELLS[cell](before, width, batch_first=True)
        self.backwards = CELLS[cell](before, width, batch_first=True) if bidirectional else None
        for layer in filter(None, (self.forwards, self.backwards)):
            begin(layer, cell)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        there: Tensor = self.forwards(x)[0]
        if self.backwards is None:
            return there
        turned = turning(lengths, x.shape[1])
        back = at(self.backwards(at(x, turned))[0], turned)
        return torch.cat([there, back], dim=2)


def begin(layer: nn.RNNBase | nn.RNNCellBase, cell: Cell) -> None:
    """Orthogonal recurrences, which neither swell nor fade (Saxe, McClelland & Ganguli, 2014), and an LSTM that at first
    remembers (Jozefowicz, Zaremba & Sutskever, 2015)."""
    width = layer.hidden_size
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.data.split(width):
                nn.init.orthogonal_(gate)
        elif name.startswith("weight_ih"):
            for gate in parameter.data.split(width):
                nn.init.xavier_uniform_(gate)
        else:
            nn.init.zeros_(parameter)
            if cell == "lstm" and name.startswith("bias_ih"):
                nn.init.ones_(parameter.data[width : 2 * width])


def turning(lengths: Tensor, longest: int) -> Tensor:
    """The place that each place of a row turned around within its length comes from, int64 [B, L]: its own inverse."""
    places = torch.arange(longest, device=lengths.device).expand(len(lengths), -1)
    ends = lengths.unsqueeze(1)
    return torch.where(places < ends, ends - 1 - places, places)


def at(x: Tensor, places: Tensor) -> Tensor:
    """[B, L, C] at places [B, L] of each row. As whole rows of numbers: a gather number by number takes five times as long."""
    starts = torch.arange(len(x), device=x.device).unsqueeze(1) * x.shape[1]
    return x.flatten(0, 1).index_select(0, (starts + places).flatten()).view_as(x)

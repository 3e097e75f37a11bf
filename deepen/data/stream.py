"""A long text as one row of tokens, seen through windows of equal length, each with the tokens that follow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepen.data.dataset import Columns, Flat
from deepen.spec import PAD


class Windows(Flat):
    """Windows of `length` tokens that follow each other without a gap; `target` is one token further than `input`.

    The last window is filled up with `PAD`. While learning, windows begin at another place of the text in each epoch, so that
    nothing always stands at the edge: their numbers, from `len` on, are those of the tokens they begin with.
    """

    def __init__(self, flat: Tensor, length: int, origins: Sequence[str] | None = None) -> None:
        self.flat = flat
        self.length = length
        self.count = max(1, -(-(len(flat) - 1) // length))
        super().__init__({"input": torch.arange(self.count)}, origins)

    def __getitem__(self, name: str) -> Tensor:
        return self.take(torch.arange(self.count))[name]

    def take(self, index: Tensor) -> dict[str, Tensor]:
        starts = torch.where(index < self.count, index * self.length, index - self.count)
        places = starts.unsqueeze(1) + torch.arange(self.length + 1, device=index.device)
        rows = self.flat[places.clamp(max=len(self.flat) - 1)].long().masked_fill(places >= len(self.flat), PAD)
        return {"input": rows[:, :-1].contiguous(), "target": rows[:, 1:].contiguous()}

    def order(self, draws: torch.Generator, batch_size: int) -> Tensor:
        shift = int(torch.randint(self.length, (1,), generator=draws))
        latest = max(0, len(self.flat) - 1 - self.length)
        starts = (shift + self.length * torch.randperm(self.count, generator=draws)).clamp(max=latest)
        return starts + self.count

    @property
    def widest(self) -> int:
        return self.length

    def to(self, device: torch.device) -> Windows:
        return Windows(self.flat.to(device), self.length, self.origins)

    def subset(self, index: Tensor) -> Columns:
        """A copy of some windows, no longer a text."""
        origins = None if self.origins is None else [self.origins[i] for i in index.tolist()]
        return Columns(self.take(index), origins)

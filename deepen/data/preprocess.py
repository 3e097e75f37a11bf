"""Preprocessing: the only path from a raw input to a tensor.

Fitted on the training split, saved in the bundle, and called by training, evaluation, `predict`, export and the server.
It has two halves: `encode` brings raw items to compact rows that are stored (decoded uint8 pixels, scaled numbers), and
`tensor` turns stored rows into what the model sees, on the device.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

KINDS = {
    "image": "deepen.data.pixels",
    "framed": "deepen.data.framed",
    "table": "deepen.data.columns",
    "array": "deepen.data.arrays",
    "text": "deepen.data.sentences",
    "tagged": "deepen.data.tagging",
    "audio": "deepen.data.sound",
    "pair": "deepen.data.paired",
    "series": "deepen.data.lookback",
}


BATCH = 256
"""Items that are encoded at once for prediction."""


@dataclass(frozen=True)
class Frame:
    """Where a stored row lies in the picture that it was cut out of.

    The row's pixel (y, x) shows the picture at (top + y / scale, left + x / scale); what lies beyond the picture is padding.
    """

    item: int
    """The number of the picture among those that were given."""
    height: int
    """Of the picture, turned upright."""
    width: int
    top: float = 0.0
    left: float = 0.0
    scale: float = 1.0
    """Pixels of the row per pixel of the picture."""
    keep: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, left, bottom, right in pixels of the row: the part that answers for the picture. The kept parts of the rows of
    one picture cover it without overlapping; what is around them is what the model may look at."""


class Preprocess(ABC):
    """From raw inputs to tensors. Concrete ones are final; their module offers them as `KIND`."""

    kind: ClassVar[str]

    @abstractmethod
    def read(self, sources: Iterable[str]) -> list[tuple[str, Any]]:
        """Files that a user names, as (name for people, raw item) pairs: a picture each, a row each."""

    @abstractmethod
    def encode(self, items: Sequence[Any]) -> Tensor:
        """Raw items as stored rows [N, ...]. Raises `Problem` naming the item and what was expected of it."""

    def pieces(self, items: Sequence[Any]) -> Iterator[tuple[Tensor, list[Any]]]:
        """Stored rows [n, ...] of all items in their order, some at a time, for prediction; with what says where each row lies in
        its item where answers do (a `Frame` in a picture, a `Passage` in a text), and with none elsewhere."""
        for start in range(0, len(items), BATCH):
            yield self.encode(items[start : start + BATCH]), []

    def joined(self, rows: Sequence[Tensor]) -> Tensor:
        """Stored rows that were encoded apart, [n, ...] each, as one batch."""
        return torch.cat(list(rows))

    def worded(self, answer: dict[str, Any]) -> dict[str, Any]:
        """What a task answers, in the words of the data: tokens as a text."""
        return answer

    def beside(self, item: Any) -> dict[str, Any]:
        """What a person is told of a raw item beside the answer for it: the moments that a forecast is for."""
        return {}

    @abstractmethod
    def tensor(self, stored: Tensor) -> Tensor:
        """Stored rows [N, ...] as model input, float32 [N, *spec.input.shape], on the device of `stored`; texts as tokens,
        int64 [N, L]."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Everything that `from_json` needs, without `kind`."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: dict[str, Any]) -> Preprocess: ...


def dump(preprocess: Preprocess) -> dict[str, Any]:
    """As it stands in a bundle."""
    return {"kind": preprocess.kind, **preprocess.to_json()}


def restore(data: dict[str, Any]) -> Preprocess:
    """What `dump` wrote."""
    rest = {key: value for key, value in data.items() if key != "kind"}
    loaded: Preprocess = importlib.import_module(KINDS[data["kind"]]).KIND.from_json(rest)
    return loaded

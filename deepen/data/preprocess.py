"""Preprocessing: the only path from a raw input to a tensor.

Fitted on the training split, saved in the bundle, and called by training, evaluation, `predict`, export and the server.
It has two halves: `encode` brings raw items to compact rows that are stored (decoded uint8 pixels, scaled numbers), and
`tensor` turns stored rows into what the model sees, on the device.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from torch import Tensor

KINDS = {"image": "deepen.data.pixels", "table": "deepen.data.columns", "array": "deepen.data.arrays"}


class Preprocess(ABC):
    """From raw inputs to tensors. Concrete ones are final; their module offers them as `KIND`."""

    kind: ClassVar[str]

    @abstractmethod
    def read(self, sources: Iterable[str]) -> list[tuple[str, Any]]:
        """Files that a user names, as (name for people, raw item) pairs: a picture each, a row each."""

    @abstractmethod
    def encode(self, items: Sequence[Any]) -> Tensor:
        """Raw items as stored rows [N, ...]. Raises `Problem` naming the item and what was expected of it."""

    @abstractmethod
    def tensor(self, stored: Tensor) -> Tensor:
        """Stored rows [N, ...] as model input, float32 [N, *spec.input.shape], on the device of `stored`."""

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

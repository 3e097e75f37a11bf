"""Arrays of numbers as they are, such as what an environment shows its agent: no fitting, only checking."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepen.data.preprocess import Preprocess
from deepen.errors import Problem


@dataclass(frozen=True)
class ArrayPreprocess(Preprocess):
    """Arrays of one shape, float32."""

    size: tuple[int, ...]

    kind = "array"

    def read(self, sources: Iterable[str]) -> list[tuple[str, Any]]:
        """Arrays from `.npy` and `.json` files: one of shape `size`, or several along a further first dimension.

        A source that is itself a JSON list, `[0.1, 0, -0.2, 0]`, is read as one array. Raises `Problem`.
        """
        found: list[tuple[str, Any]] = []
        for source in sources:
            array = self._load(source)
            if array.ndim == len(self.size):
                found.append((source, array))
            else:
                found += [(f"{source} #{number}", item) for number, item in enumerate(array)]
        return found

    def encode(self, items: Sequence[Any]) -> Tensor:
        rows = torch.empty((len(items), *self.size), dtype=torch.float32)
        for number, item in enumerate(items):
            array = _numbers(item.detach().cpu().numpy() if isinstance(item, Tensor) else item, f"Item {number}")
            if array.shape != self.size:
                raise Problem(
                    f"Item {number} cannot be used: expected {_shape(self.size)}, received {_shape(array.shape)}."
                )
            if not np.isfinite(array).all():
                raise Problem(f"Item {number} cannot be used: it holds NaN or infinity, and numbers were expected.")
            rows[number] = torch.from_numpy(array)
        return rows

    def tensor(self, stored: Tensor) -> Tensor:
        return stored.to(torch.float32)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ArrayPreprocess:
        return cls(tuple(data["size"]))

    def _load(self, source: str) -> np.ndarray:
        expected = f"a .npy or .json file, or a list, with {_shape(self.size)}"
        path, written_out = Path(source), source.lstrip().startswith("[")
        if not written_out and not path.is_file():
            raise Problem(f"There is no file '{source}': expected {expected}.")
        try:
            if path.suffix.lower() == ".npy" and not written_out:
                content = np.load(path, allow_pickle=False)
            else:
                content = json.loads(source if written_out else path.read_text(encoding="utf-8"))
        except (ValueError, EOFError):
            raise Problem(f"'{source}' holds neither a .npy array of numbers nor JSON: expected {expected}.") from None
        return _numbers(content, f"'{source}'")


def _numbers(item: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(item, dtype=np.float32)
    except (ValueError, TypeError):
        raise Problem(f"{name} cannot be used: expected numbers in lists of equal length.") from None


def _shape(size: tuple[int, ...]) -> str:
    return f"{size[0] if size else 1} numbers" if len(size) < 2 else f"an array of {'x'.join(str(n) for n in size)}"


KIND = ArrayPreprocess

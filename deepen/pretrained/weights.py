"""Weights that were trained elsewhere, and what pictures or texts must look like that they are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Reader:
    """How weights read texts, and the network that they are for."""

    tokenizer: str
    """Where their tokenizer lies, as `data/adopted.py` reads it."""
    length: int
    """The most tokens that they know what to do with."""
    model: str
    fields: dict[str, Any] = field(default_factory=dict)
    """Settings of the network."""


@dataclass(frozen=True)
class Weights:
    """Tensors under the names of the network that they are for, on the CPU."""

    tensors: dict[str, Tensor]
    origin: str
    """Where they come from, for people: a file, `imagenet (torchvision)`, `hf:owner/name`."""
    digest: str
    """SHA-256 of the file that they were read from."""
    size: int | None = None
    """Side in pixels of the pictures that they expect, None where it is not known."""
    resize: int | None = None
    """What the shorter side is scaled to before the centre is cut out; None where it is `size`."""
    mean: tuple[float, ...] | None = None
    """Per channel in units of 0..1, as is `std`."""
    std: tuple[float, ...] | None = None
    names: tuple[str, ...] | None = None
    """Of the classes that their head tells apart, where known."""
    reader: Reader | None = None
    """None for weights of networks for pictures."""

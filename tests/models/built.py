"""Models of the registry on data of several kinds, for the tests of this folder."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepen.errors import Problem
from deepen.fields import convert
from deepen.registry import entries, find
from deepen.spec import (
    Action,
    Audio,
    Boxes,
    Category,
    Horizon,
    Image,
    Labels,
    Mask,
    Nothing,
    Observation,
    Quantity,
    Sentence,
    Series,
    Spec,
    Table,
    Text,
    Tokens,
)

NAMES = sorted(entries("model"))
MODULES = sorted({entry.module for entry in entries("model").values()})
TEN = Category(tuple(str(digit) for digit in range(10)))
SPECS = {
    "digits": Spec(Image(1, 8, 8), TEN),
    "mnist": Spec(Image(1, 28, 28), TEN),
    "cifar": Spec(Image(3, 32, 32), TEN),
    "oblong": Spec(Image(3, 31, 46), Category(("cat", "dog"))),
    "photographs": Spec(Image(3, 80, 72), Category(("cat", "dog"))),
    "boxes": Spec(Image(3, 64, 96), Boxes(("cat", "dog"))),
    "masks": Spec(Image(3, 48, 64), Mask(("road", "sky", "tree"))),
    "unlabelled": Spec(Image(1, 28, 28), Nothing()),
    "iris": Spec(Table(("a", "b", "c", "d")), Category(("setosa", "versicolor", "virginica"))),
    "prices": Spec(Table(("rooms", "age")), Quantity(("price", "rent"), (1.0, 2.0), (3.0, 4.0))),
    "reviews": Spec(Text(12, 40), Category(("bad", "good"))),
    "stars": Spec(Text(12, 40), Quantity(("stars",), (3.0,), (1.0,))),
    "prose": Spec(Text(12, 40), Tokens(40)),
    "hidden": Spec(Text(12, 40), Tokens(40, hidden=True)),
    "names": Spec(Text(12, 40), Labels(("O", "B-PER", "I-PER"))),
    "load": Spec(Series(40, ("a", "b", "c")), Horizon(6, ("a", "c"), (1.0, 2.0), (3.0, 4.0))),
    "translations": Spec(Text(12, 40), Sentence(9, 30)),
    "words": Spec(Audio(21, 10, 8000), TEN),
    "speech": Spec(Audio(21, 10, 8000), Sentence(9, 30)),
    "cart-pole": Spec(Observation((4,), "CartPole-v1"), Action(("left", "right"))),
}
BATCH = 5
LARGE = 1_000_000
"""Models with more parameters are built and called on the meta device, which knows shapes and computes nothing."""


def configured(name: str) -> Any:
    entry = find("model", name)
    config = entry.load().Config()
    for field, value in entry.preset.items():
        setattr(config, field, convert(config, field, value, f"model.{field}"))
    return config


def build(name: str, spec: Spec, config: Any = None, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model: nn.Module = find("model", name).load().build(spec, config or configured(name))
    return model


@cache
def sketch(name: str, label: str) -> nn.Module | Problem:
    """The model without numbers, or why it does not suit."""
    try:
        with torch.device("meta"):
            return build(name, SPECS[label])
    except Problem as problem:
        return problem


@cache
def suited(name: str) -> list[str]:
    """The data that the model takes."""
    return [label for label in SPECS if isinstance(sketch(name, label), nn.Module)]


def simplest(module: str) -> str:
    """Of the names that lead to a module, the one with the fewest parameters."""
    names = [name for name in NAMES if find("model", name).module == module]
    return min(names, key=lambda name: count(sketch(name, suited(name)[-1])))


@cache
def small(name: str) -> list[str]:
    """Of these, what makes it small enough to compute with; skips the test where that is nothing."""
    found = [label for label in suited(name) if count(sketch(name, label)) <= LARGE]
    if not found:
        pytest.skip(f"more than {LARGE} parameters on everything that it takes: looked at without numbers")
    return found


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def inputs(model: nn.Module, spec: Spec, device: str = "cpu") -> Tensor:
    size = getattr(model, "latent_size", None)  # a generator draws from numbers, the others look at the data
    shape = (BATCH, *((size,) if size else spec.input.shape))
    if isinstance(spec.input, Text) and not size:
        return torch.randint(1, spec.input.vocabulary, shape, generator=torch.Generator().manual_seed(1)).to(device)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(device)


def answer_shape(model: nn.Module, spec: Spec, output: Tensor) -> tuple[int, ...]:
    """What the shape of an answer to `inputs` has to be."""
    if hasattr(model, "latent_size") or hasattr(model, "draws"):
        return (BATCH, *spec.input.shape)
    if isinstance(spec.output, Mask):
        return (BATCH, spec.output.width, *spec.input.shape[1:])
    if isinstance(spec.output, Boxes):
        return (BATCH, output.shape[1], 4 + spec.output.width)  # as many rows as the model has places to look at
    if isinstance(spec.input, Audio) and isinstance(spec.output, Sentence):
        return (BATCH, -(-spec.input.frames // model.stride), spec.output.width)  # type: ignore[operator]
    if isinstance(spec.output, Tokens | Labels):
        return (BATCH, *spec.input.shape, spec.output.width)
    if isinstance(spec.output, Horizon):
        return (BATCH, spec.output.length, spec.output.width)
    return (BATCH, spec.output.width)

"""Specs: shapes, widths, and JSON there and back."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import deepen
from deepen.spec import (
    KINDS,
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

INPUTS: list[Any] = [
    Image(3, 28, 30),
    Table(("a", "NA", "猫")),
    Observation((4,), "CartPole-v1"),
    Observation((2, 3)),
    Text(7, 99),
    Series(24, ("load", "猫")),
    Audio(100, 40, 8000),
]
OUTPUTS: list[Any] = [
    Category(("10", "NA", " b", "猫")),
    Quantity(("price",), (2.5,), (0.1,)),
    Quantity(("x", "y")),
    Boxes(("cat", "猫")),
    Mask(("road", "sky", "car"), ("#000000", "#010203", "#ff0506")),
    Tokens(99),
    Labels(("B-PER", "O", "猫")),
    Sentence(9, 77),
    Horizon(12, ("load", "猫")),
    Action(("left", "right")),
    Nothing(),
]


@pytest.mark.parametrize("input", INPUTS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_json_there_and_back(input: Any, output: Any) -> None:
    spec = Spec(input, output)
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_shapes_and_widths() -> None:
    assert [part.shape for part in INPUTS] == [(3, 28, 30), (3,), (4,), (2, 3), (7,), (24, 2), (100, 40)]
    assert [part.width for part in OUTPUTS] == [4, 1, 2, 2, 3, 99, 3, 77, 2, 2, 0]
    assert [Spec(part, Nothing()).input_size for part in INPUTS] == [2520, 3, 4, 6, 7, 48, 4000]


def test_every_kind_is_tried_here() -> None:
    assert {type(part) for part in (*INPUTS, *OUTPUTS)} == set(KINDS.values())


def test_an_unknown_kind_is_not_guessed() -> None:
    with pytest.raises(KeyError):
        Spec.from_json({"input": {"kind": "smell"}, "output": {"kind": "nothing"}})


def test_what_is_ignored_of_a_mask_is_said_in_one_place() -> None:
    package = Path(deepen.__file__).parent
    said = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value == 255
    ]
    assert said == ["spec.py"]

"""Text to typed values, and what is said when it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from deepen.errors import Misuse
from deepen.fields import convert, describe, documentation


@dataclass
class Base:
    count: int = 1
    """How many."""
    undocumented: int = 0


@dataclass
class Owner(Base):
    share: float = 0.5
    """Which share of
    the whole."""
    on: bool = False
    """Whether at all."""
    name: str = ""
    maybe: int | None = None
    kind: Literal["a", "b"] = "a"
    channels: Literal[1, 3] | None = None
    stride: Literal[1, 2] = 1
    sizes: tuple[int, ...] = ()
    pair: tuple[float, float] = (0.0, 0.0)
    either: int | str = 0
    anything: Any = None


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("count", "7", 7),
        ("count", " 7 ", 7),
        ("count", 7, 7),
        ("count", 7.0, 7),
        ("count", "-3", -3),
        ("share", "3e-4", 3e-4),
        ("share", 1, 1.0),
        ("on", "yes", True),
        ("on", "Off", False),
        ("on", True, True),
        ("name", "10", "10"),
        ("name", "none", "none"),
        ("maybe", "none", None),
        ("maybe", None, None),
        ("maybe", "4", 4),
        ("kind", "b", "b"),
        ("channels", "3", 3),
        ("channels", "none", None),
        ("sizes", "256,10", (256, 10)),
        ("sizes", "(256, 10)", (256, 10)),
        ("sizes", "256,", (256,)),
        ("sizes", "", ()),
        ("sizes", [1, 2], (1, 2)),
        ("sizes", 5, (5,)),
        ("pair", "0.9,0.99", (0.9, 0.99)),
        ("either", "7", 7),
        ("either", "seven", "seven"),
        ("anything", "x", "x"),
    ],
)
def test_values(field: str, given: Any, expected: Any) -> None:
    value = convert(Owner(), field, given, field)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("field", "given", "told"),
    [
        ("count", "7.5", "a whole number"),
        ("count", 7.5, "a whole number"),
        ("count", True, "a whole number"),
        ("count", "none", "a whole number"),
        ("share", "half", "a number"),
        ("share", "nan", "a number"),
        ("share", "inf", "a number"),
        ("share", False, "a number"),
        ("on", "maybe", "true or false"),
        ("on", 1, "true or false"),
        ("name", 3, "text"),
        ("kind", "c", "one of a, b"),
        ("channels", "2", "one of 1, 3 or none"),
        ("stride", "x", "one of 1, 2"),
        ("sizes", "1,x", "whole numbers separated by commas"),
        ("pair", "1", "2 numbers separated by commas"),
        ("pair", "1,2,3", "2 numbers separated by commas"),
    ],
)
def test_what_is_said(field: str, given: Any, told: str) -> None:
    with pytest.raises(Misuse) as caught:
        convert(Owner(), field, given, f"model.{field}")
    assert str(caught.value).startswith(f"model.{field}={given} is not usable: expected {told}.")


def test_a_near_choice_is_suggested() -> None:
    @dataclass
    class Named:
        name: Literal["cosine", "constant"] = "cosine"

    with pytest.raises(Misuse, match="Did you mean 'cosine'"):
        convert(Named(), "name", "cosin", "name")


def test_the_string_under_a_field_is_its_documentation() -> None:
    assert documentation(Owner) == {
        "count": "How many.",
        "share": "Which share of the whole.",
        "on": "Whether at all.",
    }


def test_every_type_has_words() -> None:
    assert describe(int | None) == "a whole number or none"
    assert describe(tuple[str, ...]) == "words separated by commas"
    assert describe(Any) == "anything"

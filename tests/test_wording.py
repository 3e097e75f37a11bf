from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepen.wording import answered, clock, duration, epochs, number, rate, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 猫 é", "plain 猫 é"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("\udcff", r"\udcff"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        (Path("x"), "x"),
    ],
)
def test_visible(text: Any, shown: str) -> None:
    assert visible(text) == shown


def test_numbers() -> None:
    assert [number("accuracy", 0.98765), number("loss", 0.0123456)] == ["98.77 %", "0.01235"]
    assert [clock(0), clock(59.6), clock(754), clock(10_921)] == ["0:00", "1:00", "12:34", "3:02:01"]
    assert [rate(12_345.6), rate(0.254), rate(0)] == ["12,346 samples/s", "0.25 samples/s", "0 samples/s"]
    assert [epochs(0.2567), epochs(12.53), epochs(1157.4)] == ["0.257 epochs", "12.5 epochs", "1,157 epochs"]
    assert [duration(4.21), duration(754), duration(10_921)] == ["4.2 s", "12:34 min", "3:02:01 h"]


@pytest.mark.parametrize(
    ("told", "row"),
    [
        (
            {"category": "cat", "probability": 0.5, "top": [("cat", 0.5), ("dog", 0.4), ("eel", 0.1)]},
            ["cat", "50.00 %", "dog 40.00 %, eel 10.00 %"],
        ),
        ({"boxes": []}, ["nothing found"]),
        (
            {"boxes": [{"category": "cat", "probability": share} for share in (0.5, 0.9)]},
            ["2 cat", "the surest 90.00 %"],
        ),
        ({"series": {"load": [1.0] * 7}, "times": ["later"]}, ["load 1, 1, 1, 1, 1, 1 ... 1 (later)"]),
        ({"tags": [{"token": "Rome", "label": "PLACE"}]}, ["Rome/PLACE"]),
        ({"hidden": [], "text": "a"}, ["a", "nothing is hidden: write <mask> where a word is to be found"]),
        ({"quantity": {"price": 1.23456789}}, ["price 1.23457"]),
    ],
)
def test_an_answer_is_a_line(told: dict[str, Any], row: list[str]) -> None:
    assert answered({"input": "x"} | told, in_percent=True) == ["x", *row]

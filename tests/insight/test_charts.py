"""Charts: well-formed whatever the values, points where they belong, text that cannot break out."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from deepen.insight import charts, ink
from deepen.insight.charts import Mark, Series, line_chart

NAN, INF = float("nan"), float("inf")


def parse(drawn: str) -> ElementTree.Element:
    """The picture as a tree, with every coordinate checked to be a finite number."""
    assert "nan" not in re.sub(r">[^<]*<", "><", drawn).lower()
    tree = ElementTree.fromstring(drawn)
    for node in tree.iter():
        for name in ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2", "width", "height"):
            if name in node.attrib:
                assert math.isfinite(float(node.attrib[name]))
    return tree


def words(drawn: str) -> list[str]:
    return [node.text for node in parse(drawn).iter() if node.tag.endswith("text")]


def path_points(drawn: str) -> np.ndarray:
    path = next(node for node in parse(drawn).iter() if node.attrib.get("class") == "line").attrib["d"]
    return np.array([[float(v) for v in pair.split()] for pair in path[1:].split("L")])


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([], []),
        ([1], [0.5]),
        ([1], [NAN]),
        ([1, 2, 3], [1, NAN, 2]),
        ([1, 2, 3], [1, INF, -INF]),
        ([1, 2], [-1e308, 1e308]),
        ([1, 2], [0, 0]),
        ([1, 2], [1e-300, 2e-300]),
        ([0, 1e12], [5, 5]),
        ([3, 3, 3], [1, 2, 3]),
    ],
)
@pytest.mark.parametrize("log_y", [False, True])
def test_any_values_give_a_well_formed_chart(x, y, log_y):
    drawn = line_chart("t", [Series("a", x, y)], x_label="x", y_label="y", log_y=log_y, marks=[Mark(1, NAN, "m")])
    assert "t" in words(drawn)


def test_nothing_to_show_is_said():
    assert "nothing to show yet" in words(line_chart("t", [Series("a", [], [])]))
    assert "nothing to show yet" in words(line_chart("t", [Series("a", [1], [-1])], log_y=True))


def test_points_are_proportional_to_values():
    points = path_points(line_chart("t", [Series("a", [0, 1, 4], [10, 20, 40])]))
    assert (points[1, 0] - points[0, 0]) * 4 == pytest.approx(points[2, 0] - points[0, 0], abs=0.5)
    assert (points[1, 1] - points[0, 1]) * 3 == pytest.approx(points[2, 1] - points[0, 1], abs=0.5)
    assert points[0, 1] > points[2, 1]


def test_a_logarithmic_axis_spaces_powers_evenly():
    points = path_points(line_chart("t", [Series("a", [0, 1, 2], [0.01, 1, 100])], log_y=True))
    assert points[0, 1] - points[1, 1] == pytest.approx(points[1, 1] - points[2, 1], abs=0.2)


def test_a_gap_splits_the_line_and_a_lone_point_is_a_dot():
    drawn = parse(line_chart("t", [Series("a", [1, 2, 3, 4, 5, 6], [1, 2, NAN, 3, NAN, 4])]))
    lines = [node for node in drawn.iter() if node.attrib.get("class") == "line"]
    dots = [node for node in drawn.iter() if node.tag.endswith("circle")]
    assert (len(lines), len(dots)) == (1, 2)


def test_long_lines_are_thinned_but_keep_their_peaks():
    y = np.random.default_rng(0).random(50_000)
    y[31_234], y[7] = 9.0, -9.0
    points = path_points(line_chart("t", [Series("a", np.arange(50_000), y)]))
    whole = path_points(line_chart("t", [Series("a", [0, 31_234, 7, 49_999], [y[0], 9.0, -9.0, y[-1]])]))
    assert len(points) <= charts.MOST_POINTS + 2
    assert points[:, 1].min() == pytest.approx(whole[:, 1].min(), abs=0.1)
    assert points[:, 1].max() == pytest.approx(whole[:, 1].max(), abs=0.1)


def test_shares_stay_below_one_hundred_percent():
    shown = [word for word in words(line_chart("t", [Series("a", [1, 2], [0.9, 1.0])], percent_y=True)) if "%" in word]
    assert "100 %" in shown
    assert all(float(word.split()[0]) <= 100 for word in shown)


def test_marks_and_legend_are_written():
    found = words(line_chart("t", [Series("甲", [1, 2], [1, 2]), Series("", [1], [1])], marks=[Mark(2, 2, "best 2")]))
    assert "甲" in found
    assert "best 2" in found
    assert "" not in found


@pytest.mark.parametrize("nasty", ["<script>alert(1)</script>", "a&b\"'", "a\x00b", "\ud800", "\u202eevil", "]]>"])
def test_names_cannot_break_the_picture(nasty):
    for drawn in (
        line_chart(nasty, [Series(nasty, [1, 2], [1, 2])], x_label=nasty, y_label=nasty, marks=[Mark(1, 1, nasty)]),
    ):
        tree = parse(drawn)
        assert {node.tag.rpartition("}")[2] for node in tree.iter()} <= {
            "svg", "style", "rect", "text", "title", "line", "path", "circle"
        }  # fmt: skip
        drawn.encode("utf-8")
        assert "\u202e" not in drawn


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (0.99512, "0.9951"),
        (1234.5, "1,234"),
        (-2.5, "−2.5"),
        (1e-9, "1e−9"),
        (3.2e12, "3.2e12"),
        (NAN, "not a number"),
    ],
)
def test_numbers_for_people(value, said):
    assert ink.number(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(1.0, "100 %"), (0.9999, "99.99 %"), (0.995, "99.5 %"), (0, "0 %"), (0.00001, "0.001 %")]
)
def test_only_all_is_one_hundred_percent(value, said):
    assert ink.percent(value) == said


def test_shortened_text_keeps_both_ends():
    assert ink.shorten("short", 200) == "short"
    cut = ink.shorten("a very long file name that goes on.png", 120)
    assert cut.startswith("a v")
    assert cut.endswith("png")
    assert "…" in cut
    assert ink.text_width(cut) <= 125
    assert len(ink.shorten("猫" * 50, 120)) < 12


def test_backticks_become_code_after_escaping():
    assert ink.marked("run `a <b>` now") == "run <code>a &lt;b&gt;</code> now"

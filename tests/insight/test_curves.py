"""Curves of a metric log."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from deepen.insight import curves


def words(drawn: str) -> list[str]:
    return [node.text for node in ElementTree.fromstring(drawn).iter() if node.tag.endswith("text")]


def shares_of(found: list[str]) -> list[float]:
    return [float(word.split()[0]) for word in found if re.fullmatch(r"[\d.]+ %", word)]


def log(points: int) -> list[dict]:
    rows: list[dict] = []
    for i in range(1, points + 1):
        rows.append({"step": i, "epoch": i / 10, "train/loss": 2 / i, "train/accuracy": 1 - 1 / i, "lr": 0.1 * i})
        if i % 10 == 0:
            best = i == 20
            scores = {"validation/loss": 3 / i, "validation/accuracy": 0.9 + 0.01 * best, "validation/macro_f1": 0.8}
            rows.append({"step": i, "epoch": i / 10, **scores, "best": best})
    return rows


@pytest.mark.parametrize("points", [0, 1, 5, 30, 1000])
def test_learning_curves_of_any_length(points):
    charts = curves.learning(log(points), "accuracy")
    assert set(charts) == ({"loss", "accuracy"} if points else set())
    for drawn in charts.values():
        ElementTree.fromstring(drawn)


def test_the_marked_best_is_shown():
    assert "best 91.0 %" in words(curves.learning(log(50), "accuracy")["accuracy"])


def test_without_a_marked_row_the_best_value_is_found():
    rows = [{"step": i, "validation/rmse": value} for i, value in enumerate([3.0, 1.5, 2.0])]
    assert "best 1.5" in words(curves.learning(rows, "rmse", better="min")["rmse"])
    assert "best 3" in words(curves.learning(rows, "rmse", better="max")["rmse"])


def test_a_log_with_nan_is_drawn():
    rows = [
        {"step": 1, "train/loss": 1.0},
        {"step": 2, "train/loss": float("nan")},
        {"step": 3, "validation/loss": float("inf")},
    ]
    ElementTree.fromstring(curves.learning(rows, "loss", better="min")["loss"])


def test_several_losses_share_a_chart_with_their_names():
    rows = [{"step": i, "train/loss": 1.0 + i, "train/discriminator_loss": 2.0} for i in range(5)]
    found = words(curves.learning(rows, "distance")["loss"])
    assert {"loss", "discriminator loss"} <= set(found)


def test_further_numbers_of_training_get_their_own_chart():
    rows = [{"step": i, "train/loss": 1.0, "train/entropy": 0.5 * i} for i in range(5)]
    assert set(curves.learning(rows, "return")) == {"loss", "entropy"}


def test_the_steep_start_is_cut_but_never_a_later_fall():
    rows = [{"step": i, "train/accuracy": min(0.99, 0.1 * i)} for i in range(1, 60)]
    rows += [{"step": i, "validation/accuracy": 0.97 + i * 1e-4} for i in range(10, 60, 10)]
    shares = shares_of(words(curves.learning(rows, "accuracy")["accuracy"]))
    assert min(shares) > 90
    rows.append({"step": 60, "train/accuracy": 0.1})
    shares = shares_of(words(curves.learning(rows, "accuracy")["accuracy"]))
    assert min(shares) < 40


def test_running_mean_agrees_with_a_loop():
    values = np.random.default_rng(0).random(50)
    values[7] = np.nan
    found = curves.running_mean(values, 3)
    for i in range(50):
        near = values[max(0, i - 3) : i + 4]
        expected = np.nan if np.isnan(values[i]) else near[~np.isnan(near)].mean()
        assert found[i] == pytest.approx(expected, nan_ok=True)


def test_schedule_marks_its_peak_where_it_has_one():
    assert "peak 0.5" in words(curves.schedule([0.0, 0.5, 0.1]))
    assert not any(word.startswith("peak") for word in words(curves.schedule([0.1] * 10)))
    ElementTree.fromstring(curves.schedule([]))


def test_logged_schedule():
    assert curves.logged_schedule([{"step": 1, "train/loss": 1}]) is None
    drawn = curves.logged_schedule(log(5))
    assert drawn is not None
    assert "peak 0.5" in words(drawn)


def test_activation_shows_the_function_and_its_derivative():
    x = np.linspace(-5, 5, 11)
    assert {"relu", "f(x)", "f′(x)"} <= set(words(curves.activation("relu", x, x.clip(0), x > 0)))


def test_sweep_marks_the_chosen_rate():
    drawn = curves.sweep([1e-4, 1e-3, 1e-2, 1e-1], [2.0, 1.0, 0.5, 9.0], 1e-2)
    assert "chosen 0.01" in words(drawn)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("accuracy", 0.9951, "99.51 %"),
        ("accuracy", 0.5, "50.0 %"),
        ("macro-F1", 0.5, "0.5"),
        ("rmse", 12345.678, "12,346"),
    ],
)
def test_values_for_people(name, value, said):
    assert curves.shown(name, value) == said


def test_what_is_always_nothing_has_no_room_below():
    rows = [{"step": i, "validation/ap": 0.0} for i in range(5)]
    assert not any(word.startswith("−") for word in words(curves.learning(rows, "ap")["ap"]))

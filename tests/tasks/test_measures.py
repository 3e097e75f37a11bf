"""Bootstrap intervals: against a plain loop, reproducible, and around the value."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepen.randomness import generator
from deepen.spec import Category, Quantity, Spec, Table
from deepen.tasks import classify, measures, regress
from deepen.tasks.base import Rows


def classified(count: int = 400) -> tuple[classify.Classify, Rows]:
    task = classify.build(Spec(Table(("a",)), Category(("x", "y", "z"))), classify.Config())
    random = torch.Generator().manual_seed(3)
    target = torch.randint(3, (count,), generator=random)
    logits = torch.randn(count, 3, generator=random) + torch.nn.functional.one_hot(target, 3)
    return task, task.score(nn.Identity(), {"input": logits, "target": target})


def regressed(count: int = 400) -> tuple[regress.Regress, Rows]:
    task = regress.build(Spec(Table(("a",)), Quantity(("y",), (5.0,), (2.0,))), regress.Config())
    random = torch.Generator().manual_seed(3)
    answer = torch.randn(count, 1, generator=random)
    target = 5 + 2 * answer + torch.randn(count, 1, generator=random)
    return task, task.score(nn.Identity(), {"input": answer, "target": target})


@pytest.mark.parametrize("made", [classified, regressed])
def test_replicates_are_the_metrics_of_resampled_rows(made: Any) -> None:
    task, rows = made()
    picked = torch.randint(400, (20, 400), generator=torch.Generator().manual_seed(1))
    fast = measures._replicates(task, rows, picked)
    plain = [task.measure({name: values[index] for name, values in rows.items()}) for index in picked]
    for name, values in fast.items():
        expected = torch.tensor([metrics[name] for metrics in plain]).double()
        # The area under the curve is resampled to first order only.
        tolerance = 1e-2 if name == "auroc" else 2e-6
        torch.testing.assert_close(
            values.double(), expected, rtol=0, atol=tolerance * max(1, float(expected.abs().max())), msg=name
        )


@pytest.mark.parametrize("made", [classified, regressed])
def test_intervals_are_around_the_value_and_a_function_of_the_seed(made: Any) -> None:
    task, rows = made()
    value, found = task.measure(rows), measures.intervals(task, rows, 7, 300)
    assert found.keys() == value.keys()
    assert found == measures.intervals(task, rows, 7, 300)
    assert found != measures.intervals(task, rows, 8, 300)
    for name, (low, high) in found.items():
        if name != "calibration_error":  # resampling adds to it: it is a sum of absolute values
            assert low < value[name] < high, name


def test_chunks_leave_the_interval_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    task, rows = regressed()
    whole = measures.intervals(task, rows, 0, 50)
    monkeypatch.setattr(measures, "CHUNK", 3 * 400)
    parts = measures.intervals(task, rows, 0, 50)
    for name, ends in whole.items():
        assert parts[name] == pytest.approx(ends)


def test_the_interval_of_an_accuracy_is_about_the_binomial_one() -> None:
    task, rows = classified(2000)
    accuracy = task.measure(rows)["accuracy"]
    low, high = measures.intervals(task, rows, 0, 1000)["accuracy"]
    expected = 2 * 1.96 * (accuracy * (1 - accuracy) / 2000) ** 0.5
    assert high - low == pytest.approx(expected, rel=0.1)


def test_a_task_without_weighted_metrics_is_measured_on_resampled_rows() -> None:
    class Plain:
        def measure(self, rows: Rows) -> dict[str, float]:
            return {"largest": float(rows["x"].max())}

    values = torch.arange(10.0)
    picked = torch.randint(10, (40, 10), generator=generator(5, "bootstrap"))
    expected = [float(values[index].max()) for index in picked]
    low, high = measures.intervals(Plain(), {"x": values}, 5, 40)["largest"]  # type: ignore[arg-type]
    assert low == pytest.approx(float(torch.tensor(expected).double().quantile(0.025)))
    assert high == max(expected)


def test_one_sample_has_no_interval() -> None:
    task, rows = classified(1)
    assert measures.intervals(task, rows, 0, 10) == {}


@pytest.mark.parametrize("repeats", [1, 3])
def test_totals_agree_whether_counted_or_multiplied(repeats: int) -> None:
    labels = torch.tensor([0, 2, 2, -1, 1])
    weights = torch.rand(repeats, 5, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(repeats, 4)
    for column, label in enumerate(labels.tolist()):
        if label >= 0:
            expected[:, label] += weights[:, column]
    torch.testing.assert_close(measures.totals(labels, 4, weights), expected)


def pairwise_area(score: Tensor, inside: Tensor) -> float:
    wins = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in score[inside].tolist()
        for low in score[~inside].tolist()
    ]
    return sum(wins) / len(wins)


def test_auroc_counts_pairs() -> None:
    random = torch.Generator().manual_seed(2)
    scores = torch.randint(6, (60, 3), generator=random).double()
    target = torch.randint(3, (60,), generator=random)
    expected = sum(pairwise_area(scores[:, label], target == label) for label in range(3)) / 3
    found = measures.auroc(scores, target, torch.ones(1, 60, dtype=torch.float64))
    assert float(found) == pytest.approx(expected)

"""Regression: losses against plain sums, metrics against scikit-learn, in the user's units."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor, nn

from deepen.data.arrays import ArrayPreprocess
from deepen.data.dataset import Columns
from deepen.errors import Misuse, Problem
from deepen.spec import Category, Quantity, Spec, Table
from deepen.tasks import regress

SPEC = Spec(Table(("a", "b")), Quantity(("price", "size"), (100.0, -3.0), (20.0, 0.5)))


def task(**settings: object) -> regress.Regress:
    return regress.build(SPEC, regress.Config(**settings))  # type: ignore[arg-type]


def batch(count: int = 50) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    standard = torch.randn(count, 2, generator=random)
    target = standard * torch.tensor([20.0, 0.5]) + torch.tensor([100.0, -3.0])
    return {"input": standard + 0.4 * torch.randn(count, 2, generator=random), "target": target}


def test_losses_are_means_over_standardised_errors() -> None:
    samples = batch()
    error = (samples["input"] - (samples["target"] - torch.tensor([100.0, -3.0])) / torch.tensor([20.0, 0.5])).double()
    size = error.abs()
    expected = {
        "mse": (error**2).mean(),
        "mae": size.mean(),
        "huber": torch.where(size <= 0.3, error**2 / 2, 0.3 * (size - 0.15)).mean(),
    }
    for loss, value in expected.items():
        found, _ = task(loss=loss, delta=0.3).loss(nn.Identity(), samples)
        assert float(found) == pytest.approx(float(value), rel=1e-4), loss


def test_mixed_samples_have_mixed_targets() -> None:
    samples = batch()
    mix = torch.linspace(0, 1, 50)
    other = samples["target"].flip(0)
    blended = samples["target"] * mix[:, None] + other * (1 - mix[:, None])
    found, _ = task().loss(nn.Identity(), samples | {"mix": mix, "target_other": other})
    expected, _ = task().loss(nn.Identity(), samples | {"target": blended})
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_metrics_agree_with_scikit_learn_in_the_users_units() -> None:
    made, samples = task(), batch()
    found = made.measure(made.score(nn.Identity(), samples))
    target = samples["target"]
    prediction = samples["input"] * torch.tensor([20.0, 0.5]) + torch.tensor([100.0, -3.0])
    assert found["r2"] == pytest.approx(reference.r2_score(target, prediction), rel=1e-5)
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(target, prediction), rel=1e-5)
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(target, prediction), rel=1e-5)


def test_the_baseline_is_the_mean_of_the_training_split() -> None:
    made, samples = task(), batch()
    made.study(Columns({"input": samples["input"], "target": samples["target"]}), ArrayPreprocess((2,)))
    found = made.baseline(made.score(nn.Identity(), samples))
    assert found["r2"] == pytest.approx(0, abs=1e-6)
    assert found["rmse"] == pytest.approx(float(samples["target"].double().std(dim=0, correction=0).mean()), rel=1e-5)


def test_answers_are_numbers_in_the_users_units() -> None:
    assert task().answer(torch.tensor([[1.0, 2.0]])) == [{"quantity": {"price": 120.0, "size": -2.0}}]
    alone = regress.build(Spec(Table(("a",)), Quantity(("y",), (10.0,), (2.0,))), regress.Config())
    assert alone.answer(torch.tensor([[0.5]])) == [{"quantity": 11.0}]


def test_targets_that_are_all_the_same_have_no_r2() -> None:
    samples = batch() | {"target": torch.full((50, 2), 7.0)}
    with pytest.raises(Problem, match="all the same"):
        task().measure(task().score(nn.Identity(), samples))
    assert "r2" not in task(goal="mae").measure(task().score(nn.Identity(), samples))


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(Misuse, match="delta"):
        task(delta=0.0)
    with pytest.raises(Problem, match="not category"):
        regress.build(Spec(Table(("a",)), Category(("x", "y"))), regress.Config())

"""Forecasts: losses and metrics against plain sums, what is not known left out, and how far intervals are to be trusted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepen import Problem
from deepen.data.clock import Clock
from deepen.data.dataset import Columns
from deepen.data.lookback import SeriesPreprocess
from deepen.errors import Misuse
from deepen.spec import Category, Horizon, Series, Spec, Table
from deepen.tasks import forecast
from deepen.tasks.measures import intervals

NAMES = ("a", "b", "c")
SPEC = Spec(Series(12, NAMES), Horizon(5, ("c", "a"), (10.0, 20.0), (2.0, 3.0)))
PREPROCESS = SeriesPreprocess(NAMES, (0.0,) * 3, (1.0,) * 3, 12, 5, 3, 4, Clock("numbers", 1.0, 1.0))


class Fixed(nn.Module):
    """Says what it was given."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, input: Tensor) -> Tensor:
        return self.answer


def task(**settings: object) -> forecast.Forecast:
    built = forecast.build(SPEC, forecast.Config(**settings))  # type: ignore[arg-type]
    built.study(Columns({"input": torch.zeros(1, 12, 3)}), PREPROCESS)
    return built


def batch(count: int = 40, unknown: bool = True) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(3)
    target = torch.randn(count, 5, 2, generator=draws)
    if unknown:
        target[torch.rand(target.shape, generator=draws) < 0.2] = torch.nan
    return {"input": torch.randn(count, 12, 3, generator=draws), "target": target}


def test_metrics_are_those_of_all_numbers_together() -> None:
    some, answer = batch(), torch.randn(40, 5, 2, generator=torch.Generator().manual_seed(4))
    rows = task().score(Fixed(answer), some)
    metrics = task().measure(rows)
    error = (answer - some["target"]).double().numpy()
    assert metrics["mse"] == metrics["loss"] == pytest.approx(np.nanmean(error**2))
    assert metrics["mae"] == pytest.approx(np.nanmean(np.abs(error)))
    assert metrics["rmse/c"] == pytest.approx(2 * np.nanmean(error[..., 0] ** 2) ** 0.5)
    assert metrics["mae/a"] == pytest.approx(3 * np.nanmean(np.abs(error[..., 1])))
    ahead = rows["ahead"].sum(0) / rows["known_ahead"].sum(0)
    assert np.allclose(ahead.numpy(), np.nanmean(error**2, axis=(0, 2)))


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_losses_are_means_over_what_is_known(loss: str) -> None:
    some, answer = batch(), torch.randn(40, 5, 2, requires_grad=True)
    value, _ = task(loss=loss, delta=0.7).loss(Fixed(answer), some)
    known = some["target"].isfinite()
    kinds = {"mse": nn.MSELoss(), "mae": nn.L1Loss(), "huber": nn.HuberLoss(delta=0.7)}
    assert value.item() == pytest.approx(kinds[loss](answer[known], some["target"][known]).item())
    value.backward()
    assert answer.grad is not None
    assert answer.grad.isfinite().all()
    assert not answer.grad[~known].any()


def test_the_loss_of_a_batch_is_the_weighted_sum_of_its_pieces() -> None:
    """What accumulation relies on: where a series has gaps, less is known of some windows."""
    whole, answer, found = batch(), torch.randn(40, 5, 2), 0.0
    whole["target"][:8, 1:] = torch.nan
    for part in (slice(0, 8), slice(8, None)):
        piece = {name: rows[part] for name, rows in whole.items()}
        loss, _ = task().loss(Fixed(answer[part]), piece)
        found += task().counted(piece) / task().counted(whole) * float(loss)
    assert found == pytest.approx(float(task().loss(Fixed(answer), whole)[0]), rel=1e-5)


def test_a_piece_that_asks_nothing_teaches_nothing() -> None:
    some = batch(4)
    some["target"][:] = torch.nan
    answer = torch.zeros_like(some["target"], requires_grad=True)
    loss, _ = task().loss(Fixed(answer), some)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert answer.grad is not None
    assert not answer.grad.any()
    assert task().counted(some) == 0


def test_who_knows_next_to_nothing() -> None:
    some, doing = batch(unknown=False), task()
    rows = doing.score(Fixed(torch.zeros(40, 5, 2)), some)
    last = some["input"][:, -1:, [2, 0]].expand(-1, 5, -1)
    assert doing.baseline(rows)["mse"] == pytest.approx((last - some["target"]).square().mean().item())
    again = some["input"][:, [8, 9, 10, 11, 8]][..., [2, 0]]
    rival = doing.rival(Columns(some))
    assert rival is not None
    assert rival.metrics["mae"] == pytest.approx((again - some["target"]).abs().mean().item())
    assert torch.equal(doing.last(some["input"]), last)


def test_without_a_season_nobody_repeats_it() -> None:
    doing = forecast.build(SPEC, forecast.Config())
    longer = SeriesPreprocess(NAMES, (0.0,) * 3, (1.0,) * 3, 12, 5, 3, 24, Clock("numbers", 1.0, 1.0))
    doing.study(Columns(batch()), longer)
    assert doing.rival(Columns(batch())) is None


def test_windows_that_overlap_are_resampled_together() -> None:
    """A walk whose windows share their horizon: the honest interval is wider than that of windows taken one by one."""
    draws = torch.Generator().manual_seed(5)
    level = torch.randn(60, generator=draws).repeat_interleave(5)
    some = {"input": torch.zeros(300, 12, 3), "target": level.view(-1, 1, 1).expand(-1, 5, 2)}
    doing = task()
    rows = doing.score(Fixed(torch.zeros(300, 5, 2)), some)
    assert len(doing.blocks(rows)["known"]) == 60
    assert doing.measure(doing.blocks(rows)) == pytest.approx(doing.measure(rows))
    low, high = intervals(doing, rows, 0, 500)["mse"]
    one_by_one = torch.randint(300, (500, 300), generator=draws)
    narrow = level.square()[one_by_one].mean(1).quantile(torch.tensor([0.025, 0.975]))
    assert high - low > 1.5 * float(narrow[1] - narrow[0])
    assert low < doing.measure(rows)["mse"] < high


def test_answers_are_in_the_users_units() -> None:
    (answer,) = task().answer(torch.ones(1, 5, 2))
    assert answer == {"series": {"c": [12.0] * 5, "a": [23.0] * 5}}


def test_what_cannot_be_followed() -> None:
    with pytest.raises(Problem, match="this data is none"):
        forecast.build(Spec(Table(("a",)), Category(("x", "y"))), forecast.Config())
    with pytest.raises(Misuse, match=r"task\.delta=0"):
        task(delta=0.0)

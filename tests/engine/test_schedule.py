"""Schedules against torch's own where there is one, and against their definition where there is none."""

from __future__ import annotations

import math

import pytest
import torch
from torch.optim import SGD, lr_scheduler

from deepen.engine import schedule
from deepen.engine.schedule import SCHEDULES, factor
from deepen.errors import Misuse
from deepen.recipe import Schedule

TOTAL = 200


def of_torch(make: type[lr_scheduler.LRScheduler], **settings: object) -> list[float]:
    """The rates that a scheduler of torch gives at each of TOTAL steps, for a peak of 1."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer, **settings)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def ours(**settings: object) -> list[float]:
    return [factor(Schedule(**settings), step, TOTAL) for step in range(TOTAL)]


def test_step_is_torchs() -> None:
    assert ours(name="step", every=0.25, gamma=0.5) == pytest.approx(
        of_torch(lr_scheduler.StepLR, step_size=TOTAL // 4, gamma=0.5)
    )


def test_exponential_is_torchs() -> None:
    assert ours(name="exponential", gamma=0.01) == pytest.approx(
        of_torch(lr_scheduler.ExponentialLR, gamma=0.01 ** (1 / TOTAL))
    )


def test_cosine_is_torchs() -> None:
    assert ours(name="cosine", floor=0.1) == pytest.approx(
        of_torch(lr_scheduler.CosineAnnealingLR, T_max=TOTAL, eta_min=0.1)
    )


def test_cyclic_is_torchs() -> None:
    expected = of_torch(
        lr_scheduler.CyclicLR, base_lr=0.2, max_lr=1.0, step_size_up=20, step_size_down=20, cycle_momentum=False
    )
    assert ours(name="cyclic", every=0.2, floor=0.2) == pytest.approx(expected)


def test_one_cycle_rises_and_falls_like_torchs() -> None:
    # torch places its last step at the floor, we place the end of the training there: one step more.
    expected = of_torch(
        lr_scheduler.OneCycleLR,
        max_lr=1.0,
        total_steps=TOTAL + 2,
        pct_start=(0.25 * TOTAL + 1) / (TOTAL + 2),
        div_factor=25,
        final_div_factor=1e12,
        cycle_momentum=False,
    )
    assert ours(name="one-cycle") == pytest.approx(expected, abs=0.02)
    assert ours(name="one-cycle")[0] == pytest.approx(schedule.ONE_CYCLE_START)
    assert max(ours(name="one-cycle")) == ours(name="one-cycle")[TOTAL // 4] == 1.0


def test_constant() -> None:
    assert set(ours(name="constant")) == {1.0}


@pytest.mark.parametrize("name", ["constant", "step", "exponential", "cosine", "cyclic", "plateau"])
def test_warm_up_is_linear_and_meets_the_schedule(name: str) -> None:
    plain = [factor(Schedule(name=name), step, TOTAL) for step in range(TOTAL)]
    warm = [factor(Schedule(name=name, warmup=0.1), step, TOTAL) for step in range(TOTAL)]
    rising = warm[: TOTAL // 10]
    if name in ("constant", "plateau"):
        assert rising == pytest.approx([(step + 1) / (TOTAL // 10) for step in range(TOTAL // 10)])
    assert 0 < warm[0] < warm[5] < warm[TOTAL // 10 - 1]
    if name != "cosine":  # the cosine is laid over what is left after the warm-up
        assert warm[TOTAL // 10 :] == plain[TOTAL // 10 :]
    else:
        assert warm[TOTAL // 10] == pytest.approx(1.0)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_floor_and_peak_hold(name: str) -> None:
    values = [-1.0] * 100
    rates = [factor(Schedule(name=name, floor=0.07), step, TOTAL, values) for step in range(TOTAL)]
    lowest = schedule.ONE_CYCLE_START if name == "one-cycle" else 0.07
    assert min(rates) >= lowest - 1e-12
    assert max(rates) <= 1.0 + 1e-12
    if name == "one-cycle":
        assert rates[-1] == pytest.approx(0.07, abs=1e-3)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_a_rate_never_stands_still_at_zero(name: str) -> None:
    """A step at rate zero is a step for nothing; the last step of one-cycle comes near it, but not there."""
    assert min(factor(Schedule(name=name), step, TOTAL) for step in range(TOTAL)) > 0


def test_plateau_is_torchs() -> None:
    """A drop after `patience` evaluations in a row without a better value (torch counts one more)."""
    values = [0.1, 0.2, 0.2, 0.19, 0.18, 0.3, 0.29, 0.3, 0.1, 0.1, 0.1, 0.31, 0.2]
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=2, threshold=0.0)
    for count in range(1, len(values) + 1):
        reference.step(values[count - 1])
        mine = factor(Schedule(name="plateau", gamma=0.5, patience=3), 50, TOTAL, values[:count])
        assert mine == pytest.approx(optimizer.param_groups[0]["lr"]), values[:count]
    assert mine < 1.0


def test_unknown_name_says_the_nearest() -> None:
    with pytest.raises(Misuse, match="Did you mean 'cosine'"):
        factor(Schedule(name="cosin"), 0, 10)


def test_short_trainings_have_rates() -> None:
    for name in SCHEDULES:
        for total in (1, 2, 3):
            rates = [factor(Schedule(name=name, warmup=0.5), step, total) for step in range(total)]
            assert all(math.isfinite(rate) and 0 < rate <= 1 for rate in rates), (name, total, rates)

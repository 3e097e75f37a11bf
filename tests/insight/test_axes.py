from __future__ import annotations

import pytest

from deepen.insight import axes


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0, 10, [0, 2, 4, 6, 8, 10]), (-3, 3, [-2, 0, 2]), (0.97, 0.995, None)],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float] | None) -> None:
    ticks = axes.nice_ticks(low, high, 5 if expected != [-2, 0, 2] else 3)
    if expected is not None:
        assert ticks == pytest.approx(expected)
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert 3 <= len(ticks) <= 7


def test_tick_labels_have_equally_many_decimals() -> None:
    assert axes.tick_labels([0, 0.25, 0.5]) == ["0", "0.25", "0.50"]
    assert axes.tick_labels([0.975, 1.0], percent=True) == ["97.5 %", "100.0 %"]
    assert axes.tick_labels([1000, 2000]) == ["1,000", "2,000"]
    assert axes.tick_labels([0.01, 0.1, 1], log=True) == ["0.01", "0.1", "1"]

"""Axes of charts: values laid over pixels, at Heckbert's nice numbers (Graphics Gems, 1990)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepen.insight.ink import number

TINY, HUGE = 1e-307, 1e308
"""What padding must not leave: below and above, float64 has no logarithm or no number."""


@dataclass
class Axis:
    """A range of values laid over a range of pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    percent: bool = False
    ticks: list[float] = field(default_factory=list)

    def at(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values as pixels."""
        # longdouble: high - low of two float64 can overflow
        raw = np.asarray(values, dtype=np.longdouble)
        low, high = np.longdouble(self.low), np.longdouble(self.high)
        if self.log:
            raw, low, high = np.log10(raw), np.log10(low), np.log10(high)
        return np.asarray(self.start + (raw - low) / (high - low) * (self.end - self.start), dtype=np.float64)

    def labels(self) -> list[str]:
        return tick_labels(self.ticks, percent=self.percent, log=self.log)


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """About `wanted` round values inside [low, high]."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low, high] if low < high else [low]
    rough = span / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    found = [(first + i) * step for i in range(int(span / step) + 2)]
    return [0.0 if abs(tick) < step * 1e-9 else tick for tick in found if tick <= high + step * 1e-9]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten inside [low, high], with 2 and 5 between them where there is room."""
    first, last = math.floor(math.log10(low)), min(math.ceil(math.log10(high)), 307)
    factors = (1, 2, 5) if last - first <= 3 else (1,)
    stride = max(1, math.ceil((last - first) / 7))
    found = [factor * 10.0**power for power in range(first, last + 1, stride) for factor in factors]
    inside = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
    return inside if len(inside) >= 2 else nice_ticks(low, high, 4)


def tick_labels(ticks: Sequence[float], *, percent: bool = False, log: bool = False) -> list[str]:
    """Ticks as texts with equally many decimals."""
    if log:
        return [number(tick, 3) for tick in ticks]
    scaled = [tick * 100 for tick in ticks] if percent else list(ticks)
    ending = " %" if percent else ""
    largest = max((abs(tick) for tick in scaled), default=0.0)
    step = min((b - a for a, b in itertools.pairwise(scaled)), default=largest) or 1.0
    if largest >= 1e6 or (0 < largest < 1e-4):
        return [number(tick, 4) + ending for tick in scaled]
    # as many decimals as the step needs, 2.5 needing one more than 2
    places = next((p for p in range(9) if abs(step - round(step, p)) < step * 1e-6), 9)
    return [("0" if tick == 0 else f"{tick:,.{places}f}").replace("-", "−") + ending for tick in scaled]


def axis_for(
    found: Sequence[NDArray[np.float64]],
    given: tuple[float, float] | None,
    start: float,
    end: float,
    log: bool,
    as_percent: bool = False,
    pad: float = 0.05,
) -> Axis:
    if given is not None:
        low, high = given
    elif found:
        low, high = min(float(v.min()) for v in found), max(float(v.max()) for v in found)
        if log:
            grown = (high / low) ** pad if high / low < math.inf else 1.0
            low, high = low / grown, high * grown
        elif math.isfinite(high - low):
            low, high = low - pad * (high - low), high + pad * (high - low)
    else:
        low, high = (0.1, 1.0) if log else (0.0, 1.0)
    if not low < high:
        room = max(abs(low) * 0.1, 0.5) if low == round(low) else abs(low) * 0.1
        floor = 0.0 if low >= 0 else -math.inf  # what is always 0 is a count or a share, mostly
        low, high = (low / 2, high * 2) if log else (max(low - room, floor), high + room)
    if as_percent and found and given is None:
        # a share has no room above 1 or below 0
        low = max(low, 0.0) if min(float(v.min()) for v in found) >= 0 else low
        high = min(high, 1.0) if max(float(v.max()) for v in found) <= 1 else high
    low, high = max(low, TINY if log else -HUGE), min(high, HUGE)
    count = max(3, round(abs(end - start) / 75)) if start < end else max(3, round(abs(end - start) / 45))
    axis = Axis(low, high, start, end, log, as_percent)
    axis.ticks = log_ticks(low, high) if log else nice_ticks(low, high, count)
    return axis

"""Curves of a training: losses, the goal, the learning rate; and of what is chosen before it: schedules, activations.

The metric log is a list of rows such as {"step": 100, "epoch": 0.23, "train/loss": 0.5, "lr": 0.001} and
{"step": 430, "epoch": 1.0, "validation/loss": 0.1, "validation/accuracy": 0.97, "best": True}.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepen.insight.charts import Mark, Series, line_chart
from deepen.insight.ink import number, percent

Log = Sequence[Mapping[str, Any]]

SHARES = frozenset(
    {
        *("accuracy", "balanced_accuracy", "top5_accuracy", "precision", "recall"),
        *("word_error_rate", "character_error_rate", "exact"),
        *("unseen_accuracy", "told_apart", "pixel_accuracy", "mean_accuracy", "miou", "iou"),
    }
)
"""Metrics that people say in per cent, and those of one class, as `iou/car`."""

NOISY = 60
"""A training curve of more points is drawn faint, with its running mean over it."""

PART_NAMES = {"train": "training", "validation": "validation"}


def plain(name: str) -> str:
    """A metric's name in the spelling that this room compares: `Macro F1` and `macro-f1` are `macro_f1`."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def in_percent(name: str) -> bool:
    """Whether people say a metric in per cent."""
    return plain(name.partition("/")[0]) in SHARES


def words(name: str) -> str:
    """A metric's name for people; of one class, as `iou/car`, with the class as it is written."""
    metric, slash, of = name.partition("/")
    said = CAPITALS.get(plain(metric), plain(metric).replace("_", " "))
    return f"{said} of {of}" if slash else said


CAPITALS = {
    "auroc": "AUROC",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
    "mse": "MSE",
    "macro_f1": "macro F1",
    "f1": "F1",
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "bleu": "BLEU",
    "sacrebleu": "sacreBLEU",
    "iou": "IoU",
    "miou": "mean IoU",
    "tv": "total variation",
}


def shown(name: str, value: float) -> str:
    """A metric's value for people: shares in per cent, everything else as a number."""
    if not in_percent(name) or not math.isfinite(value):
        return number(value)
    # near the top a hundredth counts, where there is one
    return percent(value, 2 if value >= 0.99 and round(value * 1e4) % 10 else 1)


def between(name: str, low: float, high: float) -> str:
    """An interval of a metric for people."""
    if in_percent(name):
        return f"{shown(name, low)} to {shown(name, high)}"
    return f"{number(low, 3)} to {number(high, 3)}"


def learning(log: Log, goal: str, *, better: str = "max") -> dict[str, str]:
    """Charts by name: `loss`, the goal metric, and further numbers of the log, each training beside validation.

    `goal` is a metric's name; its best value is marked (`better` says which is best where no row is marked).
    """
    names = _names(log)
    losses = [name for name in names if "loss" in plain(name) and name not in ("log_loss", goal)]
    charts: dict[str, str] = {}
    if losses:
        charts["loss"] = _together("Loss", log, losses)
    if goal in names:
        # a log loss that is the goal is still a loss to the eye
        charts[goal] = _chart(log, goal, marks=_best(log, goal, better), zoom=better == "max")
    rest = [name for name in names if name not in losses and name != goal]
    charts |= {name: _chart(log, name) for name in rest if any(f"train/{name}" in row for row in log)}
    return charts


def schedule(lr: ArrayLike, *, title: str = "Learning rate", steps: ArrayLike | None = None) -> str:
    """The learning rate over the steps, its peak marked; `steps` default to 0, 1, 2 …"""
    rates = np.asarray(lr, dtype=np.float64).reshape(-1)
    x = np.arange(len(rates)) if steps is None else np.asarray(steps).reshape(-1)
    marks = []
    top = float(np.max(rates, initial=0.0, where=np.isfinite(rates)))
    if len(rates) > 1 and np.ptp(rates[np.isfinite(rates)]) > 0:
        peak = int(np.nanargmax(rates))
        marks = [Mark(float(x[peak]), float(rates[peak]), f"peak {number(float(rates[peak]), 3)}")]
    whole = (0.0, top * 1.08) if top > 0 else None
    return line_chart(title, [Series("", x, rates)], x_label="step", marks=marks, y_range=whole)


def logged_schedule(log: Log) -> str | None:
    """The learning rate as it was logged, None where it was not."""
    rows = [row for row in log if isinstance(row.get("lr"), int | float)]
    return schedule([row["lr"] for row in rows], steps=[row["step"] for row in rows]) if rows else None


def activation(name: str, x: ArrayLike, y: ArrayLike, slope: ArrayLike) -> str:
    """An activation and its derivative on the range of `x`; arrays as `nn.activations.curve` gives them."""
    lines = [Series("f(x)", x, y), Series("f′(x)", x, slope, dashed=True)]
    return line_chart(name, lines, x_label="x", width=420, height=300)


def sweep(lr: ArrayLike, loss: ArrayLike, chosen: float) -> str:
    """The loss over the learning rate of a learning-rate finder, the chosen one marked (Smith, 2017).

    The axis is the power of ten of the rate.
    """
    rates, losses = np.asarray(lr, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    powers = np.log10(rates)
    near = int(np.abs(powers - math.log10(chosen)).argmin())
    mark = Mark(float(powers[near]), float(losses[near]), f"chosen {number(chosen)}")
    label = "learning rate, power of ten"
    return line_chart("Learning-rate finder", [Series("", powers, losses)], x_label=label, y_label="loss", marks=[mark])


def _names(log: Log) -> list[str]:
    """Metric names without their part, in the order they appear."""
    found: dict[str, None] = {}
    for row in log:
        for key, value in row.items():
            part, slash, name = key.partition("/")
            if slash and part in PART_NAMES and isinstance(value, int | float):
                found[name] = None
    return list(found)


def _values(log: Log, key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = [row for row in log if isinstance(row.get(key), int | float)]
    time = _time(log)
    x = np.asarray([row[time] for row in rows], dtype=np.float64)
    return x, np.asarray([row[key] for row in rows], dtype=np.float64)


def _time(log: Log) -> str:
    return "epoch" if log and all("epoch" in row for row in log) else "step"


def _series(log: Log, name: str, label: str = "", first: int = 0) -> list[Series]:
    """Training and validation values of a metric; a long noisy training curve also gets its running mean."""
    lines = []
    for offset, part in enumerate(PART_NAMES):
        x, y = _values(log, f"{part}/{name}")
        if not len(x):
            continue
        said = PART_NAMES[part] if not label else f"{label}, {PART_NAMES[part]}" if part != "train" else label
        if len(x) > NOISY:
            lines.append(Series("", x, y, faint=True, colour=first + offset))
            y = running_mean(y, len(y) // 40)
        lines.append(Series(said, x, y, colour=first + offset))
    return lines


def running_mean(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The mean over at most `reach` neighbours on each side; NaN where a value is not finite."""
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    at = np.arange(len(values))
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(values))
    means = (sums[high] - sums[low]) / np.maximum(counts[high] - counts[low], 1)
    return np.where(finite, means, np.nan)


def _together(title: str, log: Log, names: Sequence[str]) -> str:
    """Several metrics in one chart, each with its name where there is more than one."""
    lines: list[Series] = []
    for name in names:
        label = words(name) if len(names) > 1 else ""
        lines += _series(log, name, label, first=len([line for line in lines if line.name]))
    log_y = _spread(lines)
    y_label = "logarithmic scale" if log_y else ""
    return line_chart(title, lines, x_label=_time(log), y_label=y_label, log_y=log_y)


def _chart(log: Log, name: str, *, marks: Sequence[Mark] = (), zoom: bool = False) -> str:
    said = words(name)
    lines = _without_start(_series(log, name)) if zoom else _series(log, name)
    log_y = "loss" in plain(name) and _spread(lines)
    is_share = in_percent(name)
    y_label = "logarithmic scale" if log_y else ""
    title = said[:1].upper() + said[1:]
    return line_chart(title, lines, x_label=_time(log), y_label=y_label, marks=marks, log_y=log_y, percent_y=is_share)


def _without_start(lines: Sequence[Series]) -> list[Series]:
    """The lines without the steep beginning of training, beside which the rest would look flat.

    What is lower than every validation value and than the last two thirds of training is cut off.
    """
    kept = []
    for line in lines:
        y = np.asarray(line.y, dtype=np.float64)
        kept.append(y if line.colour else y[len(y) // 3 :])
    values = np.concatenate(kept or [np.zeros(0)])
    values = values[np.isfinite(values)]
    if len(values) < 6:
        return list(lines)
    low = values.min() - 0.25 * (values.max() - values.min())
    cut = []
    for line in lines:
        below = np.flatnonzero(np.asarray(line.y, dtype=np.float64) < low)
        start = int(below[-1]) + 1 if len(below) else 0
        cut.append(replace(line, x=np.asarray(line.x)[start:], y=np.asarray(line.y)[start:]))
    return cut


def _spread(lines: Sequence[Series]) -> bool:
    """Whether values are positive and far enough apart that a straight axis would flatten most of the curve."""
    values = np.concatenate([np.asarray(line.y, dtype=np.float64) for line in lines] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    return bool(len(values) > 2 and values.min() > 0 and values.max() / values.min() > 25)


def _best(log: Log, goal: str, better: str) -> list[Mark]:
    key = f"validation/{goal}"
    rows = [row for row in log if isinstance(row.get(key), int | float) and math.isfinite(row[key])]
    if not rows:
        return []
    marked = [row for row in rows if row.get("best")]
    best = marked[-1] if marked else (max if better == "max" else min)(rows, key=lambda row: row[key])
    return [Mark(float(best[_time(log)]), float(best[key]), f"best {shown(goal, float(best[key]))}")]

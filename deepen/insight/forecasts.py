"""Forecasts as pictures: what was, what came, what was said of it, and what who knows next to nothing would have said."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from deepen.data import clock as clocks
from deepen.data.dataset import Columns, Dataset
from deepen.data.lookback import SeriesPreprocess
from deepen.data.windows import Windows
from deepen.insight.charts import Series, line_chart
from deepen.insight.ink import STYLE, number, svg, text
from deepen.spec import Horizon
from deepen.tasks.base import Rows
from deepen.tasks.forecast import Forecast

MOST = 4
"""Variates that are drawn."""
LEAST = 40
"""Moments of the past that a forecast is drawn after."""
WIDE, TALL = 430.0, 240.0
"""Of each chart, in pixels."""
TRUTH, SAID, LAST, AGAIN = 7, 0, 3, 2
"""Colours: grey for what was, blue for the forecast."""


@torch.no_grad()
def told(dataset: Dataset, rows: Rows, module: nn.Module, task: Forecast) -> dict[str, str]:
    """Charts by name: `forecasts` of validation windows, and `ahead`, the error by how far ahead."""
    columns, preprocess = dataset.validation, dataset.preprocess
    assert isinstance(preprocess, SeriesPreprocess)
    device = next(module.parameters()).device
    charts = []
    for variate in _some(len(task.names)):
        error = (rows["squared"] / rows["known"].clamp(min=1))[:, variate]
        picked = [("typical", int(error.argsort()[len(error) // 2])), ("the worst", int(error.argmax()))]
        for which, row in picked:
            window = columns.take(torch.tensor([row]))
            answer = module(preprocess.tensor(window["input"]).to(device)).cpu()
            title = f"{task.names[variate]} {columns.origin(row)}, {which}"
            charts.append(_window(title, task, preprocess, variate, window, answer))
    return {
        "forecasts": grid("Forecasts of validation windows", charts),
        "ahead": _ahead(rows, task, columns, preprocess),
    }


def _window(
    title: str,
    task: Forecast,
    preprocess: SeriesPreprocess,
    variate: int,
    window: Mapping[str, torch.Tensor],
    answer: torch.Tensor,
) -> str:
    seen, horizon = window["input"], task.horizon
    at = preprocess.names.index(task.names[variate])
    past = seen[0, :, at].double().numpy() * preprocess.scale[at] + preprocess.mean[at]
    past = past[-max(2 * horizon, 2 * task.season) :]

    def usual(scaled: torch.Tensor) -> NDArray[np.float64]:
        return np.concatenate([past[-1:], task.usual(scaled)[0, :, variate].numpy()])

    ahead = np.arange(horizon + 1)
    lines = [
        Series("truth", np.arange(1 - len(past), 1), past, colour=TRUTH),
        Series("", ahead, usual(window["target"]), colour=TRUTH),
        Series("last value", ahead, usual(task.last(seen)), dashed=True, colour=LAST),
    ]
    if task.season > 1:
        lines.append(Series("last season", ahead, usual(task.again(seen)), dashed=True, colour=AGAIN))
    lines.append(Series("forecast", ahead, usual(answer), colour=SAID))
    return line_chart(
        title,
        lines,
        x_label=_distance(preprocess.clock),
        y_range=_level(lines, preprocess.scale[at]),
        width=WIDE,
        height=TALL,
    )


def _level(lines: Sequence[Series], deviation: float) -> tuple[float, float] | None:
    """The range of an axis for lines that are flat beside what is usual, and would be drawn as mountains; else None."""
    values = np.concatenate([np.asarray(line.y, dtype=np.float64) for line in lines])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return (low - 0.5 * deviation, high + 0.5 * deviation) if high - low < 1e-3 * deviation else None


def _ahead(rows: Rows, task: Forecast, columns: Columns, preprocess: SeriesPreprocess) -> str:
    """The mean squared error by how far ahead, in deviations of the training part."""
    ahead = np.arange(1, task.horizon + 1)

    def line(name: str, found: Rows, who: str, **kind: Any) -> Series:
        count = rows["known_ahead"].double().sum(0)
        error = found[f"{who}ahead"].double().sum(0) / count
        whole = float(found[f"{who}ahead"].double().sum() / count.sum())
        return Series(f"{name} {number(whole, 3)}", ahead, error.numpy(), **kind)

    lines = [line("forecast", rows, "", colour=SAID), line("last value", rows, "last_", dashed=True, colour=LAST)]
    if task.season > 1:
        lines.append(line("last season", task.seasonal(columns), "", dashed=True, colour=AGAIN))
    label = _distance(preprocess.clock)
    return line_chart("Error by how far ahead", lines, x_label=label, y_label="mean squared error, scaled")


def shown(dataset: Dataset) -> str:
    """The series as it is learnt from and validated on; what is sealed is not drawn."""
    train, held_out, preprocess = dataset.train, dataset.validation, dataset.preprocess
    assert isinstance(train, Windows)
    assert isinstance(held_out, Windows)
    assert isinstance(preprocess, SeriesPreprocess)
    assert isinstance(dataset.spec.output, Horizon)
    charts = []
    for variate in _some(len(dataset.spec.output.names)):
        name = dataset.spec.output.names[variate]
        scale, mean = dataset.spec.output.scale[variate], dataset.spec.output.mean[variate]
        learnt, later = (part.truth[:, variate].double().numpy() * scale + mean for part in (train, held_out))
        later = later[held_out.length :]
        at = np.arange(len(learnt) + len(later))
        lines = [
            Series("training", at[: len(learnt)], learnt, colour=SAID),
            Series("validation", at[len(learnt) :], later, colour=1),
        ]
        label = _distance(preprocess.clock).replace("ahead", f"after {preprocess.clock.name(0)}")
        charts.append(line_chart(name, lines, x_label=label, width=WIDE, height=TALL))
    return grid("The series", charts)


def drawn(answer: Mapping[str, Any], preprocess: SeriesPreprocess) -> str:
    """A chart for each variate: its past, read again from the table that the answer is for, and its forecast."""
    series = answer["series"]
    horizon = len(next(iter(series.values())))
    past = preprocess.past(answer["input"], max(3 * horizon, LEAST)).values
    times = answer.get("times")
    until = f" to {times[-1]}" if times else ""
    charts = []
    for name, values in series.items():
        before = past[:, preprocess.names.index(name)]
        ahead = np.arange(len(values) + 1)
        lines = [
            Series("what was", np.arange(1 - len(before), 1), before, colour=TRUTH),
            Series("forecast", ahead, np.concatenate([before[-1:], values]), colour=SAID),
        ]
        charts.append(line_chart(f"{name}{until}", lines, x_label="moments ahead", width=WIDE, height=TALL))
    return grid(f"Forecast of what follows {Path(answer['input']).name}", charts)


def table(answer: Mapping[str, Any]) -> str:
    """The forecast as CSV: a row for each moment, a column for each variate."""
    series = answer["series"]
    steps = len(next(iter(series.values())))
    times = answer.get("times", range(1, steps + 1))
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(["time", *series])
    writer.writerows(
        [time, *(f"{value:.10g}" for value in row)] for time, *row in zip(times, *series.values(), strict=True)
    )
    return lines.getvalue()


def _distance(clock: clocks.Clock) -> str:
    if clock.unit == "numbers":
        return "moments ahead"
    size, word = clock.spacing.split()
    return f"{word}s ahead" if size == "1" else f"times {clock.spacing} ahead"


def _some(count: int) -> list[int]:
    """The first variates and the last, which mostly is the one that matters."""
    return list(range(count)) if count <= MOST else [*range(MOST - 1), count - 1]


def grid(title: str, charts: Sequence[str]) -> str:
    """Charts in two columns."""
    parts = [text(12, 22, title, "title")]
    for place, chart in enumerate(charts):
        x, y = place % 2 * WIDE, 34 + place // 2 * TALL
        parts.append(chart.replace(STYLE, "", 1).replace("<svg ", f'<svg x="{x:g}" y="{y:g}" ', 1))
    rows = -(-len(charts) // 2)
    return svg(WIDE * min(2, max(1, len(charts))), 34 + rows * TALL, "".join(parts), title)

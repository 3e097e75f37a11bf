"""Pictures of forecasts: names made safe, as many variates as can be read, nothing of the sealed part."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepen.data.clock import Clock
from deepen.data.dataset import Dataset
from deepen.data.lookback import SeriesPreprocess
from deepen.data.series import Config, build
from deepen.insight import forecasts
from deepen.insight.charts import Series
from deepen.tasks import forecast

NAMES = ("<load>", "温度", "c", "d", "e", "f")


class Zero(nn.Module):
    """Always the mean of the training part."""

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(horizon, len(NAMES)))

    def forward(self, input: Tensor) -> Tensor:
        return self.shift.expand(len(input), -1, -1)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    hours = np.arange(400)[:, None]
    values = np.sin(hours / 24 * 2 * np.pi) * np.arange(1, 7) + hours / 100 + np.array([0, 0, 0, 0, 0, 1e6])
    values[-50:] = 12345.678  # the test part: never to be seen
    clock = Clock("seconds", 3600.0, 63_600_000_000.0)
    config = Config(lookback=48, horizon=12, test_fraction=0.125)
    return build("made", values, NAMES, clock, config, 0, digest="0" * 64)


def rows_and_task(dataset: Dataset) -> tuple[dict[str, Tensor], forecast.Forecast, nn.Module]:
    task, module = forecast.build(dataset.spec, forecast.Config()), Zero(12)
    task.study(dataset.train, dataset.preprocess)
    columns = dataset.validation
    with torch.no_grad():
        return task.score(module, columns.take(torch.arange(len(columns)))), task, module


def test_what_a_report_shows(dataset: Dataset) -> None:
    rows, task, module = rows_and_task(dataset)
    drawn = forecasts.told(dataset, rows, module, task) | {"series": forecasts.shown(dataset)}
    assert set(drawn) == {"forecasts", "ahead", "series"}
    for picture in drawn.values():
        ElementTree.fromstring(picture)
        assert "<load>" not in picture
        assert "12345" not in picture
        assert "12,345" not in picture
    assert "&lt;load&gt;" in drawn["forecasts"]
    assert "温度" in drawn["series"]
    assert drawn["forecasts"].count("<svg") == 1 + 2 * forecasts.MOST
    assert drawn["forecasts"].count("<style>") == 1
    assert "last season" in drawn["ahead"]
    task.season = 1
    assert "last season" not in "".join(forecasts.told(dataset, rows, module, task).values())


def test_rounding_is_not_drawn_as_mountains() -> None:
    at = np.arange(3)
    flat = [Series("truth", at, np.full(3, 5.0)), Series("forecast", at, np.array([5.0, 5.00001, np.nan]))]
    low, high = forecasts._level(flat, 1.0) or (0.0, 0.0)
    assert (round(low, 3), round(high, 3)) == (4.5, 5.5)
    assert forecasts._level([Series("truth", at, np.array([5.0, 5.001, 5.002]))], 0.01) is None


def test_a_forecast_is_drawn_after_its_past_and_kept_as_a_table(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    lines = [f"2024-01-{day:02d},{day},{-day}" for day in range(31, 0, -1)]  # newest first
    path.write_text("date,<load>,warmth\n" + "\n".join(lines) + "\n", encoding="utf-8")
    series = {"<load>": [32.0, 33.0], "warmth": [-32.0, -33.123456789]}
    answer = {"input": str(path), "times": ["2024-02-01", "2024-02-02"], "series": series}
    preprocess = SeriesPreprocess(
        names=("warmth", "<load>"),
        mean=(0.0, 0.0),
        scale=(1.0, 1.0),
        length=5,
        horizon=2,
        fill=3,
        season=7,
        clock=Clock("seconds", 86_400.0, 0.0),
        time="date",
    )
    picture = forecasts.drawn(answer, preprocess)
    ElementTree.fromstring(picture)
    assert "&lt;load&gt; to 2024-02-02" in picture
    assert list(csv.reader(forecasts.table(answer).splitlines())) == [
        ["time", "<load>", "warmth"],
        ["2024-02-01", "32", "-32"],
        ["2024-02-02", "33", "-33.12345679"],
    ]
    bare = forecasts.table({"input": str(path), "series": series})
    assert bare.splitlines()[1].startswith("1,32")
    # It is read as what was learnt from: without a header, between bars, with a word for what is missing.
    rows = [line.replace(",", "|") for line in [*lines, "2023-12-31,gone,gone"]]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    renamed = {"names": ("column_3", "column_2"), "time": "column_1"}
    other = replace(preprocess, header=False, delimiter="|", missing=("gone",), **renamed)
    named = {"column_2": series["<load>"], "column_3": series["warmth"]}
    assert forecasts.drawn({**answer, "series": named}, other) == picture.replace("&lt;load&gt;", "column_2").replace(
        "warmth", "column_3"
    )

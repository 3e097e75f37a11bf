"""Series: which tables are taken for one, how they are split, scaled and seen through windows, and what is said of bad ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import deepen
from deepen import Problem
from deepen.data import series, series_table, tables
from deepen.data.dataset import Dataset
from deepen.data.lookback import SeriesPreprocess, forwards
from deepen.data.preprocess import dump, restore
from deepen.data.windows import Windows
from deepen.errors import Misuse
from deepen.sources import find_source
from deepen.spec import Horizon, Series
from tests.samples.series_table import make

SETTINGS: dict[str, Any] = {"lookback": 24, "horizon": 6}


def load(source: str, **settings: Any) -> Dataset:
    return series_table.load(source, series.Config(**(SETTINGS | settings)), 0)


def table(folder: Path, *rows: str, head: str = "time,load", name: str = "load.csv") -> str:
    path = folder / name
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return str(path)


def days(count: int, value: str = "{0}") -> list[str]:
    dates = np.datetime64("2024-01-01") + np.arange(count)
    return [f"{day},{value.format(number * number % 17)}" for number, day in enumerate(dates)]


def told(dataset: Dataset) -> dict[str, str]:
    return {finding.subject: finding.text for finding in dataset.findings}


def test_what_is_a_series_and_what_is_a_table(tmp_path: Path) -> None:
    reader = lambda source, task=None: find_source(source, task)[0].name  # noqa: E731
    whole = make(tmp_path)
    assert reader(whole) == "series-table"
    assert "`--as regress`" in find_source(whole)[1]
    assert reader(whole, "regress") == "tables"
    assert reader(table(tmp_path, *reversed(days(40)), name="newest-first.csv")) == "series-table"
    ordinary = {
        "few.csv": (days(12), "time,load"),
        "words.csv": ([f"{row},{'up' if row[-1] > '4' else 'down'}" for row in days(40)], "time,load,way"),
        "two-dates.csv": ([f"{row},{row[:10]}" for row in days(40)], "time,load,sold"),
        "irregular.csv": ([*days(40)[:20], "2024-01-20 13:07,5", *days(40)[20:]], "time,load"),
        "twice.csv": (days(300) + days(3), "time,load"),
        "no-times.csv": ([f"{row % 7},{row}" for row in range(50)], "a,b"),
        "only-times.csv": ([row[:10] for row in days(40)], "time"),
    }
    for name, (rows, head) in ordinary.items():
        source = table(tmp_path, *rows, head=head, name=name)
        assert reader(source) == "tables", name
        assert reader(source, "forecast") == "series-table", name


@pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set")
def test_tables_that_are_none_and_series_that_are_tables() -> None:
    root = Path(os.environ["DEEPEN_DATA"])
    for name in ("airline-passengers.csv", "daily-min-temperatures.csv"):
        assert find_source(str(root / "tabular" / name))[0].name == "series-table"
    for name in ("iris.csv", "titanic.csv", "california_housing.csv", "adult-train.csv.gz"):
        assert find_source(str(root / "tabular" / name))[0].name == "tables"


def test_windows_are_what_plain_slices_are(tmp_path: Path) -> None:
    dataset = load(make(tmp_path))
    assert isinstance(dataset.spec.input, Series)
    assert isinstance(dataset.spec.output, Horizon)
    assert dataset.spec.input.names == ("load", "température", "shift")
    lines = Path(tmp_path / "load.csv").read_text().splitlines()[1:]
    load_of = {line[:19]: float(line.split(",")[1]) for line in lines}
    moments = [
        str(np.datetime64("2024-02-20T00:00") + np.timedelta64(hour, "h")).replace("T", " ") + ":00"
        for hour in range(300)
    ]
    values = np.array([load_of.get(moment, np.nan) for moment in moments])
    train = 300 - round(300 * 0.2) - round(300 * 0.1)
    mean, scale = np.nanmean(values[:train]), np.nanstd(values[:train])
    assert dataset.spec.output.mean[0] == pytest.approx(mean)
    assert dataset.spec.output.scale[0] == pytest.approx(scale)
    scaled = (values - mean) / scale
    filled = scaled.copy()
    filled[77] = filled[76]
    assert (len(dataset.train), len(dataset.validation), len(dataset.test or ())) == (train - 29, 30 - 5, 60 - 5)
    for columns, first in ((dataset.train, 0), (dataset.validation, train - 24)):
        batch = columns.take(torch.arange(len(columns)))
        for row in range(len(columns)):
            start = first + row
            assert np.allclose(batch["input"][row, :, 0], filled[start : start + 24], atol=1e-5)
            expected = scaled[start + 24 : start + 30]
            assert np.allclose(batch["target"][row, :, 0], expected, atol=1e-5, equal_nan=True)
    assert dataset.validation.origin(0) == f"from {moments[train]}"


def test_nothing_of_a_later_part_is_held_by_an_earlier_one(tmp_path: Path) -> None:
    dataset = load(make(tmp_path))
    assert isinstance(dataset.train, Windows)
    assert isinstance(dataset.validation, Windows)
    assert len(dataset.train.flat) == len(dataset.train.truth) == 210
    assert len(dataset.validation.flat) == 24 + 30


def test_gaps_are_named_filled_by_what_was_before_and_never_scored(tmp_path: Path) -> None:
    dataset = load(make(tmp_path))
    assert told(dataset)["missing-moments"].startswith("1 of 300 moments are missing, the first 2024-02-23 05:00:00")
    assert "'température' are missing, the first at 2024-02-24 04:00:00" in told(dataset)["missing-values"]
    assert "left-out-windows" not in told(dataset)
    target = torch.cat([dataset.train["target"], dataset.validation["target"]])
    assert target.isnan().any()
    assert dataset.train["input"].isfinite().all()
    strict = load(str(tmp_path / "load.csv"), fill=0)
    assert len(strict.train) < len(dataset.train)
    assert "windows" in told(strict)["left-out-windows"]
    assert strict.train["input"].isfinite().all()


def test_fill_is_causal_and_bounded() -> None:
    values = np.array([np.nan, 1.0, np.nan, np.nan, np.nan, 5.0, np.nan])[:, None]
    assert np.array_equal(forwards(values, 2)[:, 0], [np.nan, 1, 1, 1, np.nan, 5, 5], equal_nan=True)
    assert np.array_equal(forwards(values, 0)[:, 0], values[:, 0], equal_nan=True)


def test_fingerprints_tell_windows_apart(tmp_path: Path) -> None:
    repeating = [f"{row[:10]},{number % 7}" for number, row in enumerate(days(200))]
    dataset = load(table(tmp_path, *repeating), lookback=14, horizon=7)
    prints = dataset.train.fingerprints()
    assert len(set(prints.tolist())) == 7
    assert np.array_equal(prints[:50], prints[7:57])
    plain = load(make(tmp_path))
    assert len(set(plain.train.fingerprints().tolist())) == len(plain.train)


def test_targets_and_limit(tmp_path: Path) -> None:
    source = make(tmp_path)
    dataset = load(source, target="température,load", limit=20)
    assert isinstance(dataset.spec.output, Horizon)
    assert dataset.spec.output.names == ("température", "load")
    assert len(dataset.train) == 20
    assert dataset.train["target"].shape == (20, 6, 2)
    assert dataset.train["input"].shape == (20, 24, 3)


def test_lengths_that_nobody_named(tmp_path: Path) -> None:
    dataset = load(make(tmp_path), lookback=None, horizon=None)
    assert isinstance(dataset.spec.input, Series)
    assert isinstance(dataset.spec.output, Horizon)
    assert (dataset.spec.input.length, dataset.spec.output.length) == (48, 24)  # whole days in a third of 210 hours


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target": "lode"}, "Did you mean 'load'"),
        ({"time": "when"}, "data.time=when names no column"),
        ({"lookback": 0}, "data.lookback=0"),
        ({"lookback": 400}, "210 moments to train on, and one window takes 406"),
        ({"horizon": 40}, "30 moments for validation, fewer than the 40"),
        ({"validation_fraction": 0.6, "test_fraction": 0.5}, "leave nothing"),
        ({"test": "more.csv"}, "data.test cannot be followed"),
        ({"group": "load"}, "data.group cannot be followed"),
        ({"fill": -1}, "data.fill=-1"),
    ],
)
def test_settings_that_cannot_be_followed(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(Problem, match=words):
        load(make(tmp_path), **settings)


def test_bad_tables_are_told_with_their_line(tmp_path: Path) -> None:
    for rows, words in (
        ([*days(60), days(60)[3]], "2024-01-04 in line 5 and again in line 62"),
        ([*days(30), "2024-01-30 13:07,4", *days(60)[30:]], "not equally spaced"),
        ([*days(30), "soon,4", *days(60)[30:]], "line 32 holds 'soon'"),
        ([*days(30), f"{days(31)[30][:10]},much", *days(60)[31:]], "load.csv:32: column 'load' holds 'much'"),
    ):
        with pytest.raises(Problem, match=words):
            load(table(tmp_path, *rows))
    with pytest.raises(Problem, match="no column of numbers"):
        load(table(tmp_path, *(f"{row[:10]},calm" for row in days(60))))
    with pytest.raises(Misuse, match="several columns of times"):
        load(table(tmp_path, *(f"{row},{row[:10]}" for row in days(60)), head="time,load,sold"))


def hours(count: int, begin: str = "2024-10-20T00", minutes: int = 60) -> list[str]:
    """Rows of a clock on the wall, which is put back on the 27th of October at 3."""
    rows = []
    for number in range(count):
        moment = np.datetime64(begin, "m") + np.timedelta64(number * minutes, "m")
        moment -= np.timedelta64(60 if moment >= np.datetime64("2024-10-27T03:00") else 0, "m")
        rows.append(f"{str(moment).replace('T', ' ')},{number % 24}")
    return rows


@pytest.mark.parametrize("minutes", [60, 15])
def test_an_hour_that_clocks_are_put_back_by_is_averaged_and_named(tmp_path: Path, minutes: int) -> None:
    rows = hours(360 * 60 // minutes, minutes=minutes)
    source = table(tmp_path, *rows)
    assert find_source(source)[0].name == "series-table"
    dataset = load(source)
    twice = 60 // minutes
    first = 171 * twice - twice  # 2 o'clock of the 27th, the 170th hour, and again an hour later
    assert rows[first][:16] == rows[first + twice][:16] == "2024-10-27 02:00"
    said = told(dataset)["doubled-moments"]
    assert ("1 moment of 'time' is" if twice == 1 else f"{twice} moments of 'time' are") + " there twice" in said
    assert f"(first 2024-10-27 02:00, in lines {first + 2} and {first + twice + 2})" in said
    assert isinstance(dataset.train, Windows)
    assert isinstance(dataset.spec.output, Horizon)
    values = dataset.train.truth[:, 0] * dataset.spec.output.scale[0] + dataset.spec.output.mean[0]
    both = [float(rows[row].rpartition(",")[2]) for row in (first, first + twice)]
    assert float(values[first]) == pytest.approx(sum(both) / 2, abs=1e-4)
    assert float(values[first + twice]) == pytest.approx(float(rows[first + 2 * twice].rpartition(",")[2]), abs=1e-4)
    turned = load(table(tmp_path, *rows[::-1], name="turned.csv"))
    assert torch.equal(turned.train["input"], dataset.train["input"])
    # What is read for a forecast is read in the same way.
    cut = table(tmp_path, *rows[: first + 3 * twice], name="cut.csv")
    ((_, item),) = dataset.preprocess.read([cut])
    assert dataset.preprocess.beside(item)["times"][0] == "2024-10-27 04:00:00"
    assert item.values[-1 - twice, 0] == pytest.approx(float(values[first + 2 * twice - 1 - twice]), abs=1e-4)


@pytest.mark.parametrize(
    ("rows", "head", "why", "mend"),
    [
        (
            [*days(40)[:20], days(40)[19], *days(40)[20:]],
            "time,load",
            "2024-01-20, is the same time as",
            "once that is",
        ),
        (
            [*days(40)[:20], "2024-01-20 13:07,5", *days(40)[20:]],
            "time,load",
            "not equally spaced: most",
            "once that is",
        ),
        ([*hours(300)[:99], hours(300)[98], *hours(300)[99:]], "time,load", "2 such rows in all", "once that is"),
        ([f"{row},dull" for row in days(40)], "time,load,sky", "'sky' holds no numbers", "`--as forecast` reads the"),
        ([f"{row},{row[:10]}" for row in days(40)], "time,load,sold", "'sold' holds times", "--as forecast data.time="),
        (days(20), "time,load", "there are fewer than 30", "`--as forecast` reads them"),
        ([*days(40), *days(40)], "time,load", "line 42, 2024-01-01, is earlier than", "once that is"),
    ],
)
def test_what_is_almost_a_series_and_split_at_random_is_told_so(
    tmp_path: Path, rows: list[str], head: str, why: str, mend: str
) -> None:
    source = table(tmp_path, *rows, head=head)
    assert find_source(source)[0].name == "tables"
    settings = {"target": "load", "answer": "number"}
    (finding,) = (
        one for one in tables.load(source, tables.Config(**settings), 0).findings if one.subject == "time-order"
    )
    assert "by 'time', and are split at random" in finding.text
    assert why in finding.text
    assert "data.time=time tests on the newest" in finding.mend
    assert mend in finding.mend
    by_time = tables.load(source, tables.Config(time="time", **settings), 0)
    assert "time-order" not in told(by_time)


def test_a_column_whose_name_has_blanks_is_told_as_it_is_typed(tmp_path: Path) -> None:
    source = table(tmp_path, *(f"{row},{row[:10]}" for row in days(40)), head="Date Time,load,sold on")
    (finding,) = (
        one
        for one in tables.load(source, tables.Config(target="load", answer="number"), 0).findings
        if one.subject == "time-order"
    )
    assert finding.mend.count("'data.time=Date Time'") == 2


def test_a_series_that_is_read_as_rows_is_told_so_and_other_tables_are_not(tmp_path: Path) -> None:
    dataset = tables.load(make(tmp_path), tables.Config(target="load", answer="number"), 0)
    assert "split at random" in told(dataset)["time-order"]
    assert "not read as a series" not in told(dataset)["time-order"]
    sales = [f"2024-01-{1 + row // 20:02d},{row * row % 17}" for row in range(400)]  # many in a day
    mixed = [days(97)[row * 31 % 97] for row in range(97)]
    for rows in (sales, mixed):
        dataset = tables.load(table(tmp_path, *rows), tables.Config(target="load", answer="number"), 0)
        assert "time-order" not in told(dataset)


def test_rows_are_sorted_and_texts_left_out(tmp_path: Path) -> None:
    rows = [f"{row},{'fair' if number % 2 else 'foul'}" for number, row in enumerate(days(200))]
    straight = load(table(tmp_path, *rows, head="time,load,sky"))
    assert "'sky' holds texts" in told(straight)["left-out-column"]
    turned = load(table(tmp_path, *rows[::-1], head="time,load,sky", name="turned.csv"))
    mixed = load(table(tmp_path, *rows[100:], *rows[:100], head="time,load,sky", name="mixed.csv"))
    assert "unsorted-times" not in told(turned)
    assert "unsorted-times" in told(mixed)
    for other in (turned, mixed):
        assert torch.equal(other.train["input"], straight.train["input"])


def test_an_empty_column_is_left_out_and_leaves_a_series_one(tmp_path: Path) -> None:
    source = table(tmp_path, *(f"{row}," for row in days(200)), head="time,load,remark")
    assert find_source(source)[0].name == "series-table"
    found = load(source)
    assert "'remark' is empty" in told(found)["left-out-column"]
    assert found.preprocess.names == ("load",)


def test_without_times_rows_follow_each_other(tmp_path: Path) -> None:
    dataset = load(table(tmp_path, *(f"{row % 5},{row % 7}" for row in range(120)), head="a,b"))
    assert any("No column holds times" in fact for fact in dataset.facts)
    assert len(dataset.train) == 84 - 29


def test_numbers_that_count_are_times(tmp_path: Path) -> None:
    dataset = load(table(tmp_path, *(f"{1800 + row},{row * row % 17}" for row in range(120)), head="year,load"))
    assert dataset.spec.input == Series(24, ("load",))
    assert any("'year' goes on by the same number" in fact for fact in dataset.facts)
    assert "to 1919" in dataset.facts[-4]


def test_too_few_moments_and_parts_of_a_second_are_told(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"holds 2 of the 3 moments"):
        load(table(tmp_path, *days(2)))
    parts = [f"2024-01-01 00:00:{row // 10:02d}.{row % 10},{row % 7}" for row in range(90)]
    with pytest.raises(Problem, match=r"times are read to the second: .* data\.time=COLUMN"):
        load(table(tmp_path, *parts))


def test_a_past_without_times_is_filled_as_it_was_in_training(tmp_path: Path) -> None:
    rows = [f"{row % 5},{row % 7}" for row in range(120)]
    dataset = load(table(tmp_path, *rows, head="a,b"))
    rows[-24] = f",{96 % 7}"  # the first moment that is looked back on
    ((_, item),) = dataset.preprocess.read([table(tmp_path, *rows, head="a,b", name="hole.csv")])
    stored = dataset.preprocess.encode([item])
    assert stored.shape == (1, 24, 2)
    assert torch.isfinite(stored).all()


def test_a_constant_column_is_named_and_harmless(tmp_path: Path) -> None:
    dataset = load(table(tmp_path, *(f"{row},3.25" for row in days(200)), head="time,load,calm"))
    assert "'calm' is constant" in told(dataset)["constant-column"]
    assert dataset.train["input"][..., 1].abs().max() == 0
    assert isinstance(dataset.spec.output, Horizon)
    assert dataset.spec.output.scale[1] == 1.0


def test_preprocessing_is_restored_and_reads_the_end_of_another_table(tmp_path: Path) -> None:
    source = make(tmp_path)
    dataset = load(source)
    again = restore(dump(dataset.preprocess))
    assert again == dataset.preprocess
    assert isinstance(again, SeriesPreprocess)
    lines = Path(source).read_text().splitlines()
    cut = table(tmp_path, *lines[1:241], head=lines[0], name="cut.csv")  # up to hour 240: the 77th is missing
    ((name, item),) = again.read([cut])
    assert name == cut
    assert again.beside(item)["times"][0] == "2024-03-01 01:00:00"
    row = 241 - 210  # of the hours that validate and test, the first that is not known
    validation = load(source, validation_fraction=0.3, test_fraction=0.0)
    stored = validation.validation["input"][row]
    assert torch.allclose(again.tensor(again.encode([item]))[0], stored, atol=1e-6)
    with pytest.raises(Problem, match=r"short.csv has 20 moments and the model looks back on 24"):
        again.encode([again.read([table(tmp_path, *lines[1:21], head=lines[0], name="short.csv")])[0][1]])
    with pytest.raises(Problem, match=r"has no column 'load'. Did you mean 'loads'\? Columns: "):
        again.read([table(tmp_path, *lines[1:], head=lines[0].replace("load", "loads"), name="other.csv")])
    half = [line.replace(":00:00", ":30:00") if number % 2 else line for number, line in enumerate(lines[1:])]
    with pytest.raises(Problem, match="not a whole number of times 1 hour"):
        again.read([table(tmp_path, *half, head=lines[0], name="half.csv")])
    holes = [line if number < 220 or number > 230 else f"{line[:19]},,," for number, line in enumerate(lines[1:241])]
    with pytest.raises(Problem, match="lacks values of 'load' among its last 24"):
        again.encode([again.read([table(tmp_path, *holes, head=lines[0], name="holes.csv")])[0][1]])


def test_arrays_and_dictionaries_are_series_too(tmp_path: Path) -> None:
    dataset = load(make(tmp_path))
    preprocess = dataset.preprocess
    values = np.random.default_rng(0).normal(size=(30, 3))
    both = preprocess.encode([values, {"load": values[:, 0], "température": values[:, 1], "shift": values[:, 2]}])
    assert both.shape == (2, 24, 3)
    assert torch.equal(both[0], both[1])
    assert preprocess.beside(values) == {}
    with pytest.raises(Problem, match=r"shape \[30, 2\] where \[moments, 3\]"):
        preprocess.encode([values[:, :2]])
    with pytest.raises(Problem, match="no variate 'shift'"):
        preprocess.encode([{"load": [1.0], "température": [1.0]}])


def test_what_is_forecast_is_told_in_the_users_units(tmp_path: Path, call: Any) -> None:
    source = make(tmp_path)
    run = deepen.train(source, runs=tmp_path / "runs", **{"plan": "fp32", "epochs": 3, "seed": 1, **_full()})
    model = run.load()
    (answer,) = model.predict(source)
    assert answer["times"][0] == "2024-03-03 12:00:00"
    assert set(answer["series"]) == {"load", "température", "shift"}
    assert 20 < np.mean(answer["series"]["load"]) < 90
    done = call("predict", str(run.path), source, "--save", str(tmp_path / "drawn"))
    assert done.code == 0, done.err
    assert done.out.startswith(f"{source}\tload ")
    lines = (tmp_path / "drawn" / "load-forecast.csv").read_text().splitlines()
    assert lines[0] == "time,load,température,shift"
    assert len(lines) == 7
    assert "<svg" in (tmp_path / "drawn" / "load.svg").read_text()
    done = call("evaluate", str(run.path), "--json")
    assert done.json["samples"] == 55
    assert done.json["rival"]["method"] == "repeating the last season"


def _full() -> dict[str, Any]:
    return {f"data.{name}": value for name, value in SETTINGS.items()}


@pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set: ETTh1 lies there")
def test_etth1_has_its_standard_split() -> None:
    from deepen.data import etth1

    dataset = etth1.load("etth1", etth1.Config(), 0)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test or ())) == (8209, 2785, 2785)
    assert isinstance(dataset.train, Windows)
    assert dataset.train.flat[:8640].double().mean(0).abs().max() < 1e-6
    assert (dataset.train.flat[:8640].double().std(0, correction=0) - 1).abs().max() < 1e-6
    assert dataset.findings == []
    for share in ("validation_fraction", "test_fraction"):
        with pytest.raises(Misuse, match=rf"data\.{share}=0\.3 cannot be followed: etth1 has its standard splits"):
            etth1.load("etth1", etth1.Config(**{share: 0.3}), 0)

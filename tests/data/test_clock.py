"""Equally spaced moments: how they are told from a column, numbered, named and gone on with."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pytest

from deepen.data import clock as clocks


def clock_of(cells: list[str]) -> tuple[clocks.Clock, list[float]]:
    moments = clocks.read(cells, plain=True)
    assert moments is not None
    clock = clocks.fit(moments)
    return clock, clock.places(moments).tolist()


def stamps(step: timedelta, count: int, start: str = "2024-02-27T22:00") -> list[str]:
    return [str(datetime.fromisoformat(start) + number * step) for number in range(count)]


@pytest.mark.parametrize(
    ("step", "spacing", "season"),
    [
        (timedelta(seconds=1), "1 second", 60),
        (timedelta(minutes=1), "1 minute", 60),
        (timedelta(minutes=15), "15 minutes", 96),
        (timedelta(hours=1), "1 hour", 24),
        (timedelta(hours=7), "7 hours", 1),
        (timedelta(days=1), "1 day", 7),
        (timedelta(weeks=1), "1 week", 52),
    ],
)
def test_distances_and_seasons(step: timedelta, spacing: str, season: int) -> None:
    clock, places = clock_of(stamps(step, 40))
    assert (clock.spacing, clock.season) == (spacing, season)
    assert places == list(range(40))
    assert clock.name(40) == stamps(step, 41)[-1]


def test_months_are_not_equally_long() -> None:
    clock, places = clock_of(["1949-01", "1949-02", "1949-03", "1949-05"])
    assert (clock.spacing, clock.season, places) == ("1 month", 12, [0, 1, 2, 4])
    assert [clock.name(place) for place in (3, 11, 12)] == ["1949-04", "1949-12", "1950-01"]
    clock, _ = clock_of(["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"])
    assert clock.name(4) == "2024-05-31"
    clock, _ = clock_of(["2020-01-01", "2021-01-01", "2022-01-01", "2024-01-01"])
    assert (clock.spacing, clock.season, clock.name(3)) == ("12 months", 1, "2023-01-01")


def test_exchanges_rest_at_the_weekend() -> None:
    days = [date(2024, 1, 1) + timedelta(number) for number in range(60)]
    open_days = [str(day) for day in days if day.weekday() < 5 and day != date(2024, 1, 15)]
    clock, places = clock_of(open_days)
    assert (clock.spacing, clock.season) == ("1 weekday", 5)
    assert np.flatnonzero(np.diff(places) == 2).tolist() == [9]
    assert [clock.name(place) for place in (4, 5, 10)] == ["2024-01-05", "2024-01-08", "2024-01-15"]


def test_numbers_are_times_where_they_are_asked_for() -> None:
    assert clocks.read(["1", "2", "3"]) is None
    clock, places = clock_of(["1949", "1950", "1951", "1954"])
    assert (clock.unit, clock.season, places, clock.name(3)) == ("numbers", 1, [0, 1, 2, 5], "1952")


def test_gaps_are_counted_and_half_steps_found() -> None:
    hours = stamps(timedelta(hours=1), 50)
    del hours[10:13]
    assert clock_of(hours)[1] == [*range(10), *range(13, 50)]
    clock, places = clock_of([*stamps(timedelta(hours=2), 6), *stamps(timedelta(hours=1), 5, "2024-02-28T09:00")])
    assert (clock.spacing, places[-1]) == ("1 hour", 15)


def test_day_or_month_first_is_told_by_the_order_of_time() -> None:
    days = [(date(2024, 1, 1) + timedelta(number)).strftime("%m/%d/%Y") for number in range(12)]
    assert clock_of(days)[0].name(11) == "2024-01-12"
    days = [(date(2024, 1, 1) + timedelta(number)).strftime("%d/%m/%Y") for number in range(12)]
    assert clock_of(days)[0].name(11) == "2024-01-12"


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 02:13", "2024-01-01 03:00"], "row 4"),
        (["2024-01-01", "2024-01-02"], "only 2"),
        (["2024-01-02", "2024-01-01", "2024-01-03"], "rise"),
        ([*stamps(timedelta(seconds=1), 5, "2024-01-01T00:00"), "2024-06-01 00:00:00"], "6 rows lie in"),
    ],
)
def test_what_is_not_equally_spaced_is_said(cells: list[str], words: str) -> None:
    moments = clocks.read(cells)
    assert moments is not None
    with pytest.raises(clocks.IrregularError, match=words):
        clocks.fit(moments)


def test_clocks_that_change_with_the_season_are_brought_to_utc() -> None:
    summer = [f"2024-10-27T{hour:02d}:00:00+02:00" for hour in range(3)]
    winter = [f"2024-10-27T{hour:02d}:00:00+01:00" for hour in range(2, 6)]
    clock, places = clock_of(summer + winter)
    assert places == list(range(7))
    assert clock.name(2) == "2024-10-27 00:00:00+00:00"
    clock, _ = clock_of(winter)
    assert clock.name(0) == "2024-10-27 02:00:00", "as it stands where all are of one zone"
    moments = clocks.read(winter, utc=True)
    assert moments is not None
    assert clocks.fit(moments).name(0) == "2024-10-27 01:00:00+00:00"


def test_clocks_that_are_put_back_are_told_from_times_that_are_wrong() -> None:
    def put_back(cells: list[str]) -> bool:
        moments = clocks.read(cells)
        assert moments is not None
        return clocks.put_back(moments)

    hours = stamps(timedelta(hours=1), 100)
    quarters = stamps(timedelta(minutes=15), 100)
    days = stamps(timedelta(days=1), 100)
    assert put_back([*hours[:50], *hours[49:]])
    assert put_back([*hours[:50], *hours[49:]][::-1])
    assert put_back([*quarters[:50], *quarters[46:]])
    assert not put_back(hours)
    assert not put_back(hours[:1])
    assert not put_back([*days[:50], *days[49:]]), "a day is no hour"
    assert not put_back([*hours[:50], *hours[48:]]), "two hours are more than one"
    assert not put_back([*quarters[:50], *quarters[45:]])
    assert not put_back([*hours[:50], hours[49], *hours[49:]]), "an hour is there twice, not three times"
    assert not put_back([*hours[:50], *hours[49:70], *hours[69:]]), "autumn is once a year"
    year = stamps(timedelta(hours=1), 9600)
    assert put_back([*year[:50], *year[49:9000], *year[8999:]])

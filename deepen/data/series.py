"""Series: numbers at equally spaced moments, seen through windows of a past to look back on and a future to forecast.

The oldest part trains and the newest tests; what is fitted is fitted on the first. Windows of the later parts look back into the
part before: their past is known when they are forecast (as in Zhou et al., 2021, Informer, and all that compare with it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from deepen.data.clock import Clock
from deepen.data.dataset import Bad, Dataset, Finding, Sealed
from deepen.data.lookback import SeriesPreprocess, forwards
from deepen.data.text_settings import TableData
from deepen.data.windows import Windows
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.randomness import derive
from deepen.recipe import Data
from deepen.spec import Horizon, Series, Spec

LONGEST = 336
"""Moments that are looked back on, where nothing else is asked and there are as many."""
SEASONS = 14
"""Seasons that are looked back on at most, likewise."""


@dataclass
class Config(TableData):
    """How a series is read."""

    target: str | None = None
    """Column to forecast, or several with commas between. Default: all columns of numbers."""
    time: str | None = None
    """Column of the times. Default: the one that holds equally spaced times."""
    lookback: int | None = None
    """Moments that a forecast looks back on. Default: 14 seasons, at most 336 moments and a third of the training part."""
    horizon: int | None = None
    """Moments that are forecast. Default: a season (24 hours, 7 days, 12 months), 24 moments where there is none; fewer where the
    parts are shorter."""
    season: int | None = None
    """Moments after which things tend to come again. Default: by their distance, a day of hours, a week of days, a year of
    months."""
    fill: int = 3
    """Missing moments in a row that are taken to be as before; windows that would look back on a longer gap are left out."""


def build(
    name: str,
    values: np.ndarray,
    names: Sequence[str],
    clock: Clock,
    options: Data,
    seed: int,
    *,
    digest: str,
    time: str | None = None,
    notations: Sequence[str] = (),
    borders: tuple[int, int, int] | None = None,
    facts: Sequence[str] = (),
    findings: Sequence[Finding] = (),
    bad: Sequence[Bad] = (),
    header: bool | None = None,
) -> Dataset:
    """A data set of a series float64 [T, C] in the user's units, NaN where a value is missing: row i is at the moment i of
    `clock`. `borders` are the rows before which training, validation and test end, where the set has standard ones."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    _check(name, config)
    targets = _targets(config.target, names)
    ends = borders or _borders(name, len(values), config)
    values = np.where(np.isfinite(values), values, np.nan)[: ends[2]]
    season = clock.season if config.season is None else config.season
    horizon = config.horizon or _usual_horizon(ends, season)
    length = config.lookback or _usual_length(ends[0], season)
    _enough(name, ends, length, horizon)
    train = values[: ends[0]]
    silent = [column for number, column in enumerate(names) if not np.isfinite(train[:, number]).any()]
    if silent:
        raise Problem(
            f"{name}: column '{silent[0]}' has no value in the part that trains, the first {ends[0]:,} moments: leave it out of "
            "the file, or give a longer one."
        )
    mean, deviation = np.nanmean(train, axis=0), np.nanstd(train, axis=0)
    constant = deviation <= 1e-12 * np.maximum(1.0, np.abs(mean))
    preprocess = SeriesPreprocess(
        names=tuple(names),
        mean=tuple(mean.tolist()),
        scale=tuple(np.where(constant, 1.0, deviation).tolist()),
        length=length,
        horizon=horizon,
        fill=config.fill,
        season=season,
        clock=clock,
        time=time,
        notations=tuple(notations),
        missing=config.missing,
        header=header,
        delimiter=config.delimiter,
        encoding=config.encoding,
    )
    at = [list(names).index(target) for target in targets]
    made, left_out = _parts(values, ends, preprocess, at)
    if not len(made["train"]) or not len(made["validation"]):
        part = "validation" if len(made["train"]) else "train"
        raise Problem(
            f"{name}: no window of the {part} part is free of gaps of more than {config.fill} moments: fill the gaps in the "
            "file, or set a larger data.fill or a smaller data.lookback."
        )
    if config.limit is not None and config.limit < len(made["train"]):
        picked = np.random.default_rng(derive(seed, "limit")).permutation(len(made["train"]))[: config.limit]
        made["train"] = made["train"].only(torch.from_numpy(np.sort(picked)))
    told = [
        *facts,
        f"{len(values):,} moments, {clock.spacing} apart, from {clock.name(0)} to {clock.name(len(values) - 1)}.",
        f"Forecast: {horizon:,} moment{'' if horizon == 1 else 's'} of {_some(targets)}, from the {length:,} before"
        + ("." if len(targets) == len(names) else f" of {_some(names)}."),
        f"Split in the order of time, never at random: training ends with {clock.name(ends[0] - 1)}, validation with "
        f"{clock.name(ends[1] - 1)}. Later parts look back into the part before.",
        "Windows: " + ", ".join(f"{len(windows):,} {part}" for part, windows in made.items()) + ".",
    ]
    if season > 1:
        told.insert(-2, f"A season is {season:,} moments (data.season).")
    spec = Spec(
        Series(length, tuple(names)),
        Horizon(
            horizon,
            tuple(targets),
            tuple(preprocess.mean[place] for place in at),
            tuple(preprocess.scale[place] for place in at),
        ),
    )
    noticed = _noticed(names, constant, values, clock, config.fill, left_out)
    return Dataset(
        name=name,
        spec=spec,
        preprocess=preprocess,
        train=made["train"],
        validation=made["validation"],
        test=Sealed(made["test"]) if "test" in made and len(made["test"]) else None,
        digest=digest,
        facts=told,
        bad=list(bad),
        findings=[*findings, *noticed],
    )


def _check(name: str, config: Config) -> None:
    for key in ("lookback", "horizon", "season", "limit"):
        value = getattr(config, key)
        if value is not None and value < 1:
            raise Misuse(f"data.{key}={value} is not usable: expected 1 or more.")
    if config.fill < 0:
        raise Misuse(f"data.fill={config.fill} is not usable: expected 0 or more.")
    for key, instead in (
        ("test", "the newest rows of the series test, data.test_fraction of them"),
        ("group", "a series is split by time"),
    ):
        if getattr(config, key) is not None:
            raise Misuse(f"data.{key} cannot be followed for the series {name}: {instead}. Leave it out.")


def _targets(asked: str | None, names: Sequence[str]) -> list[str]:
    """The variates to forecast."""
    if asked is None:
        return list(names)
    wanted = [asked] if asked in names else [part.strip() for part in asked.split(",") if part.strip()]
    for target in wanted:
        if target not in names:
            raise Misuse(
                f"data.target={target} names no column of numbers of the series.{did_you_mean(target, names)} "
                f"Columns: {', '.join(names)}."
            )
    return wanted or list(names)


def _borders(name: str, count: int, config: Config) -> tuple[int, int, int]:
    """The rows before which training, validation and test end."""
    validation, test = config.validation_fraction, config.test_fraction
    if not 0 < validation < 1 or not 0 <= test < 1 or validation + test >= 1:
        raise Misuse(
            f"data.validation_fraction={validation:g} and data.test_fraction={test:g} leave nothing to train on or to validate: "
            "the first must be above 0, and their sum below 1."
        )
    later = round(count * test), round(count * validation)
    return count - later[0] - later[1], count - later[0], count


def _usual_horizon(ends: tuple[int, int, int], season: int) -> int:
    """A season, where the parts that are forecast hold one."""
    least = min(filter(None, (ends[0] // 3, ends[1] - ends[0], ends[2] - ends[1])), default=1)
    return season if 1 < season <= least else max(1, min(season if season > 1 else 24, least // 2))


def _usual_length(train: int, season: int) -> int:
    """Whole seasons, as many as are usual and as a third of the training part holds."""
    most = min(LONGEST, SEASONS * max(season, 7), train // 3)
    return max(1, most // season * season if most >= season else most)


def _enough(name: str, ends: tuple[int, int, int], length: int, horizon: int) -> None:
    """Raise `Problem` for a series that is too short for its windows."""
    if ends[0] < length + horizon:
        raise Problem(
            f"{name} has {ends[0]:,} moments to train on, and one window takes {length + horizon:,} (data.lookback={length} and "
            f"data.horizon={horizon}): set smaller ones, or give a longer series."
        )
    for part, first, last in (("validation", ends[0], ends[1]), ("test", ends[1], ends[2])):
        if last - first < horizon and (part == "validation" or last > first):
            raise Problem(
                f"{name} has {last - first:,} moments for {part}, fewer than the {horizon:,} that are forecast: set a smaller "
                f"data.horizon or a larger data.{part}_fraction, or give a longer series."
            )


def _parts(
    values: np.ndarray, ends: tuple[int, int, int], preprocess: SeriesPreprocess, at: Sequence[int]
) -> tuple[dict[str, Windows], int]:
    """The windows of each part, over its own rows and those that it looks back on; and how many were left out for gaps."""
    length, horizon = preprocess.length, preprocess.horizon
    flat = preprocess.scaled(forwards(values, preprocess.fill))
    truth = preprocess.scaled(values)[:, at]
    gaps = np.concatenate([[0], np.cumsum(np.isnan(flat).any(axis=1))])
    known = np.concatenate([[0], np.cumsum(~np.isnan(truth).all(axis=1))])
    made, left_out = {}, 0
    for part, begin, end in (("train", 0, ends[0]), ("validation", ends[0], ends[1]), ("test", ends[1], ends[2])):
        first = max(0, begin - length)
        starts = np.arange(first, max(first, end - length - horizon + 1))
        whole = gaps[starts + length] == gaps[starts]
        whole &= known[starts + length + horizon] > known[starts + length]
        left_out += int((~whole).sum())
        made[part] = Windows(
            torch.from_numpy(flat[first:end].copy()),
            torch.from_numpy(truth[first:end].copy()),
            torch.from_numpy(starts[whole] - first),
            length,
            horizon,
            _Called(preprocess.clock, first),
        )
        if begin == end:
            del made[part]
    return made, left_out


@dataclass(frozen=True)
class _Called:
    """The moments of a part's rows."""

    clock: Clock
    first: int

    def __call__(self, row: int) -> str:
        return self.clock.name(self.first + row)


def _noticed(
    names: Sequence[str], constant: np.ndarray, values: np.ndarray, clock: Clock, fill: int, left_out: int
) -> list[Finding]:
    """Constant columns and gaps."""
    found = []
    for number in np.flatnonzero(constant).tolist():
        text = f"Column '{names[number]}' is constant in the training part: its forecast is that constant."
        found.append(Finding("warning", "constant-column", text, "Remove it, if nothing is to be learnt of it."))
    absent = np.isnan(values)
    moments = absent.all(axis=1)
    if moments.any():
        first = clock.name(int(np.flatnonzero(moments)[0]))
        text = f"{moments.sum():,} of {len(values):,} moments are missing, the first {first}."
        found.append(Finding("warning", "missing-moments", text, _filled(fill)))
    cells = absent & ~moments[:, None]
    for number in np.flatnonzero(cells.any(axis=0)).tolist():
        first = clock.name(int(np.flatnonzero(cells[:, number])[0]))
        text = f"{cells[:, number].sum():,} values of '{names[number]}' are missing, the first at {first}."
        found.append(Finding("warning", "missing-values", text, _filled(fill)))
    if left_out:
        look = "1 window looks" if left_out == 1 else f"{left_out:,} windows look"
        text = f"{look} back on a longer gap, or would forecast nothing that is known: left out."
        found.append(Finding("warning", "left-out-windows", text, "Fill the gaps, or set a larger data.fill."))
    return found


def _filled(fill: int) -> str:
    return f"Up to {fill} in a row (data.fill) are taken to be as before where a forecast looks back on them; none is scored."


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8:,} more"


def onto_grid(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rows float64 [N, C] at whole places that rise from 0: [T, C], NaN where there is none."""
    assert math.isclose(places[0], 0.0)
    grid = np.full((int(places[-1]) + 1, values.shape[1]), np.nan)
    grid[places.astype(np.int64)] = values
    return grid

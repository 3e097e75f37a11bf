"""ETTh1: two years of a transformer's load and oil temperature, hour by hour; the series that forecasts are compared on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from deepen.data import clock, places, series
from deepen.data.cells import numbers
from deepen.data.dataset import About, Dataset
from deepen.data.reading import read_table
from deepen.data.splits import standard
from deepen.errors import Misuse, Problem
from deepen.recipe import Data

SUMMARY = "17,420 hours of a transformer: six loads and its oil temperature; standard split (from DEEPEN_DATA)"
ABOUT = About(
    title="ETTh1 (Electricity Transformer Temperature)",
    licence="CC BY-ND 4.0",
    citation="H. Zhou et al.: Informer: beyond efficient transformer for long sequence time-series forecasting. AAAI 2021.",
    homepage="https://github.com/zhouhaoyi/ETDataset",
)
TIME = "date"
NAMES = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
MONTH = 30 * 24
BORDERS = (12 * MONTH, 16 * MONTH, 20 * MONTH)
"""Where training, validation and test end; what comes later is not used."""


@dataclass
class Config(series.Config):
    """The lengths that are compared most."""

    lookback: int | None = 336
    """Hours that a forecast looks back on."""
    horizon: int | None = 96
    """Hours that are forecast: 96, 192, 336 and 720 are usual."""


def load(source: str, options: Data, seed: int) -> Dataset:
    """12 months to train, 4 to validate, 4 to test, as Informer and all after it split them. Raises `Problem` where it lacks."""
    for option in ("time", "header", "delimiter", "encoding", "missing"):
        if getattr(options, option) not in (None, ()):
            raise Misuse(f"data.{option} cannot be set for etth1, whose columns are fixed.")
    standard("etth1", options)
    path = next(filter(None, (places.find(folder, ("ETTh1.csv",)) for folder in ("ett", "etth1"))), None)
    if path is None:
        raise Problem(
            f"ETTh1 is not here: it was looked for in {places.homes('ett')[0]}. Set DEEPEN_DATA to the folder that holds "
            f"ett/ETTh1.csv, or get it from {ABOUT.homepage}."
        )
    table = read_table(path, header=True, delimiter=",")
    if tuple(table.columns) != (TIME, *NAMES) or len(table.lines) < BORDERS[-1]:
        raise Problem(f"{path} is not ETTh1: expected {BORDERS[-1]:,} rows or more of {TIME}, {', '.join(NAMES)}.")
    moments = clock.read(table.columns[TIME])
    read = [numbers(table.columns[name]) for name in NAMES]
    if moments is None or any(wrong for _, wrong in read):
        raise Problem(f"{path} is damaged: it holds cells that are neither times nor numbers.")
    fitted = clock.fit(moments)
    rows = np.stack([values for values, _ in read], axis=1)
    return series.build(
        "etth1",
        series.onto_grid(rows, fitted.places(moments)),
        NAMES,
        fitted,
        options,
        seed,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        time=TIME,
        notations=("point",) * len(NAMES),
        borders=BORDERS,
        header=True,
    )

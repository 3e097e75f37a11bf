"""Adult, or Census Income: does a person earn more than 50,000 dollars a year? 48,842 people, with an official split.

The files lie under DEEPEN_DATA, as UCI gives them: no header, blanks after commas, `?` for a missing value, and test
labels that end in a point.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from deepen.data import places, tables
from deepen.data.dataset import About, Dataset
from deepen.data.reading import RawTable, read_table
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = "48,842 people of the 1994 census: 14 columns, income above 50,000 dollars or not (from DEEPEN_DATA)"
ABOUT = About(
    title="Adult (Census Income)",
    licence="CC BY 4.0",
    citation="B. Becker, R. Kohavi: Adult. UCI Machine Learning Repository (1996).",
    homepage="https://archive.ics.uci.edu/dataset/2/adult",
)
Config = tables.Config

NAMES = (
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship"),
    *("race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"),
)
FILES = {
    "train": ("adult-train.csv.gz", "adult-train.csv", "adult.data"),
    "test": ("adult-test.csv.gz", "adult-test.csv"),
}


def load(source: str, options: Data, seed: int) -> Dataset:
    """32,561 people to train and 16,281 to test; validation is taken from train. Raises `Problem` where files lack."""
    tables.refuse_file_options("adult", options)
    digest = hashlib.sha256()
    parts = {}
    for part, names in FILES.items():
        path = _find(names)
        digest.update(path.read_bytes())
        table = read_table(path, header=False, delimiter=",")
        if len(table.columns) != len(NAMES):
            raise Problem(f"{path} has {len(table.columns)} columns where Adult has {len(NAMES)}: it is another file.")
        parts[part] = table
    train, test = parts["train"], parts["test"]
    cells = [[*ours, *theirs] for ours, theirs in zip(train.columns.values(), test.columns.values(), strict=True)]
    cells[-1] = [label.removesuffix(".") for label in cells[-1]]
    table = RawTable(
        columns=dict(zip(NAMES, cells, strict=True)),
        lines=[*train.lines, *test.lines],
        header=False,
        files=[*train.files, *test.files],
    )
    given = np.array(["train"] * len(train.lines) + ["test"] * len(test.lines))
    return tables.build("adult", table, "income", options, seed, digest=digest.hexdigest(), given=given)


def _find(names: tuple[str, ...]) -> Path:
    folders = ("tabular", "adult")
    for folder in folders:
        found = places.find(folder, names)
        if found:
            return found
    looked = ", ".join(str(home) for folder in folders for home in places.homes(folder))
    raise Problem(
        f"Adult is not here: {names[0]} was looked for in {looked}. Set DEEPEN_DATA to the folder that holds "
        f"tabular/{names[0]}, or get it from {ABOUT.homepage}."
    )

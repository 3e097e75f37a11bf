"""Tables: `deepen train` beside scikit-learn's HistGradientBoosting on the same split, at its defaults.

Boosting gets what a careful user gives it: the columns that Deepen reads, numbers with their gaps, categories as such.
It is fitted once on the training rows alone, as Deepen is, and once on training and validation rows together, since at
its defaults it needs no validation split.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import deepen
from bench.timing import DATA, Result, spread, tell
from deepen.data.cells import days, is_missing, numbers, texts
from deepen.data.columns import Choice, Column, Date, Number, TablePreprocess
from deepen.data.dataset import Columns, Dataset
from deepen.data.reading import read_table
from deepen.spec import Category

TITLE = "Tables, beside gradient boosting"
SETS: dict[str, dict[str, Any]] = {
    "iris": {},
    "titanic.csv": {"target": "Survived"},
    "adult": {},
    "california_housing.csv": {"target": "median_house_value"},
}
MOST_CATEGORIES = 255
"""What HistGradientBoosting takes of a column; beyond it, categories are given as numbers."""


def run(rounds: int, quick: bool) -> Result:
    """`rounds` seeds, each with a split of its own (but for adult's test rows, which are given)."""
    lines = []
    for name, settings in SETS.items():
        ours, seconds, alone, more, boosted = [], [], [], [], []
        for seed in range(rounds):
            source = str(DATA / "tabular" / name) if name.endswith(".csv") else name
            options: dict[str, Any] = {**settings, "seed": seed, **({"epochs": 1} if quick else {})}
            with tempfile.TemporaryDirectory() as home:
                started = time.perf_counter()
                trained = deepen.train(source, runs=home, **options)
                seconds.append(time.perf_counter() - started)
                metrics = trained.evaluate().metrics
                dataset = trained.data()
            classes = isinstance(dataset.spec.output, Category)
            metric = "accuracy" if classes else "r2"
            ours.append(100 * metrics[metric])
            started = time.perf_counter()
            scores = boost(dataset, source if name.endswith(".csv") else None, seed)
            boosted.append((time.perf_counter() - started) / 2)
            alone.append(scores[0])
            more.append(scores[1])
            tell(f"  {name} seed {seed}: Deepen {ours[-1]:.2f}, boosting {scores[0]:.2f} and {scores[1]:.2f}")
        gap = statistics.mean(ours) - statistics.mean(alone)
        lines.append(
            (
                f"{name} ({'accuracy, %' if classes else '100 R²'})",
                f"**{_mean(ours)}**",
                _mean(alone),
                f"{gap:+.2f}",
                _mean(more),
                spread(seconds),
                spread(boosted),
            )
        )
    columns = (
        *("data", "Deepen", "boosting, training rows", "difference", "boosting, training + validation rows"),
        *("Deepen, s", "boosting, s"),
    )
    notes = (
        f"Mean (standard deviation) on the test rows over {rounds} seeds; each seed splits the rows anew, both sides alike.",
        "Deepen's time is all of `deepen.train`: reading, audit, training, report.",
        "Deepen at its recipes for tables, which were chosen on validation rows; boosting at scikit-learn's defaults.",
    )
    return Result(TITLE, columns, lines, notes)


def boost(dataset: Dataset, path: str | None, seed: int) -> tuple[float, float]:
    """Test score, times 100, of boosting on the training rows, and on training and validation rows."""
    assert isinstance(dataset.preprocess, TablePreprocess)
    assert dataset.test is not None
    plans = dataset.preprocess.columns
    parts = [dataset.train, dataset.validation, dataset.test.open(lambda: 0)]
    cells = _cells(dataset, path, parts)
    names = {plan.name: _vocabulary(plan, [row for part in cells for row in part]) for plan in plans}
    inputs = [
        np.stack([_plain(plan, [row[plan.name] for row in part], names) for plan in plans], axis=1) for part in cells
    ]
    targets = [part["target"].numpy().reshape(-1) for part in parts]
    categorical = [isinstance(plan, Choice) and len(names[plan.name]) < MOST_CATEGORIES for plan in plans]
    classes = isinstance(dataset.spec.output, Category)
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    scores = []
    for last in (1, 2):
        model = kind(categorical_features=categorical, random_state=seed)
        model.fit(np.concatenate(inputs[:last]), np.concatenate(targets[:last]))
        scores.append(100 * float(model.score(inputs[2], targets[2])))
    return scores[0], scores[1]


def _cells(dataset: Dataset, path: str | None, parts: list[Columns]) -> list[list[dict[str, Any]]]:
    """The rows of the splits as they stand in the file, found again by their line."""
    if path is not None:
        table = read_table(path)
        rows = [dict(zip(table.columns, cells, strict=True)) for cells in zip(*table.columns.values(), strict=True)]
        place = {table.origin(number): row for number, row in enumerate(rows)}
    elif dataset.name == "adult":
        place = {}
        for name in ("adult-train.csv.gz", "adult-test.csv.gz"):
            table = read_table(DATA / "tabular" / name, header=False)
            for number, cells in enumerate(zip(*table.columns.values(), strict=True)):
                assert isinstance(dataset.preprocess, TablePreprocess)
                place[table.origin(number)] = dict(zip(dataset.preprocess.names, cells, strict=True))
    else:
        from sklearn.datasets import load_iris

        bunch = load_iris()
        columns = [str(name) for name in bunch.feature_names]
        place = {
            f"iris:{number + 1}": dict(zip(columns, row, strict=True)) for number, row in enumerate(bunch.data.tolist())
        }
    return [[place[origin] for origin in part.origins or ()] for part in parts]


def _vocabulary(plan: Column, rows: list[dict[str, Any]]) -> dict[str, int]:
    if not isinstance(plan, Choice):
        return {}
    found = sorted({text for text in texts([row[plan.name] for row in rows]) if text is not None})
    return {text: number for number, text in enumerate(found)}


def _plain(plan: Column, cells: list[Any], names: dict[str, dict[str, int]]) -> np.ndarray:
    """One float column, NaN where a cell is missing."""
    if isinstance(plan, Number):
        return numbers(cells, plan.notation, plan.missing)[0]
    if isinstance(plan, Choice):
        return np.array([np.nan if text is None else names[plan.name][text] for text in texts(cells)])
    if isinstance(plan, Date):
        return days(cells, plan.order)[0][:, 0]
    return np.array([float(is_missing(cell)) for cell in cells])


def _mean(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ({statistics.pstdev(values):.2f})"


if __name__ == "__main__":
    result = run(int(sys.argv[1]) if len(sys.argv) > 1 else 3, quick=False)
    for line in (result.columns, ["---"] * len(result.columns), *result.lines):
        print(f"| {' | '.join(line)} |")

"""Two small trained runs, made once for all tests of this folder: digits as pictures, and a table of mixed columns."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

import deepen
from deepen import Run


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("digits")
    settings = {"model.widths": (16,), "fit.epochs": 3, "plan": "fp32", "device": "cpu", "optim.ema": 0.9}
    return deepen.train("digits", model="mlp", runs=root, **settings)


@pytest.fixture(scope="session")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 rows: a number with gaps, a number, a category whose names are traps, a date; the answer depends on them."""
    path = tmp_path_factory.mktemp("table") / "visits.csv"
    draw = random.Random(5)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "dose", "group", "day", "outcome"])
        for number in range(300):
            age, dose = round(draw.uniform(20, 80), 1), round(draw.gauss(0, 1), 4)
            group = draw.choice(["10", "NA", "große", "猫"])
            day = f"2024-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
            good = age / 50 + dose + (group in ("10", "猫")) > 1.5
            writer.writerow(["" if number % 17 == 0 else age, dose, group, day, "yes" if good else "no"])
    return path


@pytest.fixture(scope="session")
def table_run(table_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("table-runs")
    settings = {"model.widths": (16,), "fit.epochs": 4, "fit.batch_size": 32, "plan": "fp32", "device": "cpu"}
    return deepen.train(table_file, model="mlp", target="outcome", runs=root, **settings)

"""Rows read back from what a model sees are those that the user wrote."""

from __future__ import annotations

import pytest

from deepen.data.rows import MISSING, read_back, said
from deepen.data.tables import Config, load

ROWS = 60


@pytest.fixture
def source(tmp_path):
    lines = ["size,price,colour,bought,y"]
    for row in range(ROWS):
        size = "" if row % 10 == 3 else f"{row * 1.5:g}"
        price = 123_456 + 1000 * row if row else 99_000_000
        colour = ("red", "green", "")[row % 3]
        lines.append(f"{size},{price},{colour},2024-{row % 12 + 1:02d}-{row % 28 + 1:02d},{'ab'[row % 2]}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_every_cell_comes_back(source) -> None:
    dataset = load(str(source), Config(target="y"), 0)
    written = [line.split(",") for line in source.read_text(encoding="utf-8").splitlines()]
    for row in range(len(dataset.train)):
        line = int(dataset.train.origin(row).rpartition(":")[2])
        size, price, colour, bought, _ = written[line - 1]
        cells = read_back(dataset.preprocess, dataset.train["input"][row])
        assert cells["size"] == (said(float(size)) if size else MISSING)
        if float(price) > 1e7:
            assert cells["price"].startswith("over ")
            assert 1e6 < float(cells["price"].split()[1]) < float(price)
        else:
            assert float(cells["price"]) == pytest.approx(float(price), rel=1e-4)
        assert cells["colour"] == (colour or MISSING)
        assert cells["bought"] == bought


@pytest.mark.parametrize(
    ("value", "text"), [(5.1, "5.1"), (0.0, "0"), (1987.0, "1987"), (208_500.0, "208500"), (0.012345, "0.01235")]
)
def test_said(value: float, text: str) -> None:
    assert said(value) == text

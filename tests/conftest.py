"""What several test files need: the command line called in this process, and small files to learn from."""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepen import cli


@dataclass(frozen=True)
class Called:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


Call = Callable[..., Called]


def call(*words: str) -> Called:
    """`deepen WORDS`, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    assert isinstance(ended.value.code, int)
    return Called(ended.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session", name="call")
def the_call() -> Call:
    return call


def make_pictures(folder: Path, classes: tuple[str, ...] = ("red", "green"), count: int = 12) -> Path:
    """Small pictures that are reddish, greenish or bluish, by class folder."""
    draws = np.random.default_rng(0)
    for colour, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = draws.integers(0, 120, (16, 16, 3), dtype=np.uint8)
            pixels[..., colour % 3] += 100
            Image.fromarray(pixels).save(folder / name / f"{number:02d}.png")
    return folder


def table_text(rows: int = 80) -> str:
    """A CSV with two numbers and `kind`, which is yes where their sum is above zero."""
    draws = random.Random(1)
    lines = ["x1,x2,kind"]
    for _ in range(rows):
        a, b = draws.gauss(0, 1), draws.gauss(0, 1)
        lines.append(f"{a:.3f},{b:.3f},{'yes' if a + b > 0 else 'no'}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(table_text(), encoding="utf-8")
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return make_pictures(tmp_path / "pictures")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished runs, one of each kind, and what they learnt from. Tests look at them and change nothing."""
    root = tmp_path_factory.mktemp("trained")
    table, pictures = root / "table.csv", make_pictures(root / "pictures")
    table.write_text(table_text(), encoding="utf-8")
    runs = {
        "digits": ("digits", "epochs=1"),
        "pictures": (str(pictures), "epochs=1"),
        "table": (str(table), "epochs=2"),
        "number": (str(table), "--target", "x1", "epochs=2"),
        "gan": ("digits", "--as", "gan", "epochs=1", "limit=128"),
    }
    found = {"source table": table, "source pictures": pictures}
    for name, words in runs.items():
        done = call("train", *words, "plan=fp32", "--runs", str(root / name), "--json")
        assert done.code == 0, done.err
        found[name] = Path(done.json["run"])
    return found

"""Adding a model or a data set is one new file: it is then listed, trained and covered by the registry tests.

Shown on a copy of the package in a temporary folder, to which one model and one data set are added.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import deepen

HERE = Path(__file__).parent

MODEL = '''
"""A linear model with a learnt scale, added by a test."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepen.nn.suits import answers, numbers, positive
from deepen.spec import Spec

SUMMARY = "a linear model with a learnt scale"


@dataclass
class Config:
    scale: float = 1.0
    """What the answer is multiplied by at first."""


class Scaled(nn.Module):
    def __init__(self, inputs: int, outputs: int, scale: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def forward(self, input: Tensor) -> Tensor:
        return self.linear(input.flatten(1)) * self.scale


def build(spec: Spec, config: Config) -> nn.Module:
    numbers(spec, "scaled-line")
    positive("model.scale", config.scale)
    return Scaled(spec.input_size, answers(spec, "scaled-line"), config.scale)
'''

DATA = '''
"""Stripes, horizontal and vertical, added by a test."""

import numpy as np
import torch

from deepen.data.dataset import Columns, Dataset, Sealed
from deepen.data.pixels import ImagePreprocess
from deepen.data.splits import split
from deepen.recipe import Data
from deepen.spec import Category, Image, Spec

SUMMARY = "stripes in two directions"


def load(source: str, options: Data, seed: int) -> Dataset:
    random = np.random.default_rng(seed)
    labels = np.arange(240) % 2
    pictures = random.integers(0, 60, size=(240, 8, 8, 1), dtype=np.uint8)
    pictures[labels == 0, ::2] += 150
    pictures[labels == 1, :, ::2] += 150
    index, facts = split(240, options, seed, labels=labels)
    every = Columns({"input": torch.from_numpy(pictures), "target": torch.from_numpy(labels)})
    parts = {name: every.subset(torch.from_numpy(at)) for name, at in index.items()}
    preprocess = ImagePreprocess.fit(parts["train"]["input"])
    spec = Spec(Image(1, 8, 8), Category(("horizontal", "vertical")))
    return Dataset("stripes", spec, preprocess, parts["train"], parts["validation"], Sealed(parts["test"]), "0" * 64, facts)
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(Path(deepen.__file__).parent, root / "deepen", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "deepen" / "models" / "scaled_line.py").write_text(MODEL, encoding="utf-8")
    (root / "deepen" / "data" / "stripes.py").write_text(DATA, encoding="utf-8")
    return root


def run(copy: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy), "XDG_CACHE_HOME": str(copy / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_they_are_listed(copy: Path) -> None:
    found = json.loads(run(copy, "-m", "deepen", "list", "--json"))
    assert found["model"]["scaled-line"] == "a linear model with a learnt scale"
    assert found["data"]["stripes"] == "stripes in two directions"


def test_they_are_shown(copy: Path) -> None:
    assert "What the answer is multiplied by at first." in run(copy, "-m", "deepen", "show", "scaled-line")


def test_they_train_together_and_evaluate(copy: Path) -> None:
    words = ("train", "stripes", "--model", "scaled-line", "epochs=20", "lr=0.01", "model.scale=2", "--json")
    result = json.loads(run(copy, "-m", "deepen", *words))
    assert result["best"]["value"] > 0.9
    assert json.loads(run(copy, "-m", "deepen", "evaluate", "runs/latest", "--json"))["metrics"]["accuracy"] > 0.9


def test_the_registry_tests_cover_the_model(copy: Path) -> None:
    tests = HERE / "models" / "test_models.py"
    printed = run(
        copy, "-m", "pytest", str(tests), "-k", "scaled-line", "-p", "no:cacheprovider", "--rootdir", str(copy), "-vv"
    )
    assert "passed" in printed
    assert "scaled-line" in printed

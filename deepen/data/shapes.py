"""Points in the plane that a straight line cannot part: xor, moons, circles and spirals, made from the seed.

Small enough to learn in a second, and with two features the boundary between the classes can be drawn. XOR is what a
single perceptron cannot learn (Minsky and Papert, 1969); the spirals go back to Lang and Witbrock (1988).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from deepen.data import tables
from deepen.data.dataset import About, Dataset
from deepen.data.reading import RawTable
from deepen.errors import Misuse
from deepen.randomness import derive
from deepen.recipe import Data

SUMMARY = "points in the plane of two classes, made from the seed"
PRESETS = {
    "xor": {"summary": "four corners of a square, opposite ones of one class"},
    "moons": {"summary": "two half moons, one in the other's curve"},
    "circles": {"summary": "a circle inside another"},
    "spirals": {"summary": "two spirals wound into each other"},
}
ABOUT = About(title="Shapes in the plane", licence="made by Deepen", citation="")
SPREAD = {"xor": 0.2, "moons": 0.15, "circles": 0.08, "spirals": 0.03}


@dataclass
class Config(tables.Config):
    """How the points are made and split."""

    bins: int | None = 0
    """Pieces that x and y are cut into. Default: none, so that a model sees the plane as it is drawn."""
    points: int = 1000
    """How many points, half of them in each class."""
    noise: float | None = None
    """Standard deviation of each point's distance from its shape, in each direction. Default: by shape, 0.03 to 0.2."""


def load(source: str, options: Data, seed: int) -> Dataset:
    """Columns x and y and a class, A or B, for `options.points` points. A function of the seed."""
    tables.refuse_file_options(source, options)
    config = options if isinstance(options, Config) else Config(**vars(options))
    noise = SPREAD[source] if config.noise is None else config.noise
    if config.points < 4:
        raise Misuse(f"data.points={config.points} is too few: expected at least 4.")
    if noise < 0:
        raise Misuse(f"data.noise={noise:g} is out of range: expected 0 or more.")
    random = np.random.default_rng(derive(seed, "shapes", source))
    labels = np.arange(config.points) % 2
    points = _points(source, labels, random) + random.normal(0.0, noise, (config.points, 2))
    points = np.round(points, 6)
    digest = hashlib.sha256(points.tobytes() + labels.tobytes()).hexdigest()
    columns = {
        "x": points[:, 0].tolist(),
        "y": points[:, 1].tolist(),
        "class": ["AB"[label] for label in labels.tolist()],
    }
    rows = list(range(1, config.points + 1))
    table = RawTable(columns, rows, True, [source] * config.points)
    return tables.build(source, table, "class", config, seed, digest=digest, facts=[f"Noise {noise:g}."])


def _points(shape: str, labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """float64 [N, 2] on the shape, by class 0 or 1."""
    share = random.uniform(size=len(labels))
    if shape == "xor":
        right = random.integers(0, 2, len(labels))
        return np.stack([2 * right - 1, 2 * (right ^ labels) - 1], axis=1) * 0.6
    side = 1 - 2 * labels
    if shape == "moons":
        angle = np.pi * share
        return np.stack([side * np.cos(angle) - side * 0.5, side * np.sin(angle) - side * 0.25], axis=1)
    if shape == "circles":
        angle, radius = 2 * np.pi * share, np.where(labels == 0, 1.0, 0.5)
    else:
        # Even steps along the arm: without the root the points crowd at the centre.
        turn = np.sqrt(share)
        angle, radius = 3.5 * np.pi * turn + np.pi * labels, 0.05 + 0.95 * turn
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

"""Handwritten digits, 8x8 grey, that come with scikit-learn (Alpaydin and Kaynak 1998): no network, a second to learn.

1,797 pictures, the test part of the UCI set, each number the count of ink pixels in a 4x4 block of a 32x32 scan.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import torch

from deepen.data.dataset import About, Dataset
from deepen.data.pictures import assemble
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = "1,797 handwritten digits, 8x8 grey, that come with the install"
ABOUT = About(
    title="Optical Recognition of Handwritten Digits (the copy in scikit-learn)",
    licence="CC BY 4.0",
    citation="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Repository, 1998.",
    homepage="https://archive.ics.uci.edu/dataset/80",
)
INK = 16


def load(source: str, options: Data, seed: int) -> Dataset:
    """The 1,797 digits as uint8 rows [N, 8, 8, 1], split by class from the seed."""
    pixels, labels = _read()
    digest = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    return assemble(
        "digits",
        torch.from_numpy(pixels),
        labels,
        [str(digit) for digit in range(10)],
        options,
        seed,
        digest=digest,
        facts=["1,797 grey pictures of 8x8 pixels in 10 classes."],
    )


def _read() -> tuple[np.ndarray, np.ndarray]:
    """uint8 [1797, 8, 8, 1] and int64 [1797], from the file that scikit-learn installs.

    Read without importing scikit-learn, whose import takes longer than learning the digits.
    """
    found = importlib.util.find_spec("sklearn")
    assert found is not None
    assert found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.int64)
    except OSError:
        raise Problem(f"'{path}' is missing: install scikit-learn again, which brings the digits.") from None
    pixels = np.rint(table[:, :-1] * (255 / INK)).astype(np.uint8)
    return pixels.reshape(-1, 8, 8, 1), table[:, -1]

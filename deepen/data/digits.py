"""Handwritten digits, 8x8 grey, that come with scikit-learn (Alpaydin and Kaynak 1998): no network, a second to learn.

1,797 pictures, the test part of the UCI set, each number the count of ink pixels in a 4x4 block of a 32x32 scan.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from deepen.data.dataset import About, Dataset
from deepen.data.pictures import assemble
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
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / INK)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
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

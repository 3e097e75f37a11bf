"""MNIST: handwritten digits, 28x28 grey (LeCun, Cortes, Burges 1998). 60,000 to train with, 10,000 sealed."""

from __future__ import annotations

from dataclasses import dataclass

from deepen import recipe
from deepen.data.dataset import About, Dataset
from deepen.data.idx import IdxFile, load_four

SUMMARY = "70,000 handwritten digits, 28x28 grey, official test part"
ABOUT = About(
    title="The MNIST database of handwritten digits",
    licence="CC BY-SA 3.0 (as commonly given; the authors' page states none)",
    citation=(
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition. "
        "Proceedings of the IEEE 86(11), 1998."
    ),
    homepage="http://yann.lecun.com/exdb/mnist/",
)
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FILES = (
    IdxFile(
        "train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", (60000, 28, 28)
    ),
    IdxFile("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", (60000,)),
    IdxFile(
        "t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", (10000, 28, 28)
    ),
    IdxFile("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", (10000,)),
)
NAMES = tuple(str(digit) for digit in range(10))


@dataclass
class Config(recipe.Data):
    """How MNIST is split."""

    validation_fraction: float = 5000 / 60000
    """Share of the 60,000 training pictures kept for validation: 5,000 by default. The test part is official."""


def load(source: str, options: recipe.Data, seed: int) -> Dataset:
    """MNIST as uint8 rows [N, 28, 28, 1], from the data folder, else downloaded."""
    return load_four("mnist", FILES, MIRRORS, NAMES, options, seed)

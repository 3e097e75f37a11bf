"""Fashion-MNIST: articles of clothing, 28x28 grey (Xiao, Rasul, Vollgraf 2017), in the format and sizes of MNIST."""

from __future__ import annotations

from dataclasses import dataclass

from deepen import recipe
from deepen.data.dataset import About, Dataset
from deepen.data.idx import IdxFile, load_four

SUMMARY = "70,000 articles of clothing, 28x28 grey, official test part"
ABOUT = About(
    title="Fashion-MNIST",
    licence="MIT",
    citation=(
        "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning "
        "Algorithms. arXiv:1708.07747, 2017."
    ),
    homepage="https://github.com/zalandoresearch/fashion-mnist",
)
MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
FILES = (
    IdxFile(
        "train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", (60000, 28, 28)
    ),
    IdxFile("train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", (60000,)),
    IdxFile(
        "t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", (10000, 28, 28)
    ),
    IdxFile("t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", (10000,)),
)
NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass
class Config(recipe.Data):
    """How Fashion-MNIST is split."""

    validation_fraction: float = 5000 / 60000
    """Share of the 60,000 training pictures kept for validation: 5,000 by default. The test part is official."""


def load(source: str, options: recipe.Data, seed: int) -> Dataset:
    """Fashion-MNIST as uint8 rows [N, 28, 28, 1], from the data folder, else downloaded."""
    return load_four("fashion-mnist", FILES, MIRRORS, NAMES, options, seed)

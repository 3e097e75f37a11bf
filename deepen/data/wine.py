"""Italian wines: 178 wines, 13 chemical measurements, three growers. Comes with scikit-learn."""

from __future__ import annotations

from deepen.data import tables
from deepen.data.bundled import from_scikit
from deepen.data.dataset import About, Dataset
from deepen.recipe import Data

SUMMARY = "178 Italian wines: 13 chemical measurements, 3 growers"
ABOUT = About(
    title="Wine recognition",
    licence="CC BY 4.0",
    citation="S. Aeberhard, M. Forina: Wine. UCI Machine Learning Repository (1992).",
    homepage="https://archive.ics.uci.edu/dataset/109/wine",
)
Config = tables.Config


def load(source: str, options: Data, seed: int) -> Dataset:
    """The 178 wines, split from the seed."""
    return from_scikit("wine", "grower", options, seed)

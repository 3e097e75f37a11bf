"""Fisher's iris flowers: 150 flowers, four measurements, three species. Comes with scikit-learn."""

from __future__ import annotations

from deepen.data import tables
from deepen.data.bundled import from_scikit
from deepen.data.dataset import About, Dataset
from deepen.recipe import Data

SUMMARY = "150 iris flowers: 4 measurements, 3 species"
ABOUT = About(
    title="Iris",
    licence="CC BY 4.0",
    citation="R. A. Fisher: The use of multiple measurements in taxonomic problems. Annals of Eugenics 7 (1936).",
    homepage="https://archive.ics.uci.edu/dataset/53/iris",
)
Config = tables.Config


def load(source: str, options: Data, seed: int) -> Dataset:
    """The 150 flowers, split from the seed."""
    return from_scikit("iris", "species", options, seed)

"""Breast cancer, Wisconsin: 569 tumours, 30 measurements of cell nuclei each. Comes with scikit-learn."""

from __future__ import annotations

from deepen.data import tables
from deepen.data.bundled import from_scikit
from deepen.data.dataset import About, Dataset
from deepen.recipe import Data

SUMMARY = "569 tumours: 30 measurements of cell nuclei, malignant or benign"
ABOUT = About(
    title="Breast Cancer Wisconsin (Diagnostic)",
    licence="CC BY 4.0",
    citation="W. N. Street, W. H. Wolberg, O. L. Mangasarian: Nuclear features for breast tumor diagnosis (1993).",
    homepage="https://archive.ics.uci.edu/dataset/17/breast+cancer+wisconsin+diagnostic",
)
Config = tables.Config


def load(source: str, options: Data, seed: int) -> Dataset:
    """The 569 tumours, split from the seed."""
    return from_scikit("breast-cancer", "diagnosis", options, seed)

"""Diabetes: 442 patients, ten measurements, how far the disease went in a year. Comes with scikit-learn."""

from __future__ import annotations

from deepen.data import tables
from deepen.data.bundled import from_scikit
from deepen.data.dataset import About, Dataset
from deepen.recipe import Data

SUMMARY = "442 patients: 10 measurements, progression of diabetes (a number)"
ABOUT = About(
    title="Diabetes",
    licence="none stated",
    citation="B. Efron, T. Hastie, I. Johnstone, R. Tibshirani: Least angle regression. Ann. Statist. 32 (2004).",
    homepage="https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html",
)
Config = tables.Config


def load(source: str, options: Data, seed: int) -> Dataset:
    """The 442 patients in the units of the measurements, split from the seed."""
    return from_scikit("diabetes", "progression", options, seed)

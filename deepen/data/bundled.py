"""Small tables that come with scikit-learn, brought into the form of a user's own table."""

from __future__ import annotations

import hashlib

import numpy as np

from deepen.data.dataset import Dataset
from deepen.data.reading import RawTable
from deepen.data.tables import build, refuse_file_options
from deepen.recipe import Data


def from_scikit(name: str, target: str, options: Data, seed: int) -> Dataset:
    """The table `name` of scikit-learn with its answers in column `target`; classes stand in scikit-learn's order."""
    from sklearn import datasets

    refuse_file_options(name, options)
    loader = getattr(datasets, "load_" + name.replace("-", "_"))
    # In the units of the measurements: scaling is the work of the preprocessing.
    bunch = loader(scaled=False) if name == "diabetes" else loader()
    columns = {str(column): bunch.data[:, number].tolist() for number, column in enumerate(bunch.feature_names)}
    class_names = None
    if "target_names" in bunch:
        class_names = [str(word) for word in bunch.target_names]
        columns[target] = [class_names[number] for number in bunch.target.tolist()]
    else:
        columns[target] = bunch.target.tolist()
    digest = hashlib.sha256(np.ascontiguousarray(bunch.data).tobytes() + np.asarray(bunch.target).tobytes())
    rows = len(bunch.target)
    table = RawTable(columns, list(range(1, rows + 1)), True, [name] * rows)
    return build(name, table, target, options, seed, digest=digest.hexdigest(), class_names=class_names)

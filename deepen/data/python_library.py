"""The sources of Python's own library: a text that every install has, for learning a language model without any network."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from deepen.data import running
from deepen.data.dataset import About, Dataset
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = "sources of Python's own library, some million characters; comes with every install"
ABOUT = About(
    title="The Python standard library, top-level modules",
    licence="PSF License",
    citation="Python Software Foundation.",
    homepage="https://docs.python.org/3/library/",
)
Config = running.Config


def load(source: str, options: Data, seed: int) -> Dataset:
    """The modules of the library that are single files, in the order of their names."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted(folder.glob("*.py"))
    if not files:
        raise Problem(f"Python's library has no sources in {folder}: name a text file of your own instead.")
    documents = [(str(file), file.read_text(encoding="utf-8", errors="replace")) for file in files]
    return running.build("python-library", documents, options, facts=[f"{len(files)} modules from {folder}."])

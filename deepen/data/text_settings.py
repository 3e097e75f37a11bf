"""How files of texts and tables are written: the settings that all their readers share."""

from __future__ import annotations

from dataclasses import dataclass

from deepen.recipe import Data


@dataclass
class TextData(Data):
    """How text files are decoded."""

    encoding: str | None = None
    """Encoding of the files, e.g. gbk or latin-1. Default: UTF-8, UTF-16 with its mark, or GBK where it plainly is."""


@dataclass
class TableData(TextData):
    """How table files are cut into cells."""

    header: bool | None = None
    """Whether the first row of a file names the columns. Default: decided from the file."""
    delimiter: str | None = None
    """What stands between two cells. Default: comma, semicolon, tab or bar, decided from the file."""
    missing: tuple[str, ...] = ()
    """Further texts that mean a missing value, beside the empty cell, NA, N/A, ?, nan and null."""

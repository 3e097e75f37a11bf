"""Where data sets lie and where decoded pictures are kept.

`DEEPEN_DATA` names the folder of data sets; without it they are kept under the cache folder, which follows the
XDG base directory specification (`XDG_CACHE_HOME`, else `~/.cache`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def cache_folder() -> Path:
    """The folder for what can be made again: decoded pictures, digests, downloads where DEEPEN_DATA is not set."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path is to be ignored.
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".cache"
    return base / "deepen"


def data_folder() -> Path:
    """The folder of data sets, one folder a set."""
    named = os.environ.get("DEEPEN_DATA", "")
    return Path(named).expanduser() if named else cache_folder() / "data"


def homes(name: str) -> list[Path]:
    """Folders in which the data set `name` is looked for, the first being the one that downloads go to."""
    first = data_folder() / name
    return list(dict.fromkeys((first, cache_folder() / "data" / name)))


def find(name: str, candidates: Iterable[str]) -> Path | None:
    """The first of `candidates` (paths inside the data set's folder) that is there."""
    for home in homes(name):
        for candidate in candidates:
            if (home / candidate).exists():
                return home / candidate
    return None

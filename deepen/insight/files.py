"""Files that a user asked for: in the folder that they named, and in the place of none that is there.

Pictures are answered beside labels and originals of the same name. All names are decided before the first file is written; where
one is taken, all go into a new folder beside the one that was named, so that those of one command stay together.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from deepen.engine.checkpoint import UNFINISHED
from deepen.errors import Misuse


def distinct(sources: Iterable[tuple[str, str]]) -> list[str]:
    """File names for (stem, ending). Those that are called the same, also but for small and capital letters, are numbered."""
    names: list[str] = []
    taken: set[str] = set()
    last: dict[str, int] = {}
    for stem, ending in sources:
        name = f"{stem}{ending}"
        alike = _folded(name)
        while _folded(name) in taken:
            last[alike] = last.get(alike, 1) + 1
            name = f"{stem}-{last[alike]}{ending}"
        taken.add(_folded(name))
        names.append(name)
    return names


def room(folder: Path, names: Iterable[str], option: str) -> Path:
    """The folder, made; where a file of one of these names is in it, the first of FOLDER-2, FOLDER-3, ... that has none.

    Raises `Misuse` naming the option where it cannot be made or written to.
    """
    names, found, number = list(names), folder, 1
    while (number > 1 and found.exists() and not found.is_dir()) or (taken := _taken(found, names)):
        if folder.name in ("", ".."):
            raise Misuse(
                f"{option} {folder} has a file {taken} already, which is not written over: name another folder."
            )
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    try:
        found.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misuse(
            f"{option} {found} cannot be made ({error.strerror}): name a folder that can be written to."
        ) from None
    if not os.access(found, os.W_OK):
        raise Misuse(f"{option} {found} cannot be written to: name another folder.")
    return found


def write_picture(path: Path, image: Image.Image, **options: Any) -> None:
    """A JPEG or PNG by its ending, whole or not at all."""
    part = path.with_name(f"{UNFINISHED}{path.name}")
    image.save(part, format="JPEG" if path.suffix == ".jpg" else "PNG", **options)
    part.replace(path)


def _taken(folder: Path, names: list[str]) -> str | None:
    there = folder.is_dir()
    return next((name for name in names if os.path.lexists(folder / name)), None) if there else None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()

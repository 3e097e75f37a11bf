"""What looks like the labels of pictures and holds none: told where pictures would be read as if nobody had labelled them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import yaml

from deepen.data import documents
from deepen.data.dataset import Finding
from deepen.data.documents import plain
from deepen.data.mask_folder import MASKS
from deepen.data.piles import Pile

UNREAD = "unread-labels"
"""Subject of the finding."""
MOST_BYTES = 2**24
MOST_FILES = 20
"""That are looked into."""
SHOWN = 3


def unread(pile: Pile, *, folders: bool = True) -> list[Finding]:
    """One finding of label files that are empty or broken, and of `folders` for labels or masks that hold no picture."""
    names = documents.glance(str(pile.path))
    told = [*(_folders(pile, names) if folders else ()), *_files(pile, names)]
    if not told:
        return []
    more = f", and {len(told) - SHOWN:,} more" if len(told) > SHOWN else ""
    text = f"What may be labels is not read: {', '.join(told[:SHOWN])}{more}."
    return [Finding("warning", UNREAD, text, "Restore it, or take it away.", {"count": len(told)})]


def _folders(pile: Pile, names: Sequence[str]) -> Iterator[str]:
    for folder in pile.listing().empty:
        if PurePosixPath(folder).name.lower() in MASKS:
            empty = not any(name.startswith(f"{folder}/") for name in names)
            yield plain(f"the folder '{folder}' {'is empty' if empty else 'holds no picture'}")


def _files(pile: Pile, names: Sequence[str]) -> Iterator[str]:
    likely = [name for name in names if name.lower().endswith((".json", ".xml", ".yaml", ".yml"))]
    for name, content in documents.peek(str(pile.path), likely[:MOST_FILES], MOST_BYTES):
        if not content.strip():
            yield plain(f"'{name}' is empty")
            continue
        try:
            if name.lower().endswith(".json"):
                json.loads(content)
            elif not name.lower().endswith(".xml"):
                yaml.BaseLoader(content).get_single_data()
        except (ValueError, yaml.YAMLError, RecursionError):
            kind = "JSON" if name.lower().endswith(".json") else "YAML"
            yield plain(f"'{name}' is no well-formed {kind}")

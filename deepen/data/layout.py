"""How pictures are laid out in folders: which folder is a class, which is a split."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepen.data.dataset import Finding

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Layout:
    """The class and split of each picture; None for one that lies in no class folder."""

    wrapping: str
    """Folders around everything, with a `/` at the end, or empty."""
    split_folders: dict[str, str]
    """Top folder to split, empty where the data brings no splits."""
    classes: list[str | None]
    splits: list[str]

    @property
    def names(self) -> list[str]:
        """Class names in natural order."""
        return sorted({name for name in self.classes if name is not None}, key=natural)


def lay_out(names: Sequence[str]) -> Layout:
    """Read the layout off relative names with `/`: `train/<class>/...`, or `<class>/...`, or either in a folder."""
    parts = [name.split("/") for name in names]
    depth = 0
    while parts and not _is_split_layout(parts, depth) and _is_wrapped(parts, depth):
        depth += 1
    wrapping = "".join(folder + "/" for folder in parts[0][:depth]) if parts else ""
    if _is_split_layout(parts, depth):
        tops = {path[depth] for path in parts if len(path) > depth + 1}
        split_folders = {top: SPLITS[top.lower()] for top in sorted(tops) if top.lower() in SPLITS}
        splits = [split_folders.get(path[depth], "") for path in parts]
        classes = [
            path[depth + 1] if len(path) > depth + 2 and split else None
            for path, split in zip(parts, splits, strict=True)
        ]
        return Layout(wrapping, split_folders, classes, splits)
    classes = [path[depth] if len(path) > depth + 1 else None for path in parts]
    return Layout(wrapping, {}, classes, ["train"] * len(parts))


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key that puts "9" before "10" and "a9" before "a10"; equal only for equal names."""
    pieces = re.split(r"(\d+)", name)
    key = [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece.casefold()) for piece in pieces if piece]
    return key, name


def typos(names: Iterable[str]) -> list[Finding]:
    """Class names that differ only in case, blanks, or how Unicode writes them."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()].append(name)
    return [
        Finding(
            "warning",
            "label-typos",
            f"The classes {', '.join(repr(name) for name in group)} differ only in case, blanks or spelling of the "
            "same letters: they are learnt as different classes.",
            f"Rename or merge the folders of {', '.join(repr(name) for name in group)}.",
            {"names": group},
        )
        for group in alike.values()
        if len(group) > 1
    ]


def _is_wrapped(parts: Sequence[Sequence[str]], depth: int) -> bool:
    """Whether everything lies in one folder that itself holds folders only."""
    return len({path[depth] for path in parts}) == 1 and all(len(path) > depth + 2 for path in parts)


def _is_split_layout(parts: Sequence[Sequence[str]], depth: int) -> bool:
    """Whether the top folders are splits: a train folder with class folders in it and nothing loose, and either
    another split beside it or nothing else at all. A class may be called "train" (beside "bus" and "car")."""
    nested: Counter[str] = Counter()
    loose: Counter[str] = Counter()
    for path in parts:
        if len(path) > depth + 1:
            (nested if len(path) > depth + 2 else loose)[path[depth]] += 1
    tops = nested.keys() | loose.keys()
    trains = [top for top in tops if SPLITS.get(top.lower()) == "train"]
    others = [top for top in nested if SPLITS.get(top.lower()) in ("validation", "test")]
    return bool(trains) and all(nested[top] and not loose[top] for top in trains) and (bool(others) or len(tops) == 1)

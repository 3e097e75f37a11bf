"""How pictures are laid out in folders: which folder is a class, which is a split."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepen.data.dataset import Finding
from deepen.data.faults import LISTED
from deepen.data.splits import NAMES

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
    folders = [name.rpartition("/")[0] for name in names]
    # Pictures are many and folders few: everything is decided on the folders that hold pictures directly.
    parts = {folder: folder.split("/") if folder else [] for folder in dict.fromkeys(folders)}
    paths = list(parts.values())
    depth = 0
    while paths and not _is_split_layout(paths, depth) and _is_wrapped(paths, depth):
        depth += 1
    wrapping = "".join(folder + "/" for folder in paths[0][:depth]) if paths else ""
    split_folders: dict[str, str] = {}
    if _is_split_layout(paths, depth):
        tops = sorted({path[depth] for path in paths if len(path) > depth + 1})
        split_folders = {top: SPLITS[top.lower()] for top in tops if top.lower() in SPLITS}
        split_of = {
            folder: split_folders.get((path[depth : depth + 1] or [""])[0], "") for folder, path in parts.items()
        }
        class_of = {
            folder: path[depth + 1] if len(path) > depth + 1 and split_of[folder] else None
            for folder, path in parts.items()
        }
    else:
        split_of = dict.fromkeys(parts, "train")
        class_of = {folder: path[depth] if len(path) > depth else None for folder, path in parts.items()}
    return Layout(wrapping, split_folders, [class_of[one] for one in folders], [split_of[one] for one in folders])


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key that puts "9" before "10" and "a9" before "a10"; equal only for equal names."""
    pieces = re.split(r"(\d+)", name)
    key = [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece.casefold()) for piece in pieces if piece]
    return key, name


def typos(names: Iterable[str], mend: str = "Rename or merge the folders of") -> list[Finding]:
    """Class names that differ only in case, blanks, or how Unicode writes them. `mend` stands before their names."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()].append(name)
    return [
        Finding(
            "warning",
            "label-typos",
            f"The classes {', '.join(repr(name) for name in group)} differ only in case, blanks or spelling of the "
            "same letters: they are learnt as different classes.",
            f"{mend} {', '.join(repr(name) for name in group)}.",
            {"names": group},
        )
        for group in alike.values()
        if len(group) > 1
    ]


def one_part_each(named: Iterable[tuple[str, str]], whole: str) -> tuple[dict[str, str], list[Finding]]:
    """The part of each picture, from pairs of picture and part, and what was found in them. `whole` is where parts are named.

    What several parts name is held out: test before validation before train. Where nothing would be left to learn from, as where
    one folder is both train and val, what train names stays there and is in no other part.
    """
    several: dict[str, set[str]] = defaultdict(set)
    for name, part in named:
        several[name].add(part)
    twice = [name for name, parts in several.items() if len(parts) > 1]
    train = {name for name, parts in several.items() if "train" in parts}
    stays = bool(train) and train.issubset(twice)
    found = {
        name: "train" if stays and name in train else max(parts, key=NAMES.index) for name, parts in several.items()
    }
    if not twice:
        return found, []
    text = f"{len(twice):,} pictures are in two {whole} (first: '{twice[0]}'): they are held out, not learnt from."
    mend = f"Take them out of one of the {whole}."
    if stays:
        drawn = "" if "validation" in found.values() else ", and validation is drawn from train"
        text = (
            f"All {len(train):,} pictures of train are in another of the {whole} too (first: '{twice[0]}'): they stay in train "
            f"alone{drawn}, so that nothing is measured that was learnt."
        )
        mend = "Give validation and test pictures of their own."
    return found, [Finding("warning", "two-lists", text, mend, {"names": twice[:LISTED]})]


def _is_wrapped(paths: Sequence[Sequence[str]], depth: int) -> bool:
    """Whether everything lies in one folder that itself holds folders only."""
    return all(len(path) > depth + 1 for path in paths) and len({path[depth] for path in paths}) == 1


def _is_split_layout(paths: Sequence[Sequence[str]], depth: int) -> bool:
    """Whether the top folders are splits: a train folder with class folders in it and nothing loose, and either
    another split beside it or nothing else at all. A class may be called "train" (beside "bus" and "car")."""
    nested = {path[depth] for path in paths if len(path) > depth + 1}
    loose = {path[depth] for path in paths if len(path) == depth + 1}
    tops = nested | loose
    trains = {top for top in tops if SPLITS.get(top.lower()) == "train"}
    others = {top for top in nested if SPLITS.get(top.lower()) in ("validation", "test")}
    return bool(trains) and not trains & loose and (bool(others) or len(tops) == 1)

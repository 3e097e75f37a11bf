"""The file formats of YOLO: `data.yaml`, which says where parts lie and what classes are called, and label files of lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from deepen.data.documents import BrokenError

PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Described:
    """What a `data.yaml` says."""

    names: list[str]
    root: str
    """`path` as it stands there, empty where it does not."""
    parts: dict[str, list[str]]
    """For "train", "validation" and "test" the folders or files of paths, as they stand there."""


def described(content: bytes) -> Described:
    """What a `data.yaml` says, checked. Raises `BrokenError`."""
    try:
        whole = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: of dates that are none
        first = " ".join(str(error).split()) or type(error).__name__
        raise BrokenError(f"it is no well-formed YAML ({first:.200})") from None
    if not isinstance(whole, dict):
        raise BrokenError("it holds no keys, expected train, val and names")
    root = whole.get("path") or ""
    parts: dict[str, list[str]] = {}
    for key, part in PARTS.items():
        value = whole.get(key)
        if value in (None, "", []):
            continue
        entries = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) and "\0" not in one for one in entries):
            raise BrokenError(f"its '{key}' is neither a path nor a list of paths")
        parts.setdefault(part, []).extend(entries)
    if "train" not in parts or not isinstance(root, str) or "\0" in root:
        raise BrokenError("it has no 'train'" if "train" not in parts else "its 'path' is no path")
    return Described(_names(whole), root, parts)


def _names(whole: Mapping[Any, Any]) -> list[str]:
    names, count = whole.get("names"), whole.get("nc")
    if isinstance(names, dict):
        by_number = {str(number): name for number, name in names.items()}
        if any(str(number) not in by_number for number in range(len(by_number))):
            raise BrokenError(f"its 'names' are not numbered from 0 to {len(by_number) - 1}")
        names = [by_number[str(number)] for number in range(len(by_number))]
    if not isinstance(names, list) or not names:
        raise BrokenError("its 'names' are neither a list nor names by number")
    for name in names:
        # YAML reads no, off and 1.50 as something else than what is written.
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise BrokenError(f"its 'names' hold {name!r:.40}, which YAML does not read as text: put it in quotes")
    found = [str(name).strip() for name in names]
    twice = next((name for number, name in enumerate(found) if name in found[:number]), None)
    if twice is not None or "" in found:
        raise BrokenError(f"its 'names' hold '{twice or ''}' {'twice' if twice else 'without a letter'}")
    if isinstance(count, int) and count != len(found):
        raise BrokenError(f"it has {len(found)} names and says that there are {count} (nc)")
    return found


def label_of(picture: str) -> str:
    """Where the label file of a picture lies: below `labels` as the picture below the last `images`, else beside it."""
    path = PurePosixPath(picture).with_suffix(".txt")
    parts = list(path.parts)
    for number in reversed(range(len(parts) - 1)):
        if parts[number].lower() == "images":
            parts[number] = "labels"
            break
    return "/".join(parts)


def lines(content: bytes, classes: int) -> Iterator[tuple[int, int, Corners]]:
    """Class, line number and left, top, right, bottom (shares of width and height) of each box of a label file.

    Raises `BrokenError` naming the first line that is wrong.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BrokenError("it is not text in UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words:
            continue
        try:
            values = [float(word) for word in words]
        except ValueError:
            raise BrokenError(f"line {number} is '{line.strip():.60}', expected numbers") from None
        if len(values) != 5 and (len(values) < 7 or len(values) % 2 == 0):
            raise BrokenError(
                f"line {number} has {len(values)} numbers, expected 5 (class x y width height) or those of a polygon"
            )
        if values[0] not in range(classes):
            raise BrokenError(f"line {number} has the class {words[0]:.20}, expected 0 to {classes - 1}")
        if len(values) == 5:
            x, y, width, height = values[1:]
            yield int(values[0]), number, (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        else:
            across, down = values[1::2], values[2::2]
            yield int(values[0]), number, (min(across), min(down), max(across), max(down))

"""The file formats of YOLO: `data.yaml`, which says where parts lie and what classes are called, and label files of lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from deepen.data.documents import BrokenError, class_name

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
        # Every scalar as the text that is written: a class may be called no or 1.50.
        whole = yaml.BaseLoader(content).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise BrokenError(f"it is no well-formed YAML ({str(error) or type(error).__name__:.200})") from None
    if not isinstance(whole, dict):
        raise BrokenError("it holds no keys, expected train, val and names")
    root = whole.get("path", "")
    parts: dict[str, list[str]] = {}
    for key, part in PARTS.items():
        value = whole.get(key)
        entries: list[Any] = value if isinstance(value, list) else [value]
        entries = [one for one in entries if one not in (None, "", "~", "null")]
        if not all(isinstance(one, str) and "\0" not in one for one in entries):
            raise BrokenError(f"its '{key}' is neither a path nor a list of paths")
        if entries:
            parts.setdefault(part, []).extend(entries)
    if "train" not in parts:
        raise BrokenError("it has no 'train'")
    if not isinstance(root, str) or "\0" in root:
        raise BrokenError("its 'path' is no path")
    return Described(_names(whole), root, parts)


def _names(whole: Mapping[str, Any]) -> list[str]:
    names, count = whole.get("names"), whole.get("nc")
    if isinstance(names, dict):
        if any(str(number) not in names for number in range(len(names))):
            raise BrokenError(f"its 'names' are not numbered from 0 to {len(names) - 1}")
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise BrokenError("its 'names' are neither a list nor names by number")
    found = []
    for number, text in enumerate(names):
        try:
            name = class_name(text)
        except BrokenError as error:
            raise BrokenError(f"its class {number} {error}") from None
        if name in found:
            raise BrokenError(f"its 'names' hold '{name}' twice")
        found.append(name)
    if isinstance(count, str) and count.strip().isdecimal() and count.strip() != str(len(found)):
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

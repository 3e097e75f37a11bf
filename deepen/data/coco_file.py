"""The file format of COCO (Lin et al., 2014): pictures, categories and annotations in one JSON file, checked entry by entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepen.data.documents import BrokenError, class_name

Id = int | str


@dataclass(frozen=True, slots=True)
class Picture:
    """An entry of `images`."""

    name: str
    """A path as the file gives it, relative to a folder that it does not name."""
    height: int
    """0 with `width` where the file does not say."""
    width: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """An entry of `annotations`."""

    place: str
    """`annotation 17`, counted from 1."""
    picture: Id
    category: Id
    corners: tuple[float, float, float, float] | None
    """Left, top, right, bottom in pixels; None where the entry has no `bbox`."""
    polygons: tuple[tuple[float, ...], ...]
    """Each x1, y1, x2, y2, ... of at least three points, in pixels. Empty where there are none or they are run lengths."""
    runs: Mapping[str, Any] | None
    """Run lengths as they stand in the file (`size`, `counts`), which crowds have instead of polygons."""
    crowd: bool


@dataclass
class CocoFile:
    """What a file holds, entries that are wrong left out."""

    images: dict[Id, Picture] = field(default_factory=dict)
    categories: dict[Id, str] = field(default_factory=dict)
    above: set[str] = field(default_factory=set)
    """Names of supercategories."""
    annotations: list[Annotation] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What is wrong with which entry, a sentence each."""


def parse(source: bytes | Path) -> CocoFile:
    """A COCO file, every field that is used checked. Raises `BrokenError` where it is none."""
    content = source if isinstance(source, bytes) else source.read_bytes()
    try:
        whole = json.loads(content)
    except RecursionError:
        raise BrokenError("it is no JSON that can be read (nested too deeply)") from None
    except ValueError as error:  # of JSON, of Unicode, of numbers with thousands of digits
        raise BrokenError(f"it is no well-formed JSON ({error})") from None
    if not isinstance(whole, dict):
        raise BrokenError(f"it holds {_kind(whole)}, expected an object with images, annotations and categories")
    for key in ("images", "annotations", "categories"):
        if not isinstance(whole.get(key), list):
            raise BrokenError(f"its '{key}' is {_kind(whole.get(key))}, expected a list")
    found = CocoFile()
    readers = (("images", _image), ("categories", _category), ("annotations", _annotation))
    for key, read in readers:
        for number, entry in enumerate(whole[key], 1):
            try:
                if not isinstance(entry, dict):
                    raise BrokenError(f"is {_kind(entry)}, expected an object")
                read(found, entry, number)
            except BrokenError as error:
                found.wrong.append(f"{_singular(key)} {number} {error}")
    return found


def _image(found: CocoFile, entry: Mapping[str, Any], number: int) -> None:
    key, name = _id(entry, "id"), entry.get("file_name")
    if not isinstance(name, str) or not name.strip():
        raise BrokenError(f"has the file_name {_shown(name)}, expected a path")
    if key in found.images:
        raise BrokenError(f"('{name}') has the id {_shown(key)}, which '{found.images[key].name}' has too")
    height, width = entry.get("height"), entry.get("width")
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        height = width = 0
    found.images[key] = Picture(name.replace("\\", "/"), height, width)


def _category(found: CocoFile, entry: Mapping[str, Any], number: int) -> None:
    key, text = _id(entry, "id"), entry.get("name")
    if not isinstance(text, str):
        raise BrokenError(f"has the name {_shown(text)}, expected text")
    name = class_name(text)
    if key in found.categories:
        raise BrokenError(f"('{name}') has the id {_shown(key)}, which '{found.categories[key]}' has too")
    found.categories[key] = name
    if isinstance(entry.get("supercategory"), str):
        found.above.add(entry["supercategory"].strip())


def _annotation(found: CocoFile, entry: Mapping[str, Any], number: int) -> None:
    picture, category = _id(entry, "image_id"), _id(entry, "category_id")
    if picture not in found.images:
        raise BrokenError(f"has the image_id {_shown(picture)}, which no image has")
    if category not in found.categories:
        raise BrokenError(f"has the category_id {_shown(category)}, which no category has")
    corners = None
    if entry.get("bbox") is not None:
        left, top, width, height = _numbers(entry["bbox"], "bbox", 4)
        corners = (left, top, left + width, top + height)
    shape = entry.get("segmentation")
    polygons: tuple[tuple[float, ...], ...] = ()
    if isinstance(shape, list):
        polygons = tuple(_polygon(one) for one in shape)
    elif shape is not None and not isinstance(shape, dict):
        raise BrokenError(f"has {_kind(shape)} as segmentation, expected polygons or run lengths")
    runs = shape if isinstance(shape, dict) else None
    place, crowd = f"annotation {number}", bool(entry.get("iscrowd", 0))
    found.annotations.append(Annotation(place, picture, category, corners, polygons, runs, crowd))


def _polygon(value: Any) -> tuple[float, ...]:
    points = _numbers(value, "segmentation", None)
    if len(points) < 6 or len(points) % 2:
        raise BrokenError(f"has a polygon of {len(points)} numbers, expected x, y of three points or more")
    return points


def _numbers(value: Any, what: str, count: int | None) -> tuple[float, ...]:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise BrokenError(f"has the {what} {_shown(value)}, expected a list of {count or 'x, y, x, y, ...'} numbers")
    # bool is a kind of int in Python, and no length.
    if not all(type(one) in (int, float) for one in value):
        raise BrokenError(f"has the {what} {_shown(value)}, expected numbers")
    try:
        return tuple(map(float, value))
    except OverflowError:
        raise BrokenError(f"has a {what} with a number beyond any picture") from None


def _id(entry: Mapping[str, Any], key: str) -> Id:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BrokenError(f"has the {key} {_shown(value)}, expected a whole number or text")
    return value


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", type(None): "missing", bool: "true or false"}
    return kinds.get(type(value), "a number")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _singular(key: str) -> str:
    return "category" if key == "categories" else key[:-1]

"""Masks and their pictures as rows: scaled or cut like the pictures as they are read.

Rows are taken from a mask by the nearest pixel, so that no class is invented between two others. Only masks of what is
measured are kept at their own size too. What is large is mapped from disk, as decoded pictures are.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepen import recipe
from deepen.data.dataset import Bad, Columns
from deepen.data.decode import Decoded, each, is_large, remembered, room, survey
from deepen.data.framed import MOST_TILED, FramedPreprocess
from deepen.data.image_files import UnreadableError
from deepen.data.pictures import picked, shared_out
from deepen.data.piles import Listing, Pile
from deepen.data.places import cache_folder
from deepen.data.preprocess import Frame
from deepen.errors import Problem
from deepen.spec import IGNORED

TILE_SIDE = 256
SPARSE = 8
"""Times the pixels of held-out masks that they may take together, where each has the room of the largest,"""
MOST_SPARSE = 2**32
"""if it is more than these bytes."""


@dataclass(frozen=True)
class Labels:
    """Where the class of every pixel is said."""

    digest: str
    """Of the content."""
    items: Callable[[], Iterable[tuple[str, Any]]]
    """(name of the picture, what `read` takes), in any order."""
    read: Callable[[Any], tuple[np.ndarray, list[str] | None]]
    """A mask uint8 [h, w] of class numbers, and the colours (#rrggbb) of its palette if it has one. Raises `UnreadableError`."""
    path: Mapping[str, str]
    """By name of the picture: what is named when its mask cannot be used."""
    names: tuple[str, ...] = ()
    """Of the classes; empty where nobody says."""
    colours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Masks:
    """The masks of all pictures as rows that lie where those of their pictures do, still with the numbers that stand there."""

    rows: np.ndarray
    """uint8 [R, H, W]; anything beyond a mask."""
    framing: FramedPreprocess
    """How masks were brought to rows."""
    frames: list[Frame]
    """Of each row, where it lies in its picture."""
    sizes: list[tuple[int, int]]
    pixels: list[dict[int, int]]
    """How many pixels of each picture have each number."""
    colours: list[str]
    """Of the numbers, #rrggbb; empty where there is no palette."""
    key: list[Any]
    """What they are remembered under."""

    def classes(self, table: np.ndarray, apart: frozenset[int]) -> tuple[Tensor, Path | None]:
        """All rows as classes by `table`, uint8 [256]. Of the pictures in `apart`, each pixel stands in one row only, so that
        it is measured once."""
        _, height, width = self.rows.shape

        def write(row: int, out: np.ndarray) -> None:
            frame = self.frames[row]
            first, start, last, end = frame.keep
            if self.framing.tile and frame.item not in apart:
                first, start = 0, 0
                last, end = min(height, frame.height - int(frame.top)), min(width, frame.width - int(frame.left))
            out[:] = IGNORED
            out[first:last, start:end] = table[self.rows[row, first:last, start:end]]

        key = [*self.key, "classes", table.tolist(), sorted(apart) if self.framing.tile else []]
        return _derived(key, self.rows.shape, write)


def _derived(
    key: list[Any], shape: tuple[int, ...], write: Callable[[int, np.ndarray], None]
) -> tuple[Tensor, Path | None]:
    """Rows of this shape, each written by `write`; large ones are remembered."""

    def make(partial: Path) -> Decoded:
        rows = room(shape, partial)
        for number, out in enumerate(rows):
            write(number, out)
        return Decoded(torch.from_numpy(rows), [], [], Listing((), {}, ()), folder=_folder(rows, partial))

    made = remembered(key, make) if is_large(shape) else make(Path())
    return made.rows, made.folder


def read(
    pictures: Decoded, framing: FramedPreprocess, labels: Labels, digest: str, threads: int | None
) -> tuple[Masks, list[Bad]]:
    """The masks of decoded pictures, whose digest is given, brought to rows as `framing` brought those; and the pictures whose
    mask cannot be used."""
    numbers = {picture: number for number, picture in enumerate(pictures.names)}
    several = [framing.frames(*size, number) for number, size in enumerate(pictures.sizes)]
    begins = np.cumsum([0, *map(len, several)]).tolist()
    key = ["mask rows", digest, labels.digest, pictures.names, framing.tile, framing.height, framing.width]

    def make(partial: Path) -> Decoded:
        rows = room((begins[-1], framing.height, framing.width), partial)
        rows[:] = IGNORED
        pixels: list[dict[int, int]] = [{} for _ in numbers]
        palettes: dict[int, list[str]] = {}

        def take(number: int, item: Any) -> None:
            mask, palette = _read(labels, item, pictures.sizes[number])
            counts = np.bincount(mask.ravel(), minlength=256)
            pixels[number] = {value: int(counts[value]) for value in np.flatnonzero(counts).tolist()}
            if palette is not None:
                palettes[number] = palette
            for row, frame in enumerate(several[number], begins[number]):
                inside = _shown(mask, frame, framing)
                rows[row, : inside.shape[0], : inside.shape[1]] = inside

        items = ((numbers[picture], item) for picture, item in labels.items() if picture in numbers)
        reasons = each(items, take, len(numbers), "reading masks", threads)
        bad = [
            Bad(pictures.names[number], f"its mask '{labels.path[pictures.names[number]]}' cannot be used: {reason}")
            for number, reason in sorted(reasons.items())
        ]
        notes = {
            "pixels": [list(one.items()) for one in pixels],
            "colours": palettes[min(palettes)] if palettes else [],
        }
        listing = Listing(tuple(pictures.names), {}, ())
        found = torch.from_numpy(rows)
        return Decoded(found, pictures.names, bad, listing, [], pictures.sizes, _folder(rows, partial), notes)

    made = remembered(key, make)
    pixels = [dict(one) for one in made.notes["pixels"]]
    frames = [frame for some in several for frame in some]
    return Masks(made.rows.numpy(), framing, frames, pictures.sizes, pixels, made.notes["colours"], key), made.bad


def whole(
    pictures: Decoded, held: np.ndarray, labels: Labels, table: np.ndarray, key: list[Any], threads: int | None
) -> tuple[Tensor, Path | None]:
    """The masks of the pictures `held` (numbers) at their own size, as classes: uint8 [n, H, W], 255 beyond a mask. They are
    read once more: only what is measured is needed so large. Raises `Problem` where they take too much room."""
    places = {pictures.names[number]: place for place, number in enumerate(held.tolist())}
    sizes = [pictures.sizes[number] for number in held.tolist()]
    shape = (len(held), *(max(sides) for sides in zip(*sizes, strict=True)))
    if is_large(shape):
        _check_room(shape, sizes, [labels.path[picture] for picture in places])

    def make(partial: Path) -> Decoded:
        rows = room(shape, partial)
        rows[:] = IGNORED

        def take(place: int, item: Any) -> None:
            mask, _ = _read(labels, item, sizes[place])
            rows[place, : mask.shape[0], : mask.shape[1]] = table[mask]

        items = ((places[picture], item) for picture, item in labels.items() if picture in places)
        reasons = each(items, take, len(places), "reading masks to measure", threads)
        if reasons:
            first, picture = min(reasons), list(places)[min(reasons)]
            raise Problem(
                f"The mask '{labels.path[picture]}' was read and then could not be read again ({reasons[first]}): leave the data "
                "as it is while it is read, and start again."
            )
        return Decoded(torch.from_numpy(rows), [], [], Listing((), {}, ()), folder=_folder(rows, partial))

    wanted = [*key, "whole", table.tolist(), held.tolist()]
    made = remembered(wanted, make) if is_large(shape) else make(Path())
    return made.rows, made.folder


def _read(labels: Labels, item: Any, size: tuple[int, int]) -> tuple[np.ndarray, list[str] | None]:
    """A mask of the size of its picture, and its palette. Raises `UnreadableError`."""
    mask, palette = labels.read(item)
    if mask.shape != size:
        received, expected = ("x".join(map(str, one)) for one in (mask.shape, size))
        raise UnreadableError(f"it has {received} pixels and its picture {expected}")
    return mask, palette


def _shown(mask: np.ndarray, frame: Frame, framing: FramedPreprocess) -> np.ndarray:
    """What a row shows of a mask."""
    if framing.tile:
        top, left = int(frame.top), int(frame.left)
        return mask[top : top + framing.height, left : left + framing.width]
    tall, wide = frame.keep[2:]
    if (tall, wide) == mask.shape:
        return mask
    return mask[_nearest(mask.shape[0], tall)[:, None], _nearest(mask.shape[1], wide)]


def _check_room(shape: tuple[int, ...], sizes: Sequence[tuple[int, int]], paths: Sequence[str]) -> None:
    """Raises `Problem` where masks, each with the room of the largest, do not fit or are mostly empty."""
    needed, used = math.prod(shape), sum(height * width for height, width in sizes)
    home = cache_folder()
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    if needed <= free and (needed <= MOST_SPARSE or needed <= SPARSE * used):
        return
    largest = max(range(len(sizes)), key=lambda place: math.prod(sizes[place]))
    height, width = sizes[largest]
    raise Problem(
        f"The masks of {shape[0]:,} held-out pictures need {needed:,} bytes in '{home}' ({free:,} are free), for each takes the "
        f"room of the largest ('{paths[largest]}' has {height}x{width} pixels): cut or scale that, or keep the resolution with "
        "data.tile=true, which takes what the pictures have."
    )


def tiles(pile: Pile, options: recipe.Data) -> Decoded:
    """The rows that cover each picture of a pile, one picture after the other: uint8 [T, side, side, C]."""
    side = options.size or TILE_SIDE

    def make(partial: Path) -> Decoded:
        headers, reasons = survey(pile, threads=options.threads, most=MOST_TILED)
        listing = pile.listing()
        good = sorted(headers)
        channels = options.channels or (1 if all(header.channels == 1 for header in headers.values()) else 3)
        cutting = framed_as(side, side, channels, tile=True)
        sizes = [(headers[number].height, headers[number].width) for number in good]
        ends = np.cumsum([0, *(len(cutting.frames(*size)) for size in sizes)]).tolist()
        begins = dict(zip(good, ends[:-1], strict=True))
        rows = room((ends[-1], side, side, channels), partial)

        def take(number: int, item: Any) -> None:
            for place, (row, _) in enumerate(cutting.rows_of(item), begins[number]):
                rows[place] = row

        items = ((number, item) for number, item in pile.items() if number in headers)
        reasons |= each(items, take, len(good), "cutting pictures", options.threads)
        facts = [f"Pictures keep their resolution and are cut into {ends[-1]:,} rows of {side}x{side} (data.tile)."]
        bad = [Bad(listing.pictures[number], reason) for number, reason in sorted(reasons.items())]
        names = [listing.pictures[number] for number in good]
        return Decoded(torch.from_numpy(rows), names, bad, listing, facts, sizes, _folder(rows, partial))

    return remembered(["tiles", pile.digest(), side, options.channels], make)


def framed_as(height: int, width: int, channels: int, *, tile: bool) -> FramedPreprocess:
    """How pictures are brought to rows, before the mean and deviation are known."""
    return FramedPreprocess(channels, height, width, (0.0,) * channels, (1.0,) * channels, tile=tile)


def columns_of(
    pictures: Decoded,
    masks: Masks,
    labels: Labels,
    table: np.ndarray,
    parts: dict[str, np.ndarray],
    home: str,
    threads: int | None,
) -> dict[str, Columns]:
    """The columns of each part, a sorted list of numbers of pictures. `table` uint8 [256] says the class of each number.

    What is measured also has, where pictures were scaled, `truth` uint8 [n, H, W] and `size` int64 [n, 2], the masks at their
    own size, and where they were cut `owner` int64 [n], the number of the picture that a row is of.
    """
    origins: Sequence[str] = [home + picture for picture in pictures.names]
    height, width = masks.rows.shape[1:]
    held = np.concatenate([parts["validation"], parts["test"]])
    apart = frozenset(held.tolist())
    sources = {"input": (pictures.rows, pictures.folder), "target": masks.classes(table, apart)}
    mapped = any(folder is not None for _, folder in sources.values())
    measured: dict[str, Tensor] = {}
    if masks.framing.tile:
        origins = [f"{origins[frame.item]} from {frame.top:g},{frame.left:g}" for frame in masks.frames]
        owners = np.array([frame.item for frame in masks.frames])
        parts = {part: np.flatnonzero(np.isin(owners, numbers)) for part, numbers in parts.items()}
        measured["owner"] = torch.from_numpy(np.concatenate([owners[parts["validation"]], owners[parts["test"]]]))
    elif len(held) and any(size != (height, width) for size in masks.sizes):
        measured["truth"], folder = whole(pictures, held, labels, table, masks.key, threads)
        measured["size"] = torch.tensor(masks.sizes)[torch.from_numpy(held)]
        mapped |= folder is not None
    arrays: dict[str, dict[str, Tensor]] = {part: {} for part in parts}
    for column, (rows, folder) in sources.items():
        for part, inside in shared_out(rows, parts, folder).items():
            arrays[part][column] = inside
    border = len(parts["validation"])
    for column, rows in measured.items():
        arrays["validation"][column], arrays["test"][column] = rows[:border], rows[border:]
    return {part: Columns(arrays[part], picked(origins, index), mapped=mapped) for part, index in parts.items()}


def _nearest(length: int, wanted: int) -> np.ndarray:
    """The pixel under the middle of each of the pixels that a side is brought to."""
    return (np.arange(wanted) * 2 + 1) * length // (2 * wanted)


def _folder(rows: np.ndarray, partial: Path) -> Path | None:
    return partial if isinstance(rows, np.memmap) else None

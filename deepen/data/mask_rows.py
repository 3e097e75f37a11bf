"""Masks and their pictures as rows: read once at their own size, then scaled or cut like the pictures.

Rows are taken from a mask by the nearest pixel, so that no class is invented between two others. What is large is mapped
from disk, as decoded pictures are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepen import recipe
from deepen.data.dataset import Bad, Columns
from deepen.data.decode import Decoded, each, is_large, remembered, room, survey
from deepen.data.framed import MOST_TILED, FramedPreprocess, fitted
from deepen.data.image_files import UnreadableError
from deepen.data.pictures import picked, shared_out
from deepen.data.piles import Listing, Pile

IGNORED = 255
"""The class number of pixels that are neither learnt nor measured."""
TILE_SIDE = 256


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


@dataclass
class Masks:
    """The masks of all pictures at their own size."""

    rows: np.ndarray
    """uint8 [N, H, W], large enough for the largest; 255 beyond a mask."""
    sizes: list[tuple[int, int]]
    seen: list[list[int]]
    """The numbers that each holds."""
    colours: list[str]
    """Of the numbers, #rrggbb; empty where there is no palette."""
    folder: Path | None
    """Where rows are mapped from."""
    key: list[Any]
    """What they are remembered under."""
    table: np.ndarray = field(default_factory=lambda: np.arange(256, dtype=np.uint8))
    """From the numbers that are there to classes, uint8 [256]."""

    def whole(self) -> tuple[Tensor, Path | None]:
        """All masks as classes, uint8 [N, H, W]."""
        numbers = sorted({value for values in self.seen for value in values} | {IGNORED})
        if (self.table[numbers] == numbers).all():
            return torch.from_numpy(self.rows), self.folder

        def write(number: int, out: np.ndarray) -> None:
            height, width = self.sizes[number]
            out[:] = IGNORED
            out[:height, :width] = self.table[self.rows[number, :height, :width]]

        return self._derived(["whole"], self.rows.shape, write)

    def scaled(self, height: int, width: int) -> tuple[Tensor, Path | None]:
        """All masks as classes, fitted into rows as the pictures are: uint8 [N, height, width]."""

        def write(number: int, out: np.ndarray) -> None:
            tall, wide = self.sizes[number]
            lines, places = (
                _nearest(*sides) for sides in zip((tall, wide), fitted(tall, wide, height, width), strict=True)
            )
            out[:] = IGNORED
            out[: len(lines), : len(places)] = self.table[self.rows[number][lines[:, None], places]]

        return self._derived(["scaled", height, width], (len(self.sizes), height, width), write)

    def cut(self, tiling: FramedPreprocess, apart: frozenset[int]) -> tuple[Tensor, Path | None]:
        """All masks as classes, cut as the pictures are: uint8 [T, height, width]. Of the numbers in `apart`, each pixel
        stands in one row only, so that it is measured once."""
        frames = [frame for number, size in enumerate(self.sizes) for frame in tiling.frames(*size, number)]

        def write(row: int, out: np.ndarray) -> None:
            frame = frames[row]
            top, left = int(frame.top), int(frame.left)
            first, start, last, end = frame.keep if frame.item in apart else (0, 0, tiling.height, tiling.width)
            last, end = min(last, frame.height - top), min(end, frame.width - left)
            out[:] = IGNORED
            inside = self.rows[frame.item, top + first : top + last, left + start : left + end]
            out[first:last, start:end] = self.table[inside]

        shape = (len(frames), tiling.height, tiling.width)
        return self._derived(["cut", tiling.height, sorted(apart)], shape, write)

    def _derived(
        self, key: list[Any], shape: tuple[int, ...], write: Callable[[int, np.ndarray], None]
    ) -> tuple[Tensor, Path | None]:
        """Rows of this shape, each written by `write`; large ones are remembered."""

        def make(partial: Path) -> Decoded:
            rows = room(shape, partial)
            for number, out in enumerate(rows):
                write(number, out)
            return Decoded(torch.from_numpy(rows), [], [], Listing((), {}, ()), folder=_folder(rows, partial))

        made = remembered([*self.key, self.table.tolist(), *key], make) if is_large(shape) else make(Path())
        return made.rows, made.folder


def read(pictures: Decoded, labels: Labels, digest: str, threads: int | None) -> tuple[Masks, list[Bad]]:
    """The masks of decoded pictures, whose digest is given, and those pictures whose mask cannot be used."""
    numbers = {picture: number for number, picture in enumerate(pictures.names)}
    shape = (len(numbers), *(max(sides) for sides in zip(*pictures.sizes, strict=True)))
    key = ["masks", digest, labels.digest, pictures.names]

    def make(partial: Path) -> Decoded:
        rows = room(shape, partial)
        seen: list[list[int]] = [[] for _ in numbers]
        palettes: dict[int, list[str]] = {}

        def take(number: int, item: Any) -> None:
            mask, palette = labels.read(item)
            if mask.shape != pictures.sizes[number]:
                received, expected = ("x".join(map(str, size)) for size in (mask.shape, pictures.sizes[number]))
                raise UnreadableError(f"it has {received} pixels and its picture {expected}")
            rows[number] = IGNORED
            rows[number, : mask.shape[0], : mask.shape[1]] = mask
            seen[number] = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist()
            if palette is not None:
                palettes[number] = palette

        items = ((numbers[picture], item) for picture, item in labels.items() if picture in numbers)
        reasons = each(items, take, len(numbers), "reading masks", threads)
        bad = [
            Bad(pictures.names[number], f"its mask '{labels.path[pictures.names[number]]}' cannot be used: {reason}")
            for number, reason in sorted(reasons.items())
        ]
        notes = {"seen": seen, "colours": palettes[min(palettes)] if palettes else []}
        listing = Listing(tuple(pictures.names), {}, ())
        found = torch.from_numpy(rows)
        return Decoded(found, pictures.names, bad, listing, [], pictures.sizes, _folder(rows, partial), notes)

    made = remembered(key, make)
    notes = made.notes
    return Masks(made.rows.numpy(), pictures.sizes, notes["seen"], notes["colours"], made.folder, key), made.bad


def tiles(pile: Pile, options: recipe.Data) -> Decoded:
    """The rows that cover each picture of a pile, one picture after the other: uint8 [T, side, side, C]."""
    side = options.size or TILE_SIDE

    def make(partial: Path) -> Decoded:
        headers, reasons = survey(pile, threads=options.threads, most=MOST_TILED)
        listing = pile.listing()
        good = sorted(headers)
        channels = options.channels or (1 if all(header.channels == 1 for header in headers.values()) else 3)
        cutting = tiling(side, channels)
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


def tiling(side: int, channels: int) -> FramedPreprocess:
    """How pictures are cut, before the mean and deviation are known."""
    return FramedPreprocess(channels, side, side, (0.0,) * channels, (1.0,) * channels, tile=True)


def columns_of(
    pictures: Decoded, masks: Masks, parts: dict[str, np.ndarray], home: str, *, tile: bool
) -> dict[str, Columns]:
    """The columns of each part, a sorted list of numbers of pictures.

    `truth` uint8 [N, H, W] and `size` int64 [N, 2], the masks at their own size, are there for what is measured where
    pictures were scaled.
    """
    _, height, width, channels = pictures.rows.shape
    origins: Sequence[str] = [home + picture for picture in pictures.names]
    sources = {"input": (pictures.rows, pictures.folder)}
    if tile:
        cutting = tiling(height, channels)
        held = frozenset(np.concatenate([parts["validation"], parts["test"]]).tolist())
        sources["target"] = masks.cut(cutting, held)
        frames = [frame for number, size in enumerate(masks.sizes) for frame in cutting.frames(*size, number)]
        origins = [f"{origins[frame.item]} from {frame.top:g},{frame.left:g}" for frame in frames]
        owners = np.array([frame.item for frame in frames])
        parts = {part: np.flatnonzero(np.isin(owners, numbers)) for part, numbers in parts.items()}
    elif all(size == (height, width) for size in masks.sizes):
        sources["target"] = masks.whole()
    else:
        sources |= {"target": masks.scaled(height, width), "truth": masks.whole()}
    arrays: dict[str, dict[str, Tensor]] = {part: {} for part in parts}
    for column, (rows, folder) in sources.items():
        wanted = {part: index for part, index in parts.items() if column != "truth" or part != "train"}
        for part, inside in shared_out(rows, wanted, folder).items():
            arrays[part][column] = inside
    if "truth" in sources:
        for part in ("validation", "test"):
            arrays[part]["size"] = torch.tensor(masks.sizes)[torch.from_numpy(parts[part])]
    mapped = any(folder is not None for _, folder in sources.values())
    return {part: Columns(arrays[part], picked(origins, index), mapped=mapped) for part, index in parts.items()}


def _nearest(length: int, wanted: int) -> np.ndarray:
    """The pixel under the middle of each of the pixels that a side is brought to."""
    return (np.arange(wanted) * 2 + 1) * length // (2 * wanted)


def _folder(rows: np.ndarray, partial: Path) -> Path | None:
    return partial if isinstance(rows, np.memmap) else None

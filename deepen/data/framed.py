"""Whole pictures as rows of one size: for tasks whose answers lie in the picture (boxes, masks).

A picture is scaled, up or down, until it fits into the row, put at the top left and padded: the letterbox of YOLO (Redmon
et al., 2016). A picture that has the size of the row is not resampled. With `tile`, pictures keep their resolution and are
cut into rows that overlap, the overlap-tile strategy of the U-Net (Ronneberger et al., 2015).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from deepen.data.image_files import MAX_PIXELS, Header, UnreadableError, opened, quiet, size_of, upright
from deepen.data.pixels import PicturePreprocess, as_bytes, naming
from deepen.data.preprocess import BATCH, Frame

PADDING = 114
"""Of the rows beyond a picture, in 0..255: about the mean of photographs. A constant, so that rows do not depend on which
pictures train."""
MOST_TILED = 175_000_000
"""Pixels of a picture that is cut into tiles; Pillow itself decodes none that has 179 million."""
OVERLAP = 1 / 8
"""Share of a tile's side that its neighbour also sees, on each side of the line that parts them."""
PIECES = 2**20
"""Pixels of rows that are handed out at once for prediction."""


@dataclass(frozen=True)
class Letterbox:
    """What pictures are brought to. None leaves it to be decided from them."""

    longer: int | None = None
    """The longer side. Rows are the smallest that hold every picture: for 640x480 and 320 they are 320 wide and 240 high."""
    channels: int | None = None
    usual: int = 416
    """The longer side where pictures are larger or of several sizes and nothing is said."""
    height: int | None = None
    """Of the rows, with `width`: where they must be like others."""
    width: int | None = None


@final
@dataclass(frozen=True)
class FramedPreprocess(PicturePreprocess):
    """Pictures scaled to fit into rows and padded, or cut into rows."""

    tile: bool = False
    """Cut pictures into rows instead of scaling them."""

    kind = "framed"

    def row(self, item: Any) -> np.ndarray:
        """One item as uint8 [H, W, C]. Raises `UnreadableError`; call it inside `quiet()`."""
        image, height, width = self._picture(item)
        if self.tile and (height > self.height or width > self.width):
            raise UnreadableError(
                f"it has {height}x{width} pixels, more than a row of {self.height}x{self.width}, and is answered in pieces"
            )
        return self._boxed(image, height, width)

    def frame(self, height: int, width: int, item: int = 0) -> Frame:
        """Where the row lies in a picture of this size. Lengths are whole pixels, so that the scale is right to half of one
        over the whole row."""
        tall, wide = self._fitted(height, width)
        scale = 1.0 if self.tile else min(self.height / height, self.width / width)
        return Frame(item, height, width, scale=scale, keep=(0, 0, tall, wide))

    def frames(self, height: int, width: int, item: int = 0) -> list[Frame]:
        """Where the rows of a picture of this size lie in it."""
        if not self.tile:
            return [self.frame(height, width, item)]
        return [
            Frame(item, height, width, top, left, 1.0, (first - top, start - left, last - top, end - left))
            for top, first, last in cuts(height, self.height)
            for left, start, end in cuts(width, self.width)
        ]

    def pieces(self, items: Sequence[Any]) -> Iterator[tuple[Tensor, list[Frame]]]:
        most = max(1, min(BATCH, PIECES // (self.height * self.width)))
        rows: list[np.ndarray] = []
        frames: list[Frame] = []
        for number, item in enumerate(items):
            with quiet(), naming(item, number):
                cut = self.rows_of(item, number)
            for row, frame in cut:
                rows.append(row)
                frames.append(frame)
                if len(rows) == most:
                    yield torch.from_numpy(np.stack(rows)), frames
                    rows, frames = [], []
        if rows:
            yield torch.from_numpy(np.stack(rows)), frames

    def rows_of(self, item: Any, number: int = 0) -> Iterator[tuple[np.ndarray, Frame]]:
        """The rows uint8 [H, W, C] of one item, which is read now and cut as they are asked for. Raises `UnreadableError`;
        call it inside `quiet()`."""
        image, height, width = self._picture(item)
        return self._cut(image, height, width, number)

    def _cut(self, image: Pillow.Image, height: int, width: int, number: int) -> Iterator[tuple[np.ndarray, Frame]]:
        if not self.tile:
            yield self._boxed(image, height, width), self.frame(height, width, number)
            return
        for frame in self.frames(height, width, number):
            left, top = int(frame.left), int(frame.top)
            box = (left, top, min(left + self.width, width), min(top + self.height, height))
            yield padded(image.crop(box), self.height, self.width), frame

    def _picture(self, item: Any) -> tuple[Pillow.Image, int, int]:
        """An item upright, perhaps already smaller by a power of two, with the height and width that it has in full."""
        if isinstance(item, np.ndarray | Tensor):
            array = item.detach().cpu().numpy() if isinstance(item, Tensor) else item
            height, width = self._sides(array)
            planes = array.shape == (self.channels, height, width) and array.ndim == 3
            pixels = as_bytes(array.transpose(1, 2, 0) if planes else array).reshape(height, width, self.channels)
            return Pillow.fromarray(pixels[..., 0] if self.channels == 1 else pixels), height, width
        with opened(item, MOST_TILED if self.tile else MAX_PIXELS) as image:
            height, width = size_of(image)
            if not self.tile:
                # JPEG files can be unfolded at 1/2, 1/4 or 1/8; twice the target leaves enough for a good reduction.
                ratio = 2 * min(self.height / height, self.width / width)
                image.draft(None, (math.ceil(ratio * image.width), math.ceil(ratio * image.height)))
            return upright(image, "L" if self.channels == 1 else "RGB"), height, width

    def _sides(self, array: np.ndarray) -> tuple[int, int]:
        shape, channels = array.shape, self.channels
        if 0 not in shape:
            if len(shape) == 3 and shape[2] == channels:
                return shape[0], shape[1]
            if len(shape) == 3 and shape[0] == channels:
                return shape[1], shape[2]
            if len(shape) == 2 and channels == 1:
                return shape[0], shape[1]
        received = "x".join(str(side) for side in shape) or "()"
        raise UnreadableError(f"received an array of shape {received}, expected height x width x {channels}")

    def _fitted(self, height: int, width: int) -> tuple[int, int]:
        return (height, width) if self.tile else fitted(height, width, self.height, self.width)

    def _boxed(self, image: Pillow.Image, height: int, width: int) -> np.ndarray:
        tall, wide = self._fitted(height, width)
        if image.size != (wide, tall):
            image = image.resize((wide, tall), Pillow.Resampling.BILINEAR, reducing_gap=3.0)
        return padded(image, self.height, self.width)


def fitted(height: int, width: int, into_height: int, into_width: int) -> tuple[int, int]:
    """Height and width, in whole pixels, of a picture that is scaled until it fits."""
    if into_height * width <= into_width * height:
        return into_height, max(1, round(width * into_height / height))
    return max(1, round(height * into_width / width)), into_width


def padded(image: Pillow.Image, height: int, width: int, padding: int = PADDING) -> np.ndarray:
    """A picture at the top left of a row, uint8 [height, width, C]."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    if pixels.shape[:2] == (height, width):
        return pixels
    row = np.full((height, width, pixels.shape[2]), padding, dtype=np.uint8)
    row[: image.height, : image.width] = pixels
    return row


def cuts(length: int, side: int) -> list[tuple[int, int, int]]:
    """How a length is cut into overlapping parts of `side` at even distances: where each begins, and from where to where it
    answers, in the middle between what it shares with its neighbours. One part where all fits."""
    if length <= side:
        return [(0, 0, length)]
    step = max(1, side - 2 * int(side * OVERLAP))
    count = math.ceil((length - side) / step) + 1
    starts = [round(number * (length - side) / (count - 1)) for number in range(count)]
    lines = [0, *((after + before + side) // 2 for before, after in pairwise(starts)), length]
    return list(zip(starts, lines[:-1], lines[1:], strict=True))


def choose(headers: Sequence[Header], box: Letterbox) -> tuple[int, int, int, list[str]]:
    """Height, width and channels of the rows for pictures of these headers, and why, in sentences."""
    sizes = Counter((one.height, one.width) for one in headers)
    facts = []
    (height, width), _ = sizes.most_common(1)[0]
    what = f"All pictures are {height}x{width} pixels" if len(sizes) == 1 else f"Pictures come in {len(sizes):,} sizes"
    if box.height and box.width:
        height, width = box.height, box.width
        if set(sizes) != {(height, width)}:
            facts.append(f"Whole pictures are scaled to fit into {height}x{width}.")
    elif (
        len(sizes) == 1
        and (box.longer in (None, max(height, width)))
        and (box.longer or max(height, width) <= box.usual)
    ):
        facts.append(f"{what} and stay so.")
    else:
        longer = box.longer or min(box.usual, max(max(size) for size in sizes))
        boxes = [fitted(*size, longer, longer) for size in sizes]
        height, width = max(tall for tall, _ in boxes), max(wide for _, wide in boxes)
        other = "" if box.longer else " (data.size=... for another longer side)"
        facts.append(f"{what}: whole pictures are scaled to fit into {height}x{width}{other}.")
    grey = sum(one.channels == 1 for one in headers)
    channels = box.channels or (1 if grey == len(headers) else 3)
    if channels == 3 and grey:
        facts.append(f"{grey:,} of {len(headers):,} pictures are grey and are kept in three equal channels.")
    return height, width, channels, facts


KIND = FramedPreprocess

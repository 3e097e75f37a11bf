"""Pictures as tensors: from files, bytes, PIL images and arrays to uint8 rows, and from rows to normalised floats.

Rows are kept as uint8 [N, H, W, C], a quarter of the memory of floats; the last dimension is the colour so that the
model input is a channels_last view without a copy. Normalisation is per channel with the mean and deviation of the
training split, as in Krizhevsky et al. 2012 and every image model since.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from deepen import spec
from deepen.data.image_files import ENDINGS, MAX_PIXELS, UnreadableError, opened, pixels_of, quiet, size_of
from deepen.data.preprocess import Preprocess
from deepen.errors import Problem

MOST_WHOLE = 3_000_000
"""Pixels up to which a picture goes through a network in one piece at its own size unasked: maps of full size take a few
gigabytes."""


class UnusableError(Problem):
    """Of one picture, which is named; there is nothing wrong with others."""


@dataclass(frozen=True)
class PicturePreprocess(Preprocess):
    """Rows of one size, normalised per channel. `mean` and `std` are in units of 0..1. How a picture becomes a row is what
    the concrete ones differ in."""

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @abstractmethod
    def row(self, item: Any) -> np.ndarray:
        """One item as uint8 [H, W, C]. Raises `UnreadableError`; call it inside `quiet()`."""

    @classmethod
    def given(cls, rows: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """For rows uint8 [N, H, W, C] and a model that learnt from others, whose mean and deviation it goes on with."""
        _, height, width, channels = rows.shape
        return cls(channels, height, width, mean, std)

    @classmethod
    def fit(cls, rows: Tensor) -> Self:
        """The mean and deviation of each channel of the training rows, uint8 [N, H, W, C]."""
        count, height, width, channels = rows.shape
        size = height * width * channels
        total, squares = np.zeros(channels), np.zeros(channels)
        flat = rows.reshape(count, size).numpy()
        step = max(1, min(256, 2**22 // size))
        # 256 squares of a byte stay under 2**24, so float32 sums are exact whatever their order; float64 sums after
        # that are exact too, and no machine comes to another result. In numpy, for short torch operations on several
        # threads stall where the cores are busy.
        for start in range(0, count, step):
            values = flat[start : start + step].astype(np.float32)
            total += values.sum(0).astype(np.float64).reshape(-1, channels).sum(0)
            squares += np.square(values, out=values).sum(0).astype(np.float64).reshape(-1, channels).sum(0)
        pixels = count * height * width
        mean = total / pixels
        std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
        # A channel that is the same everywhere is only centred.
        std[std < 1e-6] = 255.0
        return cls(channels, height, width, tuple((mean / 255).tolist()), tuple((std / 255).tolist()))

    @property
    def input(self) -> spec.Image:
        """The spec of what `tensor` gives."""
        return spec.Image(self.channels, self.height, self.width)

    def read(self, sources: Iterable[str]) -> list[tuple[str, Any]]:
        """Picture files, or folders whose pictures are meant, as (path, path) pairs.

        Raises `Problem` for a path that is missing and for a folder without pictures.
        """
        found: list[tuple[str, Any]] = []
        for source in sources:
            path = Path(source)
            if path.is_dir():
                inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
                if not inside:
                    raise Problem(f"There is no picture in the folder '{source}': expected {', '.join(ENDINGS)} files.")
                found += [(str(p), p) for p in inside]
            elif path.is_file():
                found.append((str(source), path))
            else:
                raise Problem(f"There is no file '{source}': expected a picture or a folder of pictures.")
        return found

    def encode(self, items: Sequence[Any]) -> Tensor:
        """Paths, bytes, PIL images or arrays as rows, uint8 [N, H, W, C].

        Files and PIL images are turned upright and laid over white where they are transparent. Arrays are [H, W],
        [H, W, C] or [C, H, W], uint8 or floats in 0..1. Raises `Problem` naming the item.
        """
        rows = np.empty((len(items), self.height, self.width, self.channels), dtype=np.uint8)
        with quiet():
            for number, item in enumerate(items):
                with naming(item, number):
                    rows[number] = self.row(item)
        return torch.from_numpy(rows)

    def tensor(self, stored: Tensor) -> Tensor:
        """Rows uint8 [N, H, W, C] as float32 [N, C, H, W] in channels_last memory order, on the device of `stored`."""
        count = len(stored)
        scale, shift = self._affine(stored.device)
        # Pixels of one picture are one long row, against which scale and shift are laid out in full: broadcasting
        # over a last dimension of three runs seven times slower on a CPU.
        flat = stored.to(torch.float32).reshape(count, -1)
        torch.addcmul(shift, flat, scale, out=flat)
        return flat.view(count, self.height, self.width, self.channels).permute(0, 3, 1, 2)

    def pixels(self, tensor: Tensor) -> Tensor:
        """The way back, for people to look at: float [N, C, H, W] as uint8 [N, H, W, C], clipped."""
        mean = tensor.new_tensor(self.mean)
        std = tensor.new_tensor(self.std)
        values = (tensor.permute(0, 2, 3, 1) * std + mean) * 255
        return values.round().clamp(0, 255).to(torch.uint8)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**fields)

    def _affine(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Scale and shift of every number of a picture, [H*W*C] each, made once for each device."""
        made: dict[torch.device, tuple[Tensor, Tensor]] = self.__dict__.setdefault("_made", {})
        if device not in made:
            mean, std = np.array(self.mean), np.array(self.std)
            times = self.height * self.width
            scale = torch.from_numpy(np.tile(1 / (255 * std), times)).to(torch.float32)
            shift = torch.from_numpy(np.tile(-mean / std, times)).to(torch.float32)
            made[device] = (scale.to(device), shift.to(device))
        return made[device]


@final
@dataclass(frozen=True)
class ImagePreprocess(PicturePreprocess):
    """Pictures brought to the size by scaling the shorter side and cropping the centre; arrays must have it already."""

    resize: int | None = None
    """What the shorter side is scaled to, where more than the centre's own size is."""

    kind = "image"

    def row(self, item: Any) -> np.ndarray:
        """One item as uint8 [H, W, C]. Raises `UnreadableError`; call it inside `quiet()`."""
        if isinstance(item, np.ndarray | Tensor):
            return self._from_array(item.detach().cpu().numpy() if isinstance(item, Tensor) else item)
        with opened(item) as image:
            return pixels_of(image, self.channels, self.height, self.width, self.resize)

    def _from_array(self, array: np.ndarray) -> np.ndarray:
        expected = f"an array of {self.height}x{self.width}" + (f"x{self.channels}" if self.channels > 1 else "")
        received = f"an array of shape {'x'.join(str(side) for side in array.shape) or '()'}"
        shaped = array[..., None] if array.ndim == 2 and self.channels == 1 else array
        if shaped.shape == (self.channels, self.height, self.width) != (self.height, self.width, self.channels):
            shaped = shaped.transpose(1, 2, 0)
        if shaped.shape != (self.height, self.width, self.channels):
            raise UnreadableError(f"received {received}, expected {expected}")
        return as_bytes(shaped)


def as_bytes(array: np.ndarray) -> np.ndarray:
    """Pixels as uint8, from uint8 or floats in 0..1. Raises `UnreadableError`."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise UnreadableError(f"received an array of {array.dtype}, expected uint8 or floats in 0..1")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):
        raise UnreadableError(f"received floats from {low:g} to {high:g}, expected 0..1 (or uint8 in 0..255)")
    return np.rint(array * 255).astype(np.uint8)


def single(array: np.ndarray, channels: int) -> bool:
    """Whether an array is one picture for a model of so many channels, and not several of them along its first dimension."""
    return array.ndim == 2 or (array.ndim == 3 and (channels > 1 or array.shape[2] == 1))


def whole(item: Any, longest: int | None = None) -> tuple[np.ndarray, tuple[int, int]]:
    """A picture in its own form and in colour, uint8 [h, w, 3], with the height and width that it came in. Its longer side is
    brought to `longest` pixels; where that is not given, it is made smaller if it has more than `MOST_WHOLE` pixels. Raises
    `UnreadableError`; call it inside `quiet()`."""
    if isinstance(item, np.ndarray | Tensor):
        array = item.detach().cpu().numpy() if isinstance(item, Tensor) else item
        if array.ndim != 3 or array.shape[2] not in (1, 3):
            raise UnreadableError(f"received an array of shape {array.shape}, expected [height, width, 3 or 1]")
        item = Pillow.fromarray(np.ascontiguousarray(np.broadcast_to(as_bytes(array), (*array.shape[:2], 3))))
    with opened(item) as image:
        height, width = size_of(image)
        most = math.sqrt(MOST_WHOLE / (height * width))
        ratio = longest / max(height, width) if longest else min(1.0, most)
        # Rounded down at the limit, so that it holds.
        tall, wide = (max(1, int(side * ratio) if ratio == most else round(side * ratio)) for side in (height, width))
        if tall * wide > MAX_PIXELS:
            raise UnreadableError(
                f"it would be drawn with {tall:,} x {wide:,} pixels, over the limit of {MAX_PIXELS // 10**6} million"
            )
        return pixels_of(image, 3, tall, wide), (height, width)


@contextmanager
def naming(item: Any, number: int) -> Iterator[None]:
    """What cannot be read inside the block becomes an `UnusableError`."""
    try:
        yield
    except UnreadableError as error:
        name = f"'{item}'" if isinstance(item, str | Path) else f"Item {number}"
        raise UnusableError(f"{name} cannot be used as a picture: {error}.") from None


KIND = ImagePreprocess

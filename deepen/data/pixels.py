"""Pictures as tensors: from files, bytes, PIL images and arrays to uint8 rows, and from rows to normalised floats.

Rows are kept as uint8 [N, H, W, C], a quarter of the memory of floats; the last dimension is the colour so that the
model input is a channels_last view without a copy. Normalisation is per channel with the mean and deviation of the
training split, as in Krizhevsky et al. 2012 and every image model since.

The decoder is the one place where a picture file is opened: training, `predict` and the server go through it.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import (
    BmpImagePlugin,  # noqa: F401 - a plugin is known to Pillow once it is imported
    GifImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)
from PIL import Image as Pillow
from torch import Tensor

from deepen import spec
from deepen.data.preprocess import Preprocess
from deepen.errors import Problem

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
# Only these decoders are offered a file; others that Pillow has can start programs or fetch further files.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
# Under Pillow's own threshold for a warning, so that this limit is the only one met.
MAX_PIXELS = 80_000_000
ORIENTATION = 0x0112
TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
GREY_MODES = ("1", "L", "LA", "La", "I", "F")
# What Pillow's decoders raise on damaged files, beside OSError (truncated, unknown format).
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    ZeroDivisionError,
    NotImplementedError,
    MemoryError,
    struct.error,
    zlib.error,
    Pillow.DecompressionBombError,
)


class UnreadableError(Exception):
    """A picture that cannot be used; the message is the reason. Who knows its name makes a `Bad` or `Problem` of it."""


@dataclass(frozen=True)
class Header:
    """What a picture says of itself before its pixels are decoded, turned upright."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class ImagePreprocess(Preprocess):
    """Pictures of one size, normalised per channel. `mean` and `std` are in units of 0..1."""

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    kind = "image"

    @classmethod
    def fit(cls, rows: Tensor) -> ImagePreprocess:
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

        Files and PIL images are turned upright, laid over white where they are transparent, brought to the size by
        scaling the shorter side and cropping the centre. Arrays must have the size already: [H, W], [H, W, C] or
        [C, H, W], uint8 or floats in 0..1. Raises `Problem` naming the item.
        """
        rows = np.empty((len(items), self.height, self.width, self.channels), dtype=np.uint8)
        with quiet():
            for number, item in enumerate(items):
                try:
                    rows[number] = self.row(item)
                except UnreadableError as error:
                    name = f"'{item}'" if isinstance(item, str | Path) else f"Item {number}"
                    raise Problem(f"{name} cannot be used as a picture: {error}.") from None
        return torch.from_numpy(rows)

    def row(self, item: Any) -> np.ndarray:
        """One item as uint8 [H, W, C]. Raises `UnreadableError`; call it inside `quiet()`."""
        if isinstance(item, np.ndarray | Tensor):
            return self._from_array(item.detach().cpu().numpy() if isinstance(item, Tensor) else item)
        with opened(item) as image:
            return pixels_of(image, self.channels, self.height, self.width)

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
    def from_json(cls, data: dict[str, Any]) -> ImagePreprocess:
        return cls(data["channels"], data["height"], data["width"], tuple(data["mean"]), tuple(data["std"]))

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

    def _from_array(self, array: np.ndarray) -> np.ndarray:
        expected = f"an array of {self.height}x{self.width}" + (f"x{self.channels}" if self.channels > 1 else "")
        received = f"an array of shape {'x'.join(str(side) for side in array.shape) or '()'}"
        shaped = array[..., None] if array.ndim == 2 and self.channels == 1 else array
        if shaped.shape == (self.channels, self.height, self.width) != (self.height, self.width, self.channels):
            shaped = shaped.transpose(1, 2, 0)
        if shaped.shape != (self.height, self.width, self.channels):
            raise UnreadableError(f"received {received}, expected {expected}")
        if shaped.dtype == np.uint8:
            return shaped
        if shaped.dtype.kind != "f":
            raise UnreadableError(f"received an array of {array.dtype}, expected uint8 or floats in 0..1")
        low, high = float(shaped.min()), float(shaped.max())
        if not (low >= 0 and high <= 1):
            raise UnreadableError(f"received floats from {low:g} to {high:g}, expected 0..1 (or uint8 in 0..255)")
        return np.rint(shaped * 255).astype(np.uint8)


KIND = ImagePreprocess


def header(item: Any) -> Header:
    """The size and channels of a picture, no pixel decoded. Raises `UnreadableError`; call it inside `quiet()`."""
    with opened(item) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        return Header(height, width, 1 if _is_grey(image) else 3)


@contextmanager
def opened(item: Any) -> Iterator[Pillow.Image]:
    """The picture of a path, of bytes, or a PIL image itself, its size checked before any pixel is decoded.

    Errors of decoding inside the block become `UnreadableError` too.
    """
    if not isinstance(item, str | Path | bytes | Pillow.Image):
        raise UnreadableError(f"received {type(item).__name__}, expected a path, bytes, a PIL image or an array")
    try:
        if isinstance(item, Pillow.Image):
            _check_size(item)
            # A copy, for the picture of a caller is not to be changed.
            yield item.copy()
            return
        with _file(item) as file:
            if not file.read(1):
                raise UnreadableError("the file is empty (0 bytes)")
            file.seek(0)
            with Pillow.open(file, formats=FORMATS) as image:
                _check_size(image)
                yield image
    except Pillow.DecompressionBombError:
        raise UnreadableError(f"it unfolds to more than the limit of {MAX_PIXELS // 10**6} million pixels") from None
    except DAMAGE as error:
        raise UnreadableError(_plainly(error)) from None


def _check_size(image: Pillow.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableError(
            f"it unfolds to {width:,} x {height:,} pixels, over the limit of {MAX_PIXELS // 10**6} million"
        )


def _file(item: str | Path | bytes) -> BinaryIO:
    return io.BytesIO(item) if isinstance(item, bytes) else Path(item).open("rb")


def pixels_of(image: Pillow.Image, channels: int, height: int, width: int) -> np.ndarray:
    """A PIL image as uint8 [height, width, channels]: upright, over white, shorter side scaled, centre cropped."""
    turn = TURNS.get(_orientation(image))
    # JPEG files can be unfolded at 1/2, 1/4 or 1/8; twice the target leaves enough for a good reduction.
    image.draft(None, (2 * max(width, height), 2 * max(width, height)))
    # Only the first picture of an animation is decoded, for that is where a file stands when opened.
    plain = _plain(image, "L" if channels == 1 else "RGB")
    if turn is not None:
        plain = plain.transpose(turn)
    if plain.size != (width, height):
        ratio = max(width / plain.width, height / plain.height)
        across, down = width / ratio, height / ratio
        left, top = (plain.width - across) / 2, (plain.height - down) / 2
        box = (max(left, 0), max(top, 0), min(left + across, plain.width), min(top + down, plain.height))
        plain = plain.resize((width, height), Pillow.Resampling.BILINEAR, box=box, reducing_gap=3.0)
    return np.asarray(plain).reshape(height, width, channels)


def _plain(image: Pillow.Image, mode: str) -> Pillow.Image:
    """The picture in mode L or RGB."""
    if image.mode.startswith("I;16"):
        return _scaled(np.asarray(image).astype(np.float64), 65535).convert(mode)
    if image.mode == "I":
        values = np.asarray(image).astype(np.float64)
        if values.size and not (values.min() >= 0 and values.max() <= 65535):
            raise UnreadableError("its whole-number pixels go beyond 16 bits, which is no picture in a known scale")
        return _scaled(values, 65535).convert(mode)
    if image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise UnreadableError("its floating-point pixels go beyond 0..1, which is no picture in a known scale")
        return _scaled(values, 1).convert(mode)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        paper = Pillow.new("RGBA", colours.size, "white")
        return Pillow.alpha_composite(paper, colours).convert(mode)
    return image.convert(mode)


def _scaled(values: np.ndarray, white: float) -> Pillow.Image:
    return Pillow.fromarray(np.rint(values * (255 / white)).astype(np.uint8))


def _is_grey(image: Pillow.Image) -> bool:
    if image.mode == "P" and image.palette is not None and image.palette.mode.startswith("RGB"):
        colours = np.frombuffer(bytes(image.palette.palette), dtype=np.uint8)
        step = len(image.palette.mode)
        table = colours[: len(colours) // step * step].reshape(-1, step)
        return bool((table[:, :1] == table[:, :3]).all())
    return image.mode in GREY_MODES or image.mode.startswith("I;16")


def _orientation(image: Pillow.Image) -> int:
    """The EXIF orientation, 1 for upright. UnreadableError EXIF is no reason to refuse a picture."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except DAMAGE:
        return 1
    return value if isinstance(value, int) else 1


def _plainly(error: BaseException) -> str:
    """An error of Pillow or of the system in words for a person."""
    if isinstance(error, Pillow.UnidentifiedImageError):
        return "it is not a picture in a known format (JPEG, PNG, WebP, BMP, TIFF, GIF)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if "truncated" in str(error).lower():
        return "the file is cut short (truncated)"
    return f"it is damaged ({error or type(error).__name__})"


_lock = threading.Lock()
_inside = 0
_outer: Any = None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings (corrupt EXIF, bombs) from the user; what matters is raised as `UnreadableError`.

    Warning filters belong to the process, so overlapping blocks of several threads share one.
    """
    global _inside, _outer
    with _lock:
        if _inside == 0:
            _outer = warnings.catch_warnings()
            _outer.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _outer.__exit__(None, None, None)
                _outer = None

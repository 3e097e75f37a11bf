"""One picture file: checked, opened, and brought to uint8 pixels of a wanted size.

The one place where a picture is decoded: training, `predict` and the server come through here. Files come from anyone,
so that the size is checked before any pixel is unfolded, only a few decoders are offered a file, and whatever they
raise on damage becomes one exception with a reason in plain words.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import (
    BmpImagePlugin,  # noqa: F401 - a plugin is known to Pillow once it is imported
    GifImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)
from PIL import Image as Pillow

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


def header(item: Any, most: int = MAX_PIXELS) -> Header:
    """The size and channels of a picture, no pixel decoded. Raises `UnreadableError`; call it inside `quiet()`."""
    with opened(item, most) as image:
        return Header(*size_of(image), 1 if _is_grey(image) else 3)


def size_of(image: Pillow.Image) -> tuple[int, int]:
    """Height and width of a picture when it is turned upright."""
    width, height = image.size
    return (width, height) if _orientation(image) >= 5 else (height, width)


@contextmanager
def opened(item: Any, most: int = MAX_PIXELS) -> Iterator[Pillow.Image]:
    """The picture of a path, of bytes, or a PIL image itself, its size checked before any pixel is decoded.

    Errors of decoding inside the block become `UnreadableError` too.
    """
    if not isinstance(item, str | Path | bytes | Pillow.Image):
        raise UnreadableError(f"received {type(item).__name__}, expected a path, bytes, a PIL image or an array")
    try:
        if isinstance(item, Pillow.Image):
            _check_size(item, most)
            # A copy, for the picture of a caller is not to be changed.
            yield item.copy()
            return
        with _file(item) as file:
            if not file.read(1):
                raise UnreadableError("the file is empty (0 bytes)")
            file.seek(0)
            with Pillow.open(file, formats=FORMATS) as image:
                _check_size(image, most)
                yield image
    except Pillow.DecompressionBombError:
        raise UnreadableError(f"it unfolds to more than the limit of {most // 10**6} million pixels") from None
    except DAMAGE as error:
        raise UnreadableError(_plainly(error)) from None


def _check_size(image: Pillow.Image, most: int) -> None:
    width, height = image.size
    if width * height > most:
        raise UnreadableError(f"it unfolds to {width:,} x {height:,} pixels, over the limit of {most // 10**6} million")


def _file(item: str | Path | bytes) -> BinaryIO:
    return io.BytesIO(item) if isinstance(item, bytes) else Path(item).open("rb")


def pixels_of(image: Pillow.Image, channels: int, height: int, width: int, resize: int | None = None) -> np.ndarray:
    """A PIL image as uint8 [height, width, channels]: upright, over white, shorter side scaled, centre cropped.

    The shorter side is scaled to `resize`, which is no less than the height and width; None is just so far that they are
    filled.
    """
    # JPEG files can be unfolded at 1/2, 1/4 or 1/8; twice the target leaves enough for a good reduction.
    side = 2 * max(width, height, resize or 0)
    image.draft(None, (side, side))
    plain = upright(image, "L" if channels == 1 else "RGB")
    ratio = max(width / plain.width, height / plain.height) if resize is None else resize / min(plain.size)
    if ratio != 1 or plain.size != (width, height):
        across, down = width / ratio, height / ratio
        left, top = (plain.width - across) / 2, (plain.height - down) / 2
        if resize is not None:  # at whole pixels of the scaled picture, so that one of the right size is not blurred
            left, top = round(left * ratio) / ratio, round(top * ratio) / ratio
        box = (max(left, 0), max(top, 0), min(left + across, plain.width), min(top + down, plain.height))
        plain = plain.resize((width, height), Pillow.Resampling.BILINEAR, box=box, reducing_gap=3.0)
    return np.asarray(plain).reshape(height, width, channels)


def upright(image: Pillow.Image, mode: str) -> Pillow.Image:
    """A picture of its own size in mode L or RGB, turned as its camera was held, over white where it is transparent."""
    turn = TURNS.get(_orientation(image))
    # Only the first picture of an animation is decoded, for that is where a file stands when opened.
    plain = _plain(image, mode)
    return plain if turn is None else plain.transpose(turn)


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
    if image.mode == mode:
        image.load()  # without a second copy, which of a large picture is half a gigabyte
        return image
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

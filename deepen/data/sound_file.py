"""A recording from a file: plain WAV by the few lines below, everything else by the library soundfile.

WAV is read here so that the same file gives the same numbers on every machine, with or without the library: whole numbers of
8 to 32 bits, floats of 32 and 64, any number of channels (which are averaged), and no more of a long file than is asked for.
Other kinds of it (mu-law, A-law, ADPCM) are for the library, as is what it knows beside WAV. Resampling is scipy's polyphase
filter.
"""

from __future__ import annotations

import importlib
import io
import math
import os
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
from scipy.signal import resample_poly

from deepen.data.image_files import UnreadableError

ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64")
UNREAD = (".m4a", ".aac", ".wma", ".amr")
"""Recordings too, which nothing here reads: said of each of them, rather than passed over."""
RATES = (1_000, 768_000)
MOST_CHANNELS = 256
STREAMED = (0xFFFFFFFF, 0x7FFFFFFF)
"""What stands for the size of a WAV whose writer did not know it yet."""
WHOLE, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""Kinds of WAV: what the numbers are, or that it is said further on."""
PLAIN = {*((WHOLE, bits) for bits in (8, 16, 24, 32)), (FLOAT, 32), (FLOAT, 64)}
"""Kinds, with the bits of a number, that are read here."""
FINEST = 2000
"""Largest denominator of a ratio of rates: a filter for 44,099 to 16,000 would be as long as the recording. What is lost is
less than a hundredth of what an ear notices."""
LIBRARY = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    **dict.fromkeys((b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2"), "MP3"),
    b"FORM": "AIFF",
    b".snd": "AU",
    b"caff": "CAF",
    b"riff": "W64",
    b"RF64": "RF64",
    b"RIFX": "WAV",
}
"""First bytes of what the library reads."""
OTHERS = {
    b"\xff\xf1": "AAC",
    b"\xff\xf9": "AAC",
    b"0&\xb2u": "WMA",
    b"#!AMR": "AMR",
    b"\x1aE\xdf\xa3": "Matroska or WebM",
}
"""First bytes of sound that is not read."""


@dataclass(frozen=True)
class Recording:
    """The beginning of a recording, in one channel."""

    samples: np.ndarray
    """float32 [n], -1 to 1."""
    rate: int
    seconds: float
    """Of all of it, where `samples` may be only the beginning."""

    def at(self, rate: int) -> np.ndarray:
        """As int16 [n] at another rate. -32768 is never among them."""
        samples = self.samples
        if rate != self.rate:
            ratio = Fraction(rate, self.rate).limit_denominator(FINEST)
            samples = resample_poly(samples, ratio.numerator, ratio.denominator)
        return np.clip(np.rint(samples * 32768.0), -32767, 32767).astype(np.int16)


def is_recording(name: str) -> bool:
    """Whether a file is a recording by the ending of its name, also where it is one that cannot be read."""
    return name.lower().endswith(ENDINGS + UNREAD)


def read(source: Path | bytes, most_seconds: float = math.inf) -> Recording:
    """A recording, or its first `most_seconds`. Raises `UnreadableError` with the reason."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            head = file.read(12)
            if not head:
                raise UnreadableError("it holds 0 bytes")
            if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
                return _wav(file, most_seconds)
            if kind := _marked(head, LIBRARY):
                return _by_library(file, kind, most_seconds)
            if other := "MPEG-4" if head[4:8] == b"ftyp" else _marked(head, OTHERS):
                raise UnreadableError(f"it is {other}, which is not read here: save it as WAV or FLAC")
            raise UnreadableError(
                "it is no sound file by its first bytes (WAV, FLAC, Ogg, MP3, AIFF, AU, CAF and W64 are read)"
            )
    except OSError as error:
        raise UnreadableError(f"it cannot be opened ({error.strerror})") from None


def _marked(head: bytes, marks: dict[bytes, str]) -> str | None:
    return next((name for mark, name in marks.items() if head.startswith(mark)), None)


def _wav(file: IO[bytes], most_seconds: float) -> Recording:
    form: tuple[int, int, int, int] | None = None
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"fmt ":
            form = _form(file.read(size + size % 2))
        elif name == b"data":
            if form is None:
                raise UnreadableError("its sound stands before the description of it: the WAV file is damaged")
            kind, _, _, bits = form
            there = _there(file, size)
            if (kind, bits) not in PLAIN:
                return _by_library(file, f"WAV of kind {kind} with {bits} bits", most_seconds)
            return _samples(file, there, form, most_seconds)
        else:
            file.seek(size + size % 2, os.SEEK_CUR)
    raise UnreadableError("it is cut short before the sound begins")


def _form(content: bytes) -> tuple[int, int, int, int]:
    """Kind, channels, rate and bits of a number."""
    if len(content) < 16:
        raise UnreadableError("it is cut short before the sound begins")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if kind == EXTENSIBLE and len(content) >= 26:
        (kind,) = struct.unpack("<H", content[24:26])
    _check(channels, rate)
    return kind, channels, rate, bits


def _check(channels: int, rate: int) -> None:
    if not 1 <= channels <= MOST_CHANNELS:
        raise UnreadableError(f"it says that it has {channels} channels (expected 1 to {MOST_CHANNELS})")
    if not RATES[0] <= rate <= RATES[1]:
        raise UnreadableError(f"it says that it has {rate:,} samples a second (expected {RATES[0]:,} to {RATES[1]:,})")


def _there(file: IO[bytes], size: int) -> int:
    """Bytes of the sound that begins here, `size` as is announced."""
    start = file.tell()
    there = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    if size > there and size not in STREAMED:
        raise UnreadableError(f"it is cut short: {size:,} bytes of sound are announced and {there:,} are there")
    return min(size, there)


def _samples(file: IO[bytes], size: int, form: tuple[int, int, int, int], most_seconds: float) -> Recording:
    kind, channels, rate, bits = form
    frame = channels * bits // 8
    total = size // frame
    count = int(min(total, most_seconds * rate))
    numbers = _numbers(file.read(count * frame), kind, bits)
    return _recording(numbers.reshape(-1, channels), rate, total)


def _numbers(content: bytes, kind: int, bits: int) -> np.ndarray:
    """Numbers of a WAV as float32 in -1 to 1."""
    if kind == FLOAT:
        return np.frombuffer(content, dtype=f"<f{bits // 8}").astype(np.float32)
    if bits == 8:  # the only ones without a sign
        return (np.frombuffer(content, dtype=np.uint8).astype(np.float32) - 128) / 128
    if bits == 24:  # as the upper bytes of numbers of 32 bits
        wide = np.zeros((len(content) // 3, 4), dtype=np.uint8)
        wide[:, 1:] = np.frombuffer(content, dtype=np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return (np.frombuffer(content, dtype=f"<i{bits // 8}") / 2.0 ** (bits - 1)).astype(np.float32)


def _recording(channels: np.ndarray, rate: int, total: int) -> Recording:
    """From float32 [n, channels]."""
    if not total:
        raise UnreadableError("it holds no sound (0 seconds)")
    samples = channels.mean(axis=1, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise UnreadableError("some of its numbers are infinite or none")
    return Recording(samples, rate, total / rate)


def _by_library(file: IO[bytes], kind: str, most_seconds: float) -> Recording:
    try:
        library: Any = importlib.import_module("soundfile")
    except (ImportError, OSError):  # OSError: the package is there and the library that it stands on is not
        raise UnreadableError(f"it is {kind}, for which the extra is missing: pip install 'deepen[audio]'") from None
    file.seek(0)
    try:
        with library.SoundFile(file) as opened:
            _check(opened.channels, opened.samplerate)
            count = int(min(opened.frames, most_seconds * opened.samplerate))
            channels = opened.read(count, dtype="float32", always_2d=True)
            if len(channels) < count:
                raise UnreadableError(
                    f"it is cut short: {count:,} samples are announced and {len(channels):,} are there"
                )
            return _recording(channels, opened.samplerate, opened.frames)
    except library.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".")
        raise UnreadableError(
            f"its {kind} is damaged or not known to the library ({reason}): save it as WAV or FLAC"
        ) from None

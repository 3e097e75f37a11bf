"""Recordings of tones, high and low, for samples and tests: WAV written by hand, so that any kind of it can be made."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

PITCHES = {"high": 1800.0, "low": 400.0}
RATE = 8000
GUID = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the kind of an extensible WAV."""


def tone(name: str, seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """float64 [n], a tone of one of the pitches over a little noise."""
    draws = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    pitch = PITCHES[name] * draws.uniform(0.95, 1.05)
    return 0.4 * np.sin(2 * np.pi * pitch * times) + 0.01 * draws.standard_normal(len(times))


def wav(
    samples: np.ndarray, rate: int = RATE, bits: int = 16, *, floats: bool = False, extensible: bool = False
) -> bytes:
    """The bytes of a WAV file of samples float [n] or [n, channels]."""
    samples = samples if samples.ndim == 2 else samples[:, None]
    channels = samples.shape[1]
    if floats:
        content = samples.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        content = np.rint(samples * 127 + 128).astype(np.uint8).tobytes()
    elif bits == 24:
        wide = np.rint(samples * (2**23 - 1)).astype("<i4").reshape(-1, 1).view(np.uint8)
        content = wide[:, :3].tobytes()
    else:
        content = np.rint(samples * (2 ** (bits - 1) - 1)).astype(f"<i{bits // 8}").tobytes()
    kind, frame = 3 if floats else 1, channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, channels, rate, rate * frame, frame, bits)
    if extensible:
        form += struct.pack("<HHIH14s", 22, bits, 0, kind, GUID)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"LIST" + struct.pack("<I", 3) + b"abc\0"  # of odd length, as some programs write
    chunks += b"data" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])

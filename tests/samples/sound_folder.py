"""Recordings in class folders: of different length, some in stereo, at an odd rate, of 24 bits, in floats, in FLAC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from tests.samples.tones import PITCHES, RATE, cut_short, tone, wav, write

SETTINGS = {
    "fit.batch_size": 8,
    "model.channels": "4,4",
    "model.strides": "2,2",
    "model.width": 8,
    "augment.speed": 0.1,
    "augment.delay": 0.05,
    "augment.noise": 0.1,
    "augment.gain": 6,
    "augment.mask_time": 0.2,
    "augment.mask_bands": 0.2,
}


def make(folder: Path) -> str:
    root = folder / "recordings"
    draws = np.random.default_rng(0)
    for name in PITCHES:
        for number in range(30):
            samples = tone(name, draws.uniform(0.1, 0.4), seed=number)
            write(root / name / f"{number:02d}.wav", wav(samples))
        write(root / name / "stereo.WAV", wav(np.stack([samples, samples / 2], 1)))
        write(root / name / "odd.wav", wav(tone(name, 0.3, 11_127), 11_127))
        write(root / name / "fine.wav", wav(samples, bits=24, extensible=True))
        write(root / name / "floats.wav", wav(samples, bits=32, floats=True))
        soundfile.write(root / name / "packed.flac", samples, RATE)
    return str(root)


def _first(source: str) -> Path:
    return sorted(Path(source).rglob("*.wav"))[3]


def _silent(source: str) -> None:
    _first(source).write_bytes(wav(np.zeros(0)))


BREAKS = {
    "cut short": (lambda source: cut_short(_first(source)), "cut short"),
    "empty file": (lambda source: _first(source).write_bytes(b""), "0 bytes"),
    "no sound in it": (_silent, "0 seconds"),
    "a text that is called .wav": (lambda source: _first(source).write_bytes(b"not a sound at all"), "no sound file"),
    "damaged FLAC": (
        lambda source: next(Path(source).rglob("*.flac")).write_bytes(b"fLaC" + b"\0" * 99),
        "FLAC is damaged",
    ),
}

"""Recordings of several tones in a row beside a table of what is said in each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.samples.tones import PITCHES, cut_short, tone, wav, write

SETTINGS = {
    "fit.batch_size": 8,
    "model.channels": "4,4",
    "model.strides": "2,2",
    "model.width": 8,
    "augment.speed": 0.1,
    "augment.mask_time": 0.1,
}


def make(folder: Path) -> str:
    root = folder / "said"
    draws = np.random.default_rng(0)
    lines = ["file_name,transcription,split"]
    for number in range(48):
        words = draws.choice(list(PITCHES), size=draws.integers(1, 4)).tolist()
        samples = np.concatenate([np.pad(tone(word, 0.2, seed=number), (200, 200)) for word in words])
        write(root / "clips" / f"{number:02d}.wav", wav(samples))
        part = "test" if number % 6 == 0 else "dev" if number % 6 == 1 else "train"
        lines.append(f'clips/{number:02d}.wav,"{", ".join(words).capitalize()}.",{part}')
    write(root / "metadata.csv", ("\n".join(lines) + "\n").encode())
    return str(root)


def _recording(source: str) -> Path:
    return Path(source) / "clips" / "07.wav"


def _add(source: str, line: str) -> None:
    with (Path(source) / "metadata.csv").open("a") as file:
        file.write(line + "\n")


BREAKS = {
    "a recording is missing": (lambda source: _recording(source).unlink(), "there is no file 'clips/07.wav'"),
    "cut short": (lambda source: cut_short(_recording(source)), "cut short"),
    "an unknown split": (lambda source: _add(source, "clips/01.wav,low,sometimes"), "'sometimes' is no split"),
    "out of the folder": (lambda source: _add(source, "../../x.wav,low,train"), "there is no file '../../x.wav'"),
}

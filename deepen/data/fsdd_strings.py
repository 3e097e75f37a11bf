"""Strings of digits, made of the recordings of FSDD: what is to be written down of them is "three one four one five".

A string is said by one speaker: three to seven recordings with short pauses between, each a little louder or softer, over faint
noise. Its parts are of the same split as the string: no recording that tests is ever learnt from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from deepen.data import fsdd, hearing, sounds
from deepen.data.dataset import About, Dataset
from deepen.data.fsdd import Spoken
from deepen.data.hearing import Heard
from deepen.errors import Misuse
from deepen.randomness import derive
from deepen.recipe import Data

SUMMARY = "strings of three to seven spoken digits, joined from fsdd, to be written down (from DEEPEN_DATA)"
ABOUT = About(
    title="Strings of digits of FSDD",
    licence=fsdd.ABOUT.licence,
    citation=fsdd.ABOUT.citation,
    homepage=fsdd.ABOUT.homepage,
)
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FEWEST, MOST = 3, 7
PAUSE = (0.05, 0.30)
"""Seconds between two digits, and before the first and after the last."""
LEVEL = 3.0
"""Decibels by which a digit is louder or softer than it was recorded, at most."""
NOISE = (10.0, 30.0)
"""Deviation of the noise in steps of 16 bits: 60 to 70 decibels below the loudest that can be recorded."""
HELD_OUT = 300
"""Strings that validate, and that test."""


@dataclass
class Config(fsdd.Config):
    strings: int = 2000
    """Strings to learn from."""
    tokens: Literal["characters", "words", "bpe"] = "words"
    """What transcripts are cut into: ten words are sooner learnt than how they are spelt."""


def load(source: str, options: Data, seed: int) -> Dataset:
    """2,000 strings to train, 300 to validate, 300 sealed, each of recordings of that split of fsdd. They are the same for every
    seed of a training, so that runs can be compared."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    sounds.fixed(config, "fsdd-strings")
    if config.strings < 1:
        raise Misuse(f"data.strings={config.strings} is not usable: expected 1 or more.")
    found, items = fsdd.recordings()
    given, told = fsdd.parts(found, config)
    heard = hearing.hear(items, config, whole=False)
    rows: list[np.ndarray] = []
    texts: list[str] = []
    splits: list[str] = []
    origins: list[str] = []
    for part in ("train", "validation", "test"):
        count = config.strings if part == "train" else HELD_OUT
        usable = [number for number in range(len(found)) if given[number] == part]
        for number in range(count):
            row, text = _string(f"{part} {number}", usable, found, heard)
            rows.append(row)
            texts.append(text)
            splits.append(part)
            origins.append(f"{part} string {number}")
    digest = hashlib.sha256(f"{heard.digest} {config.strings} {told}".encode())
    seconds = sum(map(len, rows)) / heard.rate / 60
    made = Heard(rows, list(range(len(rows))), heard.rate, digest.hexdigest())
    made.facts = [
        f"{len(rows):,} strings of {FEWEST} to {MOST} digits, {seconds:,.0f} min in all, joined from {len(found):,} recordings.",
        told,
    ]
    return sounds.transcripts("fsdd-strings", made, texts, config, seed, origins=origins, given=np.array(splits))


def _string(name: str, usable: Sequence[int], found: Sequence[Spoken], heard: Heard) -> tuple[np.ndarray, str]:
    """One string, a function of its name: int16 [n] and what is said in it."""
    draws = np.random.default_rng(derive(0, "fsdd-strings", name))
    speaker = found[usable[int(draws.integers(len(usable)))]].speaker
    own = [number for number in usable if found[number].speaker == speaker]
    chosen = draws.choice(own, size=draws.integers(FEWEST, MOST + 1))
    pieces = [_pause(draws, heard.rate)]
    for number in chosen.tolist():
        level = 10 ** (draws.uniform(-LEVEL, LEVEL) / 20)
        pieces += [heard.rows[number] * level, _pause(draws, heard.rate)]
    joined = np.concatenate(pieces)
    joined = joined + draws.normal(0.0, draws.uniform(*NOISE), len(joined))
    said = " ".join(WORDS[found[number].digit] for number in chosen.tolist())
    return np.clip(np.rint(joined), -32767, 32767).astype(np.int16), said


def _pause(draws: np.random.Generator, rate: int) -> np.ndarray:
    return np.zeros(round(draws.uniform(*PAUSE) * rate))

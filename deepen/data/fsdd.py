"""FSDD: spoken digits, 50 recordings of each by each of six speakers (Jackson et al., 2018)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from deepen.data import hearing, places, sounds
from deepen.data.dataset import About, Dataset
from deepen.data.hearing import Item
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.recipe import Data

SUMMARY = "3,000 recordings of spoken digits by six speakers, official split (from DEEPEN_DATA)"
ABOUT = About(
    title="Free Spoken Digit Dataset",
    licence="CC BY-SA 4.0",
    citation="Z. Jackson, C. Souza, J. Flaks, Y. Pan, H. Nicolas, A. Thite: Jakobovski/free-spoken-digit-dataset v1.0.8. 2018.",
    homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
)
ARCHIVE = "fsdd.tar.gz"
NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")
DIGITS = tuple("0123456789")
TESTS, VALIDATES = range(5), range(5, 10)
"""Numbers of the recordings that test, officially, and of those that validate here."""


@dataclass
class Config(hearing.Config):
    held_out: str | None = None
    """A speaker who is not learnt from and is the test split, as all of the recordings then are. Validation is still by the
    number of the recording, so that as many speakers as possible are learnt from, unless data.validate names another."""
    validate: str | None = None
    """A speaker who is not learnt from and is the validation split: for choosing settings that are to hold for new voices."""


@dataclass(frozen=True)
class Spoken:
    """What the name of a recording says."""

    digit: int
    speaker: str
    number: int


def load(source: str, options: Data, seed: int) -> Dataset:
    """2,400 recordings to train, 300 to validate (numbers 5 to 9 of each digit and speaker), 300 sealed (0 to 4)."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    sounds.fixed(config, "fsdd")
    found, items = recordings()
    given, told = parts(found, config)
    used = np.flatnonzero(given != "")
    heard = hearing.hear([items[row] for row in used], config, whole=False)
    heard.facts.append(told)
    return sounds.classes(
        "fsdd",
        heard,
        np.array([found[used[row]].digit for row in heard.kept], dtype=np.int64),
        DIGITS,
        config,
        seed,
        origins=[items[used[row]][0] for row in heard.kept],
        given=given[used][heard.kept],
    )


def recordings() -> tuple[list[Spoken], list[tuple[str, Item]]]:
    """What is said in each recording, and the recordings. Raises `Problem` where they are not there."""
    place = next(filter(None, (places.find(folder, (ARCHIVE,)) for folder in ("audio", "fsdd"))), None)
    if place is None:
        raise Problem(
            f"{ARCHIVE} is not here: it was looked for in {places.homes('audio')[0]}. Set DEEPEN_DATA to the folder that holds "
            f"audio/{ARCHIVE}, made of the folder recordings/ of {ABOUT.homepage}."
        )
    items = hearing.find(str(place))
    found = []
    for name, _ in items:
        told = NAME.fullmatch(name.rpartition("/")[2])
        if told is None:
            raise Problem(f"{place} holds {name}: expected names such as recordings/7_theo_0.wav.")
        found.append(Spoken(int(told[1]), told[2], int(told[3])))
    return found, items


def parts(found: list[Spoken], config: Config) -> tuple[np.ndarray, str]:
    """train, validation, test or "" for each recording, and why."""
    speakers = sorted({one.speaker for one in found})
    for key, name in (("held_out", config.held_out), ("validate", config.validate)):
        if name is not None and name not in speakers:
            hint = did_you_mean(name, speakers)
            raise Misuse(f"data.{key}={name} is no speaker.{hint} Speakers: {', '.join(speakers)}.")
    if config.held_out is not None and config.held_out == config.validate:
        raise Misuse(f"data.held_out and data.validate both name {config.held_out}: expected two speakers.")
    given = np.array([_part(one, config) for one in found])
    who = (
        f"{config.held_out} tests" if config.held_out else "numbers 0 to 4 of each digit and speaker test (officially)"
    )
    then = f"{config.validate} validates" if config.validate else "numbers 5 to 9 validate"
    return given, f"Speakers: {', '.join(speakers)}; {who}, {then}."


def _part(one: Spoken, config: Config) -> str:
    if config.held_out is None and one.number in TESTS:
        return "test"
    if one.speaker in (config.held_out, config.validate):
        return "test" if one.speaker == config.held_out else "validation"
    return "validation" if config.validate is None and one.number in VALIDATES else "train"

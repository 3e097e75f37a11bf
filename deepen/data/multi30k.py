"""Multi30k: captions of pictures in English with their translations by people (Elliott et al., 2016), the task of 2016."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepen.data import paired, pairs, places
from deepen.data.dataset import About, Dataset
from deepen.data.splits import standard
from deepen.errors import Misuse, Problem
from deepen.recipe import Data

SUMMARY = "31,014 captions of pictures in German and English, official splits of 2016 (from DEEPEN_DATA)"
ABOUT = About(
    title="Multi30k, task 1",
    licence="none stated; the captions are for non-commercial research and education",
    citation="D. Elliott, S. Frank, K. Sima'an, L. Specia: Multi30K: multilingual English-German image descriptions. VL 2016.",
    homepage="https://github.com/multi30k/dataset",
)
LANGUAGES = ("de", "en")
FILES = {"train": "train", "validation": "val", "test": "test_2016_flickr"}


@dataclass
class Config(paired.Config):
    """How Multi30k is read."""

    source: str | None = None
    """de or en: what is translated from. Default: the other one than the target."""
    target: str | None = None
    """en or de: what is translated into. Default: en."""


def load(source: str, options: Data, seed: int) -> Dataset:
    """29,000 pairs to train, 1,014 to validate, 1,000 sealed."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    for option in ("test", "header", "delimiter", "encoding", "missing"):
        if getattr(config, option) not in (None, ()):
            raise Misuse(f"data.{option} cannot be set for multi30k, whose files and splits are fixed.")
    standard("multi30k", config)
    languages = pairs.sides(LANGUAGES, config, "language")
    digest = hashlib.sha256()
    found: list[tuple[str, str]] = []
    origins: list[str] = []
    given: list[str] = []
    for part, stem in FILES.items():
        files = [_find(f"{stem}.{language}") for language in languages]
        both, _ = pairs.read(files, "utf-8")
        found += both
        origins += [f"{stem}.{languages[0]}:{number}" for number in range(1, len(both) + 1)]
        given += [part] * len(both)
        for file in files:
            digest.update(file.read_bytes())
    return paired.build(
        "multi30k",
        found,
        languages,
        config,
        seed,
        digest=digest.hexdigest(),
        origins=origins,
        given=np.array(given),
        facts=[f"From {languages[0]} into {languages[1]}."],
    )


def _find(name: str) -> Path:
    found = places.find("multi30k", (f"{name}.gz", name, f"data/task1/raw/{name}.gz"))
    if found is None:
        raise Problem(
            f"{name}.gz is not here: looked for in {places.homes('multi30k')[0]}. Set DEEPEN_DATA to the folder that holds "
            f"multi30k/{name}.gz, or get it from {ABOUT.homepage} (data/task1/raw)."
        )
    return found

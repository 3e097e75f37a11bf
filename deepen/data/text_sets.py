"""Text files of published sets, read by their own rules: no quotation marks, no header, lines that end in a line feed only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepen.data import answers, places, texts
from deepen.data.dataset import Dataset
from deepen.data.splits import standard
from deepen.errors import Misuse, Problem
from deepen.recipe import Data


def find(folder: str, name: str, source: str) -> Path:
    """The file of a set, in the data folder. Raises `Problem` where it is not there; `source` says where it is had from."""
    for place in (f"text/{folder}", folder):
        if found := places.find(place, (name,)):
            return found
    raise Problem(
        f"{name} is not here: it was looked for in {places.homes(f'text/{folder}')[0]}. Set DEEPEN_DATA to the folder that holds "
        f"text/{folder}/{name}, or get it from {source}."
    )


def lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The lines of a file. Only a line feed ends one: some of the other ends that Python knows stand inside of reviews."""
    content = path.read_bytes().decode(encoding)
    return [line.removesuffix("\r") for line in content.removesuffix("\n").split("\n")]


def build(
    name: str,
    files: Sequence[Path],
    found: Sequence[tuple[str, str, str, str]],
    classes: tuple[str, ...],
    options: Data,
    seed: int,
    *,
    facts: Sequence[str] = (),
) -> Dataset:
    """A set from (text, class, split or "", origin) of each sample."""
    for option in ("target", "test", "text", "header", "delimiter", "answer", "encoding", "missing"):
        if getattr(options, option) not in (None, ()):
            raise Misuse(f"data.{option} cannot be set for {name}, whose texts, classes and splits are fixed.")
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    values = np.array([classes.index(label) for _, label, _, _ in found], dtype=np.int64)
    splits = np.array([part for _, _, part, _ in found])
    if splits[0]:
        standard(name, options)
    return texts.build(
        name,
        [text for text, _, _, _ in found],
        answers.Answer(values, classes),
        "label",
        options,
        seed,
        digest=digest.hexdigest(),
        origins=[origin for _, _, _, origin in found],
        given=splits if splits[0] else None,
        facts=facts,
    )

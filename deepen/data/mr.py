"""MR: 10,662 sentences from film reviews, half of them praise (Pang & Lee, 2005)."""

from __future__ import annotations

from deepen.data import text_sets, texts
from deepen.data.dataset import About, Dataset
from deepen.recipe import Data

SUMMARY = "10,662 sentences of film reviews, positive or negative, no standard split (from DEEPEN_DATA)"
ABOUT = About(
    title="Movie review polarity, sentences (v1.0)",
    licence="none stated",
    citation="B. Pang, L. Lee: Seeing stars. Proc. ACL 2005.",
    homepage="https://www.cs.cornell.edu/people/pabo/movie-review-data/",
)
Config = texts.Config
FILES = {"negative": "rt-polarity.neg", "positive": "rt-polarity.pos"}


def load(source: str, options: Data, seed: int) -> Dataset:
    """The sentences of both files, split at random."""
    paths = {label: text_sets.find("mr", name, ABOUT.homepage) for label, name in FILES.items()}
    found = [
        (line.strip(), label, "", f"{path.name}:{number}")
        for label, path in paths.items()
        for number, line in enumerate(text_sets.lines(path, "cp1252"), 1)
        if line.strip()
    ]
    return text_sets.build("mr", list(paths.values()), found, tuple(FILES), options, seed)

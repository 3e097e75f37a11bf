"""Tiny Shakespeare: a million characters of plays, the usual first text of language models (Karpathy, 2015)."""

from __future__ import annotations

from deepen.data import running, text_sets
from deepen.data.dataset import About, Dataset
from deepen.recipe import Data

SUMMARY = "1,115,394 characters of Shakespeare's plays, the last tenth to validate (from DEEPEN_DATA)"
ABOUT = About(
    title="Tiny Shakespeare",
    licence="public domain",
    citation="A. Karpathy: The unreasonable effectiveness of recurrent neural networks. 2015.",
    homepage="https://github.com/karpathy/char-rnn",
)
Config = running.Config
SHARES = (0.1, 0.0)


def load(source: str, options: Data, seed: int) -> Dataset:
    """The plays; the first nine tenths train and the rest validates, as everywhere. There is no test split."""
    path = text_sets.find("shakespeare", "input.txt", ABOUT.homepage)
    text, _ = running.read(path, None)
    return running.build("shakespeare", [(str(path), text)], options, shares=SHARES)

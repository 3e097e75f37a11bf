"""SST-2: sentences of the Stanford Sentiment Treebank, positive or negative (Socher et al., 2013)."""

from __future__ import annotations

from deepen.data import text_sets, texts
from deepen.data.dataset import About, Dataset
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = "9,613 sentences of film reviews, positive or negative, official splits (from DEEPEN_DATA)"
ABOUT = About(
    title="Stanford Sentiment Treebank, binary sentences",
    licence="none stated",
    citation="R. Socher et al.: Recursive deep models for semantic compositionality over a sentiment treebank. EMNLP 2013.",
    homepage="https://nlp.stanford.edu/sentiment/",
)
SOURCE = "https://github.com/clairett/pytorch-sentiment-classification (in each line a sentence, a tab, and 0 or 1)"
Config = texts.Config
FILES = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
CLASSES = ("negative", "positive")


def load(source: str, options: Data, seed: int) -> Dataset:
    """6,920 sentences to train, 872 to validate, 1,821 sealed."""
    paths = {part: text_sets.find("sst2", name, SOURCE) for part, name in FILES.items()}
    found = []
    for part, path in paths.items():
        for number, line in enumerate(text_sets.lines(path), 1):
            text, tab, label = line.rpartition("\t")
            if not tab or label not in ("0", "1"):
                raise Problem(f"{path}, line {number}: expected a sentence, a tab and 0 or 1.")
            found.append((text, CLASSES[int(label)], part, f"{path.name}:{number}"))
    return text_sets.build("sst2", list(paths.values()), found, CLASSES, options, seed)

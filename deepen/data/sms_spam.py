"""SMS Spam Collection: 5,574 short messages, one in seven of them spam (Almeida, Hidalgo & Yamakami, 2011)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deepen.data import text_sets, texts
from deepen.data.dataset import About, Dataset
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = "5,574 short messages, ham or spam, no standard split (from DEEPEN_DATA)"
ABOUT = About(
    title="SMS Spam Collection v.1",
    licence="none stated",
    citation="T. Almeida, J. Hidalgo, A. Yamakami: Contributions to the study of SMS spam filtering. DocEng 2011.",
    homepage="https://archive.ics.uci.edu/dataset/228/sms+spam+collection",
)
SOURCE = "https://github.com/justmarkham/pycon-2016-tutorial (in each line ham or spam, a tab, and the message)"
CLASSES = ("ham", "spam")


@dataclass
class Config(texts.Config):
    """Numbers to ring, prices and shortened words tell spam: as whole words most of them are seen once, as pieces often."""

    tokens: Literal["characters", "words", "bpe", "wordpiece"] = "bpe"
    """What messages are cut into."""


def load(source: str, options: Data, seed: int) -> Dataset:
    """The messages, split at random with the same share of spam in each part."""
    path = text_sets.find("sms_spam", "sms.tsv", SOURCE)
    found = []
    for number, line in enumerate(text_sets.lines(path), 1):
        label, tab, text = line.partition("\t")
        if not tab or label not in CLASSES:
            raise Problem(f"{path}, line {number}: expected ham or spam, a tab and a message.")
        found.append((text, label, "", f"{path.name}:{number}"))
    return text_sets.build("sms-spam", [path], found, CLASSES, options, seed)

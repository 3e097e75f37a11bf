"""BLEU: how many of a translation's runs of one to four words stand in the reference (Papineni et al., 2002).

What is kept of each sentence are counts that add up over a corpus, so that the score of any selection of sentences (a bootstrap
replicate) is exact. Two ways to cut words: `words`, small letters cut as spaCy cuts English, which is what papers on small sets
report; and `signs`, the program mteval-v13a that is the default of sacrebleu (Post, 2018), capitals counting: its signature is
nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp. That one takes a sentence without spaces for a word, so that for Chinese or
Japanese the first is the one to read.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

ORDERS = 4
"""Longest run of words that is compared."""
COUNTS = 2 * ORDERS + 2
"""Numbers that are kept of a sentence: hits and runs of each length, words of the translation and of the reference."""
ENTITIES = (("<skipped>", ""), ("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
APART = (
    (re.compile(r"([!-&(-+/:-@\[-`{-~])"), r" \1 "),  # every sign of ASCII but comma, hyphen, full stop and apostrophe
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
"""What mteval-v13a sets apart, in its order."""
SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Ranges of scripts that are written without spaces: each of their characters is a word."""
MARKS = "".join(letter for letter in map(chr, range(0x300, 0x11000)) if unicodedata.category(letter)[0] == "M")
"""Accents and vowel signs that stand behind their letter: parts of a word, though Python's `\\w` knows none of them."""
LETTER = rf"(?:(?![{SPACELESS}])[^\W_][{MARKS}]*)"
WORD = re.compile(
    rf"""\d+(?:[.,:]\d+)*(?:(?!\d){LETTER})*   # a number with what it counts
      | (?:[a-z]\.){{2,}}                # abbreviations whose full stops belong to them
      | (?:mr|mrs|ms|dr|st|jr|vs)\.
      | {LETTER}+?(?=n['’]t\b)           # do|n't
      | n['’]t\b
      | ['’](?:s|re|ve|ll|d|m)\b
      | [{SPACELESS}]
      | {LETTER}+                        # letters and digits
      | \.{{2,}}
      | [^\s]""",
    re.VERBOSE,
)


def words(text: str) -> list[str]:
    """Words in small letters, as spaCy cuts English: signs, the parts of words with hyphens, `'s` and `n't` stand alone, and so
    do characters of scripts without spaces. Of 6,014 English sentences of Multi30k, eight are cut otherwise than by spaCy 3.8;
    other languages are cut by the same rules, where spaCy has some of their own."""
    return WORD.findall(text.lower())


def signs(text: str) -> list[str]:
    """Words as mteval-v13a cuts them."""
    text = text.replace("-\n", "").replace("\n", " ")
    for mark, meant in ENTITIES:
        text = text.replace(mark, meant)
    text = f" {text} "
    for pattern, with_blanks in APART:
        text = pattern.sub(with_blanks, text)
    return text.split()


def counts(translation: Sequence[str], reference: Sequence[str]) -> list[int]:
    """Of words: hits of each order, runs of each order, length of the translation and of the reference."""
    hits, runs = [], []
    for order in range(1, ORDERS + 1):
        written, wanted = _runs(translation, order), _runs(reference, order)
        hits.append(sum(min(count, wanted[run]) for run, count in written.items()))
        runs.append(max(0, len(translation) - order + 1))
    return [*hits, *runs, len(translation), len(reference)]


def _runs(sentence: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(sentence[start : start + order]) for start in range(len(sentence) - order + 1))


def score(sums: Tensor) -> Tensor:
    """BLEU in percent, float64 [...], of summed counts [..., 10]: the geometric mean of the four precisions, less where the
    translations are shorter than the references. An order without a hit counts as half of one, the next such as a quarter,
    and so on (Chen & Cherry, 2014, as in sacrebleu); without any hit at all it is 0."""
    sums = sums.double()
    hits, runs = sums[..., :ORDERS], sums[..., ORDERS : 2 * ORDERS]
    written, wanted = sums[..., -2], sums[..., -1]
    missed = (hits == 0) & (runs > 0)
    halved = 0.5 ** missed.cumsum(-1).double()
    precisions = torch.where(missed, halved, hits) / runs  # 0/0, nan, where no translation is that long
    brevity = torch.where(written < wanted, 1 - wanted / written.clamp(min=1e-9), torch.zeros_like(written))
    found = (100 * (brevity + precisions.log().mean(-1)).exp()).nan_to_num(0.0)
    return torch.where(hits.sum(-1) > 0, found, torch.zeros_like(found))

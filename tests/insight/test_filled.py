from __future__ import annotations

from xml.etree import ElementTree

import torch
from torch import Tensor, nn

from deepen.data import tokenizer
from deepen.data.dataset import Dataset
from deepen.data.ragged import ragged
from deepen.data.sentences import TextPreprocess
from deepen.insight import filled
from deepen.insight.coloured import Word, passages
from deepen.spec import Category, Spec, Text
from deepen.tasks import masked

TEXTS = ["the <b>cat</b> sat & ate", "好看 的 电影 \u202e 很 好", "sat", "the mat " * 40]
FITTED = tokenizer.fit("words", TEXTS * 2, 100)
PREPROCESS = TextPreprocess(FITTED, 100)
ROWS = ragged(PREPROCESS.tokens(TEXTS), {"target": torch.zeros(len(TEXTS), dtype=torch.int64)})
SPEC = Spec(Text(100, FITTED.vocabulary), Category(("a", "b")))
DATA = Dataset("texts", SPEC, PREPROCESS, ROWS, ROWS, None, "digest")


class Says(nn.Module):
    """Takes everything that is hidden for one word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(9.0))
        self.word = int(FITTED.encode([word])[0][0])

    def forward(self, input: Tensor) -> Tensor:
        logits = torch.zeros(*input.shape, FITTED.vocabulary)
        logits[..., self.word] = 1.0
        return logits * self.scale


def texts(drawn: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]


def test_what_was_found_and_what_was_not() -> None:
    task = masked.build(SPEC, masked.Config(share=0.9))
    found = texts(filled.told(DATA, Says("sat"), task)["filled"])
    assert "sat" in found
    assert "sat → the" in found
    assert "sat → 好" in found
    assert "sat → sat" not in found


def test_words_of_any_length_and_script_are_drawn_safely() -> None:
    lines = [[Word("<i>", 1.0), Word("x" * 500, 0.5, 1), Word("\u202e\0", 0.2), Word("好" * 80)], [], [Word("a")]]
    found = texts(passages("<t>", lines, "<n>"))
    assert {"<i>", "a", "<t>", "<n>"} <= set(found)

"""Texts in a report: as they were written, long ones around what decided, each in its own direction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from deepen.data import text_table, texts, tokenizer
from deepen.data.sentences import TextPreprocess
from deepen.insight import passages
from deepen.insight.ink import clean, shorten, text_width
from deepen.insight.pictures import Mistake
from deepen.insight.report_parts import worst


class Sought(nn.Module):
    """Is sure of class 1 where it sees one token."""

    def __init__(self, token: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.tensor(float(token)), requires_grad=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        found = (input == int(self.token)).any(1).float()
        return torch.stack([1 - found, found], dim=1)


@pytest.mark.parametrize("kind", ["characters", "words", "bpe", "wordpiece"])
def test_a_long_text_is_shown_around_what_decided(kind: str) -> None:
    text = "plain words that say nothing at all " * 40 + "ZEBRA " + "and more of the same words as before " * 40
    fitted = tokenizer.fit(kind, [text, text], 400)
    preprocess = TextPreprocess(fitted, 100_000)
    token = int(fitted.encode(["Z" if kind == "characters" else " ZEBRA" if kind == "bpe" else "ZEBRA"])[0][0])
    place = passages.decisive(Sought(token), preprocess, text, 1)
    shown = passages.shortened(text, place)
    assert "ZEBRA" in shown
    assert len(shown) <= passages.SHOWN + 4
    assert shown.startswith("… ")
    assert shown.endswith(" …")


def test_short_texts_are_whole_and_long_words_are_cut() -> None:
    assert passages.shortened(" as it is ") == "as it is"
    assert passages.shortened("x" * 1_000_000) == "x" * passages.SHOWN + " …"
    assert passages.shortened("x" * 1000, 1000) == "… " + "x" * passages.SHOWN
    preprocess = TextPreprocess(tokenizer.fit("words", ["a b a b"], 50), 10)
    assert passages.decisive(Sought(5), preprocess, "", 1) == 0


def test_a_text_is_shown_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    rows = [f'"A Fine-Looking film, number {number}!",{"yes" if number % 2 else "no"}' for number in range(40)]
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    dataset = text_table.load(str(path), texts.Config(), seed=0)
    assert isinstance(dataset.preprocess, TextPreprocess)
    shown = passages.written(dataset.preprocess, dataset.validation, 0)
    assert shown.startswith("A Fine-Looking film, number ")
    dataset.validation.texts = None
    assert passages.written(dataset.preprocess, dataset.validation, 0).startswith("a fine")


def test_texts_of_any_script_keep_to_their_cell() -> None:
    mistake = Mistake("good", "bad", 0.9, "x.csv:1", None, (("text", "هذا الفيلم رائع"),))
    told = worst([mistake, replace(mistake, values=(("text", "很好\u202e<b>"),))])
    assert "<bdi>هذا الفيلم رائع</bdi>" in told
    assert "\u202e" not in told
    assert "&lt;b&gt;" in told
    assert 'class="num" data-label="text"' not in told


def test_letters_that_join_others_stay() -> None:
    assert clean("👩\u200d👧 می\u200cروم") == "👩\u200d👧 می\u200cروم"
    assert clean("a\u202eb\u2066c") == "a\ufffdb\ufffdc"


def test_a_megabyte_is_shortened_at_once() -> None:
    for letter in "xi很":
        short = shorten(letter * 3_000_000, 200)
        assert "…" in short
        assert text_width(short) <= 220

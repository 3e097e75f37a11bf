from __future__ import annotations

import json

import pytest

from deepen.data import tokenizer
from deepen.errors import Misuse, Problem
from deepen.spec import PAD

TEXTS = ["Hello world, it's fine!", "你好 世界。hello", "Émile ate 3 apples\x85 and 😀", "ไทย \u202eabc\u202c"]


@pytest.mark.parametrize("kind", tokenizer.KINDS)
def test_texts_become_tokens_and_a_bundle_brings_the_same(kind: str) -> None:
    made = tokenizer.fit(kind, TEXTS * 3, 400)
    again = tokenizer.restore(json.loads(json.dumps(made.to_json())))
    strange = [*TEXTS, "", " ", "\ud800 half", "x" * 5000, "Ω 未"]
    first, second = made.encode(strange), again.encode(strange)
    assert [row.tolist() for row in first] == [row.tolist() for row in second]
    assert made.vocabulary == again.vocabulary <= 400
    assert all(PAD < token < made.vocabulary for row in first for token in row.tolist())
    assert [made.decode(row.tolist()) for row in first] == [again.decode(row.tolist()) for row in second]


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_what_was_learnt_from_is_written_back_as_it_was(kind: str) -> None:
    made = tokenizer.fit(kind, TEXTS, 400)
    assert [made.decode(row.tolist()) for row in made.encode(TEXTS)] == TEXTS


def test_bytes_write_any_text() -> None:
    made = tokenizer.fit("bpe", ["plain words only"], 300)
    text = "未知 Ω 😀 \u202e"
    assert made.decode(made.encode([text])[0].tolist()) == text


def test_words_take_scripts_without_spaces_by_the_character() -> None:
    made = tokenizer.fit("words", ["我爱你 and you"] * 2, 100)
    assert made.decode(made.encode(["我爱 YOU"])[0].tolist()).split() == ["我", "爱", "you"]


def test_rare_words_are_unknown() -> None:
    made = tokenizer.fit("words", ["often often", "often once"], 100)
    assert made.encode(["often once never"])[0].tolist()[1:] == [tokenizer.UNKNOWN] * 2


def test_the_commonest_characters_are_kept() -> None:
    made = tokenizer.fit("characters", ["aaabbc"], 2 + len(tokenizer.SPECIAL))
    assert made.decode(made.encode(["abc"])[0].tolist()) == f"ab{tokenizer.REPLACEMENT}"


def test_texts_that_hold_nothing_are_refused() -> None:
    for kind in ("characters", "words", "wordpiece"):
        with pytest.raises(Problem, match="hold no"):
            tokenizer.fit(kind, ["", "  " if kind != "characters" else ""], 100)


@pytest.mark.parametrize("kind", tokenizer.KINDS)
def test_texts_that_read_like_marks_are_texts(kind: str) -> None:
    made = tokenizer.fit(kind, [*TEXTS, "pad <pad> mask <mask> </s>"], 400)
    for one in (made, tokenizer.restore(json.loads(json.dumps(made.to_json())))):
        for mark in tokenizer.SPECIAL:
            found = one.encode([f"Hello {mark} world"])[0].tolist()
            assert not {PAD, tokenizer.BEGIN, tokenizer.END, tokenizer.HIDDEN} & set(found)


@pytest.mark.parametrize(("kind", "size"), [("characters", 3), ("words", 5), ("bpe", 200)])
def test_fewer_tokens_than_any_text_takes_are_refused(kind: str, size: int) -> None:
    with pytest.raises(Misuse, match=rf"data\.vocabulary={size} is not usable: expected \d+ or more"):
        tokenizer.fit(kind, TEXTS, size)

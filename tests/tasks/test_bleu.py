"""BLEU beside sacrebleu on the same strings, and words beside what spaCy is known to make of English."""

from __future__ import annotations

import random

import pytest
import torch

from deepen.tasks import bleu

SENTENCES = [
    "He said: \"it's 3.5-4,000 (a) — don't!\" &amp; <b>x</b>",
    "Two people hold an upside-down globe, about 4' in diameter; a child jumps over Antarctica.",
    "A man in a t-shirt, e.g. 10-year-old, walks 100% of $3.50 ... & rests.",
    "tab\tand\nnewline- \nx",
    "Ein Mann läuft über die Straße — 2. Mai.",
    "一个男人在街上。",
    "",
]


def score(translations: list[str], references: list[str]) -> float:
    each = [bleu.counts(bleu.signs(a), bleu.signs(b)) for a, b in zip(translations, references, strict=True)]
    return float(bleu.score(torch.tensor(each).sum(0)))


@pytest.mark.parametrize("sentence", SENTENCES)
def test_signs_are_cut_as_sacrebleu_cuts_them(sentence: str) -> None:
    cut = pytest.importorskip("sacrebleu.tokenizers.tokenizer_13a", reason="the extra 'text' is not installed")
    assert bleu.signs(sentence) == cut.Tokenizer13a()(sentence).split()


@pytest.mark.parametrize("kept", [1.0, 0.8, 0.4, 0.1])
def test_the_score_is_that_of_sacrebleu(kept: float) -> None:
    sacrebleu = pytest.importorskip("sacrebleu", reason="the extra 'text' is not installed")
    draws = random.Random(1)
    references = [" ".join(draws.choices(" ".join(SENTENCES).split(), k=draws.randint(1, 30))) for _ in range(60)]
    translations = [" ".join(word for word in text.split() if draws.random() < kept) for text in references]
    expected = sacrebleu.corpus_bleu(translations, [references], tokenize="13a").score
    assert score(translations, references) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("translations", "references"),
    [(["a"], ["b"]), (["a b c d e"], ["a x c y e"]), (["the the the the"], ["the cat is here"]), ([""], ["a b c d"])],
)
def test_few_words_are_scored_as_sacrebleu_does(translations: list[str], references: list[str]) -> None:
    sacrebleu = pytest.importorskip("sacrebleu", reason="the extra 'text' is not installed")
    expected = sacrebleu.corpus_bleu(translations, [references]).score
    assert score(translations, references) == pytest.approx(expected, abs=1e-6)


def test_the_score_by_hand() -> None:
    """Hits 4 of 5, 2 of 4, 1 of 3, and none of 2, which counts as half of one; the reference has six words."""
    counts = bleu.counts(list("abcxe"), list("abcdef"))
    assert counts == [4, 2, 1, 0, 5, 4, 3, 2, 5, 6]
    precisions = torch.tensor([4 / 5, 2 / 4, 1 / 3, 0.5 / 2])
    expected = 100 * torch.exp(torch.tensor(1 - 6 / 5)) * precisions.prod() ** 0.25
    assert float(bleu.score(torch.tensor(counts))) == pytest.approx(float(expected), abs=1e-4)


def test_scores_of_many_selections_at_once() -> None:
    counts = torch.tensor([bleu.counts(list("abcde"), list("abcde")), bleu.counts(list("vwxyz"), list("abcde"))])
    weights = torch.tensor([[1, 0], [0, 1], [1, 1]])
    scores = bleu.score(weights @ counts)
    assert scores[0] == pytest.approx(100)
    assert scores[1] < 15
    assert scores[1] < scores[2] < scores[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two young, White males are outside.", "two young , white males are outside ."),
        ("A man's t-shirt doesn't fit; it's his.", "a man 's t - shirt does n't fit ; it 's his ."),
        ("They can't see Mr. Smith at 5 p.m. in the U.S.", "they ca n't see mr. smith at 5 p.m. in the u.s."),
        ('"3.5 ft..." (100%)', '" 3.5 ft ... " ( 100 % )'),
        ("2nd abc一个男人3楼。", "2nd abc 一 个 男 人 3 楼 。"),
    ],
)
def test_words_are_cut_as_spacy_cuts_them(text: str, words: str) -> None:
    assert bleu.words(text) == words.split()


@pytest.mark.parametrize(
    ("translation", "reference"),
    [("v w x y z", "a b c d e"), ("v w x y z v w", "a"), ("", ""), ("a", "")],
)
def test_without_a_hit_it_is_nothing(translation: str, reference: str) -> None:
    sacrebleu = pytest.importorskip("sacrebleu", reason="the extra 'text' is not installed")
    assert score([translation], [reference]) == sacrebleu.corpus_bleu([translation], [[reference]]).score == 0


def test_the_signature_is_that_of_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu", reason="the extra 'text' is not installed")
    metric = sacrebleu.BLEU()
    metric.corpus_score(["a b c d"], [["a b c d"]])
    signature = str(metric.get_signature()).rpartition("|")[0]
    assert signature in str(bleu.__doc__).replace("\n", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("他们don't 知道", "他 们 do n't 知 道"),
        ("हिन्दी में लिखो", "हिन्दी में लिखो"),
        ("cafe\u0301s de\u0301ja\u0300", "cafe\u0301s de\u0301ja\u0300"),
        ("İstanbul'da", "i\u0307stanbul ' da"),
        ("ກາ𠀀", "ກ າ 𠀀"),
    ],
)
def test_marks_belong_to_their_letters_and_scripts_stay_apart(text: str, words: str) -> None:
    assert bleu.words(text) == words.split()


@pytest.mark.parametrize(
    "text", ["我" * 30_000, "a" * 30_000, "_" * 30_000, "1." * 15_000, "a." * 15_000, "é" * 30_000]
)
def test_a_long_run_of_letters_is_cut_in_one_go(text: str) -> None:
    """Looking from each letter to the end of the run for `n't`, this took minutes."""
    assert "".join(bleu.words(text)) == text

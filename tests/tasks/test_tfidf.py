"""TF-IDF and logistic regression against scikit-learn's own vectoriser, and what is said where it is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import deepen
from deepen.data.ragged import Ragged, ragged
from deepen.spec import Category, Spec, Text
from deepen.tasks import classify, tfidf


def texts(count: int = 120, classes: int = 2, seed: int = 0) -> Ragged:
    """Rows of tokens from 5 to 39, those of a class more often near each other; 1 is unknown."""
    random = np.random.default_rng(seed)
    target = random.integers(0, classes, count)
    rows = [
        np.clip(random.normal(12 + 8 * label, 7, random.integers(1, 15)).astype(int), 5, 39) * (random.random() > 0.02)
        + 0
        for label in target
    ]
    rows = [np.where(row == 0, 1, row) for row in rows]
    return ragged(rows, {"target": torch.from_numpy(target)})


def written(columns: Ragged) -> list[str]:
    """The rows as words, every unknown token another one that is met nowhere else."""
    words = []
    for row in range(len(columns)):
        tokens = columns.take(torch.tensor([row]))["input"][0].tolist()
        words.append(
            " ".join(f"w{token}" if token != 1 else f"once{row}x{place}" for place, token in enumerate(tokens))
        )
    return words


@pytest.mark.parametrize("classes", [2, 3])
def test_it_answers_as_scikit_learns_vectoriser_does(classes: int) -> None:
    train, others = texts(classes=classes), texts(60, classes, seed=1)
    made = tfidf.TfIdf(train, classes, "words", 40)
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\S+")
    reference = LogisticRegression(C=tfidf.SOFTNESS, max_iter=300)
    reference.fit(vectoriser.fit_transform(written(train)), train["target"].numpy())
    expected = reference.predict_log_proba(vectoriser.transform(written(others)))
    assert made.log_chances(others).numpy() == pytest.approx(expected, abs=2e-3)
    assert torch.equal(made.log_chances(others), tfidf.TfIdf(train, classes, "words", 40).log_chances(others))


def test_characters_are_counted_in_longer_runs_as_far_as_numbers_reach() -> None:
    train = texts()
    assert tfidf.TfIdf(train, 2, "characters", 40).longest == 4
    assert tfidf.TfIdf(train, 2, "characters", 2**21).longest == 2


def test_only_the_commonest_runs_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfidf, "MOST_RUNS", 10)
    made = tfidf.TfIdf(texts(), 2, "words", 40)
    assert 0 < sum(map(len, made.runs)) <= 10
    assert made.log_chances(texts(5, seed=3)).isfinite().all()


def test_a_class_without_texts_and_a_text_without_known_tokens_have_an_answer() -> None:
    train = texts()
    made = tfidf.TfIdf(train, 4, "words", 40)
    chances = made.log_chances(ragged([[1, 1], [7]], {"target": torch.zeros(2, dtype=torch.int64)}))
    assert chances.shape == (2, 4)
    assert (chances[:, 2:] == tfidf.NEVER).all()


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        (ragged([[7], [8]], {"target": torch.zeros(2, dtype=torch.int64)}), "all of one class"),
        (ragged([[1], [1]], {"target": torch.tensor([0, 1])}), "no token that is known"),
    ],
)
def test_it_is_left_out_with_a_reason(columns: Ragged, why: str) -> None:
    assert why in tfidf.too_much(columns, 2)


def test_large_data_is_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfidf, "MOST_WORK", 100)
    assert "too many" in tfidf.too_much(texts(), 3)
    assert tfidf.too_much(texts(10), 2) == ""


def test_it_stands_beside_the_network_in_the_run(tmp_path: Path) -> None:
    words = {"good": ["fine", "lovely", "great"], "bad": ["awful", "dull", "poor"]}
    random = np.random.default_rng(0)
    lines = ["text,label"]
    for number in range(120):
        label = ("good", "bad")[number % 2]
        said = random.choice(words[label], 2).tolist() + random.choice(["film", "it", "was", "very"], 3).tolist()
        lines.append(f"{' '.join(said)} {number},{label}")
    source = tmp_path / "said.csv"
    source.write_text("\n".join(lines), encoding="utf-8")
    run = deepen.train(source, model="bag", epochs=1, runs=tmp_path / "runs", plan="fp32")
    found = run.evaluate()
    assert found.rival is not None
    assert found.rival.metrics["accuracy"] == 1
    assert set(found.rival.metrics) == set(found.metrics)
    assert found.to_json()["rival"]["method"] == tfidf.METHOD
    assert set(run.folder.read("rival.json")) == {"validation", "test"}
    assert tfidf.METHOD in run.folder.report.read_text(encoding="utf-8")


@pytest.mark.parametrize("loss", ["cross-entropy", "bce", "focal"])
def test_its_metrics_are_those_of_the_task(loss: str) -> None:
    from deepen.data import tokenizer
    from deepen.data.sentences import TextPreprocess

    preprocess = TextPreprocess(tokenizer.fit("words", ["a b c a b c"], 100), 10)
    train = texts(200)
    task = classify.build(Spec(Text(15, 40), Category(("x", "y"))), classify.Config(loss=loss))  # type: ignore[arg-type]
    task.study(train, preprocess)
    found = task.rival(texts(100, seed=5))
    assert found is not None
    assert found.metrics["accuracy"] > 0.7
    assert found.metrics["log_loss"] < 0.7

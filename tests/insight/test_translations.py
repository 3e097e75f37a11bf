"""What a report shows of translations."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepen.data import paired, pairs
from deepen.data.tokenizer import UNKNOWN
from deepen.insight import translations
from deepen.models import seq2seq, seq2seq_transformer
from deepen.tasks import translate
from tests.samples import pairs as sample


@pytest.mark.parametrize("module", [seq2seq, seq2seq_transformer])
def test_pairs_answers_and_looks_are_shown(module: object, tmp_path: object) -> None:
    dataset = pairs.load(sample.make(tmp_path), paired.Config(vocabulary=300), 0)
    task = translate.build(dataset.spec, translate.Config())
    task.study(dataset.train, dataset.preprocess)
    torch.manual_seed(0)
    model = module.build(dataset.spec, module.Config()).eval()
    rows = task.score(model, dataset.validation.take(torch.arange(20)))
    drawn = translations.told(dataset, rows, model, task)
    assert set(drawn) == {"translations", "looks"}
    references = [paired.read_back(row) for row in dataset.validation["reference"]]
    assert sum(reference in drawn["translations"] for reference in references) >= 4
    assert drawn["translations"].count(">BLEU ") == len(re.findall(">reference<", drawn["translations"])) >= 4
    assert "end" in drawn["looks"]
    assert "😀" in translations.samples(dataset, dataset.train.subset(torch.arange(30)))


def test_a_heat_map_says_each_weight() -> None:
    drawn = translations.heat([(["der", "<b>"], ["the", "dog", "end"], np.array([[1.0, 0], [0.2, 0.8], [0.5, 0.5]]))])
    assert "the ← der: 100 %" in drawn
    assert "dog ← &lt;b&gt;: 80 %" in drawn
    assert "<b>" not in drawn


def test_answers_are_those_to_what_was_scored_and_texts_are_shown_as_far_as_they_are_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words that no vocabulary knows vanish where tokens are written out; the model has seen that something stood there."""
    (tmp_path / "c.de").write_text("".join(f"ja nein {n}x {'我' * 2000}\n" for n in range(40)), encoding="utf-8")
    (tmp_path / "c.en").write_text("yes no still there and here again\n" * 40, encoding="utf-8")
    dataset = pairs.load(str(tmp_path), paired.Config(tokens="words"), 0)
    task = translate.build(dataset.spec, translate.Config())
    task.study(dataset.train, dataset.preprocess)
    model = seq2seq.build(dataset.spec, seq2seq.Config()).eval()
    rows = task.score(model, dataset.validation.take(torch.arange(4)))
    asked = []
    real = translate.Translate.answers

    def answers(
        own: translate.Translate, module: nn.Module, preprocess: paired.PairPreprocess, inputs: Tensor
    ) -> list[str]:
        asked.append(inputs)
        return real(own, module, preprocess, inputs)

    monkeypatch.setattr(translate.Translate, "answers", answers)
    drawn = translations.told(dataset, rows, model, task)
    assert (asked[0] == UNKNOWN).any(1).all()
    assert 0 < drawn["translations"].count("我") <= 4 * translations.LONG
    assert len(translations.samples(dataset, dataset.train.subset(torch.arange(8)))) < 60_000


def test_a_token_of_many_letters_does_not_widen_the_picture() -> None:
    drawn = translations.heat([(["a" * 900], ["b" * 900], np.array([[1.0]]))])
    assert float(re.findall(r'viewBox="0 0 ([0-9.]+) ', drawn)[0]) < 500

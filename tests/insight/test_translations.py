"""What a report shows of translations."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from deepen.data import paired, pairs
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

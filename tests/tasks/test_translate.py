"""Translation: its loss, its figures beside sacrebleu's on the same strings, and what a person gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from deepen.data import paired, pairs
from deepen.data.tokenizer import END
from deepen.errors import Misuse, Problem
from deepen.models import seq2seq, seq2seq_transformer
from deepen.spec import BEGIN, Category, Spec, Text
from deepen.tasks import bleu, translate
from deepen.tasks.measures import intervals
from tests.samples import pairs as sample


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return pairs.load(sample.make(tmp_path_factory.mktemp("pairs")), paired.Config(vocabulary=280, tokens="bpe"), 0)


def task_for(dataset: Any, **named: Any) -> translate.Translate:
    task = translate.build(dataset.spec, translate.Config(**named))
    task.study(dataset.train, dataset.preprocess)
    return task


def learnt(dataset: Any, task: translate.Translate, steps: int = 60) -> nn.Module:
    torch.manual_seed(0)
    config = seq2seq_transformer.Config(layers=1, width=64, hidden=64, dropout=0.0)
    model = seq2seq_transformer.build(dataset.spec, config)
    optimizer = torch.optim.Adam(model.parameters(), 0.004)
    batch = dataset.train.take(torch.arange(min(60, len(dataset.train))))
    for _ in range(steps):
        optimizer.zero_grad()
        task.loss(model, batch)[0].backward()
        optimizer.step()
    return model.eval()


def test_the_loss_is_that_of_each_token_after_the_true_ones(dataset: Any) -> None:
    task = task_for(dataset, label_smoothing=0.2)
    torch.manual_seed(0)
    model = seq2seq.build(dataset.spec, seq2seq.Config(16, 12, 20, 14)).eval()
    batch = dataset.train.take(torch.tensor([4, 7]))
    expected, count = 0.0, 0
    for source, target in zip(batch["input"], batch["target"], strict=True):
        answer = target[target != 0]
        assert answer[-1] == END
        before = torch.cat([torch.tensor([BEGIN]), answer[:-1]])
        logits = model(source[source != 0][None], before[None])[0].detach()
        expected += float(functional.cross_entropy(logits, answer, label_smoothing=0.2, reduction="sum"))
        count += len(answer)
    assert float(task.loss(model, batch)[0].detach()) == pytest.approx(expected / count, rel=1e-5)


def test_the_loss_of_a_batch_is_the_weighted_sum_of_its_pieces(dataset: Any) -> None:
    """What accumulation relies on: answers differ in length."""
    task = task_for(dataset)
    torch.manual_seed(0)
    model = seq2seq.build(dataset.spec, seq2seq.Config(16, 12, 20, 14)).eval()
    batch = dataset.train.take(dataset.train.lengths.argsort()[::6])
    pieces = [{name: rows[at] for name, rows in batch.items()} for at in (slice(0, 3), slice(3, None))]
    with torch.no_grad():
        found = sum(task.counted(piece) / task.counted(batch) * float(task.loss(model, piece)[0]) for piece in pieces)
        assert found == pytest.approx(float(task.loss(model, batch)[0]), rel=1e-5)


def test_it_learns_and_its_figures_are_sacrebleus(dataset: Any) -> None:
    sacrebleu = pytest.importorskip("sacrebleu", reason="the extra 'text' is not installed")
    task = task_for(dataset)
    model = learnt(dataset, task)
    batch = dataset.validation.take(torch.arange(20))
    with torch.no_grad():
        rows = task.score(model, batch)
    metrics = task.measure(rows)
    sources = [dataset.preprocess.shown(row) for row in batch["input"]]
    answers = [one["text"] for one in task.read(model, dataset.preprocess, sources)]
    references = [paired.read_back(row) for row in batch["reference"]]
    assert metrics["sacrebleu"] == pytest.approx(sacrebleu.corpus_bleu(answers, [references]).score, abs=1e-6)
    cut = [[" ".join(bleu.words(text)) for text in side] for side in (answers, references)]
    expected = sacrebleu.corpus_bleu(cut[0], [cut[1]], tokenize="none", force=True).score
    assert metrics["bleu"] == pytest.approx(expected, abs=1e-6)
    assert metrics["bleu"] > 20
    baseline = task.baseline(rows)
    assert baseline["sacrebleu"] == pytest.approx(sacrebleu.corpus_bleu(sources, [references]).score, abs=1e-6)
    assert baseline["loss"] > metrics["loss"]
    low, high = intervals(task, rows, 0, 200)["bleu"]
    assert low < metrics["bleu"] < high


def test_scores_do_not_depend_on_the_batches(dataset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_for(dataset, beam=2)
    model = learnt(dataset, task, 20)
    with torch.no_grad():
        whole = task.score(model, dataset.validation.take(torch.arange(20)))
        parts = [task.score(model, dataset.validation.between(start, start + 7)) for start in range(0, 20, 7)]
        monkeypatch.setattr(translate, "LOGITS", 1)  # each text is read and answered for itself
        apart = task.score(model, dataset.validation.take(torch.arange(20)))
    for name, values in whole.items():
        assert torch.allclose(torch.cat([part[name] for part in parts]).float(), values.float(), atol=1e-3), name
        assert torch.allclose(apart[name].float(), values.float(), atol=1e-3), name


def test_references_are_what_was_written_and_not_what_is_in_the_vocabulary(tmp_path: Path) -> None:
    """A word that no vocabulary knows is missed, though the target that is learnt calls it unknown."""
    (tmp_path / "c.de").write_text("ja nein ja nein ja\n" * 40, encoding="utf-8")
    (tmp_path / "c.en").write_text("yes no yes no Ünïque%d\n" * 40 % tuple(range(40)), encoding="utf-8")
    dataset = pairs.load(str(tmp_path), paired.Config(tokens="words"), 0)
    task = task_for(dataset)

    class Perfect(nn.Module):
        """Says what is common to all answers, the unknown word as such."""

        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Parameter(torch.zeros(()))

        def forward(self, input: torch.Tensor, begun: torch.Tensor) -> torch.Tensor:
            return torch.zeros(*begun.shape, task.vocabulary)

        def read(self, input: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"input": input}

        def begin(self, memory: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {"told": memory["input"].new_zeros(len(memory["input"]), 1, 0)}

        def go_on(self, token: torch.Tensor, memory: Any, state: dict[str, torch.Tensor]) -> Any:
            said = dataset.train["target"][0].tolist()
            place = state["told"].shape[2]
            logits = torch.zeros(*token.shape, task.vocabulary)
            logits[..., said[place]] = 9
            return logits, {"told": functional.pad(state["told"], (0, 1))}

    rows = task.score(Perfect(), dataset.validation.take(torch.arange(2)))
    assert rows["written"][0, 0] == 4
    assert rows["written"][0, 9] == 5


def test_what_it_cannot_do_is_told(dataset: Any) -> None:
    with pytest.raises(Problem, match="two files"):
        translate.build(Spec(Text(5, 9), Category(("a", "b"))), translate.Config())
    for key, value in (
        ("label_smoothing", 1.0),
        ("beam", 0),
        ("beam", 1001),
        ("length_penalty", -1.0),
        ("length_penalty", 1000.0),
    ):
        with pytest.raises(Misuse, match=rf"task\.{key}"):
            translate.build(dataset.spec, translate.Config(**{key: value}))
    task = task_for(dataset)
    with pytest.raises(Problem, match="go_on"):
        list(task.read(nn.Linear(1, 1), dataset.preprocess, ["der hund"]))


def test_a_short_text_may_have_a_long_answer(tmp_path: Path) -> None:
    """Twice the text and ten more were all that could be written, however long the answers were that had been learnt."""
    (tmp_path / "c.src").write_text("hi\n" * 40, encoding="utf-8")
    (tmp_path / "c.tgt").write_text("one two three four five six seven eight nine ten eleven twelve thirteen\n" * 40)
    dataset = pairs.load(str(tmp_path), paired.Config(tokens="words"), 0)
    task = task_for(dataset)
    [answer] = list(task.read(learnt(dataset, task, 40), dataset.preprocess, ["hi"]))
    assert answer["text"].split()[-2:] == ["twelve", "thirteen"]

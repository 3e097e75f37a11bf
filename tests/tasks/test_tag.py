from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepen.data.conll import Sentence
from deepen.data.dataset import Columns
from deepen.data.labelled import Config, build
from deepen.data.tagging import TaggedPreprocess
from deepen.errors import Misuse, Problem
from deepen.spec import UNLABELLED, Category, Labels, Spec, Text
from deepen.tasks import tag
from deepen.tasks.measures import independent, intervals
from deepen.tasks.tag import Tag

IOB = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
BIES = ("B", "E", "I", "S")
IOBES = ("O", *(f"{place}-{kind}" for kind in ("a", "b") for place in "BIES"))
LENGTH, VOCABULARY = 9, 30


def scorer(truth: list[list[str]], said: list[list[str]]) -> tuple[int, int, int]:
    """Chunks that are right, said and there, by the rules of CoNLL's scorer, which goes through the words once and knows only two
    neighbouring labels of each row."""

    def parts(label: str) -> tuple[str, str]:
        place, _, kind = label.partition("-")
        return place, kind

    def ends(before: tuple[str, str], here: tuple[str, str]) -> bool:
        if before[0] == "O":
            return False
        return before[0] in "ES" or here[0] in "BSO" or before[1] != here[1]

    def starts(before: tuple[str, str], here: tuple[str, str]) -> bool:
        if here[0] == "O":
            return False
        return here[0] in "BS" or before[0] in "ESO" or before[1] != here[1]

    right = guessed = there = 0
    inside = False
    last_true = last_said = ("O", "")
    for true_row, said_row in zip(truth, said, strict=True):
        for true, answer in zip([*map(parts, true_row), ("O", "")], [*map(parts, said_row), ("O", "")], strict=True):
            if inside:
                true_ends, said_ends = ends(last_true, true), ends(last_said, answer)
                if true_ends and said_ends:
                    right, inside = right + 1, False
                elif true_ends != said_ends or true[1] != answer[1]:
                    inside = False
            true_starts, said_starts = starts(last_true, true), starts(last_said, answer)
            inside = inside or (true_starts and said_starts and true[1] == answer[1])
            there, guessed = there + true_starts, guessed + said_starts
            last_true, last_said = true, answer
    return right, guessed, there


class Fixed(nn.Module):
    """Answers with what it was given."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, input: Tensor) -> Tensor:
        return self.logits


def the_task(names: tuple[str, ...], **settings: Any) -> Tag:
    return tag.build(Spec(Text(LENGTH, VOCABULARY), Labels(names)), tag.Config(**settings))


class Split:
    """Rows of words, some in two pieces, with labels."""

    def __init__(self, names: tuple[str, ...], rows: int = 40, seed: int = 0) -> None:
        draws = random.Random(seed)
        self.input = torch.zeros(rows, LENGTH, dtype=torch.int64)
        self.target = torch.full((rows, LENGTH), UNLABELLED)
        self.words: list[list[tuple[int, ...]]] = []
        self.labels: list[list[str]] = []
        for row in range(rows):
            words, at = [], 0
            while at < LENGTH - 1 and (not words or draws.random() < 0.8):
                word = (draws.randint(5, 12), *((draws.randint(13, 16),) if draws.random() < 0.3 else ()))
                label = draws.randrange(len(names))
                self.input[row, at : at + len(word)] = torch.tensor(word)
                self.target[row, at] = label
                at += len(word)
                words.append((word, names[label]))
            self.words.append([word for word, _ in words])
            self.labels.append([label for _, label in words])
        self.batch = {"input": self.input, "target": self.target}

    def between(self, start: int, stop: int) -> dict[str, Tensor]:
        return {name: rows[start:stop] for name, rows in self.batch.items()}

    def __len__(self) -> int:
        return len(self.input)


def answers(split: Split, logits: Tensor, names: tuple[str, ...]) -> list[list[str]]:
    return [
        [names[int(logits[row, place].argmax())] for place in (split.target[row] != UNLABELLED).nonzero().flatten()]
        for row in range(len(split))
    ]


@pytest.mark.parametrize("names", [IOB, BIES, IOBES])
@pytest.mark.parametrize("seed", range(4))
def test_chunks_are_counted_as_conll_counts_them(names: tuple[str, ...], seed: int) -> None:
    task, split = the_task(names, decoding="each"), Split(names, seed=seed)
    task.study(split, TaggedPreprocess)  # type: ignore[arg-type]
    logits = torch.randn(len(split), LENGTH, len(names), generator=torch.Generator().manual_seed(seed))
    near = torch.nn.functional.one_hot(split.target.clamp(min=0), len(names)) * 1.5
    logits = logits + near
    metrics = task.measure(task.score(Fixed(logits), split.batch))
    right, said, there = scorer(split.labels, answers(split, logits, names))
    assert right
    assert metrics["precision"] == pytest.approx(right / said)
    assert metrics["recall"] == pytest.approx(right / there)
    assert metrics["f1"] == pytest.approx(2 * right / (said + there))


def test_words_are_counted() -> None:
    names = ("noun", "verb", "sign")
    task, split = the_task(names), Split(names)
    train = Split(names, seed=7, rows=6)
    task.study(train, TaggedPreprocess)  # type: ignore[arg-type]
    logits = torch.randn(len(split), LENGTH, 3, generator=torch.Generator().manual_seed(1))
    rows = task.score(Fixed(logits), split.batch)
    metrics, said = task.measure(rows), answers(split, logits, names)
    pairs = [(a, b) for truth, row in zip(split.labels, said, strict=True) for a, b in zip(truth, row, strict=True)]
    assert metrics["accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    each = [
        2 * sum(a == b == name for a, b in pairs) / sum((a == name) + (b == name) for a, b in pairs) for name in names
    ]
    assert metrics["macro_f1"] == pytest.approx(sum(each) / 3)
    known = {word for row in train.words for word in row}
    words = [word for row in split.words for word in row]
    unseen = [a == b for word, (a, b) in zip(words, pairs, strict=True) if word not in known]
    assert unseen
    assert metrics["unseen_accuracy"] == pytest.approx(sum(unseen) / len(unseen))
    chosen = split.target != UNLABELLED
    nats = torch.nn.functional.cross_entropy(logits[chosen], split.target[chosen])
    assert metrics["loss"] == pytest.approx(float(nats))
    low, high = intervals(task, rows, 0, 50)["accuracy"]
    assert low <= metrics["accuracy"] <= high


def test_the_baseline_knows_the_commonest_label_of_each_word() -> None:
    names = ("noun", "verb", "sign")
    task, split, train = the_task(names), Split(names, rows=80), Split(names, seed=3, rows=50)
    task.study(train, TaggedPreprocess)  # type: ignore[arg-type]
    by_word: dict[tuple[int, ...], Counter[str]] = defaultdict(Counter)
    every: Counter[str] = Counter()
    for words, labels in zip(train.words, train.labels, strict=True):
        for word, label in zip(words, labels, strict=True):
            by_word[word][label] += 1
            every[label] += 1
    # Where two labels are equally common either will do.
    best = {
        word: {label for label, count in found.items() if count == max(found.values())}
        for word, found in by_word.items()
    }
    tokens = [
        (word, label)
        for words, labels in zip(split.words, split.labels, strict=True)
        for word, label in zip(words, labels, strict=True)
    ]
    usual = every.most_common(1)[0][0]
    least = sum(best.get(word, {usual}) == {label} for word, label in tokens) / len(tokens)
    most = sum(label in best.get(word, {usual}) for word, label in tokens) / len(tokens)
    rows = task.score(Fixed(torch.zeros(len(split), LENGTH, 3)), split.batch)
    assert least - 1e-6 <= task.baseline(rows)["accuracy"] <= most + 1e-6
    assert "loss" not in task.baseline(rows)


def test_only_whole_chunks_are_answered() -> None:
    logits = torch.tensor([[[0.0, 0.0, 3.0, 0.0, 0.0], [2.0, 0.0, 2.5, 0.0, 0.0]]])
    places, lengths = torch.tensor([[0, 1]]), torch.tensor([2])
    assert the_task(IOB, decoding="each").labels(logits, places, lengths).tolist() == [[2, 2]]
    assert the_task(IOB).labels(logits, places, lengths).tolist() in ([[1, 2]], [[0, 0]])
    assert the_task(IOB).labels(logits * 0 + torch.tensor([0.0, 1, 4, 0, 0]), places, lengths).tolist() == [[1, 2]]


def test_only_what_is_asked_is_learnt() -> None:
    task, split = the_task(IOB), Split(IOB)
    logits = torch.randn(len(split), LENGTH, len(IOB), requires_grad=True)
    loss, _ = task.loss(Fixed(logits), split.batch)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad.abs().sum(2) > 0).equal(split.target != UNLABELLED)
    nothing = {"input": split.input[:1], "target": torch.full((1, LENGTH), UNLABELLED)}
    assert float(task.loss(Fixed(logits.detach()[:1]), nothing)[0]) == 0
    task.study(split, TaggedPreprocess)  # type: ignore[arg-type]
    assert task.measure(task.score(Fixed(logits[:1].detach()), nothing))["f1"] == 0


def test_the_loss_of_a_batch_is_the_weighted_sum_of_its_pieces() -> None:
    """What accumulation relies on: sentences differ in length."""
    task, split = the_task(IOB), Split(IOB)
    logits = torch.randn(len(split), LENGTH, len(IOB), generator=torch.Generator().manual_seed(0))
    whole, found = split.batch, 0.0
    for part in (slice(0, 2), slice(2, None)):
        piece = {name: rows[part] for name, rows in whole.items()}
        found += task.counted(piece) / task.counted(whole) * float(task.loss(Fixed(logits[part]), piece)[0])
    assert found == pytest.approx(float(task.loss(Fixed(logits), whole)[0]), rel=1e-5)


def test_answers_are_told_in_characters_of_the_text() -> None:
    sentences = [
        Sentence((f"Anna{n}", "Smith", "sees", "Oslo"), ("B-PER", "I-PER", "O", "B-LOC"), f"a:{n}") for n in range(30)
    ]
    dataset = build("names", sentences, Config(length=8, vocabulary=300), 0, digest="0")
    task, preprocess = tag.build(dataset.spec, tag.Config()), dataset.preprocess
    assert isinstance(dataset.spec.output, Labels)
    names = dataset.spec.output.names
    text = "  Ann 王 sees\tOslo, Anna Smith 😀 went; twice"
    wanted = ["B-PER", "O", "O", "B-LOC", "O", "B-PER", "I-PER", *["O"] * 4]
    outputs = []
    told = iter([*map(names.index, wanted), *map(names.index, ["O"])])
    for stored, passages in preprocess.pieces([text, "", "Bo"]):
        output = torch.zeros(*stored.shape, len(names))
        for row, passage in enumerate(passages):
            for place in passage.places:
                output[row, place, next(told)] = 9.0
        outputs.append((output, passages))
    first, empty, last = task.place(outputs)
    assert [one["label"] for one in first["tags"]] == wanted
    assert first["entities"] == [
        {"text": "Ann", "label": "PER", "start": 2, "end": 5},
        {"text": "Oslo", "label": "LOC", "start": 13, "end": 17},
        {"text": "Anna Smith", "label": "PER", "start": 19, "end": 29},
    ]
    assert empty == {"tags": [], "entities": []}
    assert [(one["token"], one["label"]) for one in last["tags"]] == [("Bo", "O")]
    assert last["tags"][0]["probability"] == pytest.approx(0.999, abs=1e-2)


@pytest.mark.parametrize("decoding", ["valid", "each"])
@pytest.mark.parametrize("names", [IOB, IOBES])
def test_a_sentence_that_is_cut_is_counted_and_answered_as_if_it_were_whole(
    names: tuple[str, ...], decoding: str
) -> None:
    draws = random.Random(1)
    words = [f"w{number}" for number in range(12)]
    sentences = []
    for number in range(60):
        labels: list[str] = []
        while len(labels) < draws.choice((4, 25)):
            kind, size = draws.choice(("a", "b")), draws.randint(1, 5)
            inside = ["B", *"I" * (size - 2), "E"] if size > 1 else ["S"]
            inside = inside if names is IOBES else ["B", *"I" * (size - 1)]
            labels += [f"{place}-{kind}" for place in inside] + ["O"] * draws.randint(0, 1)
        sentences.append(Sentence(tuple(draws.choices(words, k=len(labels))), tuple(labels), f"a:{number}"))
    whole, cut = (build("x", sentences, Config(length=length, tokens="words"), 0, digest="0") for length in (64, 7))
    assert isinstance(cut.spec.output, Labels)
    assert whole.spec.output == cut.spec.output
    columns = [dataset.validation for dataset in (whole, cut)]
    assert len(columns[1]) > len(columns[0])

    # Who names the labels of most words rightly, as a function of the word's place in its sentence and not of how it was cut.
    def answered(columns: Columns, sure: float) -> tuple[Tensor, dict[str, Tensor]]:
        batch = columns.take(torch.arange(len(columns)))
        noise = torch.randn(10_000, len(cut.spec.output.names), generator=torch.Generator().manual_seed(3))
        logits = torch.zeros(*batch["input"].shape, noise.shape[1])
        place = 0
        for row in range(len(columns)):
            for at in (batch["target"][row] != UNLABELLED).nonzero().flatten().tolist():
                logits[row, at] = noise[place]
                logits[row, at, batch["target"][row, at]] += sure
                place += 1
        return logits, batch

    found = []
    for dataset, split in zip((whole, cut), columns, strict=True):
        task = tag.build(dataset.spec, tag.Config(decoding=decoding))
        task.study(dataset.train, dataset.preprocess)
        logits, batch = answered(split, 50.0 if decoding == "valid" else 2.0)
        parts = [
            task.score(
                Fixed(logits[start : start + 3]), {name: rows[start : start + 3] for name, rows in batch.items()}
            )
            for start in range(0, len(split), 3)
        ]
        rows = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        joined = independent(task, rows)
        assert len(joined["words"]) == len(columns[0])
        assert independent(task, joined) is joined
        ends = {
            f"{name} {end}": value
            for name, pair in intervals(task, rows, 0, 20).items()
            for end, value in enumerate(pair)
        }
        found.append((task.measure(rows), task.measure(joined), task.baseline(rows), ends))
    assert found[0][0]["f1"] == pytest.approx(1.0 if decoding == "valid" else found[0][0]["f1"])
    assert found[0][0]["f1"] > 0.2
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other)


def test_an_entity_across_a_cut_is_one_in_an_answer() -> None:
    sentences = [Sentence(("w", "w", "w"), ("O", "B-LOC", "I-LOC"), f"a:{n}") for n in range(30)]
    dataset = build("names", sentences, Config(length=4, tokens="words"), 0, digest="0")
    task, preprocess = tag.build(dataset.spec, tag.Config()), dataset.preprocess
    assert isinstance(dataset.spec.output, Labels)
    names = dataset.spec.output.names
    told = iter(["O", "O", "O", "B-LOC", "I-LOC", "I-LOC", "O", "O", "O"])
    outputs = []
    for stored, passages in preprocess.pieces(["w w w w w w w w w"]):
        assert [one.cut for one in passages] == [(False, True), (True, True), (True, False)]
        output = torch.zeros(*stored.shape, len(names))
        for row, passage in enumerate(passages):
            for place in passage.places:
                output[row, place, names.index(next(told))] = 9.0
        outputs += [(output[row : row + 1], passages[row : row + 1]) for row in range(len(passages))]
    (answer,) = task.place(outputs)
    assert answer["entities"] == [{"text": "w w w", "label": "LOC", "start": 6, "end": 11}]


def test_words_that_are_set_apart_are_told() -> None:
    task = the_task(BIES)
    preprocess = build(
        "zh", [Sentence(("我", "看", "书"), ("S", "B", "E"), "a:1")] * 30, Config(length=9), 0, digest="0", apart=False
    ).preprocess
    stored, passages = next(preprocess.pieces(["我看 书"]))
    output = torch.zeros(*stored.shape, 4)
    for place, label in enumerate("SBE"):
        output[0, place, BIES.index(label)] = 9.0
    assert next(task.place([(output, passages)]))["words"] == ["我", "看", "书"]


def test_what_does_not_suit_is_refused() -> None:
    with pytest.raises(Problem, match="a label for every word"):
        tag.build(Spec(Text(LENGTH, VOCABULARY), Category(("a", "b"))), tag.Config())
    with pytest.raises(Misuse, match="label_smoothing"):
        the_task(IOB, label_smoothing=1.0)

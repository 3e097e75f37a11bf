from __future__ import annotations

import itertools
import math
from collections import deque

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepen.data import sound
from deepen.data.paired import written
from deepen.data.sound import SoundPreprocess
from deepen.data.tokenizer import Characters
from deepen.deploy.bundle import Model
from deepen.errors import Problem
from deepen.spec import PAD, Audio, Category, Sentence, Spec
from deepen.tasks.edits import distance
from deepen.tasks.transcribe import Config, Transcribe, best_path, build

SPEC = Spec(Audio(12, 2, 8000), Sentence(4, 9))
LETTERS = Characters("ab c")
PREPROCESS = SoundPreprocess(8000, 1.0, (0.0, 0.0), (1.0, 1.0), LETTERS)


class Said(nn.Module):
    """Answers with what it was given, one for every two frames."""

    stride = 2

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, input: Tensor) -> Tensor:
        return self.logits


def task() -> Transcribe:
    made = build(SPEC, Config())
    made.study(None, PREPROCESS)  # type: ignore[arg-type]
    return made


def batch(texts: list[str], lengths: list[int]) -> dict[str, Tensor]:
    sound = torch.zeros(len(texts), 12, 2)
    for row, length in enumerate(lengths):
        sound[row, :length] = 1.0
    tokens, bytes_ = LETTERS.encode(texts), [written(text) for text in texts]
    return {
        "input": sound,
        "target": nn.utils.rnn.pad_sequence([torch.from_numpy(row).long() for row in tokens], batch_first=True),
        "reference": nn.utils.rnn.pad_sequence([torch.tensor(list(row)) for row in bytes_], batch_first=True),
    }


def plain(chances: Tensor, target: list[int]) -> float:
    """Surprise at a target by trying every way to say it: chances [T, V]."""
    total = 0.0
    for path in itertools.product(range(chances.shape[1]), repeat=len(chances)):
        kept = [token for token, _ in itertools.groupby(path) if token != PAD]
        if kept == target:
            total += math.prod(float(chances[moment, token]) for moment, token in enumerate(path))
    return -math.log(total)


def test_the_loss_is_the_sum_over_all_ways_to_say_it() -> None:
    logits = torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(0))
    logits[:, :, [1, 2, 3, 4, 7, 8]] = -30.0  # so that there are few ways to try
    given = batch(["ab", "aa"], [9, 12])
    loss, _ = task().loss(Said(logits), given)
    chances = logits.softmax(2)
    both = [int(token) for token in given["target"][0]], [int(token) for token in given["target"][1]]
    assert float(loss.detach()) * 4 == pytest.approx(
        plain(chances[0, :5], both[0]) + plain(chances[1], both[1]), rel=1e-4
    )


def test_the_loss_of_a_batch_is_the_weighted_sum_of_its_pieces() -> None:
    """What accumulation relies on: transcripts differ in length."""
    logits = torch.randn(3, 6, 9, generator=torch.Generator().manual_seed(0))
    whole, found = batch(["a", "aba", "ab"], [12, 12, 12]), 0.0
    for part in (slice(0, 1), slice(1, None)):
        piece = {name: rows[part] for name, rows in whole.items()}
        found += (
            task().counted(piece) / task().counted(whole) * float(task().loss(Said(logits[part]), piece)[0].detach())
        )
    assert found == pytest.approx(float(task().loss(Said(logits), whole)[0].detach()), rel=1e-5)


def test_what_cannot_be_said_in_time_teaches_nothing() -> None:
    model = Said(torch.zeros(1, 6, 9))
    loss, _ = task().loss(model, batch(["aaa"], [4]))
    assert float(loss.detach()) == 0
    loss.backward()
    assert model.logits.grad is not None
    assert not model.logits.grad.any()


def test_repeats_are_one_and_silence_parts_them() -> None:
    path = torch.tensor([[5, 5, 0, 5, 6, 0], [0, 0, 0, 0, 0, 0]])
    assert best_path(nn.functional.one_hot(path, 9).float()) == [[5, 5, 6], []]


def test_errors_are_summed_over_all_recordings() -> None:
    path = LETTERS.encode(["a b b", "c"])
    said = torch.zeros(2, 6, dtype=torch.int64)
    said[0, :5], said[1, 0] = torch.from_numpy(path[0]), int(path[1][0])
    with torch.no_grad():
        rows = task().score(Said(nn.functional.one_hot(said, 9).float() * 20), batch(["a b c", "c"], [12, 12]))
    metrics = task().measure(rows)
    assert metrics["word_error_rate"] == pytest.approx(1 / 4)  # not the mean of 1/3 and 0
    assert metrics["character_error_rate"] == pytest.approx(1 / 6)
    assert metrics["exact"] == 0.5
    assert task().baseline(rows) == {"word_error_rate": 1.0, "character_error_rate": 1.0, "exact": 0.0}


def test_it_answers_in_words() -> None:
    said = torch.from_numpy(LETTERS.encode(["a b"])[0]).long().unsqueeze(0)
    answer = task().answer(nn.functional.one_hot(said, 9).float())[0]
    assert PREPROCESS.worded(answer) == {"text": "a b"}


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2), ("flaw", "lawn", 2)],
)
def test_changes_between_texts(first: str, second: str, count: int) -> None:
    assert distance(first, second) == distance(second, first) == count


def test_changes_agree_with_the_plain_recursion() -> None:
    draws = torch.Generator().manual_seed(0)
    for _ in range(30):
        sizes = torch.randint(0, 7, (2,), generator=draws).tolist()
        a, b = (torch.randint(0, 3, (size,), generator=draws).tolist() for size in sizes)

        def plainly(i: int, j: int, a: list[int] = a, b: list[int] = b) -> int:
            if not i or not j:
                return i + j
            same = plainly(i - 1, j - 1) + (a[i - 1] != b[j - 1])
            return min(plainly(i - 1, j) + 1, plainly(i, j - 1) + 1, same)

        assert distance(a, b) == plainly(len(a), len(b))


class Louder(nn.Module):
    """An answer for every two frames, which depends on nothing beyond them."""

    stride = 2

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(2, 9, generator=torch.Generator().manual_seed(0)))

    def forward(self, input: Tensor) -> Tensor:
        return input[:, ::2] @ self.weights


def test_raw_answers_of_recordings_of_any_length_are_one_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(0)
    items = [draws.integers(-9000, 9000, count, dtype=np.int16) for count in (2000, 5000, 400, 8000, 1200)]
    model = Model(Louder(), task(), PREPROCESS, {})
    together = model.logits(items)
    monkeypatch.setattr(sound, "ASKED", 6000)
    shapes = [tuple(output.shape[:2]) for output, _ in model._outputs(model.read(items), None, deque())]
    assert shapes == [(1, 12), (1, 31), (1, 2), (1, 49), (1, 7)]  # recordings, and moments of the longest among them
    apart = model.logits(items)
    assert apart.shape == together.shape == (5, 49, 9)
    assert torch.allclose(apart, together, atol=1e-5)
    for row, item in enumerate(items):
        alone = model.logits([item])
        assert best_path(apart[row : row + 1]) == best_path(alone)


def test_other_data_is_refused() -> None:
    with pytest.raises(Problem, match=r"metadata\.csv"):
        build(Spec(Audio(9, 2, 8000), Category(("a", "b"))), Config())

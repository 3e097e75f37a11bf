from __future__ import annotations

import numpy as np
import pytest
import torch

from deepen.data.dataset import Columns
from deepen.data.loader import Loader, in_order
from deepen.data.ragged import Ragged, ragged, string
from deepen.data.sentences import TextPreprocess
from deepen.data.tokenizer import Characters
from deepen.spec import PAD

PREPROCESS = TextPreprocess(Characters("abc"), 100)


def rows(lengths: list[int], seed: int = 0) -> list[list[int]]:
    draws = np.random.default_rng(seed)
    return [draws.integers(1, 50, size=length).tolist() for length in lengths]


def made(lengths: list[int]) -> tuple[Ragged, list[list[int]]]:
    held = rows(lengths)
    target = torch.arange(len(held))
    return ragged(held, {"target": target}, [f"line {number}" for number in range(len(held))]), held


def test_a_batch_is_as_long_as_its_longest_row() -> None:
    columns, held = made([3, 1, 7, 2])
    batch = columns.take(torch.tensor([3, 0]))
    assert batch["input"].dtype == torch.int64
    assert batch["input"].tolist() == [[*held[3], PAD], held[0]]
    assert batch["target"].tolist() == [3, 0]
    assert columns.between(1, 99)["input"].shape == (3, 7)
    assert columns.widest == 7
    assert columns.lengths.tolist() == [3, 1, 7, 2]


def test_a_part_of_it_is_like_one_made_of_these_rows() -> None:
    columns, held = made([3, 1, 7, 2, 5])
    some = columns.subset(torch.tensor([4, 1]))
    assert some.take(torch.arange(2))["input"].tolist() == [held[4], [held[1][0], *[PAD] * 4]]
    assert some["target"].tolist() == [4, 1]
    assert [some.origin(row) for row in range(2)] == ["line 4", "line 1"]
    assert len(columns.subset(torch.zeros(0, dtype=torch.int64))) == 0


def test_equal_rows_have_equal_fingerprints_and_others_not() -> None:
    held = [[1, 2, 3], [1, 2], [1, 2, 3], [3, 2, 1], [2, 1], [1, 2, 4]]
    found = ragged(held, {}).fingerprints().tolist()
    assert found[0] == found[2]
    assert len(set(found)) == 5
    alone = ragged([[9, 9, 9, 9], [1, 2, 3]], {}).fingerprints().tolist()
    assert alone[1] == found[0], "of another split"


@pytest.mark.parametrize("batch_size", [4, 7, 32])
def test_each_epoch_has_every_row_once_and_little_padding(batch_size: int) -> None:
    lengths = np.random.default_rng(1).integers(1, 60, size=500).tolist()
    columns, _ = made(lengths)
    plain = Columns({"input": torch.arange(500), "target": columns["target"]})
    loader = Loader(columns, PREPROCESS, None, batch_size=batch_size, seed=3, device=torch.device("cpu"))
    order = torch.cat([loader.index(step) for step in range(500 * 2 // batch_size + 1)])
    assert sorted(order[:500].tolist()) == list(range(500))
    assert sorted(order[500:1000].tolist()) == list(range(500))
    assert order[:500].tolist() != order[500:1000].tolist()
    again = Loader(columns, PREPROCESS, None, batch_size=batch_size, seed=3, device=torch.device("cpu"))
    assert again.index(9).equal(loader.index(9)), "a stream can be opened anywhere"
    shuffled = Loader(plain, PREPROCESS, None, batch_size=batch_size, seed=3, device=torch.device("cpu"))

    def padding(one: Loader) -> float:
        batches = [columns.take(one.index(step))["input"] for step in range(500 // batch_size)]
        return float(sum((batch == PAD).sum() for batch in batches)) / sum(batch.numel() for batch in batches)

    assert padding(loader) < 0.08 < 0.3 < padding(shuffled)


def test_batches_do_not_come_from_short_to_long() -> None:
    columns, _ = made(list(range(1, 401)))
    order = columns.order(torch.Generator().manual_seed(0), 8)
    means = columns.lengths[order].view(-1, 8).double().mean(1)
    assert abs(float(torch.corrcoef(torch.stack([means, torch.arange(50.0).double()]))[0, 1])) < 0.4


def test_evaluation_sees_every_row_in_order() -> None:
    columns, held = made([2, 5, 1, 4, 3])
    seen = list(in_order(columns, PREPROCESS, batch_size=2, device=torch.device("cpu")))
    assert [batch["input"].shape[1] for batch in seen] == [5, 4, 3]
    assert [row[row != PAD].tolist() for batch in seen for row in batch["input"]] == held


def test_targets_may_be_rows_of_their_own_lengths_and_kinds() -> None:
    labels, sound = [[0, 1], [2], [1, 1, 1]], [[0.5], [], [0.25, -1.0]]
    strung = {
        "input": string([[5, 6], [7], [8, 9, 9]]),
        "target": string(labels, -1),
        "sound": string(sound, 0, np.float32),
    }
    columns = Ragged(strung, {"number": torch.tensor([1, 2, 3])})
    batch = columns.take(torch.tensor([2, 1]))
    assert batch["target"].tolist() == [[1, 1, 1], [2, -1, -1]]
    assert batch["sound"].dtype == torch.float32
    assert batch["sound"].tolist() == [[0.25, -1.0], [0.0, 0.0]]
    assert batch["number"].tolist() == [3, 2]
    some = columns.subset(torch.tensor([1]))
    assert some["target"].tolist() == [[2]]
    assert some["sound"].tolist() == [[0.0]]


def test_rows_of_one_length_are_sorted_by_what_belongs_to_them() -> None:
    draws = np.random.default_rng(0)
    target = [[1] * int(length) for length in draws.integers(1, 40, size=400)]
    columns = Ragged({"input": string([[1, 2]] * 400), "target": string(target)}, {})
    order = columns.order(torch.Generator().manual_seed(0), 8)
    batches = [columns.take(rows)["target"] for rows in order.split(8)]
    assert sum((batch == PAD).sum() for batch in batches) < 0.1 * sum(batch.numel() for batch in batches)

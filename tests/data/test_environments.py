"""Environments by their id, and arrays as an agent sees them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from deepen.data import environments
from deepen.data.arrays import ArrayPreprocess
from deepen.data.preprocess import dump, restore
from deepen.errors import Misuse, Problem
from deepen.recipe import Data
from deepen.spec import Action, Observation


@pytest.mark.parametrize("name", ["CartPole-v1", "phys2d/CartPole-v1", "LunarLander-v3"])
def test_ids_are_recognised(name: str) -> None:
    assert environments.recognise(name)


@pytest.mark.parametrize("name", ["digits", "data/train.csv", "pictures-v2/cats", "CartPole", "./CartPole-v1"])
def test_other_names_are_not(name: str) -> None:
    assert environments.recognise(name) is None


def test_an_environment_is_a_data_set_without_samples() -> None:
    pytest.importorskip("gymnasium")
    found = environments.load("CartPole-v1", Data(), 0)
    assert found.acting
    assert found.spec.input == Observation((4,), "CartPole-v1")
    assert found.spec.output == Action(("0", "1"))
    assert found.test is not None
    assert (len(found.train), len(found.validation), len(found.test)) == (0, 20, 100)
    validation, test = found.validation["input"], found.test.open(lambda: 1)["input"]
    assert not set(validation.tolist()) & set(test.tolist())
    # Evaluation passes seeds through the preprocessing, as float32.
    assert torch.equal(found.preprocess.tensor(test).long(), test)
    assert found.digest == environments.load("CartPole-v1", Data(), 1).digest
    assert found.digest != environments.load("Acrobot-v1", Data(), 0).digest


def test_an_unknown_id_is_answered_with_the_nearest() -> None:
    pytest.importorskip("gymnasium")
    with pytest.raises(Misuse, match="Did you mean 'CartPole-v1'"):
        environments.load("Cartpol-v1", Data(), 0)


@pytest.mark.parametrize(("name", "word"), [("Pendulum-v1", "Discrete"), ("Taxi-v4", "Box")])
def test_environments_of_other_kinds_are_refused(name: str, word: str) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    if name not in gymnasium.registry:
        pytest.skip(f"this gymnasium has no {name}")
    with pytest.raises(Problem, match=word):
        environments.load(name, Data(), 0)


def test_without_gymnasium_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Problem, match=r"deepen\[rl\]"):
        environments.load("CartPole-v1", Data(), 0)


@pytest.fixture
def arrays() -> ArrayPreprocess:
    return ArrayPreprocess((3,))


def test_arrays_are_read_from_npy_json_and_text(arrays: ArrayPreprocess, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.array([1.0, 2.0, 3.0]))
    (tmp_path / "two.json").write_text(json.dumps([[4, 5, 6], [7, 8, 9]]))
    pairs = arrays.read([str(tmp_path / "one.npy"), str(tmp_path / "two.json"), "[0, 0.5, 1]"])
    rows = arrays.encode([item for _, item in pairs])
    assert rows.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 0.5, 1]]
    assert [name.endswith(end) for (name, _), end in zip(pairs[1:3], ("#0", "#1"), strict=True)] == [True, True]


def test_arrays_survive_the_bundle(arrays: ArrayPreprocess) -> None:
    assert restore(json.loads(json.dumps(dump(arrays)))) == arrays


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ([1, 2], "expected 3 numbers"),
        ([1, 2, float("nan")], "NaN"),
        (["a", 1, 2], "expected numbers"),
        ([[1], [1, 2]], "numbers"),
    ],
)
def test_arrays_of_another_kind_are_refused(arrays: ArrayPreprocess, item: object, word: str) -> None:
    with pytest.raises(Problem, match=word):
        arrays.encode([item])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", b"\x93NUMPY broken"),
        ("b.json", b"{not json"),
        ("c.json", b"\xff\xfe"),
        ("d.npy", b""),
        ("e.json", b'{"a": 1}'),
        ("f.json", b"[]"),
    ],
)
def test_damaged_files_are_refused(arrays: ArrayPreprocess, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Problem):
        arrays.encode([item for _, item in arrays.read([str(tmp_path / name)])])


def test_pickled_arrays_are_refused(arrays: ArrayPreprocess, tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}, None, 2], dtype=object), allow_pickle=True)
    with pytest.raises(Problem):
        arrays.read([str(tmp_path / "objects.npy")])


def test_a_missing_file_is_refused(arrays: ArrayPreprocess) -> None:
    with pytest.raises(Problem, match="no file"):
        arrays.read(["nowhere.npy"])

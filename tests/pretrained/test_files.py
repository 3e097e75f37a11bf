from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from deepen.errors import Problem
from deepen.pretrained import files

TENSORS = {"conv.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "conv.bias": torch.tensor([1.0, -2.0])}


def written(folder: Path, ending: str, tensors: dict[str, Tensor] = TENSORS) -> Path:
    path = folder / f"weights{ending}"
    if ending == ".safetensors":
        save_file(tensors, path)
    elif ending == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in tensors.items()})
    else:
        torch.save(tensors, path)
    return path


def alike(found: dict[str, Tensor], expected: dict[str, Tensor] = TENSORS) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("ending", files.ENDINGS)
def test_every_kind_of_file_is_read(ending: str, tmp_path: Path) -> None:
    content = files.read(written(tmp_path, ending))
    assert alike(content.tensors)
    assert len(content.digest) == 64


def test_old_files_of_torch_are_read(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert alike(files.read(tmp_path / "old.pth").tensors)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_numbers_of_any_width_are_read_from_numpy(kind: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([1.5, -2.0], dtype=kind), steps=np.array([3]))
    found = files.read(tmp_path / "w.npz").tensors
    assert list(found) == ["a"]
    assert found["a"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("name", files.WITHIN)
def test_weights_are_found_in_what_scripts_save_around_them(name: str, tmp_path: Path) -> None:
    content = {"epoch": 3, "best": torch.tensor(0.9), name: TENSORS, "optimizer": {"state": {}, "lr": 0.1}}
    torch.save(content, tmp_path / "w.pt")
    found = files.read(tmp_path / "w.pt")
    assert alike(found.tensors)
    assert found.within == name


def test_containers_in_containers(tmp_path: Path) -> None:
    torch.save({"model": {"state_dict": TENSORS}, "model_ema": None}, tmp_path / "w.pt")
    found = files.read(tmp_path / "w.pt")
    assert found.within == "model.state_dict"
    assert alike(found.tensors)


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("new", [True, False])
def test_a_file_that_runs_something_is_refused_and_does_not_run(new: bool, tmp_path: Path) -> None:
    torch.save({**TENSORS, "x": Evil(tmp_path / "mark")}, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    with pytest.raises(Problem, match=r"refused: it asks for posix\.mkdir to be called") as caught:
        files.read(tmp_path / "w.pth")
    assert not (tmp_path / "mark").exists()
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value), "nobody is told how to run it"


def test_whole_models_and_other_objects_are_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    torch.save({"model": TENSORS, "args": argparse.Namespace(lr=1)}, tmp_path / "script.pth")
    for name, kind in (("model", "Linear"), ("script", "Namespace")):
        with pytest.raises(Problem, match=rf"{kind} to be called.*torch\.save\(model\.state_dict\(\)"):
            files.read(tmp_path / f"{name}.pth")


@pytest.mark.parametrize("content", [bytes(range(155, 255)), b"\x95" * 100, b"(dp0\n", b"\x80"])
def test_junk_is_not_said_to_run_programs(content: bytes, tmp_path: Path) -> None:
    """torch's reader takes for a pickle whatever is no archive."""
    (tmp_path / "junk.pth").write_bytes(content)
    with pytest.raises(Problem, match="cannot be read as a file of torch: it is damaged"):
        files.read(tmp_path / "junk.pth")


def test_a_pickle_of_more_than_tensors_is_still_refused(tmp_path: Path) -> None:
    (tmp_path / "ever.pth").write_bytes(pickle.dumps({1, 2}, protocol=4))
    with pytest.raises(Problem, match="can run any program"):
        files.read(tmp_path / "ever.pth")


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([Evil(tmp_path / "mark")], dtype=object))
    with pytest.raises(Problem, match="plain arrays"):
        files.read(tmp_path / "w.npz")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("ending", files.ENDINGS)
@pytest.mark.parametrize("damage", ["half", "text", "empty", "flipped"])
def test_damaged_files_are_refused_in_one_sentence(ending: str, damage: str, tmp_path: Path) -> None:
    path = written(tmp_path, ending)
    content = path.read_bytes()
    changed = {
        "half": content[: len(content) // 2],
        "text": b"these are no weights\n" * 9,
        "empty": b"",
        "flipped": bytes(byte ^ 255 for byte in content[:60]) + content[60:],
    }
    path.write_bytes(changed[damage])
    with pytest.raises(Problem) as caught:
        files.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "gone.pt", "There is no file"),
        (tmp_path / "notes.txt", "not known by its ending"),
        (tmp_path / "list.pt", "holds no tensors"),
        (tmp_path / "none.pt", "holds no tensors"),
    ):
        with pytest.raises(Problem, match=words):
            files.read(path)


def test_a_converted_file_says_where_it_comes_from(tmp_path: Path) -> None:
    tied = {**TENSORS, "again": TENSORS["conv.bias"], "across": TENSORS["conv.weight"].transpose(0, 1)}
    facts = {"origin": "große Sammlung", "size": 224, "mean": [0.5]}
    files.write(tmp_path / "in" / "w.safetensors", tied, facts)
    found = files.read(tmp_path / "in" / "w.safetensors")
    assert alike(found.tensors, tied)
    assert found.facts == facts
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["w.safetensors"]


def test_facts_that_are_no_facts_do_no_harm(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "w.safetensors", {files.FACTS: "[1]"})
    assert files.read(tmp_path / "w.safetensors").facts == {}

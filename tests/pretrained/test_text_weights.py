"""Weights that read texts, from a hub that stands on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from deepen.errors import Misuse, Problem
from deepen.pretrained.find import find
from deepen.pretrained.texts import reads_texts
from tests.pretrained.conftest import Server
from tests.pretrained.test_families import gpt2, saved
from tests.pretrained.test_hub import offline, publish


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    transformers: Any = pytest.importorskip("transformers", reason="transformers is not installed")
    transformers.utils.logging.disable_progress_bar()
    saved(gpt2(transformers, tmp_path / "net"), tmp_path / "net")
    return tmp_path / "net"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} | {"README.md": b"x", "flax.msgpack": b"x"}


def test_a_repository_is_fetched_with_its_tokenizer(server: Server, folder: Path) -> None:
    publish(server, contents(folder), "some/gpt")
    first = find("hf:some/gpt", "", transport=server.transport)
    asked = {path.rpartition("/")[2] for path, _ in server.asked}
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= asked
    assert not {"README.md", "flax.msgpack"} & asked
    again = find("hf:some/gpt", "", named=False, transport=offline)
    local = find(str(folder), "")
    for found in (first, again):
        assert found.origin == "hf:some/gpt"
        assert found.reader is not None
        assert found.reader.model == "gpt"
        assert all(torch.equal(value, local.tensors[name]) for name, value in found.tensors.items())


def test_a_repository_without_a_tokenizer(server: Server, folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    publish(server, contents(folder), "some/bare")
    with pytest.raises(Problem, match="There is no tokenizer in"):
        find("hf:some/bare", "", transport=server.transport)


def test_what_reads_texts_is_known_without_reading_it(folder: Path, tmp_path: Path) -> None:
    assert reads_texts("minilm")
    assert reads_texts(str(folder))
    assert reads_texts(str(folder / "model.safetensors"))
    assert not reads_texts("imagenet")
    assert not reads_texts(str(tmp_path))
    config = folder / "config.json"
    config.write_text(json.dumps({"architecture": "resnet18", "num_classes": 3}))
    assert not reads_texts(str(folder))
    config.write_text("{")
    assert not reads_texts(str(folder))


def test_files_that_are_damaged_or_of_another_kind(folder: Path) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    whole, told = weights.read_bytes(), json.loads(config.read_text())
    weights.write_bytes(whole[:-9])
    with pytest.raises(Problem, match="cannot be read as safetensors, it is damaged"):
        find(str(folder), "")
    weights.unlink()
    with pytest.raises(Problem, match=r"has no model\.safetensors and no pytorch_model\.bin"):
        find(str(folder), "")
    weights.write_bytes(whole)
    config.write_text(json.dumps(told | {"model_type": "bert"}))
    with pytest.raises(Problem, match=r"cannot be taken over: it has no embeddings\.word_embeddings\.weight"):
        find(str(folder), "")
    config.write_text(json.dumps(told | {"model_type": "llama"}))
    with pytest.raises(Problem, match="cannot be taken over: its num_attention_heads is None"):
        find(str(folder), "")
    with pytest.raises(Misuse, match=r"There are no weights at 'minilmm'\. Did you mean 'minilm'"):
        find("minilmm", "")

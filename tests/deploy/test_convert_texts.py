"""Weights of others that read texts become a bundle, which writes or answers without a training."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from deepen.deploy import bundle
from deepen.deploy.convert import Shown, convert
from deepen.errors import Misuse, Problem
from deepen.pretrained.find import find
from deepen.tasks.base import Writing
from deepen.tasks.language import Language
from tests.conftest import call
from tests.test_transfer_texts import llama2c

EXPECTED = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, "
    "red ball."
)


@pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set")
def test_it_tells_the_story_that_these_weights_tell(tmp_path: Path) -> None:
    """A quarter of a million numbers that tell stories (Karpathy's stories260K)."""
    out = tmp_path / "stories"
    convert(str(Path(os.environ["DEEPEN_DATA"]) / "weights/stories260K/stories260K.bin"), out)
    made = call("generate", str(out), "--temperature", "0", "--tokens", "200", "--json")
    assert made.code == 0, made.err
    text = made.json["text"]
    assert text.startswith(EXPECTED)
    assert text.endswith("so she")
    model = bundle.load(out)
    assert isinstance(model.task, Language)
    writing = Writing(tokens=12, temperature=0)
    written = "".join(model.task.write(model.module, model.preprocess, "Once upon a", writing))
    assert written.startswith(" time, there was"), "between a prompt and what follows stands a blank"


def test_a_bundle_holds_network_and_tokenizer(tmp_path: Path) -> None:
    path = llama2c(tmp_path / "net")
    converted = convert(str(path), tmp_path / "out")
    assert converted.matched == 1
    model, given = bundle.load(tmp_path / "out"), find(str(path), "").tensors
    assert all(torch.equal(value, given[name]) for name, value in model.module.state_dict().items())
    assert isinstance(model.task, Language)
    twice = ["".join(model.task.write(model.module, model.preprocess, "a cat", Writing(tokens=9))) for _ in range(2)]
    assert twice[0] == twice[1]
    assert "from" in (tmp_path / "out" / "card.md").read_text()


def test_what_cannot_be_a_bundle_of_texts(tmp_path: Path) -> None:
    path = str(llama2c(tmp_path / "net"))
    out = tmp_path / "out"
    with pytest.raises(Misuse, match="holds 'gpt' and --model resnet18 is another network"):
        convert(path, out, "resnet18")
    with pytest.raises(Misuse, match=r"of no use without their tokenizer.*Leave out \.safetensors"):
        convert(path, tmp_path / "out.safetensors")
    with pytest.raises(Misuse, match="--size is for pictures"):
        convert(path, out, None, Shown(size=3))
    convert(path, out)
    with pytest.raises(Misuse, match="is a bundle already"):
        convert(str(out), tmp_path / "again")
    with pytest.raises(Misuse, match="exists already"):
        convert(path, out)


def test_an_encoder_answers_with_what_it_was_taught(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from tests.pretrained.test_families import bert, saved

    transformers.utils.logging.disable_progress_bar()
    net = tmp_path / "net"
    saved(bert(transformers, net, "BertForMaskedLM"), net)
    convert(str(net), tmp_path / "fills")
    assert bundle.load(tmp_path / "fills").facts["task"]["name"] == "masked"
    tensors = load_file(net / "model.safetensors")
    bare = {name: value for name, value in tensors.items() if not name.startswith("cls.")}
    save_file(bare, net / "model.safetensors")
    with pytest.raises(Misuse, match=r"understand texts and answer nothing by themselves: train on them"):
        convert(str(net), tmp_path / "bare")
    one = tmp_path / "one"
    labels = {0: "bad", 1: "good"}
    saved(bert(transformers, one, "BertForSequenceClassification", id2label=labels, label2id={"bad": 0}), one)
    convert(str(one), tmp_path / "classes")
    answer = bundle.load(tmp_path / "classes").predict(["a cat"])[0]
    assert answer["category"] in ("bad", "good")
    del tensors["bert.encoder.layer.0.output.dense.weight"]
    save_file(tensors, net / "model.safetensors")
    with pytest.raises(Problem, match=r"Only .* of the network's numbers are found|layers that were never trained"):
        convert(str(net), tmp_path / "lacking")
    assert json.loads((net / "config.json").read_text())["model_type"] == "bert"

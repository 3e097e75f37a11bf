"""Transfer for texts: weights bring their tokenizer and their network, and a run keeps both."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import deepen
from deepen import Misuse, Problem, Run
from deepen.data.adopted import adopt
from deepen.engine import checkpoint
from deepen.prepare import prepare
from deepen.pretrained.find import find
from deepen.training import Interrupted
from tests.data.test_adopted import llama2c as pieces_file

NETWORK = {"model.layers": 1, "model.heads": 2, "model.width": 16}
SETTINGS: dict[str, Any] = {
    "optim.name": "adamw",
    "optim.lr": 0.01,
    "optim.ema": 0.9,
    "fit.epochs": 2,
    "fit.batch_size": 20,
    "fit.save_steps": 3,
    "fit.log_steps": 2,
    "plan": "fp32",
    "device": "cpu",
}
MODES: dict[str, dict[str, Any]] = {
    "head": {"transfer": "head"},
    "all": {"transfer": "all", "transfer.body_lr": 0.3},
    "gradual": {"transfer": "gradual", "transfer.head_first": 0.5, "fit.evaluate_epochs": 2},  # the best is the last
}
HEAD = "classifier."


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A story, another one in other letters, reviews, and two runs: one that goes on with texts, one that fills them in."""
    root = tmp_path_factory.mktemp("texts")
    story, other, reviews = root / "story.txt", root / "other.txt", root / "reviews.csv"
    story.write_text("the cat sat on the mat and saw a dog. " * 60, encoding="utf-8")
    other.write_text("A Dog met the cat, again! " * 60, encoding="utf-8")
    words = ("good", "bad")
    lines = [f"the cat {number} was {words[number % 2]} on the mat,{words[number % 2]}" for number in range(140)]
    reviews.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    short = SETTINGS | {"fit.epochs": 1, "data.length": 16}
    spoken = deepen.train(story, model="gpt", runs=root / "gpt", **short | NETWORK)
    filled = deepen.train(
        story, task="masked", model="bert", runs=root / "bert", **short | NETWORK, **{"data.tokens": "wordpiece"}
    )
    return {"story": story, "other": other, "reviews": reviews, "gpt": spoken.path, "bert": filled.path}


def train(root: Path, weights: Path, reviews: Path, **rest: Any) -> Run:
    return deepen.train(reviews, runs=root, **SETTINGS | {"transfer.pretrained": weights} | rest)


def shipped(run: Run) -> dict[str, Tensor]:
    return load_file(run.folder.model / "model.safetensors")


def started(run: Run) -> dict[str, Tensor]:
    return load_file(run.path / "start" / "start.safetensors")


def test_a_language_model_goes_on_with_another_text(places: dict[str, Path], tmp_path: Path) -> None:
    """With its own tokens, of which the other text has some that it does not know, and its own settings."""
    run = deepen.train(places["other"], runs=tmp_path, **SETTINGS | {"transfer.pretrained": places["gpt"]})
    given, begun = shipped(Run(places["gpt"])), started(run)
    assert given.keys() == begun.keys()
    assert all(torch.equal(given[name], value) for name, value in begun.items())
    assert run.recipe.model_name == "gpt"
    assert (run.recipe.model.width, run.recipe.data.length) == (16, 16)
    assert run.load().preprocess.to_json()["tokenizer"] == Run(places["gpt"]).load().preprocess.to_json()["tokenizer"]
    text = run.folder.report.read_text(encoding="utf-8")
    assert "100 % of the numbers of the network come from" in text
    assert "data.tokenizer=" not in text, "what weights bring is nobody's setting"
    assert isinstance(run.evaluate(split="validation").metrics["perplexity"], float)


@pytest.mark.parametrize("mode", MODES)
def test_what_fills_in_learns_to_answer(places: dict[str, Path], tmp_path: Path, mode: str) -> None:
    run = train(tmp_path, places["bert"], places["reviews"], **MODES[mode])
    given, begun, ended = shipped(Run(places["bert"])), started(run), shipped(run)
    body = [name for name in begun if not name.startswith(HEAD)]
    assert len(body) > 10
    assert all(torch.equal(given[name], begun[name]) for name in body)
    moved = [name for name in body if not torch.equal(ended[name], begun[name])]
    if mode == "head":
        assert not moved
    else:
        assert len(moved) > len(body) / 2
    assert not torch.equal(ended[f"{HEAD}weight"], begun[f"{HEAD}weight"])
    answers = run.load().predict(["the cat 3 was good on the mat", "bad"])
    assert [len(answer["top"]) for answer in answers] == [2, 2]
    assert run.evaluate(split="validation").metrics["accuracy"] >= 0


def test_a_head_on_kept_features_scores_what_the_whole_network_scores(places: dict[str, Path], tmp_path: Path) -> None:
    run = train(tmp_path, places["bert"], places["reviews"], transfer="head", **{"task.goal": "log_loss"})
    told = json.loads((run.path / "model" / "bundle.json").read_text())["transfer"]
    assert any("frozen" in line for line in told)
    kept = load_file(checkpoint.folders(run.folder.checkpoints)[0] / "state.safetensors")
    assert "model.weight" in kept, "a head learns from kept features alone"
    whole = run.evaluate(split="validation").metrics["log_loss"]
    assert whole == pytest.approx(run.best["value"], abs=1e-5)


@pytest.mark.parametrize("mode", ["head", "all", "gradual"])
def test_stopped_it_goes_on_without_what_it_came_from(
    places: dict[str, Path], tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the weights nor their tokenizer are needed again."""
    whole = train(tmp_path / "whole", places["bert"], places["reviews"], **MODES[mode])
    real, calls = checkpoint.save, []

    def stop(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments, **named)

    copy = tmp_path / "copy"
    shutil.copytree(places["bert"], copy)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", stop)
        with pytest.raises(Interrupted):
            train(tmp_path / "broken", copy, places["reviews"], **MODES[mode])
    shutil.rmtree(copy)
    run = deepen.resume(tmp_path / "broken" / "latest")
    for name in ("metrics.jsonl", "model/model.safetensors", "start/start.safetensors"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert run.evaluate().samples == whole.evaluate().samples
    (run.path / "start" / "tokenizer.json").write_text("{}")
    with pytest.raises(Problem, match="began with are damaged"):
        run.data()


def test_texts_are_cut_by_a_tokenizer_that_is_named(places: dict[str, Path], tmp_path: Path) -> None:
    """Without weights: one network after the other with the same tokens."""
    words = {"data.tokenizer": str(places["bert"])}
    run = deepen.train(places["other"], model="gpt", runs=tmp_path, **SETTINGS | NETWORK | words | {"data.length": 8})
    known = adopt(places["bert"]).tokenizer
    assert run.data().spec.input.vocabulary == known.vocabulary  # type: ignore[union-attr]
    assert (run.path / "start" / "tokenizer.json").is_file()
    assert not (run.path / "start" / "start.safetensors").exists()
    with pytest.raises(Misuse, match=r"data\.tokens=bpe is for a tokenizer that is fitted"):
        prepare(str(places["other"]), None, "gpt", words | {"data.tokens": "bpe"})
    with pytest.raises(Problem, match="There is no tokenizer at"):
        prepare(str(places["other"]), None, "gpt", {"data.tokenizer": str(tmp_path / "none")})


def llama2c(folder: Path) -> Path:
    """A small network of llama2.c's first kind, of random numbers."""
    folder.mkdir(exist_ok=True)
    letters = [bytes([code]) for code in range(97, 123)]
    base = [(b"<unk>", 0.0), (b"\n<s>\n", 0.0), (b"\n</s>\n", 0.0)]
    base += [(f"<0x{byte:02X}>".encode(), 0.0) for byte in range(256)]
    pieces_file(folder / "tokenizer.bin", [*base, (b" ", -9.0), *((one, -9.0) for one in letters)])
    width, hidden, layers, heads, groups, vocabulary, context = 16, 24, 2, 4, 2, 259 + 27, 32
    header = np.array([width, hidden, layers, heads, groups, vocabulary, context], dtype="<i4")
    size = width // heads
    layer = 2 * width + 2 * width * width + 2 * groups * size * width + 3 * hidden * width
    numbers = vocabulary * width + layers * layer + width + context * size
    values = np.random.default_rng(0).normal(0, 0.1, numbers).astype("<f4")
    path = folder / "net.bin"
    path.write_bytes(header.tobytes() + values.tobytes())
    return path


def test_a_file_of_llama2c_is_trained_on_or_taken_as_it_is(places: dict[str, Path], tmp_path: Path) -> None:
    path = llama2c(tmp_path / "net")
    run = deepen.train(
        places["other"], runs=tmp_path / "runs", **{"transfer.pretrained": path, "fit.epochs": 0, "device": "cpu"}
    )
    assert run.recipe.model.form == "llama"
    assert run.recipe.data.length == 32
    given = find(str(path), "").tensors
    assert all(torch.equal(value, given[name]) for name, value in shipped(run).items())
    assert all(torch.equal(value, shipped(run)[name]) for name, value in given.items())


def test_weights_and_data_that_do_not_go_together(places: dict[str, Path], tmp_path: Path) -> None:
    pictures = tmp_path / "pictures.safetensors"
    save_file({"conv1.weight": torch.zeros(4, 3, 3, 3)}, pictures)
    story, reviews = str(places["story"]), str(places["reviews"])
    wrong: list[tuple[str, str | None, dict[str, Any], str]] = [
        (reviews, None, {"pretrained": "imagenet"}, "are of a network for pictures and this data holds texts"),
        (reviews, None, {"pretrained": str(pictures)}, r"have no config\.json and tokenizer\.json beside them"),
        ("digits", None, {"pretrained": str(places["bert"])}, "of a network for texts and this data holds pictures"),
        ("digits", "resnet20", {"pretrained": "minilm"}, "of a network for texts and this data holds pictures"),
        (reviews, "lstm", {"pretrained": str(places["bert"])}, "are of 'bert' and --model lstm is another network"),
        (reviews, None, {"pretrained": "minilmm"}, "Did you mean 'minilm'"),
        (reviews, None, {"pretrained": str(places["bert"]), "data.tokenizer": "x"}, "bring their own tokenizer"),
        (
            reviews,
            None,
            {"pretrained": str(places["bert"]), "data.tokens": "bpe"},
            "data.tokens=bpe is for a tokenizer",
        ),
        (story, None, {"pretrained": str(places["gpt"]), "transfer": "head"}, "transfer=head lets a head learn before"),
        (
            reviews,
            None,
            {"pretrained": str(places["gpt"])},
            "Model 'gpt' answers with a token for every place .* its weights .* name others of bag, textcnn, lstm or",
        ),
        (
            story,
            None,
            {"pretrained": str(places["bert"])},
            "cannot learn to tell; its weights .* of no use here: name others of gpt, or fill in hidden tokens with --as",
        ),
        (
            reviews,
            None,
            {"pretrained": str(places["bert"]), "data.length": 40},
            "know 16 places of a text and data.length=40",
        ),
        (
            story,
            None,
            {"pretrained": str(places["gpt"]), "data.length": 40},
            "know 16 places of a text and data.length=40",
        ),
    ]
    for source, model, settings, said in wrong:
        settings = {{"pretrained": "transfer.pretrained"}.get(key, key): value for key, value in settings.items()}
        with pytest.raises(Problem, match=said):
            prepare(source, None, model, settings)


def test_what_is_said_of_weights_that_cannot_serve_is_no_circle(places: dict[str, Path], tmp_path: Path) -> None:
    """Whatever model is named, no sentence asks for another one beside these weights."""
    bag = deepen.train(places["reviews"], model="bag", runs=tmp_path, **SETTINGS | {"fit.epochs": 0})
    pictures = deepen.train("digits", model="mlp", runs=tmp_path, **SETTINGS | {"fit.epochs": 0})
    expected = {
        (
            bag.path,
            None,
        ): "whole sample and this data asks for texts; its weights .* name others of gpt or llama, or leave",
        (
            bag.path,
            "bag",
        ): "whole sample and this data asks for texts; its weights .* name others of gpt or llama, or leave",
        (bag.path, "gpt"): "are of 'bag' and --model gpt is another network: leave out --model or --pretrained",
        (
            pictures.path,
            None,
        ): "are of 'mlp', of which nothing is taken over for texts like these: name others, such as",
    }
    for (weights, model), said in expected.items():
        with pytest.raises(Misuse, match=said) as told:
            prepare(str(places["story"]), None, model, {"transfer.pretrained": str(weights)})
        assert "choose" not in str(told.value)


def test_files_of_llama2c_that_are_not_whole(tmp_path: Path, places: dict[str, Path]) -> None:
    path = llama2c(tmp_path / "net")
    taken = {"transfer.pretrained": str(path)}
    (tmp_path / "net" / "tokenizer.bin").rename(tmp_path / "gone.bin")
    with pytest.raises(Problem, match=r"has no tokenizer beside it: expected tok286\.bin or tokenizer\.bin"):
        prepare(str(places["other"]), None, None, taken)
    (tmp_path / "gone.bin").rename(tmp_path / "net" / "tokenizer.bin")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(Problem, match="cannot be read as a file of torch"):
        prepare(str(places["other"]), None, None, taken)


@pytest.mark.parametrize("model", ["textcnn", "lstm", "bag"])
@pytest.mark.parametrize("mode", MODES)
def test_what_tells_one_thing_of_a_text_tells_another(
    places: dict[str, Path], tmp_path: Path, model: str, mode: str
) -> None:
    small = {"model.embedding": 8} | {"lstm": {"model.width": 8}, "bag": {"model.pairs": 50}}.get(model, {})
    first = deepen.train(
        places["reviews"], model=model, runs=tmp_path / "first", **SETTINGS | small | {"fit.epochs": 1}
    )
    run = train(tmp_path, first.path, places["reviews"], **MODES[mode])
    given, begun, ended = shipped(first), started(run), shipped(run)
    assert run.recipe.model_name == model
    body = [name for name in begun if not name.startswith("head.")]
    assert all(torch.equal(given[name], begun[name]) for name in body)
    assert all(torch.equal(ended[name], begun[name]) for name in body) == (mode == "head")
    assert not torch.equal(ended["head.weight"], begun["head.weight"])
    whole = run.evaluate(split="validation").metrics["accuracy"]
    assert whole == pytest.approx(run.best["value"], abs=1e-6)


def test_kept_features_are_those_of_the_network_as_it_is_set(places: dict[str, Path], tmp_path: Path) -> None:
    """Two heads and four have weights of one form, and make something else of a text."""
    for heads in (2, 4):
        named = {"transfer": "head", "task.goal": "log_loss", "model.heads": heads}
        run = train(tmp_path, places["bert"], places["reviews"], **named)
        whole = run.evaluate(split="validation").metrics["log_loss"]
        assert whole == pytest.approx(run.best["value"], abs=1e-5)

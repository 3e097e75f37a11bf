from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import nn

from deepen import registry
from deepen.data import tokenizer
from deepen.data.dataset import Dataset
from deepen.data.ragged import ragged
from deepen.data.sentences import TextPreprocess
from deepen.insight import attention
from deepen.nn.attention import Attention
from deepen.nn.pooling import Pool
from deepen.spec import Category, Spec, Text, Tokens

TEXTS = ["the <b>cat</b> sat & ate on the mat", "好看 的 电影 \u202e 很 好", "a dog", "the cat the cat " * 20] * 3
FITTED = tokenizer.fit("words", TEXTS, 100)
PREPROCESS = TextPreprocess(FITTED, 40)
ROWS = ragged(PREPROCESS.tokens(TEXTS), {"target": torch.zeros(len(TEXTS), dtype=torch.int64)})
CLASSES = Spec(Text(40, FITTED.vocabulary), Category(("a", "b")))
NEXT = Spec(Text(40, FITTED.vocabulary), Tokens(FITTED.vocabulary))
DATA = Dataset("texts", CLASSES, PREPROCESS, ROWS, ROWS, None, "digest")


def model(name: str, spec: Spec = CLASSES, **fields: Any) -> nn.Module:
    entry = registry.find("model", name)
    config = entry.load().Config()
    for key, value in (entry.preset | fields).items():
        setattr(config, key, value)
    torch.manual_seed(0)
    built: nn.Module = entry.load().build(spec, config)
    return built.eval()


@pytest.mark.parametrize("fields", [{}, {"rotary": True}, {"groups": 2}, {"rotary": True, "groups": 1}])
@pytest.mark.parametrize("how", ["whole", "causal", "there"])
def test_where_places_look_is_what_the_answer_is_made_of(fields: dict[str, Any], how: str) -> None:
    torch.manual_seed(0)
    layer, x = Attention(24, 4, **fields), torch.randn(2, 7, 24)
    there = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    said: dict[str, Any] = {"causal": {"causal": True}, "there": {"there": there}}.get(how, {})
    looks = layer.looks(x, **said)
    assert torch.allclose(looks.sum(3), torch.ones(2, 4, 7))
    assert not looks[1, :, :, 4:].any() or how != "there"
    assert not looks.triu(1).any() or how != "causal"
    value = layer.c_attn(x).unflatten(2, (-1, 6)).transpose(1, 2)[:, 4 + layer.groups :]
    mixed = looks @ value.repeat_interleave(4 // layer.groups, dim=1)
    assert torch.allclose(layer.c_proj(mixed.transpose(1, 2).flatten(2)), layer(x, **said), atol=1e-5)


def test_what_counts_where_places_are_pooled() -> None:
    pool, x = Pool("attention", 5), torch.randn(2, 4, 5)
    there = torch.tensor([[True] * 4, [True, False, False, False]])
    looks = pool.looks(x, there)
    assert looks is not None
    assert torch.allclose((looks[:, 0] @ x).squeeze(1), pool(x, there), atol=1e-6)
    assert looks[1].flatten().tolist() == [1, 0, 0, 0]
    assert Pool("mean", 5).looks(x, there) is None


@pytest.mark.parametrize("name", ["transformer", "bert", "gpt", "llama"])
def test_every_layer_is_asked_and_nothing_stays(name: str) -> None:
    net = model(name, CLASSES if name in ("transformer", "bert") else NEXT, layers=3).train()
    tokens = torch.randint(5, FITTED.vocabulary, (1, 6))
    layers = attention.weights_in(net, tokens)
    assert [layer.shape for layer in layers] == [(4, 6, 6)] * 3
    assert all(np.allclose(layer.sum(2), 1, atol=1e-5) for layer in layers)
    assert net.training
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize(
    ("name", "spec"), [("transformer", CLASSES), ("gpt", NEXT), ("lstm", CLASSES), ("bert", CLASSES), ("llama", NEXT)]
)
def test_it_is_drawn_whatever_the_words_are(name: str, spec: Spec) -> None:
    drawn = attention.told(DATA, model(name, spec))
    found = ElementTree.fromstring(drawn["attention"])
    texts = {node.text for node in found.iter("{http://www.w3.org/2000/svg}text")}
    assert {"cat", "好", "<"} & texts == {"cat", "好", "<"}
    assert not any("\u202e" in (text or "") for text in texts)
    assert ("layer 1" in texts) == (name != "lstm")


@pytest.mark.parametrize("name", ["bag", "textcnn"])
def test_who_attends_to_nothing_is_not_asked(name: str) -> None:
    assert attention.told(DATA, model(name)) == {}


def test_pooling_without_weights_is_not_told() -> None:
    assert attention.told(DATA, model("lstm", pooling="mean")) == {}


def test_who_looks_everywhere_alike_is_pale() -> None:
    assert attention._strength(np.full((9, 9), 1 / 9)).max() == pytest.approx(1 / 3)
    assert attention._strength(np.eye(9)).max() == 1


def svg_texts(drawn: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]


def long_texts(count: int, kind: str = "words", words: str = "the cat sat on a mat and") -> Dataset:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words.split(), count)) for _ in range(8)]
    known = tokenizer.fit(kind, texts, 300)
    preprocess = TextPreprocess(known, 4 * count)
    rows = ragged(preprocess.tokens(texts), {"target": torch.zeros(len(texts), dtype=torch.int64)})
    spec = Spec(Text(4 * count, known.vocabulary), Category(("a", "b")))
    return Dataset("texts", spec, preprocess, rows, rows, None, "digest")


def test_of_a_long_text_it_is_said_what_is_shown() -> None:
    data = long_texts(200)
    said = svg_texts(attention.told(data, model("transformer", data.spec, layers=2))["attention"])
    assert said.count("the first 24 of 200 tokens, read alone") == attention.TEXTS
    short = svg_texts(attention.told(DATA, model("transformer"))["attention"])
    assert not [text for text in short if text.startswith("the first")]


def test_a_long_text_is_not_read_whole_where_each_place_looks_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand tokens all heads together would hold a gigabyte of weights, of which next to nothing is shown."""
    read: list[int] = []
    weights_in = attention.weights_in

    def counting(model: nn.Module, tokens: torch.Tensor) -> list[Any]:
        read.append(tokens.shape[1])
        return weights_in(model, tokens)

    monkeypatch.setattr(attention, "weights_in", counting)
    data = long_texts(200)
    attention.told(data, model("transformer", data.spec, layers=2))
    assert set(read) == {attention.MOST}


def test_of_a_long_text_that_is_pooled_the_part_that_counts_is_shown() -> None:
    weights = np.full(400, 1e-4)
    weights[[290, 300, 310]] = 0.3
    words = [f"w{place}" for place in range(400)]
    said = svg_texts(attention.highlighted([(words, weights), (words[:5], weights[:5])]))
    shown = [text for text in said if text[0] == "w" and text != words[0]]
    assert {"w290", "w300", "w310"} <= set(shown)
    assert said.count("…") == 2, "it goes on before and behind"
    assert len(shown) == attention.MOST_READ + 4
    data = long_texts(400)
    drawn = attention.told(data, model("lstm", data.spec))["attention"]
    assert float(ElementTree.fromstring(drawn).attrib["height"]) < 1500


def test_a_character_of_several_tokens_stands_at_the_last_of_them() -> None:
    known = tokenizer.fit("bpe", ["abc"], 300)
    tokens = torch.from_numpy(known.encode(["a你😀 b"])[0].astype(np.int64))
    words = attention.words_of(TextPreprocess(known, 40), tokens)
    assert words == ["a", "…", "…", "你", "…", "…", "…", "😀", "␣", "b"]
    assert attention.words_of(TextPreprocess(FITTED, 9), torch.tensor([1, 2])) == ["<unk>", "<s>"]


@pytest.mark.parametrize("word", ["INTERNATIONALIZATION", "internationalization", "好" * 30, "x" * 500, "ÄÖÜß"])
def test_labels_stay_in_the_picture(word: str) -> None:
    """Of letters of the breadth that capitals have in common fonts."""
    shown, taken = attention._label(word)
    broad = sum(12.0 if letter in "好…" else 8.6 if letter.isupper() else 6.6 for letter in shown)
    assert broad <= min(taken, attention.LABEL) + 12


def test_one_head_and_one_token_are_no_pooling() -> None:
    """Whose weights have the same shape: where some texts have more, each place is shown where it looks."""
    texts = ["cat", "the cat sat on a mat"] * 3
    rows = ragged(PREPROCESS.tokens(texts), {"target": torch.zeros(6, dtype=torch.int64)})
    data = Dataset("texts", CLASSES, PREPROCESS, rows, rows, None, "digest")
    said = svg_texts(attention.told(data, model("transformer", layers=1, heads=1))["attention"])
    assert "layer 1" in said

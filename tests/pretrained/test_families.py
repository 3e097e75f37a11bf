"""Networks of others give the answers that their own library gives, up to the order of their tokens."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn

from deepen import recipe as recipes
from deepen import registry
from deepen.data.adopted import NEW, adopt
from deepen.data.tokenizer import SPECIAL
from deepen.errors import Problem
from deepen.pretrained.find import find
from deepen.pretrained.load import load
from deepen.pretrained.weights import Weights
from deepen.spec import Category, Output, Spec, Text, Tokens

TEXT = ["a cat sat on the mat", "the dog saw a cat", "it rained on the dog"] * 4
NEAR = 1e-5


@pytest.fixture(scope="module")
def others() -> Iterator[Any]:
    """The library transformers, which says nothing while it works."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    yield transformers
    logging.getLogger("transformers").setLevel(logging.WARNING)


def pieces(folder: Path, special: list[str], frame: tuple[str, str] | None, size: int) -> None:
    """A tokenizer of bytes or of BERT's kind, and how its tokens are called."""
    bert = "[UNK]" in special
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]") if bert else models.BPE())
    inner.pre_tokenizer = (
        pre_tokenizers.BertPreTokenizer() if bert else pre_tokenizers.ByteLevel(add_prefix_space=False)
    )
    inner.decoder = decoders.WordPiece() if bert else decoders.ByteLevel()
    # Special tokens stand at the end, as GPT-2's does: nothing is where ours is.
    if bert:
        trainer: Any = trainers.WordPieceTrainer(vocab_size=size, show_progress=False, special_tokens=["[UNK]"])
    else:
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=alphabet)
    inner.train_from_iterator(TEXT, trainer)
    inner.add_special_tokens(special)
    if frame is not None:
        single = f"{frame[0]} $A {frame[1]}".strip()
        marks = [(name, inner.token_to_id(name)) for name in frame if name]
        inner.post_processor = processors.TemplateProcessing(single=single, special_tokens=marks)
    folder.mkdir(exist_ok=True)
    inner.save(str(folder / "tokenizer.json"))


def built(weights: Weights, output: Output | None = None, length: int | None = None) -> nn.Module:
    """Our network with the weights in it, as a training begins."""
    reader = weights.reader
    assert reader is not None
    vocabulary = adopt(reader.tokenizer).tokenizer.vocabulary
    recipe = recipes.blank("", "prose", "", reader.model)
    for name, value in reader.fields.items():
        recipe.set(f"model.{name}", value)
    spec = Spec(Text(length or reader.length, vocabulary), output or Tokens(vocabulary))
    made: nn.Module = registry.find("model", reader.model).load().build(spec, recipe.model)
    loaded = load(made, weights, allow_partial=False)
    assert loaded.share == 1
    return made.eval()


def both(theirs: nn.Module, ours: nn.Module, folder: Path) -> tuple[Tensor, Tensor]:
    """Logits of both for the same tokens, in our order, of tokens that both know."""
    order = torch.from_numpy(adopt(folder).order)
    known = (order != NEW).nonzero().squeeze(1)
    tokens = known[torch.randint(len(known), (3, 11), generator=torch.Generator().manual_seed(1))]
    tokens[tokens == 0] = known[-1]  # what fills up is no token of a text
    with torch.no_grad():
        answer = ours(tokens)
        expected = theirs(order[tokens], attention_mask=torch.ones_like(tokens)).logits
    return (answer, expected) if answer.ndim == 2 else (answer[..., known], expected[..., order[known]])


@torch.no_grad()
def shaken(model: nn.Module) -> nn.Module:
    """Weights as after a training: no norm is one, no bias zero."""
    torch.manual_seed(3)
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def saved(model: nn.Module, folder: Path) -> None:
    model.save_pretrained(folder)  # type: ignore[operator]


def gpt2(others: Any, folder: Path) -> nn.Module:
    pieces(folder, ["<|endoftext|>"], None, 300)
    size = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    config = others.GPT2Config(vocab_size=size, n_positions=32, n_embd=24, n_layer=2, n_head=3)
    return shaken(others.GPT2LMHeadModel(config))


def llama(others: Any, folder: Path, **rest: Any) -> nn.Module:
    pieces(folder, ["<unk>", "<s>", "</s>"], ("<s>", ""), 300)
    size = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "max_position_embeddings": 32, "vocab_size": size}
    return shaken(others.LlamaForCausalLM(others.LlamaConfig(**sizes | rest)))


def bert(others: Any, folder: Path, kind: str, **rest: Any) -> nn.Module:
    pieces(folder, ["[SEP]", "[CLS]", "[PAD]", "[MASK]", "[UNK]"], ("[CLS]", "[SEP]"), 60)
    size = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = others.BertConfig(**sizes, max_position_embeddings=32, vocab_size=size, **rest)
    return shaken(getattr(others, kind)(config))


def test_gpt2(others: Any, tmp_path: Path) -> None:
    theirs = gpt2(others, tmp_path)
    saved(theirs, tmp_path)
    weights = find(str(tmp_path), "")
    assert weights.reader is not None
    assert weights.reader.length == 32
    answer, expected = both(theirs, built(weights), tmp_path)
    assert (answer - expected).abs().max() < NEAR * expected.abs().max()
    assert adopt(tmp_path).tokenizer.marks == (2,)


@pytest.mark.parametrize("rest", [{}, {"tie_word_embeddings": True, "rms_norm_eps": 1e-5}])
def test_llama(others: Any, tmp_path: Path, rest: dict[str, Any]) -> None:
    """Queries and keys of each head are brought from halves to neighbours; what writes tokens may be a table of its own."""
    theirs = llama(others, tmp_path, **rest)
    saved(theirs, tmp_path)
    answer, expected = both(theirs, built(find(str(tmp_path), "")), tmp_path)
    assert (answer - expected).abs().max() < NEAR * expected.abs().max()
    tokenizer = adopt(tmp_path).tokenizer
    assert (tokenizer.begins, tokenizer.ends) == (True, False)


def test_bert_fills_in(others: Any, tmp_path: Path) -> None:
    theirs = bert(others, tmp_path, "BertForMaskedLM")
    saved(theirs, tmp_path)
    weights = find(str(tmp_path / "model.safetensors"), "")
    vocabulary = adopt(tmp_path).tokenizer.vocabulary
    answer, expected = both(theirs, built(weights, Tokens(vocabulary, hidden=True)), tmp_path)
    assert (answer - expected).abs().max() < NEAR * expected.abs().max()


def test_bert_that_was_taught_classes(others: Any, tmp_path: Path) -> None:
    labels = {0: "bad", 1: "fair", 2: "good"}
    theirs = bert(others, tmp_path, "BertForSequenceClassification", id2label=labels, label2id={"bad": 0})
    saved(theirs, tmp_path)
    weights = find(str(tmp_path), "")
    assert weights.names == ("bad", "fair", "good")
    answer, expected = both(theirs, built(weights, Category(weights.names)), tmp_path)
    assert (answer - expected).abs().max() < NEAR * expected.abs().max()


def test_older_files_call_norms_otherwise(others: Any, tmp_path: Path) -> None:
    theirs = bert(others, tmp_path, "BertForMaskedLM")
    saved(theirs, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in tensors.items()
    }
    save_file(old, tmp_path / "model.safetensors")
    hidden = Tokens(adopt(tmp_path).tokenizer.vocabulary, hidden=True)
    answer, expected = both(theirs, built(find(str(tmp_path), ""), hidden), tmp_path)
    assert (answer - expected).abs().max() < NEAR * expected.abs().max()


@pytest.mark.parametrize("kind", ["RobertaForMaskedLM", "RobertaForSequenceClassification"])
def test_roberta(others: Any, tmp_path: Path, kind: str) -> None:
    """Its places begin behind the number of its padding, and its head for classes looks at the first place."""
    pieces(tmp_path, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], ("<s>", "</s>"), 300)
    inner = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"max_position_embeddings": 34, "type_vocab_size": 1, "vocab_size": inner.get_vocab_size()}
    marks = {"pad_token_id": 1, "layer_norm_eps": 1e-5}
    theirs = shaken(getattr(others, kind)(others.RobertaConfig(**sizes, **marks)))
    saved(theirs, tmp_path)
    weights = find(str(tmp_path), "")
    assert weights.reader is not None
    assert weights.reader.length == 32
    vocabulary = adopt(tmp_path).tokenizer.vocabulary
    output: Output = Category(("a", "b")) if weights.names else Tokens(vocabulary, hidden=True)
    ours, order = built(weights, output), torch.from_numpy(adopt(tmp_path).order)
    tokens = torch.randint(5, len(order), (3, 11), generator=torch.Generator().manual_seed(1))
    tokens[order[tokens] == 1] = 7  # its library counts places by what is no padding
    with torch.no_grad():
        answer, expected = ours(tokens), theirs(order[tokens], attention_mask=torch.ones_like(tokens)).logits
    if answer.ndim > 2:
        answer, expected = answer[..., order != NEW], expected[..., order[order != NEW]]
    assert (answer - expected).abs().max() < NEAR * expected.abs().max()


def test_distilbert(others: Any, tmp_path: Path) -> None:
    pieces(tmp_path, ["[SEP]", "[CLS]", "[PAD]", "[MASK]", "[UNK]"], ("[CLS]", "[SEP]"), 60)
    size = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).get_vocab_size()
    config = others.DistilBertConfig(
        vocab_size=size, dim=24, hidden_dim=40, n_layers=2, n_heads=4, max_position_embeddings=32
    )
    theirs = shaken(others.DistilBertForMaskedLM(config))
    saved(theirs, tmp_path)
    hidden = Tokens(adopt(tmp_path).tokenizer.vocabulary, hidden=True)
    answer, expected = both(theirs, built(find(str(tmp_path), ""), hidden), tmp_path)
    assert (answer - expected).abs().max() < NEAR * expected.abs().max()


def test_rows_of_tokens_that_weights_lack_are_the_mean(others: Any, tmp_path: Path) -> None:
    saved(gpt2(others, tmp_path), tmp_path)
    given, own = load_file(tmp_path / "model.safetensors"), find(str(tmp_path), "").tensors["wte.weight"]
    table = given["transformer.wte.weight"]
    assert len(own) == len(table) + len(SPECIAL) - 1
    assert torch.allclose(own[0], table.mean(0), atol=1e-6)
    assert torch.equal(own[2], table[-1]), "what parts texts stands at the end of theirs"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"activation_function": "relu"}, "its activation_function is relu, and only gelu_new is known"),
        ({"model_type": "mamba"}, "a network of the kind 'mamba', which is not known here: expected bert"),
        ({"layer_norm_epsilon": 1e-3}, "its layer_norm_epsilon is 0.001"),
        ({"n_layer": "two"}, "n_layer is two: expected a whole number above 0"),
    ],
)
def test_settings_that_ours_cannot_follow(others: Any, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    saved(gpt2(others, tmp_path), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(Problem, match=said):
        find(str(tmp_path), "")


def test_what_is_scaled_is_refused(others: Any, tmp_path: Path) -> None:
    saved(llama(others, tmp_path), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["rope_scaling"] = {"rope_type": "linear", "factor": 2.0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(Problem, match=r"rotary positions are scaled \(linear\)"):
        find(str(tmp_path), "")


def test_a_tokenizer_of_another_is_not_theirs(others: Any, tmp_path: Path) -> None:
    saved(gpt2(others, tmp_path), tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(Problem, match=r"There is no tokenizer in .*expected tokenizer\.json, vocab\.txt"):
        find(str(tmp_path), "")
    pieces(tmp_path, ["<|endoftext|>"] + [f"<{number}>" for number in range(99)], None, 300)
    with pytest.raises(Problem, match="it is not theirs"):
        find(str(tmp_path), "")
    (tmp_path / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(Problem, match="cannot be read, it is damaged"):
        find(str(tmp_path), "")

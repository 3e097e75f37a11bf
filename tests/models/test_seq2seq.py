"""Models that answer texts with texts: beside torch's own layers with the same weights, and written token by token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from deepen.errors import Misuse, Problem
from deepen.models import gpt, rnn, seq2seq, seq2seq_transformer
from deepen.spec import BEGIN, Category, Sentence, Spec, Text

SPEC = Spec(Text(12, 40), Sentence(9, 30))
BOTH = ["seq2seq", "seq2seq_transformer"]


def model(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "seq2seq":
        return seq2seq.build(SPEC, seq2seq.Config(16, 12, 20, 14, layers=2)).eval()
    return seq2seq_transformer.build(SPEC, seq2seq_transformer.Config(2, 3, 16, 4, 24)).eval()


def texts() -> tuple[Tensor, Tensor]:
    """Three texts of different length and answers to them."""
    draws = torch.Generator().manual_seed(1)
    input = torch.randint(5, 40, (3, 7), generator=draws)
    input[1, 4:] = input[2, 1:] = 0
    begun = torch.randint(5, 30, (3, 5), generator=draws)
    begun[:, 0] = BEGIN
    return input, begun


@contextmanager
def plainly() -> Iterator[None]:
    """Without the fast ways of torch's own layers, which refuse some masks."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@torch.no_grad()
def test_the_transformer_computes_what_torchs_layers_compute() -> None:
    ours = model("seq2seq_transformer")
    input, begun = texts()
    settings = {"dim_feedforward": 24, "batch_first": True, "norm_first": True}
    padding = input == 0
    x = ours.words(input) * 4 + ours.places[:7]
    for layer in ours.readers:
        theirs = nn.TransformerEncoderLayer(16, 4, **settings).eval()
        theirs.self_attn.in_proj_weight.copy_(layer.look.c_attn.weight)
        theirs.self_attn.in_proj_bias.copy_(layer.look.c_attn.bias)
        theirs.self_attn.out_proj.load_state_dict(layer.look.c_proj.state_dict())
        theirs.norm1.load_state_dict(layer.before_look.state_dict())
        theirs.norm2.load_state_dict(layer.before_hidden.state_dict())
        _between(theirs, layer.hidden)
        with plainly():
            x = theirs(x, src_key_padding_mask=padding)
    memory = ours.after_reading(x)
    y = ours.answers(begun) * 4 + ours.places[:5]
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    for layer in ours.writers:
        theirs = nn.TransformerDecoderLayer(16, 4, **settings).eval()
        for attention, own in ((theirs.self_attn, layer.back), (theirs.multihead_attn, layer.across)):
            attention.in_proj_weight.copy_(torch.cat([own.query.weight, own.held.weight]))
            attention.in_proj_bias.copy_(torch.cat([own.query.bias, own.held.bias]))
            attention.out_proj.load_state_dict(own.out.state_dict())
        for norm, own_norm in (
            (theirs.norm1, layer.before_back), (theirs.norm2, layer.before_across), (theirs.norm3, layer.before_hidden)
        ):  # fmt: skip
            norm.load_state_dict(own_norm.state_dict())
        _between(theirs, layer.hidden)
        with plainly():
            y = theirs(y, memory, tgt_mask=causal, memory_key_padding_mask=padding)
    expected = ours.after_writing(y) @ ours.answers.weight.T
    assert (ours(input, begun) - expected).abs().max() < 1e-5


def _between(theirs: nn.Module, own: nn.Module) -> None:
    theirs.linear1.load_state_dict(own[0].state_dict())
    theirs.linear2.load_state_dict(own[3].state_dict())


@torch.no_grad()
def test_the_gru_computes_what_its_formulas_say() -> None:
    """Bahdanau et al., 2015, appendix A, place by place, with torch's GRU cells."""
    ours = model("seq2seq")
    input, begun = texts()
    for row, length in enumerate((7, 4, 1)):
        x = ours.words.table(input[row, :length])
        for layer in ours.reading:
            there = layer.forwards(x[None])[0][0]
            back = layer.backwards(x.flip(0)[None])[0][0].flip(0)
            x = torch.cat([there, back], 1)
        state = torch.tanh(ours.start(x[0, 12:]))
        for place in range(5):
            fits = torch.stack([ours.fit.weight @ torch.tanh(ours.keys(h) + ours.query(state)) for h in x]).squeeze(1)
            weights = fits.softmax(0)
            context = (weights[:, None] * x).sum(0)
            word = ours.answers.table(begun[row, place])
            state = ours.cell(torch.cat([word, context])[None], state[None])[0]
            said = torch.tanh(ours.said(torch.cat([state, context, word])))
            expected = ours.answers.table.weight @ said + ours.bias
            assert (ours(input, begun)[row, place] - expected).abs().max() < 1e-5
            assert (ours.attended(input, begun)[row, place, :length] - weights).abs().max() < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("name", BOTH)
def test_token_by_token_it_says_what_it_says_at_once(name: str) -> None:
    """Two answers to each text beside each other."""
    ours = model(name)
    input, begun = texts()
    other = begun.flip(0)
    expected = torch.stack([ours(input, begun), ours(input, other)], 1)  # [B, K, M, answers]
    memory = ours.read(input)
    state = {part: rows.expand(-1, 2, *rows.shape[2:]) for part, rows in ours.begin(memory).items()}
    for place in range(begun.shape[1]):
        token = torch.stack([begun[:, place], other[:, place]], 1)
        logits, state = ours.go_on(token, memory, state)
        assert (logits - expected[:, :, place]).abs().max() < 1e-5
    assert (ours(input) - expected[:, 0, 0]).abs().max() < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("name", BOTH)
def test_what_fills_up_and_what_comes_later_change_nothing(name: str) -> None:
    ours = model(name)
    input, begun = texts()
    longer = torch.nn.functional.pad(input, (0, 3))
    assert (ours(longer, begun) - ours(input, begun)).abs().max() < 1e-5
    other = begun.clone()
    other[:, 3:] = 7
    assert (ours(input, other)[:, :3] - ours(input, begun)[:, :3]).abs().max() < 1e-6
    looks = ours.attended(input, begun)
    assert looks.shape == (3, 5, 7)
    assert torch.allclose(looks.sum(2), torch.ones(3, 5))
    assert not looks[1, :, 4:].any()


def test_comparing_again_in_the_backward_pass_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 128 texts of 256 tokens, all comparisons at once would take four gigabytes."""
    ours = model("seq2seq")
    slopes, sizes = [], []
    for most in (seq2seq.MOST_HELD, 0):
        monkeypatch.setattr(seq2seq, "MOST_HELD", most)
        held: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, held=held: held.append(tensor) or tensor, lambda tensor: tensor
        ):
            loss = ours(*texts()).square().mean()
        slopes.append(torch.autograd.grad(loss, list(ours.parameters())))
        sizes.append(sum(tensor.numel() for tensor in held))
    assert all(torch.equal(one, other) for one, other in zip(*slopes, strict=True))
    assert sizes[1] < sizes[0]


def test_places_are_told_by_sines() -> None:
    """Vaswani et al., 2017: PE(p, 2i) = sin(p / 10000^(2i / width)), PE(p, 2i + 1) the cosine."""
    waves = seq2seq_transformer.waves(6, 8)
    assert float(waves[5, 4]) == pytest.approx(torch.tensor(5 / 10000 ** (4 / 8)).sin())
    assert float(waves[5, 5]) == pytest.approx(torch.tensor(5 / 10000 ** (4 / 8)).cos())


@pytest.mark.parametrize("module", [seq2seq, seq2seq_transformer])
def test_they_are_for_pairs_of_texts_only(module: object) -> None:
    with pytest.raises(Problem, match="answers a text with a text"):
        module.build(Spec(Text(12, 40), Category(("a", "b"))), module.Config())


@pytest.mark.parametrize("other", [gpt, rnn])
def test_they_are_named_where_others_do_not_suit(other: object) -> None:
    with pytest.raises(Problem, match="choose --model seq2seq-transformer or seq2seq"):
        other.build(SPEC, other.Config())


def test_a_width_that_heads_cannot_share() -> None:
    with pytest.raises(Misuse, match=r"model\.heads=5"):
        seq2seq_transformer.build(SPEC, seq2seq_transformer.Config(heads=5))

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deepen.errors import Misuse, Problem
from deepen.models import transformer
from deepen.nn.attention import rotation, turned
from deepen.spec import PAD, Category, Image, Labels, Quantity, Spec, Text, Tokens

TEXT = Text(12, 40)
CLASSES = Spec(TEXT, Category(("a", "b", "c")))
HIDDEN = Spec(TEXT, Tokens(40, hidden=True))
LABELS = Spec(TEXT, Labels(("none", "person")))
FORMS: tuple[dict[str, object], ...] = (
    {},
    {"form": "bert"},
    {"form": "bert", "pooling": "first"},
    {"positions": "rotary"},
    {"positions": "rotary", "form": "bert", "hidden": 50},
    {"places": 20},
)


def model(spec: Spec = CLASSES, **fields: object) -> transformer.Encoder:
    torch.manual_seed(0)
    config = transformer.Config(**({"layers": 2, "heads": 4, "width": 32} | fields))  # type: ignore[arg-type]
    return transformer.build(spec, config).eval()


def padded(rows: list[list[int]], length: int) -> Tensor:
    return torch.tensor([row + [PAD] * (length - len(row)) for row in rows])


@pytest.mark.parametrize("spec", [CLASSES, HIDDEN, LABELS, Spec(TEXT, Quantity(("stars",)))])
@pytest.mark.parametrize("fields", FORMS)
def test_a_text_is_answered_alike_alone_and_among_longer_ones(fields: dict[str, object], spec: Spec) -> None:
    net, rows = model(spec, **fields), [[7, 8, 9, 10, 11, 12, 13, 14], [15, 16, 17], [18]]
    together = net(padded(rows, 12))
    for number, row in enumerate(rows):
        alone = net(torch.tensor([row]))[0]
        assert torch.allclose(alone, together[number][: len(row)] if alone.ndim > 1 else together[number], atol=1e-5)


def test_each_kind_of_answer_has_its_shape() -> None:
    tokens = torch.randint(1, 40, (3, 9))
    assert model(CLASSES)(tokens).shape == (3, 3)
    assert model(HIDDEN)(tokens).shape == (3, 9, 40)
    assert model(LABELS)(tokens).shape == (3, 9, 2)


@pytest.mark.parametrize("form", ["transformer", "bert"])
def test_a_layer_is_torchs_own(form: str) -> None:
    net = model(form=form)
    ours = net.encoder.layer[0]
    nn.init.normal_(ours.attention["output"].LayerNorm.weight)
    nn.init.normal_(ours.output.LayerNorm.bias)
    eps = ours.output.LayerNorm.eps
    theirs = nn.TransformerEncoderLayer(
        32, 4, 128, activation="gelu", batch_first=True, norm_first=form == "transformer", layer_norm_eps=eps
    )
    look, end = ours.attention["self"], ours.attention["output"]
    parts = [getattr(look, name) for name in ("query", "key", "value")]
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    for own, other in (
        (end.dense, theirs.self_attn.out_proj),
        (end.LayerNorm, theirs.norm1),
        (ours.intermediate["dense"], theirs.linear1),
        (ours.output.dense, theirs.linear2),
        (ours.output.LayerNorm, theirs.norm2),
    ):
        other.load_state_dict(own.state_dict())
    x, there = torch.randn(2, 7, 32), torch.tensor([[1] * 7, [1] * 4 + [0] * 3]).bool()
    expected = theirs.train().requires_grad_(False)
    for dropout in (expected.dropout, expected.dropout1, expected.dropout2, expected.self_attn):
        if isinstance(dropout, nn.Dropout):
            dropout.p = 0.0
        else:
            dropout.dropout = 0.0
    answer = expected(x, src_key_padding_mask=~there)
    assert torch.allclose(ours(x, there)[there], answer[there], atol=1e-5)


def test_where_places_look_is_a_plain_softmax_and_what_the_answer_is_made_of() -> None:
    look = model(positions="rotary").encoder.layer[0].attention["self"]
    x, there = torch.randn(2, 7, 32), torch.tensor([[1] * 7, [1] * 4 + [0] * 3]).bool()
    looks = look.looks(x, there)
    assert torch.allclose(looks.sum(3), torch.ones(2, 4, 7))
    assert not looks[1, :, :, 4:].any()
    values = look.value(x).view(2, 7, 4, 8).transpose(1, 2)
    assert torch.allclose((looks @ values).transpose(1, 2).flatten(2), look(x, there), atol=1e-5)
    waves = rotation(0, 7, 8, x.device)
    query, key = (turned(part(x).view(2, 7, 4, 8).transpose(1, 2), waves) for part in (look.query, look.key))
    plain = (query[0, 1] @ key[0, 1].T / 8**0.5).exp()
    assert torch.allclose(looks[0, 1], plain / plain.sum(1, keepdim=True), atol=1e-5)


@pytest.mark.parametrize("spec", [CLASSES, HIDDEN, LABELS])
@pytest.mark.parametrize("fields", FORMS)
def test_body_and_head_are_the_whole(fields: dict[str, object], spec: Spec) -> None:
    net, tokens = model(spec, **fields), torch.randint(1, 40, (3, 9))
    assert torch.equal(net.answered(net.body(tokens)), net(tokens))
    names = [name for name, _ in net.named_parameters() if name.startswith(f"{net.head_name}.")]
    assert 0 < len(names) < 6


def test_parameters_have_the_published_names() -> None:
    held = model(form="bert", pooling="first").state_dict()
    layer = "encoder.layer.1."
    assert {
        "embeddings.word_embeddings.weight",
        "embeddings.position_embeddings.weight",
        "embeddings.token_type_embeddings.weight",
        "embeddings.LayerNorm.weight",
        f"{layer}attention.self.query.weight",
        f"{layer}attention.output.dense.bias",
        f"{layer}attention.output.LayerNorm.weight",
        f"{layer}intermediate.dense.weight",
        f"{layer}output.dense.weight",
        f"{layer}output.LayerNorm.bias",
        "pooler.dense.weight",
        "classifier.weight",
    } <= set(held)
    assert {
        "cls.predictions.transform.dense.weight",
        "cls.predictions.transform.LayerNorm.bias",
        "cls.predictions.bias",
    } <= set(model(HIDDEN).state_dict())


@pytest.mark.parametrize("spec", [CLASSES, HIDDEN, LABELS])
@pytest.mark.parametrize("fields", FORMS)
def test_every_weight_learns(fields: dict[str, object], spec: Spec) -> None:
    net = model(spec, dropout=0.0, **fields).train()
    answer = net(torch.randint(1, 40, (32, 12)))
    (answer * torch.randn(answer.shape)).sum().backward()
    assert not [key for key, value in net.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]


def test_the_first_place_alone_answers_if_asked() -> None:
    net, tokens = model(pooling="first"), torch.tensor([[7, 8, 9]])
    seen = net.seen(tokens)[:, 0]
    assert torch.allclose(net(tokens), net.classifier(net.pooler["dense"](seen).tanh()))


def test_what_does_not_suit_is_refused() -> None:
    with pytest.raises(Problem, match="reads texts"):
        model(Spec(Image(3, 8, 8), CLASSES.output))
    with pytest.raises(Problem, match="--model gpt"):
        model(Spec(TEXT, Tokens(40)))
    for fields in ({"heads": 5}, {"width": 12, "positions": "rotary"}, {"layers": 0}, {"dropout": 1.0}, {"places": 11}):
        with pytest.raises(Misuse, match=r"model\."):
            model(**fields)


@pytest.mark.parametrize("spec", [CLASSES, HIDDEN, LABELS])
def test_it_is_the_bert_that_others_have(spec: Spec) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=50,
        max_position_embeddings=12,
        num_labels=spec.output.width,
    )
    of = {CLASSES: "SequenceClassification", HIDDEN: "MaskedLM", LABELS: "TokenClassification"}[spec]
    theirs = getattr(transformers, f"BertFor{of}")(config).eval()
    for parameter in theirs.parameters():  # norms that begin as ones and biases at zero would hide a slip
        nn.init.normal_(parameter, 0.5 if parameter.ndim == 1 else 0.0, 0.2)
    theirs.tie_weights()
    ours = model(spec, form="bert", pooling="first", hidden=50)
    given = {name.removeprefix("bert."): value for name, value in theirs.state_dict().items()}
    loaded = ours.load_state_dict(given, strict=False)
    assert not loaded.missing_keys
    assert all(name.startswith("cls.predictions.decoder") for name in loaded.unexpected_keys)
    tokens = padded([[7, 8, 9, 10, 11, 12, 13, 14], [15, 16, 17], [18]], 10)
    there = tokens != PAD
    with torch.no_grad():
        answer, expected = ours(tokens), theirs(tokens, attention_mask=there.long()).logits
    assert torch.allclose(
        answer[there] if answer.ndim == 3 else answer, expected[there] if answer.ndim == 3 else expected, atol=1e-5
    )

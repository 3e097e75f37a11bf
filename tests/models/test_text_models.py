from __future__ import annotations

import pytest
import torch

from deepen import registry
from deepen.errors import Misuse, Problem
from deepen.models import bag
from deepen.spec import PAD, Category, Image, Spec, Text

SPEC = Spec(Text(20, 50), Category(("a", "b", "c")))
NAMES = ("rnn", "lstm", "gru", "textcnn", "bag")


def model(name: str, **fields: object) -> torch.nn.Module:
    entry = registry.find("model", name)
    config = entry.load().Config()
    for key, value in (entry.preset | fields).items():
        setattr(config, key, value)
    torch.manual_seed(0)
    built: torch.nn.Module = entry.load().build(SPEC, config)
    return built.eval()


@pytest.mark.parametrize("name", NAMES)
def test_a_text_is_answered_alike_alone_and_among_longer_ones(name: str) -> None:
    net = model(name)
    rows = [[3, 4, 5, 6, 7, 8, 9], [10, 11], [12]]
    padded = torch.tensor([row + [PAD] * (9 - len(row)) for row in rows])
    together = net(padded)
    assert together.shape == (3, 3)
    for number, row in enumerate(rows):
        assert torch.allclose(net(torch.tensor([row]))[0], together[number], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_learns(name: str) -> None:
    net = model(name, dropout=0.0, **({"layers": 2} if name in ("rnn", "lstm", "gru") else {})).train()
    tokens = torch.randint(1, 50, (32, 15))
    (net(tokens) * torch.randn(32, 3)).sum().backward()
    assert not [key for key, value in net.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_refused_and_so_are_settings_out_of_range(name: str) -> None:
    module = registry.find("model", name).load()
    with pytest.raises(Problem, match="reads texts"):
        module.build(Spec(Image(3, 8, 8), SPEC.output), module.Config())
    with pytest.raises(Misuse, match=r"model\.embedding"):
        module.build(SPEC, module.Config(embedding=0))
    with pytest.raises(Misuse, match=r"model\.dropout"):
        module.build(SPEC, module.Config(dropout=1.0))


def test_pairs_are_hashed_within_the_table() -> None:
    found = bag.hashes(torch.tensor([[1, 2, 3, PAD], [3, 2, 1, 2]]), 1000)
    assert found[0, 2] == PAD
    assert found[0, 0] == found[1, 2], "the same pair"
    assert found[0, 1] != found[1, 0], "their order counts"
    assert 0 < found[found != PAD].min() <= found.max() <= 1000


def test_the_last_word_counts_where_the_last_place_answers() -> None:
    net = model("lstm", pooling="last", bidirectional=False)
    first = net(torch.tensor([[5, 6, 7]]))
    assert not torch.allclose(first, net(torch.tensor([[5, 6, 8]])))

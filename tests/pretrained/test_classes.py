"""Heads that begin with what weights know of classes by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deepen import registry
from deepen.pretrained.classes import begin_rows, same
from deepen.pretrained.load import load
from deepen.pretrained.weights import Weights
from deepen.spec import Category, Image, Spec

KNOWN = ("ant, emmet, pismire", "bee", "crane", "fire-engine, fire truck", "crane", "cherry")


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("ants", 0),
        ("Emmet", 0),
        ("BEES", 1),
        ("crane", None),  # a bird and a machine
        ("fire_engine", 3),
        ("fire trucks", 3),
        ("cherries", 5),
        ("wasp", None),
        ("s", None),
    ],
)
def test_names(own: str, expected: int | None) -> None:
    assert same([own], KNOWN) == ({} if expected is None else {0: expected})


def test_unknown_classes_stand_where_the_average_one_does() -> None:
    given, own = torch.randn(5, 3), torch.full((2, 3), 9.0)
    begin_rows(own, given, {1: 4})
    assert torch.equal(own[0], torch.zeros(3))
    assert torch.allclose(own[1] - own[0], given[4] - given.mean(0))


def network(names: tuple[str, ...]) -> nn.Module:
    module = registry.find("model", "resnet20").load()
    config = module.Config(shortcut="padded", depths=(1, 1, 1), widths=(4, 6, 8))
    made: nn.Module = module.build(Spec(Image(1, 8, 8), Category(names)), config).eval()
    return made


def weights_of(model: nn.Module, names: tuple[str, ...] | None) -> Weights:
    return Weights(dict(model.state_dict()), "here", "0" * 64, names=names)


@pytest.mark.parametrize("own", [("cats", "dog"), ("dog", "cats", "snail")])
def test_known_classes_answer_as_before_they_were_few(own: tuple[str, ...]) -> None:
    before = ("ant", "cat", "dog")
    torch.manual_seed(3)
    first, second = network(before), network(own)
    nn.init.normal_(first.head.weight)  # type: ignore[arg-type]
    loaded = load(second, weights_of(first, before), allow_partial=False, classes=own)
    assert "2 of them begin with what the weights know of them" in loaded.sentence
    pictures = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        old, new = first(pictures), second(pictures)
    assert torch.allclose(new[:, own.index("cats")] - new[:, own.index("dog")], old[:, 1] - old[:, 2], atol=1e-4)


def test_a_head_without_names_begins_at_zero() -> None:
    first, second = network(("a", "b", "c")), network(("x", "y"))
    load(second, weights_of(first, None), allow_partial=False, classes=("x", "y"))
    assert not second.head.weight.any()  # type: ignore[union-attr,operator]


def test_as_many_classes_of_other_names_are_not_taken_for_the_same() -> None:
    first, second = network(("a", "b")), network(("b", "c"))
    loaded = load(second, weights_of(first, ("a", "b")), allow_partial=False, classes=("b", "c"))
    assert "for 2 other classes; 1 of them begins" in loaded.sentence


def test_the_same_classes_take_the_head_over() -> None:
    first, second = network(("a", "b")), network(("a", "b"))
    load(second, weights_of(first, ("a", "b")), allow_partial=False, classes=("a", "b"))
    assert torch.equal(first.head.weight, second.head.weight)  # type: ignore[arg-type]

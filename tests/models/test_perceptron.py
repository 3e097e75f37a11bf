"""The perceptron against formulas and against Rosenblatt's rule in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from deepen.errors import Problem
from deepen.models.perceptron import SURE, Config, build
from deepen.spec import Category, Quantity, Spec, Table

PAIR = Spec(Table(("x", "y")), Category(("no", "yes")))
TRIPLE = Spec(Table(("x", "y")), Category(("a", "b", "c")))


def test_two_classes_are_one_sigmoid() -> None:
    model = build(PAIR, Config())
    assert sum(parameter.numel() for parameter in model.parameters()) == 3
    x = torch.randn(6, 2)
    assert torch.allclose(model(x).softmax(1)[:, 1], torch.sigmoid(model.unit(x).squeeze(1)))


def test_step_answers_yes_or_no() -> None:
    model = build(PAIR, Config(activation="step"))
    x = torch.randn(50, 2)
    fires = model.unit(x).squeeze(1) > 0
    assert 0 < fires.sum() < 50
    assert torch.equal(model(x)[:, 1], torch.where(fires, SURE, -SURE))
    assert (model(x)[:, 0] == 0).all()


def test_step_with_several_classes_lets_the_largest_sum_win() -> None:
    model = build(TRIPLE, Config(activation="step"))
    x = torch.randn(20, 2)
    assert torch.equal(model(x).argmax(1), model.unit(x).argmax(1))
    assert ((model(x) > 0).sum(1) == 1).all()


def test_following_the_gradient_is_rosenblatts_rule() -> None:
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(80, 2))
    targets = (inputs @ np.array([2.0, -1.0]) + 0.3 > 0).astype(int)
    model = build(PAIR, Config(activation="step")).double()
    weight, bias = model.unit.weight.detach().numpy()[0].copy(), model.unit.bias.item()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrong = 0
    for x, target in zip(inputs, targets, strict=True):
        answer = int(weight @ x + bias > 0)
        wrong += answer != target
        weight += 0.1 * (target - answer) * x
        bias += 0.1 * (target - answer)
        optimizer.zero_grad()
        F.cross_entropy(model(torch.from_numpy(x)[None]), torch.tensor([target])).backward()
        optimizer.step()
    assert wrong > 5, "the rule has to have had something to do"
    assert np.allclose(model.unit.weight.detach().numpy()[0], weight, atol=1e-7)
    assert model.unit.bias.item() == pytest.approx(bias, abs=1e-7)


def test_several_classes_move_only_the_wrong_and_the_right_unit() -> None:
    torch.manual_seed(0)
    model = build(TRIPLE, Config(activation="step"))
    x = torch.tensor([[1.0, -2.0]])
    winner = int(model.unit(x).argmax())
    target = (winner + 1) % 3
    F.cross_entropy(model(x), torch.tensor([target])).backward()
    expected = torch.zeros(3, 2)
    expected[winner], expected[target] = x[0], -x[0]
    assert torch.allclose(model.unit.weight.grad, expected, atol=1e-6)


def test_numbers_are_answered_by_the_sum() -> None:
    spec = Spec(Table(("x", "y")), Quantity(("u", "v")))
    model = build(spec, Config())
    x = torch.randn(3, 2)
    assert torch.equal(model(x), model.unit(x))
    with pytest.raises(Problem, match="yes or no"):
        build(spec, Config(activation="step"))

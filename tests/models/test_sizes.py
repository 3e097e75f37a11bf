"""What the single models promise beyond the contract: sizes, layers, ranges."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deepen.errors import Misuse, Problem
from deepen.models import actor_critic, cnn, dcgan, lenet, mlp, quickcnn
from deepen.spec import Action, Category, Image, Nothing, Observation, Spec, Table

TEN = Category(tuple(str(digit) for digit in range(10)))
MNIST = Spec(Image(1, 28, 28), TEN)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_mlp_is_a_plain_chain_of_linear_layers() -> None:
    model = mlp.build(MNIST, mlp.Config(widths=(128, 256)))
    assert count(model) == 784 * 128 + 128 + 128 * 256 + 256 + 256 * 10 + 10
    assert list(model.state_dict())[:3] == ["hidden_1.weight", "hidden_1.bias", "hidden_2.weight"]
    x = torch.randn(4, 1, 28, 28)
    first = torch.relu(model.hidden_1(x.reshape(4, 784)))
    assert torch.allclose(model(x), model.output(torch.relu(model.hidden_2(first))))


def test_mlp_norm_and_dropout_stand_where_they_are_asked_for() -> None:
    spec = Spec(Table(("a", "b")), TEN)
    model = mlp.build(spec, mlp.Config(widths=(3,), norm="batch", dropout=0.5, activation="tanh"))
    assert [type(layer) for layer in model] == [nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.Dropout, nn.Linear]
    assert len(mlp.build(spec, mlp.Config(widths=()))) == 1


@pytest.mark.parametrize(("side", "features"), [(8, 128), (28, 128 * 9), (32, 128 * 16), (1, 128), (200, 128 * 64)])
def test_cnn_is_sized_from_its_input(side: int, features: int) -> None:
    model = cnn.build(Spec(Image(3, side, side), TEN), cnn.Config())
    assert model.hidden.in_features == features
    assert model(torch.zeros(1, 3, side, side)).shape == (1, 10)


def test_cnn_of_the_articles() -> None:
    model = cnn.build(MNIST, cnn.Config())
    convolutions = 9 * 32 + 32 + 9 * 32 * 64 + 64 + 9 * 64 * 128 + 128
    assert count(model) == convolutions + 9 * 128 * 512 + 512 + 512 * 10 + 10


def test_lenet_has_the_size_of_the_paper() -> None:
    framed, full = lenet.build(MNIST, lenet.Config()), lenet.build(Spec(Image(1, 32, 32), TEN), lenet.Config())
    assert framed.conv_1.padding == (2, 2)
    assert full.conv_1.padding == (0, 0)
    assert count(framed) == count(full) == 61_706


def test_quickcnn_pools_before_it_normalises() -> None:
    model = quickcnn.build(MNIST, quickcnn.Config())
    assert [type(layer) for layer in model.stage_1.enter] == [nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.ReLU]
    assert model.output.in_features == 96 * 7 * 7


def test_quickcnn_residual_adds_what_it_would_replace() -> None:
    config = quickcnn.Config(widths=(4,), blocks=(1,), pools=(2,), residual=True, head="average", scale=0.5)
    model = quickcnn.build(MNIST, config).eval()
    x = torch.randn(2, 1, 28, 28)
    entered = model.stage_1.enter(x)
    mean = (entered + model.stage_1.more(entered)).mean((2, 3))
    assert torch.allclose(model(x), model.output(mean) * 0.5, atol=1e-6)


def test_quickcnn_lists_must_have_one_length() -> None:
    with pytest.raises(Misuse, match=r"model\.pools has 1 numbers: expected 3"):
        quickcnn.build(MNIST, quickcnn.Config(pools=(2,)))


@pytest.mark.parametrize("size", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 9, 50), (1, 33, 64)])
def test_dcgan_draws_in_the_size_of_the_data(size: tuple[int, int, int]) -> None:
    model = dcgan.build(Spec(Image(*size), Nothing()), dcgan.Config(latent_size=7, width=4))
    drawn = model(torch.randn(3, model.latent_size))
    assert drawn.shape == (3, *size)
    assert drawn.abs().max() <= 1
    assert model.discriminator(drawn).shape == (3,)


def test_dcgan_needs_something_to_halve() -> None:
    with pytest.raises(Problem, match="at least 8x8"):
        dcgan.build(Spec(Image(1, 7, 30), Nothing()), dcgan.Config())


def test_actor_begins_undecided_and_shares_nothing_with_the_critic() -> None:
    torch.manual_seed(0)
    model = actor_critic.build(Spec(Observation((4,)), Action(("l", "r"))), actor_critic.Config())
    logits, value = model.act_and_value(torch.randn(32, 4))
    assert (logits.softmax(1) - 0.5).abs().max() < 0.02
    assert value.shape == (32,)
    value.sum().backward()
    assert all(parameter.grad is None for parameter in model.actor.parameters())
    assert all(parameter.grad is not None for parameter in model.critic.parameters())


def test_one_class_is_not_a_question() -> None:
    with pytest.raises(Problem, match="only one class"):
        mlp.build(Spec(Table(("a",)), Category(("only",))), mlp.Config())


@pytest.mark.parametrize(("side", "maps"), [(28, 3), (32, 4), (8, 4), (5, 5), (1, 1)])
def test_quickcnn_stops_pooling_before_nothing_is_left(side: int, maps: int) -> None:
    config = quickcnn.Config(widths=(4, 4, 4), pools=(2, 2, 2))
    model = quickcnn.build(Spec(Image(1, side, side), TEN), config)
    assert model.output.in_features == 4 * maps * maps

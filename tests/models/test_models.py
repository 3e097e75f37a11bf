"""Every entry of the model registry, without naming one: what suits it is built, answers, learns and is restored."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from deepen.errors import Misuse, Problem
from deepen.fields import convert, documentation
from deepen.registry import entries, find
from deepen.spec import Action, Category, Image, Nothing, Observation, Quantity, Spec, Table

NAMES = sorted(entries("model"))
TEN = Category(tuple(str(digit) for digit in range(10)))
SPECS = {
    "digits": Spec(Image(1, 8, 8), TEN),
    "mnist": Spec(Image(1, 28, 28), TEN),
    "cifar": Spec(Image(3, 32, 32), TEN),
    "oblong": Spec(Image(3, 31, 46), Category(("cat", "dog"))),
    "unlabelled": Spec(Image(1, 28, 28), Nothing()),
    "iris": Spec(Table(("a", "b", "c", "d")), Category(("setosa", "versicolor", "virginica"))),
    "prices": Spec(Table(("rooms", "age")), Quantity(("price", "rent"), (1.0, 2.0), (3.0, 4.0))),
    "cart-pole": Spec(Observation((4,), "CartPole-v1"), Action(("left", "right"))),
}
BATCH = 5


def configured(name: str) -> Any:
    entry = find("model", name)
    config = entry.load().Config()
    for field, value in entry.preset.items():
        setattr(config, field, convert(config, field, value, f"model.{field}"))
    return config


def build(name: str, spec: Spec, config: Any = None, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model: nn.Module = find("model", name).load().build(spec, config or configured(name))
    return model


def suited(name: str) -> list[str]:
    found = []
    for label, spec in SPECS.items():
        try:
            build(name, spec)
        except Problem:
            continue
        found.append(label)
    return found


def inputs(model: nn.Module, spec: Spec) -> Tensor:
    size = getattr(model, "latent_size", None)  # a generator draws from numbers, the others look at the data
    return torch.randn(BATCH, *((size,) if size else spec.input.shape), generator=torch.Generator().manual_seed(1))


def answers(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Everything that a model can be asked, so that each of its parameters has a say."""
    found = [model(x)]
    if hasattr(model, "discriminator"):
        found.append(model.discriminator(found[0]))
    if hasattr(model, "act_and_value"):
        found += model.act_and_value(x)
    return found


@pytest.mark.parametrize("label", SPECS)
@pytest.mark.parametrize("name", NAMES)
def test_suits_or_says_why_not(name: str, label: str) -> None:
    spec = SPECS[label]
    try:
        model = build(name, spec)
    except Problem as problem:
        text = str(problem)
        assert "\n" not in text
        assert ":" in text, "the sentence must say what to do"
        assert len(text) > 40
        return
    x = inputs(model, spec)
    expected = spec.input.shape if hasattr(model, "latent_size") else (spec.output.width,)
    output = model(x)
    assert output.shape == (BATCH, *expected)
    assert output.dtype == torch.float32
    assert all(torch.isfinite(answer).all() for answer in answers(model, x))


@pytest.mark.parametrize("name", NAMES)
def test_suits_something(name: str) -> None:
    assert suited(name)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_every_parameter(name: str) -> None:
    for label in suited(name):
        model = build(name, SPECS[label])
        loss = sum((answer * torch.randn(answer.shape)).sum() for answer in answers(model, inputs(model, SPECS[label])))
        loss.backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, (label, parameter_name)
            assert parameter.grad.abs().sum() > 0, (label, parameter_name)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_saved_and_restored(name: str) -> None:
    spec = SPECS[suited(name)[0]]
    model, other = build(name, spec, seed=0).eval(), build(name, spec, seed=1).eval()
    x = inputs(model, spec)
    before = model(x)
    assert not torch.equal(before, other(x))
    other.load_state_dict(load(save(model.state_dict())))
    assert torch.equal(before, other(x))


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_weights(name: str) -> None:
    spec = SPECS[suited(name)[0]]
    first, second = build(name, spec, seed=3).state_dict(), build(name, spec, seed=3).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_does_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    spec = SPECS[suited(name)[0]]
    model = build(name, spec).eval()
    x = inputs(model, spec)
    assert torch.allclose(model(x)[:2], model(x[:2]), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_takes_channels_last(name: str) -> None:
    for label in suited(name):
        model = build(name, SPECS[label]).eval()
        x = inputs(model, SPECS[label])
        if x.ndim == 4:
            expected = model(x)
            model = model.to(memory_format=torch.channels_last)
            assert torch.allclose(model(x.contiguous(memory_format=torch.channels_last)), expected, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_documented(name: str) -> None:
    config = configured(name)
    assert set(documentation(type(config))) == {field.name for field in fields(config)}


@pytest.mark.parametrize("name", NAMES)
def test_values_that_cannot_be_read_are_misuse(name: str) -> None:
    config = configured(name)
    for field in fields(config):
        with pytest.raises(Misuse, match=f"model.{field.name}=no-such-value"):
            convert(config, field.name, "no-such-value", f"model.{field.name}")


@pytest.mark.parametrize("name", NAMES)
def test_numbers_out_of_range_are_misuse(name: str) -> None:
    spec = SPECS[suited(name)[0]]
    for field in fields(configured(name)):
        config = configured(name)
        value = getattr(config, field.name)
        if isinstance(value, bool | str) or value is None:
            continue
        setattr(config, field.name, (-1,) * len(value) if isinstance(value, tuple) else -1)
        with pytest.raises(Misuse, match=f"model.{field.name}"):
            build(name, spec, config)


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_builds(name: str) -> None:
    """Each value of each field that is a choice, one at a time."""
    spec = SPECS[suited(name)[-1]]
    for field in fields(configured(name)):
        for value in _choices(type(configured(name)), field.name):
            config = configured(name)
            setattr(config, field.name, value)
            model = build(name, spec, config)
            assert torch.isfinite(model(inputs(model, spec))).all(), (field.name, value)


def _choices(config: type, name: str) -> tuple[Any, ...]:
    hint = get_type_hints(config)[name]
    if hint is bool:
        return (True, False)
    return get_args(hint) if get_origin(hint) is Literal else ()

"""Every entry of the model registry, without naming one: what suits it is built, answers, learns and is restored."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from built import (
    LARGE,
    MODULES,
    NAMES,
    SPECS,
    answer_shape,
    build,
    configured,
    count,
    inputs,
    simplest,
    sketch,
    small,
    suited,
)
from safetensors.torch import load, save
from torch import Tensor, nn

from deepen.errors import Misuse, Problem
from deepen.fields import convert, documentation
from deepen.spec import Spec


def answers(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Everything that a model can be asked, so that each of its parameters has a say."""
    found = [model(x)]
    if hasattr(model, "discriminator"):
        found.append(model.discriminator(found[0]))
    if hasattr(model, "attended"):  # of a longer answer than the first token, in which each may look back
        found.append(model(x, x[:, :3] % 30))
    if hasattr(model, "act_and_value"):
        found += model.act_and_value(x)
    return found


@pytest.mark.parametrize("label", SPECS)
@pytest.mark.parametrize("name", NAMES)
def test_suits_or_says_why_not(name: str, label: str) -> None:
    spec, model = SPECS[label], sketch(name, label)
    if isinstance(model, Problem):
        text = str(model)
        assert "\n" not in text
        assert ":" in text, "the sentence must say what to do"
        assert len(text) > 40
        return
    with torch.no_grad():
        output = model(inputs(model, spec, "meta"))
    assert output.shape == answer_shape(model, spec, output)
    assert output.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_numbers(name: str) -> None:
    for label in small(name):
        model = build(name, SPECS[label])
        assert all(torch.isfinite(answer).all() for answer in answers(model, inputs(model, SPECS[label]))), label


@pytest.mark.parametrize("name", NAMES)
def test_suits_something(name: str) -> None:
    assert suited(name)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_every_parameter(name: str) -> None:
    for label in small(name):
        model = build(name, SPECS[label])
        loss = sum((answer * torch.randn(answer.shape)).sum() for answer in answers(model, inputs(model, SPECS[label])))
        loss.backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, (label, parameter_name)
            assert parameter.grad.abs().sum() > 0, (label, parameter_name)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_saved_and_restored(name: str) -> None:
    spec = SPECS[small(name)[0]]
    model, other = build(name, spec, seed=0).eval(), build(name, spec, seed=1).eval()
    x = inputs(model, spec)
    before = model(x)
    assert not torch.equal(before, other(x))
    other.load_state_dict(load(save(model.state_dict())))
    assert torch.equal(before, other(x))


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_weights(name: str) -> None:
    spec = SPECS[small(name)[0]]
    first, second = build(name, spec, seed=3).state_dict(), build(name, spec, seed=3).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_does_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    spec = SPECS[small(name)[0]]
    model = build(name, spec).eval()
    x = inputs(model, spec)
    together, apart = model(x)[:2], model(x[:2])
    assert (together - apart).abs().max() <= 1e-5 * max(1, apart.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_takes_channels_last(name: str) -> None:
    for label in small(name):
        model = build(name, SPECS[label]).eval()
        x = inputs(model, SPECS[label])
        if x.ndim == 4:
            expected = model(x)
            model = model.to(memory_format=torch.channels_last)
            difference = model(x.contiguous(memory_format=torch.channels_last)) - expected
            assert difference.abs().max() <= 1e-4 * max(1, expected.abs().max()), label


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_documented(name: str) -> None:
    config = configured(name)
    assert set(documentation(type(config))) == {field.name for field in fields(config)}


@pytest.mark.parametrize("name", NAMES)
def test_values_that_cannot_be_read_are_misuse(name: str) -> None:
    for field in fields(configured(name)):
        with pytest.raises(Misuse, match="no-such-value"):
            _built_with(name, field.name, "no-such-value")


@pytest.mark.parametrize("name", NAMES)
def test_numbers_out_of_range_are_misuse(name: str) -> None:
    spec = SPECS[suited(name)[0]]
    for field in fields(configured(name)):
        config = configured(name)
        value = getattr(config, field.name)
        if isinstance(value, bool | str) or value is None or _choices(type(config), field.name):
            continue
        setattr(config, field.name, (-1,) * len(value) if isinstance(value, tuple) else -1)
        with pytest.raises(Misuse, match=f"model.{field.name}"):
            build(name, spec, config)


@pytest.mark.parametrize("module", MODULES)
def test_every_choice_builds(module: str) -> None:
    """Each value of each field that is a choice, one at a time."""
    name = simplest(module)
    spec = SPECS[suited(name)[-1]]
    for field in fields(configured(name)):
        for value in _choices(type(configured(name)), field.name):
            config = configured(name)
            setattr(config, field.name, value)
            if refused := _refused(name, spec, config):  # it may need another choice beside it
                assert f"model.{field.name}" in refused
                continue
            with torch.device("meta"):
                model = build(name, spec, config)
            output = model(inputs(model, spec, "meta"))
            assert output.shape == answer_shape(model, spec, output), (field.name, value)
            if count(model) <= LARGE:
                model = build(name, spec, config)
                assert torch.isfinite(model(inputs(model, spec))).all(), (field.name, value)


def _refused(name: str, spec: Spec, config: Any) -> str:
    """Why a model is not built with these settings, or nothing."""
    try:
        with torch.device("meta"):
            build(name, spec, config)
    except Misuse as misuse:
        return str(misuse)
    return ""


def _built_with(name: str, field: str, text: str) -> None:
    """A field that takes any text is read; the model then knows which ones it means."""
    config = configured(name)
    setattr(config, field, convert(config, field, text, f"model.{field}"))
    build(name, SPECS[suited(name)[0]], config)


def _choices(config: type, name: str) -> tuple[Any, ...]:
    hint = get_type_hints(config)[name]
    if hint is bool:
        return (True, False)
    return get_args(hint) if get_origin(hint) is Literal else ()

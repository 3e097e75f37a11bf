"""Every network of the registry that others can stand on, without naming one: maps, body and head are what the contract says."""

from __future__ import annotations

import pytest
import torch
from built import NAMES, SPECS, build, inputs, sketch, small, suited
from torch import nn

from deepen.nn.backbone import Backbone, body_parameters

BACKBONES = [name for name in NAMES if any(isinstance(sketch(name, label), Backbone) for label in suited(name)[:1])]
LABELS = ("oblong", "photographs")


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("name", BACKBONES)
def test_maps_have_the_strides_and_channels_that_they_are_said_to_have(name: str, label: str) -> None:
    model, spec = sketch(name, label), SPECS[label]
    assert isinstance(model, Backbone)
    with torch.no_grad():
        maps = model.maps(inputs(model, spec, "meta"))
    assert [found.shape[1] for found in maps] == list(model.channels)
    assert len(model.strides) == len(maps)
    assert list(model.strides) == sorted(set(model.strides)), "one map for each resolution, from fine to coarse"
    for found, stride in zip(maps, model.strides, strict=True):
        for side, whole in zip(found.shape[2:], spec.input.shape[1:], strict=True):
            assert abs(side - whole / stride) <= 3, (found.shape, stride)  # convolutions without a frame lose an edge


@pytest.mark.parametrize("name", BACKBONES)
def test_the_head_is_what_answers_and_the_rest_is_the_body(name: str) -> None:
    model, spec = sketch(name, "cifar"), SPECS["cifar"]
    assert isinstance(model, Backbone)
    with torch.no_grad():
        seen = model.body(inputs(model, spec, "meta"))
    assert seen.ndim in (2, 4)
    weights = [weight for weight in model.head.parameters() if weight.ndim > 1]
    assert [len(weight) for weight in weights] == [spec.output.width]
    assert weights[0].shape[1] == seen.shape[1]
    below = body_parameters(model)
    assert below is not None
    assert len(below) + len(list(model.head.parameters())) == len(list(model.parameters()))


@pytest.mark.parametrize("name", BACKBONES)
def test_the_body_repeats_itself_when_it_is_asked_and_maps_lead_to_it(name: str) -> None:
    spec = SPECS[small(name)[-1]]
    model = build(name, spec).eval()
    assert isinstance(model, Backbone)
    x = inputs(model, spec)
    assert torch.equal(model.body(x), model.body(x))
    assert torch.equal(model.head(model.body(x)), model(x))
    torch.autograd.grad(model.maps(x)[0].sum(), [next(model.parameters())])


@pytest.mark.parametrize("name", BACKBONES)
def test_no_layer_writes_over_what_it_was_given(name: str) -> None:
    """Pictures of what layers see are taken with hooks on their inputs and outputs."""
    model = sketch(name, "cifar")
    assert isinstance(model, nn.Module)
    assert not [layer for layer in model.modules() if getattr(layer, "inplace", False)]

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deepen.models import mobilenet, resnet
from deepen.nn.backbone import Stem
from deepen.nn.borrowed import preset
from deepen.pretrained.stem import stem_of
from deepen.pretrained.weights import Weights
from deepen.spec import Category, Image, Spec

SPEC = Spec(Image(3, 32, 32), Category(("a", "b", "c")))


def of(tensors: dict[str, Tensor], size: int | None = None) -> Weights:
    return Weights(tensors, "elsewhere.pth", "0" * 64, size)


@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_shapes_tell_the_form_whatever_size_is_said(stem: Stem, prefix: str) -> None:
    config = replace(preset("resnet20"), stem=stem)
    tensors = resnet.build(SPEC, config).state_dict()
    named = {"answer.weight": torch.zeros(2, 2, 1, 1)} | {f"{prefix}{name}": v for name, v in tensors.items()}
    for size in (None, 32, 224):
        assert stem_of("resnet20", preset("resnet20"), of(named, size)) == stem
    grey = {**named, f"{prefix}conv1.weight": named[f"{prefix}conv1.weight"].sum(1, keepdim=True)}
    assert stem_of("resnet20", preset("resnet20"), of(grey, 100)) == stem


def test_where_shapes_are_those_of_both_the_size_tells() -> None:
    settings = preset("mobilenet-v3-small")
    with torch.device("meta"):
        tensors = mobilenet.build(SPEC, settings).state_dict()
    found = [stem_of("mobilenet-v3-small", settings, of(tensors, size)) for size in (None, 64, 65)]
    assert found == [None, "small", "imagenet"]


def test_a_network_of_one_form_has_none() -> None:
    assert stem_of("mlp", preset("mlp"), of({}, 224)) is None

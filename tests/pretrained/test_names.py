from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from deepen.pretrained import names
from tests.pretrained.conftest import numbers, small


def shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


WANTED = numbers(small())


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "model.",
        "backbone.",
        "encoder.",
        "module._orig_mod.",
        "model.backbone.",
        "module.encoder_q.",
    ],
)
def test_prefixes_are_taken_off_and_told(prefix: str) -> None:
    given = {f"{prefix}{name}": value for name, value in WANTED.items()}
    found = names.fit(given, shapes(WANTED), "fc")
    assert found.tensors.keys() == WANTED.keys()
    assert found.steps == (f"without the prefix {prefix}",)


def test_names_that_fit_stay_as_they_are() -> None:
    assert names.fit(WANTED, shapes(WANTED), "fc").steps == ()
    wrapped = {f"backbone.{name}": value for name, value in WANTED.items()}
    assert names.fit(wrapped, shapes(wrapped)).steps == ()


def test_only_some_names_have_a_prefix() -> None:
    given = {name if name.startswith("fc") else f"backbone.{name}": value for name, value in WANTED.items()}
    assert names.fit(given, shapes(WANTED), "fc").tensors.keys() == WANTED.keys()


def test_of_two_that_come_to_one_name_the_one_that_had_it_stays() -> None:
    other = {f"module.{name}": value + 1 for name, value in WANTED.items()}
    given = {"conv1.weight": WANTED["conv1.weight"], **other}
    assert torch.equal(names.fit(given, shapes(WANTED)).tensors["conv1.weight"], WANTED["conv1.weight"])


def hugging_face(name: str) -> str:
    """The name that transformers' ResNet has for torchvision's, written down from `modeling_resnet.py` on its own."""
    if name.startswith("fc."):
        return name.replace("fc.", "classifier.1.")
    if name.startswith("conv1."):
        return name.replace("conv1.", "resnet.embedder.embedder.convolution.")
    if name.startswith("bn1."):
        return name.replace("bn1.", "resnet.embedder.embedder.normalization.")
    stage, block, rest = re.fullmatch(r"layer(\d+)\.(\d+)\.(.+)", name).groups()  # type: ignore[union-attr]
    start = f"resnet.encoder.stages.{int(stage) - 1}.layers.{block}."
    part, last = rest.rsplit(".", 1)
    inner = {
        "downsample.0": "shortcut.convolution",
        "downsample.1": "shortcut.normalization",
        **{f"conv{n}": f"layer.{n - 1}.convolution" for n in (1, 2, 3)},
        **{f"bn{n}": f"layer.{n - 1}.normalization" for n in (1, 2, 3)},
    }[part]
    return f"{start}{inner}.{last}"


@pytest.mark.parametrize("bottleneck", [False, True])
def test_hugging_face_names_of_a_resnet(bottleneck: bool) -> None:
    wanted = numbers(small(bottleneck=bottleneck))
    given = {hugging_face(name): value for name, value in wanted.items()}
    assert "resnet.encoder.stages.1.layers.0.shortcut.convolution.weight" in given
    for form in (given, {name.removeprefix("resnet."): value for name, value in given.items()}):
        found = names.fit(form, shapes(wanted), "fc")
        assert found.tensors.keys() == wanted.keys()
        assert all(torch.equal(found.tensors[name], value) for name, value in wanted.items())
        assert "from Hugging Face's names for a ResNet" in found.steps


def test_tensorflow_names_of_a_normalisation() -> None:
    words = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    given = {}
    for name, value in WANTED.items():
        stem, last = name.rsplit(".", 1)
        norm = re.search(r"bn\d$|downsample\.1$", stem)
        given[f"{stem}.{words[last]}" if norm else name] = value
    found = names.fit(given, shapes(WANTED), "fc")
    assert found.tensors.keys() == WANTED.keys()
    assert found.steps == ("gamma and beta read as weight and bias",)


def test_the_head_may_be_called_otherwise() -> None:
    given = {name.replace("fc.", "linear."): value for name, value in WANTED.items()}
    found = names.fit(given, shapes(WANTED), "fc")
    assert found.tensors.keys() == WANTED.keys()
    assert found.steps == ("linear as fc",)
    # One of another width behind another body is no head for this one.
    given["linear.weight"] = torch.zeros(3, 99)
    assert "fc.weight" not in names.fit(given, shapes(WANTED), "fc").tensors

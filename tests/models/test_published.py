"""Published networks: sizes, names and numbers are those of the weights that others trained, and small pictures fit as well."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from built import SPECS, build, configured, count, inputs
from torch import nn

from deepen.errors import Misuse, Problem
from deepen.fields import convert
from deepen.models import resnet, squeezenet, vgg
from deepen.nn.backbone import Backbone
from deepen.registry import find
from deepen.spec import Category, Image, Quantity, Spec

DATA = Path(os.environ.get("DEEPEN_DATA", "none"))
WEIGHTS = DATA / "weights"
with_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="DEEPEN_DATA is not set to a folder that holds weights/")
IMAGENET = Category(tuple(str(number) for number in range(1000)))
PHOTOGRAPHS = Spec(Image(3, 224, 224), IMAGENET)
CIFAR = SPECS["cifar"]

PARAMETERS = {
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11-bn": 132_868_840,
    "vgg13-bn": 133_053_736,
    "vgg16-bn": 138_365_992,
    "vgg19-bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "squeezenet1-0": 1_248_424,
    "squeezenet1-1": 1_235_496,
    "mobilenet-v3-small": 2_542_856,
    "mobilenet-v3-large": 5_483_032,
}
NARROW = {"resnet20": 0.27, "resnet32": 0.46, "resnet44": 0.66, "resnet56": 0.85, "resnet110": 1.7}
"""Millions of parameters, table 6 of the paper."""
KEYS = {
    "alexnet": {
        "features.0.weight": (64, 3, 11, 11),
        "features.10.bias": (256,),
        "classifier.1.weight": (4096, 9216),
        "classifier.4.bias": (4096,),
        "classifier.6.weight": (1000, 4096),
    },
    "vgg16": {
        "features.0.weight": (64, 3, 3, 3),
        "features.5.weight": (128, 64, 3, 3),
        "features.28.weight": (512, 512, 3, 3),
        "classifier.0.weight": (4096, 25088),
        "classifier.3.weight": (4096, 4096),
        "classifier.6.bias": (1000,),
    },
    "vgg11-bn": {
        "features.0.weight": (64, 3, 3, 3),
        "features.1.running_var": (64,),
        "features.26.running_mean": (512,),
    },
    "resnet18": {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.num_batches_tracked": (),
        "layer1.0.conv2.weight": (64, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer2.0.downsample.1.running_mean": (128,),
        "layer4.1.bn2.bias": (512,),
        "fc.weight": (1000, 512),
    },
    "resnet50": {
        "layer1.0.conv3.weight": (256, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer3.5.bn3.weight": (1024,),
        "fc.bias": (1000,),
    },
    "squeezenet1-1": {
        "features.0.weight": (64, 3, 3, 3),
        "features.3.squeeze.weight": (16, 64, 1, 1),
        "features.12.expand3x3.weight": (256, 64, 3, 3),
        "classifier.1.weight": (1000, 512, 1, 1),
    },
    "mobilenet-v3-small": {
        "features.0.0.weight": (16, 3, 3, 3),
        "features.0.1.running_mean": (16,),
        "features.1.block.0.0.weight": (16, 1, 3, 3),
        "features.1.block.1.fc1.weight": (8, 16, 1, 1),
        "features.1.block.2.1.weight": (16,),
        "features.4.block.2.fc2.bias": (96,),
        "features.11.block.3.0.weight": (96, 576, 1, 1),
        "features.12.0.weight": (576, 96, 1, 1),
        "classifier.0.weight": (1024, 576),
        "classifier.3.weight": (1000, 1024),
    },
    "mobilenet-v3-large": {
        "features.1.block.1.0.weight": (16, 16, 1, 1),
        "features.4.block.2.fc1.weight": (24, 72, 1, 1),
        "features.15.block.3.0.weight": (160, 960, 1, 1),
        "features.16.1.weight": (960,),
        "classifier.0.weight": (1280, 960),
    },
}
FAMILIES = ("alexnet", "vgg11", "vgg11-bn", "resnet18", "resnet50", "resnet20", "squeezenet1-0", "mobilenet-v3-small")


def sketch(name: str, spec: Spec, **settings: object) -> Backbone:
    config = configured(name)
    for field, value in settings.items():
        setattr(config, field, convert(config, field, value, field))
    with torch.device("meta"):
        model = build(name, spec, config)
    assert isinstance(model, Backbone)
    return model


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", PARAMETERS)
def test_as_many_parameters_as_published(name: str) -> None:
    assert count(sketch(name, PHOTOGRAPHS)) == PARAMETERS[name]


@pytest.mark.parametrize("name", NARROW)
def test_as_many_parameters_as_in_the_paper(name: str) -> None:
    assert count(sketch(name, CIFAR)) / 1e6 == pytest.approx(NARROW[name], abs=0.03)


@pytest.mark.parametrize("name", KEYS)
def test_names_are_those_of_published_weights(name: str) -> None:
    found = shapes(sketch(name, PHOTOGRAPHS))
    assert {key: found.get(key) for key in KEYS[name]} == KEYS[name]


@with_weights
def test_resnet20_fits_the_published_weights() -> None:
    saved = torch.load(WEIGHTS / "resnet20-12fca82f.th", map_location="cpu", weights_only=True)["state_dict"]
    model = build("resnet20", CIFAR).eval()
    model.load_state_dict({key.removeprefix("module."): value for key, value in saved.items()})


@with_weights
def test_squeezenet_fits_the_published_weights() -> None:
    with np.load(WEIGHTS / "squeezenet1_0" / "squeezenet1_0_imagenet.npz", allow_pickle=False) as saved:
        expected = {key: saved[key].shape for key in saved.files}
    assert shapes(sketch("squeezenet1-0", Spec(Image(3, 227, 227), IMAGENET))) == expected


@pytest.mark.parametrize("name", FAMILIES)
def test_small_form_keeps_all_names_and_most_shapes(name: str) -> None:
    spec = Spec(Image(3, 32, 32), Category(("a", "b")))
    large = shapes(sketch(name, Spec(Image(3, 224, 224), spec.output)))
    tiny = shapes(sketch(name, spec))
    assert list(large) == list(tiny)
    other = [key for key in large if large[key] != tiny[key]]
    first = next(iter(large))
    assert set(other) <= {first} | {key for key in large if key.startswith("classifier.")}


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 17, 64), (1, 65, 97)])
@pytest.mark.parametrize("name", FAMILIES)
def test_takes_any_size_and_grey(name: str, size: tuple[int, int, int]) -> None:
    model = sketch(name, Spec(Image(*size), Quantity(("price",))))
    with torch.no_grad():
        assert model(torch.empty(2, *size, device="meta")).shape == (2, 1)


@pytest.mark.parametrize(
    ("name", "smallest"), [("alexnet", 63), ("vgg16", 32), ("squeezenet1-0", 21), ("squeezenet1-1", 17)]
)
def test_the_smallest_picture_of_the_published_form(name: str, smallest: int) -> None:
    model = sketch(name, Spec(Image(3, smallest, 224), CIFAR.output), stem="imagenet").eval()
    model(torch.empty(1, 3, smallest, 224, device="meta"))
    with pytest.raises(RuntimeError):
        model(torch.empty(1, 3, smallest - 1, 224, device="meta"))
    with pytest.raises(
        Problem, match=f"at least {smallest}x{smallest} pixels, these are {smallest - 1}x224: set model.stem=small"
    ):
        sketch(name, Spec(Image(3, smallest - 1, 224), CIFAR.output), stem="imagenet")


@pytest.mark.parametrize("name", FAMILIES)
def test_starts_undecided_and_every_parameter_learns(name: str) -> None:
    model = build(name, CIFAR)
    target = torch.arange(5)
    loss = nn.functional.cross_entropy(model(inputs(model, CIFAR)), target)
    assert loss.item() == pytest.approx(np.log(10), abs=0.3)
    loss.backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


def test_padded_shortcut_has_no_parameters_and_keeps_every_second_pixel() -> None:
    shortcut = resnet.Padded(4, 2)
    x = torch.randn(2, 3, 5, 4)
    answer = shortcut(x)
    assert not list(shortcut.parameters())
    assert answer.shape == (2, 7, 3, 2)
    assert torch.equal(answer[:, 2:5], x[:, :, ::2, ::2])
    assert answer[:, :2].abs().sum() == answer[:, 5:].abs().sum() == 0


def test_a_basic_block_adds_to_its_input() -> None:
    block = resnet.Basic(4, 4, 1, None).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(x), x.relu())


def test_the_stride_of_a_bottleneck_is_in_its_3x3_convolution() -> None:
    block = sketch("resnet50", PHOTOGRAPHS).layer2[0]
    assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == ((1, 1), (2, 2), (1, 1))


def test_squeezenet_rectifies_the_scores_of_imagenets_classes_and_nothing_else() -> None:
    size = Image(3, 32, 32)
    x = torch.randn(4, 3, 32, 32)
    thousand = Category(tuple(f"class {number}" for number in range(1000)))
    for output, lowest in ((thousand, 0.0), (CIFAR.output, -90.0), (Quantity(("price",)), -90.0)):
        model = squeezenet.build(Spec(size, output), squeezenet.Config())
        nn.init.constant_(model.classifier[1].bias, -100.0)
        answers = model(x)
        assert answers.shape == (4, output.width)
        assert (answers == 0).all() if output is thousand else (answers < lowest).all()


def test_dropout_ends_with_training() -> None:
    for name in ("alexnet", "vgg11", "squeezenet1-0", "mobilenet-v3-small"):
        layers = [layer for layer in sketch(name, PHOTOGRAPHS, dropout=0.25).modules() if isinstance(layer, nn.Dropout)]
        assert layers
        assert all(layer.p == 0.25 for layer in layers), name


@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_depths_and_widths_must_have_one_length(name: str) -> None:
    module = find("model", name).load()
    with pytest.raises(Misuse, match=r"model\.depths has 1 numbers: expected \d, as model\.widths"):
        module.build(CIFAR, module.Config(depths=(2,)))


def test_hidden_layers_of_vgg_are_as_wide_as_asked() -> None:
    assert shapes(sketch("vgg11", CIFAR))["classifier.0.weight"] == (512, 512)
    assert shapes(sketch("vgg11", CIFAR, hidden=96))["classifier.3.weight"] == (96, 96)
    with pytest.raises(Misuse, match=r"model\.hidden=-1"):
        vgg.build(CIFAR, vgg.Config(hidden=-1))

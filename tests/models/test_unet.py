"""The U-Net: any size in, the same size out; what it stands on; and that it can learn."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from deepen import registry
from deepen.errors import Misuse, Problem
from deepen.models import unet
from deepen.models.unet import Config, UNet
from deepen.nn.backbone import Backbone
from deepen.spec import Category, Image, Mask, Spec, Table

SMALL = {"widths": (16, 16, 16), "blocks": (0, 0, 0)}


def spec(height: int = 32, width: int = 32, channels: int = 3) -> Spec:
    return Spec(Image(channels, height, width), Mask(("a", "b", "c")))


def backbones() -> list[str]:
    found = []
    for name, entry in registry.entries("model").items():
        if entry.preset and name != "resnet18":
            continue
        module = entry.load()
        classes = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Backbone)]
        if any(one.__module__ == module.__name__ and one.__name__ not in ("Encoder", "Small") for one in classes):
            found.append(name)
    return found


@pytest.mark.parametrize(("height", "width"), [(32, 32), (45, 60), (7, 9), (1, 33), (90, 31)])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_any_size_is_answered_pixel_by_pixel(height: int, width: int, stride: int) -> None:
    model = unet.build(spec(channels=1), Config(stride=stride, **SMALL)).eval()  # type: ignore[arg-type]
    assert model(torch.randn(2, 1, height, width)).shape == (2, 3, height, width)


def test_maps_are_those_that_it_names() -> None:
    model = unet.build(spec(), Config(stride=4, widths=(16, 24, 32), blocks=(0, 1, 0), upsample="transposed"))
    assert isinstance(model, UNet)
    found = model.backbone.maps(torch.randn(1, 3, 32, 48))
    assert [tuple(one.shape[1:]) for one in found] == [(16, 8, 12), (24, 4, 6), (32, 2, 3)]
    assert model.backbone.strides == (4, 8, 16)
    assert model(torch.randn(1, 3, 33, 47)).shape == (1, 3, 33, 47)


@pytest.mark.parametrize("name", backbones())
def test_it_stands_on_any_network_with_maps(name: str) -> None:
    model = unet.build(spec(96, 96), Config(backbone=name, decoder=16))
    assert isinstance(model, UNet)
    answer = model(torch.randn(2, 3, 96, 70))
    assert answer.shape == (2, 3, 96, 70)
    answer.square().mean().backward()
    idle = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert not idle
    assert any(key.startswith("backbone.") for key, _ in model.named_parameters())


def test_it_learns_what_a_pixel_alone_does_not_tell() -> None:
    """Class 1 are bright pixels of large squares, class 2 those of small ones."""
    torch.manual_seed(0)
    inputs, target = torch.zeros(12, 1, 32, 32), torch.zeros(12, 32, 32, dtype=torch.long)
    draws = torch.Generator().manual_seed(1)
    for row in range(12):
        for side, number, half in ((12, 1, 0), (4, 2, 16)):
            top = int(torch.randint(0, 33 - side, (), generator=draws))
            left = half + int(torch.randint(0, 17 - side, (), generator=draws))
            inputs[row, 0, top : top + side, left : left + side] = 1
            target[row, top : top + side, left : left + side] = number
    model = unet.build(Spec(Image(1, 32, 32), Mask(("a", "b", "c"))), Config(stride=1, **SMALL))  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), target, torch.tensor([0.1, 1.0, 9.0])).backward()
        optimizer.step()
    hits: Tensor = model(inputs).argmax(1) == target
    assert hits[target > 0].float().mean() > 0.95


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"widths": (16,), "blocks": (1,)}, "one level: expected at least two"),
        ({"blocks": (1, 1)}, "expected 4, as model.widths"),
        ({"blocks": (1, 1, 1, -1)}, "no number below 0"),
        ({"decoder": 0}, "only numbers above zero"),
        ({"dropout": 1.0}, "from 0 to below 1"),
        ({"backbone": "unet"}, "model.backbone=unet is not usable: expected own, or a network that offers its maps"),
        ({"stem": "imagenet"}, "model.stem is for a backbone with a name"),
        ({"backbone": "mlp"}, "expected own, or a network that offers its maps"),
        ({"backbone": "resnet19"}, "resnet18"),
        ({"backbone": "resnet18", "stride": 4}, "model.stride is for model.backbone=own"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(Misuse, match=told):
        unet.build(spec(), Config(**settings))  # type: ignore[arg-type]


def test_other_data_is_refused() -> None:
    with pytest.raises(Problem, match="has no masks, its target is a category"):
        unet.build(Spec(Image(3, 32, 32), Category(("a", "b"))), Config())
    with pytest.raises(Problem, match="works on pictures"):
        unet.build(Spec(Table(("x",)), Mask(("a", "b"))), Config())

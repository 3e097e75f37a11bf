"""The detector: where its answers lie, that it stands on any network with maps, and that nothing idle is kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deepen.errors import Misuse, Problem
from deepen.models import detector
from deepen.models.detector import Config
from deepen.nn.backbone import Backbone, body_parameters
from deepen.nn.pyramid import STRIDES, Pyramid, cells, num_cells
from deepen.spec import Boxes, Category, Image, Mask, Spec

CLASSES = Boxes(("cat", "dog", "bird"))
TINY = Config(widths=(16, 16, 16), blocks=(0, 0, 0), width=16, depth=1)


def spec(height: int = 64, width: int = 64, channels: int = 3) -> Spec:
    return Spec(Image(channels, height, width), CLASSES)


def build(config: Config, given: Spec) -> detector.Detector:
    model = detector.build(given, config)
    assert isinstance(model, detector.Detector)
    return model


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 70), (8, 8), (240, 320)])
def test_answers_for_every_cell_of_any_size(height: int, width: int) -> None:
    model = build(TINY, spec()).eval()
    place = model.cells(height, width)
    with torch.no_grad():
        output = model(torch.randn(2, 3, height, width))
    assert output.shape == (2, num_cells(height, width), 4 + 3)
    assert place.shape == (num_cells(height, width), 3)
    # At first every box is five cells wide and lies about the middle of its cell: answers and cells have the same order.
    middle = (output[0, :, :2] + output[0, :, 2:4]) / 2
    assert ((middle - place[:, :2]).abs() < place[:, 2:] / 2).all()
    side = output[0, :, 2:4] - output[0, :, :2]
    torch.testing.assert_close(side, place[:, 2:].expand(-1, 2) * 2 * detector.REACH, rtol=0.2, atol=0)
    assert output[0, :, 4:].sigmoid().mean().item() == pytest.approx(detector.PRIOR, rel=0.3)


def test_cells_are_the_middles_of_their_squares() -> None:
    place = cells(32, 64)
    assert place[:3].tolist() == [[4, 4, 8], [12, 4, 8], [20, 4, 8]]
    assert place[8].tolist() == [4, 12, 8]
    assert place[-2:].tolist() == [[16, 16, 32], [48, 16, 32]]
    for stride in STRIDES:
        assert (place[:, 2] == stride).sum() == 32 * 64 / stride**2


@pytest.mark.parametrize(
    "strides", [(2, 4, 8, 16), (4, 8, 16, 32), (1, 2, 4), (16,), (32,), (1, 2, 4, 8), (2, 4, 8, 32)]
)
def test_a_pyramid_of_any_maps(strides: tuple[int, ...]) -> None:
    pyramid = Pyramid(strides, [4] * len(strides), 16)
    maps = [
        torch.randn(2, 4, 64 // stride, max(1, 96 // stride - (stride < 32))) for stride in strides
    ]  # some a cell short
    levels = pyramid(maps, (64, 96))
    assert [tuple(level.shape) for level in levels] == [(2, 16, 64 // stride, 96 // stride) for stride in STRIDES]
    sum(level.square().sum() for level in levels).backward()
    assert all(parameter.grad is not None for parameter in pyramid.parameters())


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1-0", "resnet20", "vgg11", "mobilenet-v3-small"])
def test_stands_on_published_networks_without_what_only_they_answer_with(name: str) -> None:
    with torch.device("meta"):
        model = build(Config(backbone=name), spec(96, 128))
        output = model(torch.zeros(2, 3, 96, 128))
        assert output.shape == (2, num_cells(96, 128), 7)
        slopes = torch.autograd.grad(output.sum(), list(model.parameters()), allow_unused=True)
    idle = [key for (key, _), slope in zip(model.named_parameters(), slopes, strict=True) if slope is None]
    assert idle == []
    assert isinstance(model.backbone, Backbone)
    body = body_parameters(model)
    assert body is not None
    assert {id(parameter) for parameter in body} == {id(parameter) for parameter in model.backbone.parameters()}


def test_small_networks_of_a_coarse_stem_reach_the_fine_level() -> None:
    model = build(Config(backbone="resnet18"), spec(32, 32))  # its form for small pictures has strides 1, 2, 4, 8
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, num_cells(32, 32), 7)


def test_the_form_of_the_backbone_can_be_said() -> None:
    for stem, side in (("auto", 3), ("small", 3), ("imagenet", 7)):
        with torch.device("meta"):
            model = build(Config(backbone="squeezenet1-0", stem=stem), spec(64, 96))  # type: ignore[arg-type]
        first = next(model.backbone.parameters())
        assert first.shape[-1] == side


def test_levels_keep_statistics_of_their_own() -> None:
    model = build(TINY, spec()).train()
    model(torch.randn(2, 3, 64, 64))
    means = [norms[0].running_mean for norms in model.tower.norms if isinstance(norms, nn.ModuleList)]
    assert len(means) == len(STRIDES)
    assert not torch.equal(means[0], means[1])


def test_wild_answers_stay_numbers() -> None:
    model = build(TINY, spec()).eval()
    nn.init.constant_(model.distances.bias, 1000.0)  # type: ignore[arg-type]
    output = model(torch.randn(1, 3, 64, 64))
    assert output.isfinite().all()
    output[..., :4].sum().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"backbone": "mlp"}, "model.backbone=mlp"),
        (
            {"backbone": "detector"},
            "model.backbone=detector is not usable: expected small, or a network that offers its maps",
        ),
        ({"backbone": "actor-critic"}, "model.backbone=actor-critic is not usable"),
        ({"stem": "small"}, "model.stem is for a backbone with a name"),
        ({"backbone": "resnet81"}, "resnet18"),
        ({"backbone": "resnet18", "widths": (8, 8, 8)}, "model.widths is for model.backbone=small"),
        ({"widths": (16, 16)}, "model.widths has 2 numbers"),
        ({"widths": (16,) * 6}, "model.widths has 6 numbers"),
        ({"blocks": (1, 1)}, "model.blocks has 2 numbers"),
        ({"blocks": (0, 0, 0, -1)}, "model.blocks"),
        ({"width": 0}, "model.width"),
        ({"depth": -1}, "model.depth"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], words: str) -> None:
    with pytest.raises(Misuse, match=words):
        build(Config(**settings), spec())  # type: ignore[arg-type]


@pytest.mark.parametrize("output", [Category(("a", "b")), Mask(("a", "b"))])
def test_data_without_boxes(output: Category | Mask) -> None:
    with pytest.raises(Problem, match="finds boxes"):
        detector.build(Spec(Image(3, 64, 64), output), Config())

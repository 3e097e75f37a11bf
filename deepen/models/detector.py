"""A one-stage detector without anchors: every cell of a feature pyramid says which class lies there and where its sides are.

Cells that answer with distances to the four sides are from FCOS (Tian et al., 2019), scores that stand for class and fit
at once from GFL (Li et al., 2020), one tower for both questions from TOOD (Feng et al., 2021), whose way to choose the cells
that learn a box is in `tasks/detect.py`. A tower whose filters are shared by the levels and whose normalisation is not is
from RTMDet (Lyu et al., 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepen.errors import Misuse, Problem
from deepen.nn.backbone import Backbone, Stem
from deepen.nn.borrowed import borrowed
from deepen.nn.pyramid import STRIDES, Pyramid, cells, convolution, sides
from deepen.nn.suits import pictures, positive
from deepen.spec import Boxes, Image, Spec

SUMMARY = "one-stage detector without anchors on a small backbone of its own or any network with maps; for boxes"

PRIOR = 0.01
"""Score of every class before the first step: most cells are background (RetinaNet, Lin et al., 2017)."""
REACH = 2.5
"""Distance to each side before the first step, in strides: boxes then start five cells wide."""
LARGEST = 6.0
"""Of the logarithm of that distance, so that a wild start cannot overflow: 400 strides."""


@dataclass
class Config:
    backbone: str = "small"
    """small, or a network for pictures that offers its maps, such as resnet18."""
    stem: Stem = "auto"
    """Form of a backbone with a name: imagenet, as weights for large pictures were trained, or small. Weights that are taken over
    bring theirs. auto: small up to 64 pixels."""
    widths: tuple[int, ...] = (16, 32, 64, 128)
    """small: channels of its stages, at strides 2, 4, 8, 16."""
    blocks: tuple[int, ...] = (0, 1, 2, 2)
    """small: residual blocks in each stage, after the convolution that halves the maps."""
    width: int = 64
    """Channels of the pyramid and of the tower that answers."""
    depth: int = 2
    """Convolutions of the tower."""


class Residual(nn.Module):
    """Two 3x3 convolutions added to their input (He et al., 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


@final
class Small(Backbone):
    """Dense 3x3 convolutions only, each stage at half the resolution of the one before: fast on a CPU, and learns from few
    pictures."""

    head_name = "answer"

    def __init__(self, before: int, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.strides = tuple(2 ** (number + 1) for number in range(len(widths)))
        self.channels = widths
        self.stages = nn.ModuleList()
        for width, count in zip(widths, blocks, strict=True):
            self.stages.append(
                nn.Sequential(convolution(before, width, stride=2), *(Residual(width) for _ in range(count)))
            )
            before = width
        self.answer = nn.Identity()

    def body(self, input: Tensor) -> Tensor:
        return self.maps(input)[-1]

    def maps(self, input: Tensor) -> list[Tensor]:
        found, x = [], input
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class Tower(nn.Module):
    """The convolutions that every level goes through: shared filters, statistics of its own for each level."""

    def __init__(self, width: int, depth: int, levels: int) -> None:
        super().__init__()
        self.filters = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(depth))
        self.norms = nn.ModuleList(nn.ModuleList(nn.BatchNorm2d(width) for _ in range(depth)) for _ in range(levels))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        answers = []
        for x, norms in zip(maps, self.norms, strict=True):
            assert isinstance(norms, nn.ModuleList)
            for filters, norm in zip(self.filters, norms, strict=True):
                x = F.relu(norm(filters(x)))
            answers.append(x)
        return answers


@final
class Detector(nn.Module):
    """Pictures [B, C, H, W] -> float32 [B, N, 4 + classes]: left, top, right, bottom in pixels of the input and a logit per
    class, for each of the N cells."""

    def __init__(self, backbone: Backbone, num_classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = Pyramid(backbone.strides, backbone.channels, width)
        self.tower = Tower(width, depth, len(STRIDES))
        self.scales = nn.Parameter(torch.ones(len(STRIDES)))
        """Levels see things of other sizes in strides: one factor each for the logarithm of the distances (FCOS)."""
        self.distances = nn.Conv2d(width, 4, 3, padding=1)
        self.classes = nn.Conv2d(width, num_classes, 3, padding=1)

    def cells(self, height: int, width: int) -> Tensor:
        """x and y of the centre and the stride of every cell, for an input of that size: float32 [N, 3]."""
        return cells(height, width, self.scales.device)

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[2:]
        padded = (sides(height)[0] * STRIDES[0], sides(width)[0] * STRIDES[0])
        x = F.pad(input, (0, padded[1] - width, 0, padded[0] - height))
        reach, logits = [], []
        for level, maps in enumerate(self.tower(self.pyramid(self.backbone.maps(x), padded))):
            # [B, K, h, w] -> [B, h * w, K]
            reach.append(self.distances(maps).float().flatten(2).mT * self.scales[level])
            logits.append(self.classes(maps).float().flatten(2).mT)
        place = self.cells(height, width)
        centre, stride = place[:, :2], place[:, 2:]
        distance = (torch.cat(reach, dim=1) + math.log(REACH)).clamp(
            max=LARGEST
        ).exp() * stride  # left, top, right, bottom
        return torch.cat([centre - distance[..., :2], centre + distance[..., 2:], torch.cat(logits, dim=1)], dim=2)


def build(spec: Spec, config: Config) -> nn.Module:
    """[B, C, H, W] -> [B, N, 4 + classes]; see `Detector`."""
    image = pictures(spec, "detector")
    if not isinstance(spec.output, Boxes):
        kind = type(spec.output).__name__.lower()
        raise Problem(
            f"Model 'detector' finds boxes and this data has none, its target is a {kind}: choose another --model."
        )
    positive("width", config.width)
    positive("depth", config.depth)
    if config.backbone == "small":
        if config.stem != "auto":
            raise Misuse("model.stem is for a backbone with a name, such as resnet18, and this is small: leave it out.")
        _check(config)
        backbone: Backbone = Small(image.channels, config.widths, config.blocks)
    else:
        backbone = _named(config, image)
    model = Detector(backbone, spec.output.width, config.width, config.depth)
    _start(model)
    return model


def _named(config: Config, image: Image) -> Backbone:
    """A network of the registry, whose finest map is fine enough."""
    fresh = Config()
    for key in ("widths", "blocks"):
        if getattr(config, key) != getattr(fresh, key):
            raise Misuse(f"model.{key} is for model.backbone=small, and this is {config.backbone}: leave it out.")
    backbone = borrowed(config.backbone, image, "small", stem=config.stem)
    if min(backbone.strides) > STRIDES[-1]:
        raise Misuse(
            f"model.backbone={config.backbone} is not usable: its finest map has a stride of {min(backbone.strides)} pixels, "
            f"expected {STRIDES[-1]} or less."
        )
    return backbone


def _start(model: Detector) -> None:
    """What answers starts with small weights, no opinion about the class and boxes of middling size."""
    for layer in (model.distances, model.classes):
        nn.init.normal_(layer.weight, 0.0, 0.01)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    assert model.classes.bias is not None
    nn.init.constant_(model.classes.bias, -math.log((1 - PRIOR) / PRIOR))


def _check(config: Config) -> None:
    positive("widths", *config.widths)
    if len(config.widths) < 3:
        raise Misuse(f"model.widths has {len(config.widths)} numbers: expected at least 3, for strides 2, 4 and 8.")
    if len(config.widths) > 5:
        raise Misuse(f"model.widths has {len(config.widths)} numbers: expected at most 5, for strides 2 to 32.")
    if any(count < 0 for count in config.blocks):
        raise Misuse(f"model.blocks={','.join(map(str, config.blocks))} is not usable: expected no number below 0.")
    if len(config.blocks) != len(config.widths):
        raise Misuse(f"model.blocks has {len(config.blocks)} numbers: expected {len(config.widths)}, as model.widths.")

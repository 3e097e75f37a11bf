"""Residual networks (He, Zhang, Ren & Sun, 2015, Deep residual learning for image recognition).

Each block adds what it computes to its input, so that a network of a hundred layers learns as easily as one of ten. Two
kinds: those for ImageNet, with the names of torchvision and, as there, the stride in the 3x3 convolution of a bottleneck; and
those of the paper's section 4.2 for 32x32 pictures, three narrow stages whose shortcuts have no parameters, with the names of
Idelbayev's published weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn
from torch.nn import functional as F

from deepen.errors import Misuse
from deepen.nn.backbone import Backbone, Stem, begin, is_small
from deepen.nn.suits import answers, pictures, positive
from deepen.spec import Spec

SUMMARY = "residual network of 18 layers (He et al., 2015); for pictures"

PRESETS = {
    "resnet18": {},
    "resnet34": {"depths": (3, 4, 6, 3), "summary": "residual network of 34 layers; for pictures"},
    "resnet50": {
        "depths": (3, 4, 6, 3),
        "block": "bottleneck",
        "summary": "residual network of 50 layers in bottlenecks; for pictures",
    },
    "resnet101": {
        "depths": (3, 4, 23, 3),
        "block": "bottleneck",
        "summary": "residual network of 101 layers in bottlenecks; for pictures",
    },
    "resnet152": {
        "depths": (3, 8, 36, 3),
        "block": "bottleneck",
        "summary": "residual network of 152 layers in bottlenecks; for pictures",
    },
    "resnet20": {
        "depths": (3, 3, 3),
        "widths": (16, 32, 64),
        "shortcut": "padded",
        "summary": "narrow residual network of 20 layers, as the paper's for CIFAR-10; for small pictures",
    },
    "resnet32": {
        "depths": (5, 5, 5),
        "widths": (16, 32, 64),
        "shortcut": "padded",
        "summary": "narrow residual network of 32 layers, as the paper's for CIFAR-10; for small pictures",
    },
    "resnet44": {
        "depths": (7, 7, 7),
        "widths": (16, 32, 64),
        "shortcut": "padded",
        "summary": "narrow residual network of 44 layers, as the paper's for CIFAR-10; for small pictures",
    },
    "resnet56": {
        "depths": (9, 9, 9),
        "widths": (16, 32, 64),
        "shortcut": "padded",
        "summary": "narrow residual network of 56 layers, as the paper's for CIFAR-10; for small pictures",
    },
    "resnet110": {
        "depths": (18, 18, 18),
        "widths": (16, 32, 64),
        "shortcut": "padded",
        "summary": "narrow residual network of 110 layers, as the paper's for CIFAR-10; for small pictures",
    },
}

EXPANSION = 4
"""How many times wider a bottleneck is at its ends."""


@dataclass
class Config:
    depths: tuple[int, ...] = (2, 2, 2, 2)
    """Blocks of each stage; from the second stage on, the first block halves the picture."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of the 3x3 convolutions of each stage."""
    block: Literal["basic", "bottleneck"] = "basic"
    """basic: two 3x3 convolutions. bottleneck: 1x1, 3x3, 1x1, the last four times as wide."""
    shortcut: Literal["projection", "padded"] = "projection"
    """Where a block changes the shape: a 1x1 convolution, or every second pixel with zeros for the new channels (the paper's
    options B and A). With padded ones what answers is called `linear`, else `fc`, as in the published weights of each."""
    stem: Stem = "auto"
    """imagenet: 7x7 convolution and pooling, a quarter of the side remains. small: a 3x3 convolution, all of it remains.
    auto: small up to 64 pixels."""


class Padded(nn.Module):
    """Every `stride`-th pixel, zeros on both sides of the channels: [B, C, H, W] -> [B, C + more, H / stride, W / stride]."""

    def __init__(self, more: int, stride: int) -> None:
        super().__init__()
        self.before, self.after, self.stride = more // 2, more - more // 2, stride

    def forward(self, x: Tensor) -> Tensor:
        thinned = x[:, :, :: self.stride, :: self.stride]
        return F.pad(thinned, (0, 0, 0, 0, self.before, self.after))


class Basic(nn.Module):
    """Two 3x3 convolutions around which the input is led: [B, before, H, W] -> [B, width, H / stride, W / stride]."""

    def __init__(self, before: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        more = self.relu1(self.bn1(self.conv1(x)))
        more = self.bn2(self.conv2(more))
        answer: Tensor = self.relu2(more + (x if self.downsample is None else self.downsample(x)))
        return answer


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions: [B, before, H, W] -> [B, EXPANSION * width, H / stride, W / stride]."""

    def __init__(self, before: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, EXPANSION * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(EXPANSION * width)
        self.downsample = downsample
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        more = self.relu1(self.bn1(self.conv1(x)))
        more = self.relu2(self.bn2(self.conv2(more)))
        more = self.bn3(self.conv3(more))
        answer: Tensor = self.relu3(more + (x if self.downsample is None else self.downsample(x)))
        return answer


@final
class ResNet(Backbone):
    """[B, channels, H, W] -> [B, width_out]."""

    def __init__(self, channels: int, width_out: int, config: Config, *, small: bool) -> None:
        super().__init__()
        before = config.widths[0]
        self.conv1 = nn.Conv2d(channels, before, *((3, 1, 1) if small else (7, 2, 3)), bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        self.stages = [f"layer{number}" for number in range(1, len(config.depths) + 1)]
        self.stem_map = not small
        """Whether the stem's map has a resolution of its own, rather than that of the first stage."""
        sides, sizes = ([1], []) if small else ([2, 4], [before])
        for number, (name, depth, width) in enumerate(zip(self.stages, config.depths, config.widths, strict=True)):
            stage, before = _stage(before, width, depth, 1 if number == 0 else 2, config)
            self.add_module(name, stage)
            sizes.append(before)
            if number > 0:
                sides.append(2 * sides[-1])
        self.strides, self.channels = tuple(sides), tuple(sizes)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.head_name = "fc" if config.shortcut == "projection" else "linear"
        self.add_module(self.head_name, nn.Linear(before, width_out))
        begin(self)

    def body(self, input: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(input))))
        for name in self.stages:
            x = self.get_submodule(name)(x)
        answer: Tensor = self.avgpool(x).flatten(1)  # [B, C, h, w] -> [B, C]
        return answer

    def maps(self, input: Tensor) -> list[Tensor]:
        x = self.relu(self.bn1(self.conv1(input)))
        found = [x] if self.stem_map else []
        x = self.maxpool(x)
        for name in self.stages:
            x = self.get_submodule(name)(x)
            found.append(x)
        return found


def _stage(before: int, width: int, depth: int, stride: int, config: Config) -> tuple[nn.Sequential, int]:
    """The blocks of a stage and how many channels they answer with."""
    kind = Basic if config.block == "basic" else Bottleneck
    after = width if config.block == "basic" else EXPANSION * width
    blocks: list[nn.Module] = []
    for _ in range(depth):
        downsample = None if stride == 1 and before == after else _shortcut(before, after, stride, config.shortcut)
        blocks.append(kind(before, width, stride, downsample))
        before, stride = after, 1
    return nn.Sequential(*blocks), after


def _shortcut(before: int, after: int, stride: int, kind: str) -> nn.Module:
    if kind == "padded":
        return Padded(after - before, stride)
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))


def build(spec: Spec, config: Config) -> ResNet:
    """[B, C, H, W] -> [B, spec.output.width]."""
    image, width_out = pictures(spec, "resnet"), answers(spec, "resnet")
    positive("depths", *config.depths)
    positive("widths", *config.widths)
    if len(config.depths) != len(config.widths) or not config.depths:
        raise Misuse(f"model.depths has {len(config.depths)} numbers: expected {len(config.widths)}, as model.widths.")
    return ResNet(image.channels, width_out, config, small=is_small(config.stem, image))

"""MobileNetV3 (Howard et al., 2019, Searching for MobileNetV3), with the names of torchvision.

Inverted residual blocks: a 1x1 convolution widens, a 3x3 or 5x5 one looks at each channel by itself, squeeze-and-excitation
(Hu et al., 2017) weighs the channels, a 1x1 convolution narrows again. Thirty times less work than ResNet-18 for a photograph
(large: eight times) is what makes it the one to use on a laptop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn

from deepen.nn.backbone import Backbone, Stem, begin, is_small, outputs_at
from deepen.nn.suits import answers, pictures, share
from deepen.spec import Spec

SUMMARY = "MobileNetV3 small, the quickest for photographs (Howard et al., 2019); for pictures"

PRESETS = {
    "mobilenet-v3-small": {},
    "mobilenet-v3-large": {
        "size": "large",
        "summary": "MobileNetV3 large, accurate for little work; for pictures",
    },
}


@dataclass(frozen=True)
class Block:
    """A line of the paper's tables 1 and 2."""

    kernel: int
    expanded: int
    """Channels between the 1x1 convolutions."""
    width: int
    """Channels that it answers with."""
    excite: bool
    """Whether channels are weighed."""
    activation: type[nn.Module]
    stride: int


RE, HS = nn.ReLU, nn.Hardswish
TABLES = {
    "large": (
        Block(3, 16, 16, False, RE, 1),
        Block(3, 64, 24, False, RE, 2),
        Block(3, 72, 24, False, RE, 1),
        Block(5, 72, 40, True, RE, 2),
        Block(5, 120, 40, True, RE, 1),
        Block(5, 120, 40, True, RE, 1),
        Block(3, 240, 80, False, HS, 2),
        Block(3, 200, 80, False, HS, 1),
        Block(3, 184, 80, False, HS, 1),
        Block(3, 184, 80, False, HS, 1),
        Block(3, 480, 112, True, HS, 1),
        Block(3, 672, 112, True, HS, 1),
        Block(5, 672, 160, True, HS, 2),
        Block(5, 960, 160, True, HS, 1),
        Block(5, 960, 160, True, HS, 1),
    ),
    "small": (
        Block(3, 16, 16, True, RE, 2),
        Block(3, 72, 24, False, RE, 2),
        Block(3, 88, 24, False, RE, 1),
        Block(5, 96, 40, True, HS, 2),
        Block(5, 240, 40, True, HS, 1),
        Block(5, 240, 40, True, HS, 1),
        Block(5, 120, 48, True, HS, 1),
        Block(5, 144, 48, True, HS, 1),
        Block(5, 288, 96, True, HS, 2),
        Block(5, 576, 96, True, HS, 1),
        Block(5, 576, 96, True, HS, 1),
    ),
}
FIRST = 16
"""Channels of the first convolution."""
HIDDEN = {"large": 1280, "small": 1024}
"""Units of the hidden layer."""
EPSILON = 1e-3
"""Of batch normalisation, as the published weights were trained with."""
HALVINGS = 2
"""How many of the five strides of 2 are left out in the small form."""


@dataclass
class Config:
    size: Literal["small", "large"] = "small"
    """Which of the paper's two networks."""
    dropout: float = 0.2
    """Share of the hidden layer's units switched off at each training step."""
    stem: Stem = "auto"
    """imagenet: a side of 224 pixels becomes 7. small: the first two strides are 1, so that 32 pixels become 4. auto: small up
    to 64 pixels."""


class Excitation(nn.Module):
    """Each channel times a number in 0..1 that is computed from the means of all: [B, C, H, W] -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _divisible(channels // 4)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.ReLU()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.scale_activation = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        scale = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        return x * self.scale_activation(scale)


class InvertedResidual(nn.Module):
    """[B, before, H, W] -> [B, block.width, H / stride, W / stride]."""

    def __init__(self, before: int, block: Block, stride: int) -> None:
        super().__init__()
        inside = block.expanded
        layers: list[nn.Module] = []
        if inside != before:
            layers.append(_convolution(before, inside, 1, activation=block.activation))
        layers.append(_convolution(inside, inside, block.kernel, stride, groups=inside, activation=block.activation))
        if block.excite:
            layers.append(Excitation(inside))
        layers.append(_convolution(inside, block.width, 1))
        self.block = nn.Sequential(*layers)
        # By the stride of the table: where the small form leaves one out, the block still adds nothing to its input.
        self.residual = block.stride == 1 and before == block.width

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.block(x)
        return x + answer if self.residual else answer


@final
class MobileNet(Backbone):
    """[B, channels, H, W] -> [B, width_out]."""

    head_name = "classifier.3"

    def __init__(self, channels: int, width_out: int, config: Config, *, small: bool) -> None:
        super().__init__()
        table = TABLES[config.size]
        left_out = HALVINGS if small else 0
        stride = side = 1 if left_out else 2
        layers: list[nn.Module] = [_convolution(channels, FIRST, 3, stride, activation=HS)]
        left_out = max(0, left_out - 1)
        before = FIRST
        places, sides, sizes = [], [], []
        for block in table:
            stride = block.stride
            if stride == 2 and left_out:
                stride, left_out = 1, left_out - 1
            if stride == 2:  # the map before it was the last of its resolution
                places.append(len(layers) - 1)
                sides.append(side)
                sizes.append(before)
                side *= 2
            layers.append(InvertedResidual(before, block, stride))
            before = block.width
        last = table[-1].expanded
        layers.append(_convolution(before, last, 1, activation=HS))
        self.features = nn.Sequential(*layers)
        self.places = (*places, len(layers) - 1)
        self.strides, self.channels = (*sides, side), (*sizes, last)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        hidden = HIDDEN[config.size]
        self.classifier = nn.Sequential(
            nn.Linear(last, hidden), nn.Hardswish(), nn.Dropout(config.dropout), nn.Linear(hidden, width_out)
        )
        begin(self)

    def body(self, input: Tensor) -> Tensor:
        x = self.avgpool(self.features(input)).flatten(1)  # [B, C, h, w] -> [B, C]
        answer: Tensor = self.classifier[:-1](x)
        return answer

    def maps(self, input: Tensor) -> list[Tensor]:
        return outputs_at(self.features, input, self.places)


def _convolution(
    before: int,
    width: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Convolution and batch normalisation, and an activation where there is one."""
    convolution = nn.Conv2d(before, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    layers = [convolution, nn.BatchNorm2d(width, eps=EPSILON)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


def _divisible(channels: int) -> int:
    """The nearest multiple of 8, but not less than nine tenths of `channels`."""
    nearest = max(8, (channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def build(spec: Spec, config: Config) -> MobileNet:
    """[B, C, H, W] -> [B, spec.output.width]."""
    image, width_out = pictures(spec, "mobilenet"), answers(spec, "mobilenet")
    share("dropout", config.dropout)
    return MobileNet(image.channels, width_out, config, small=is_small(config.stem, image))

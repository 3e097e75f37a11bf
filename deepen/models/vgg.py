"""VGG (Simonyan & Zisserman, 2014, Very deep convolutional networks for large-scale image recognition).

Nothing but 3x3 convolutions and 2x2 pooling, twice as wide after each pooling, then two wide hidden layers. Its maps are still
what style transfer compares pictures by. With the names of torchvision; `-bn` has batch normalisation after each convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from deepen.errors import Misuse
from deepen.nn.backbone import Backbone, Stem, begin, is_small, outputs_at
from deepen.nn.suits import answers, pictures, positive, share
from deepen.spec import Spec

SUMMARY = "plain deep convolutional network of 16 layers (Simonyan & Zisserman, 2014); for pictures"

PRESETS = {
    "vgg11": {"depths": (1, 1, 2, 2, 2), "summary": "plain deep convolutional network of 11 layers; for pictures"},
    "vgg13": {"depths": (2, 2, 2, 2, 2), "summary": "plain deep convolutional network of 13 layers; for pictures"},
    "vgg16": {},
    "vgg19": {"depths": (2, 2, 4, 4, 4), "summary": "plain deep convolutional network of 19 layers; for pictures"},
    "vgg11-bn": {
        "depths": (1, 1, 2, 2, 2),
        "norm": True,
        "summary": "VGG of 11 layers with batch normalisation; for pictures",
    },
    "vgg13-bn": {
        "depths": (2, 2, 2, 2, 2),
        "norm": True,
        "summary": "VGG of 13 layers with batch normalisation; for pictures",
    },
    "vgg16-bn": {"norm": True, "summary": "VGG of 16 layers with batch normalisation; for pictures"},
    "vgg19-bn": {
        "depths": (2, 2, 4, 4, 4),
        "norm": True,
        "summary": "VGG of 19 layers with batch normalisation; for pictures",
    },
}


@dataclass
class Config:
    depths: tuple[int, ...] = (2, 2, 3, 3, 3)
    """Convolutions of each stage, before its pooling."""
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    """Channels of each stage."""
    norm: bool = False
    """Batch normalisation after each convolution."""
    hidden: int | None = None
    """Units of each of the two hidden layers. Default: 4096 as published, 512 in the small form."""
    dropout: float = 0.5
    """Share of hidden units switched off at each training step."""
    stem: Stem = "auto"
    """imagenet: hidden layers look at maps of 7x7. small: at the mean of each map, and pooling leaves at least one pixel, so
    that pictures may have any size. auto: small up to 64 pixels."""


@final
class VGG(Backbone):
    """[B, channels, H, W] -> [B, width_out]."""

    head_name = "classifier.6"

    def __init__(self, channels: int, width_out: int, config: Config, *, small: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        places: list[int] = []
        before = channels
        for depth, width in zip(config.depths, config.widths, strict=True):
            for _ in range(depth):
                layers.append(nn.Conv2d(before, width, 3, padding=1))
                if config.norm:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.ReLU())
                before = width
            places.append(len(layers) - 1)
            layers.append(nn.MaxPool2d(2, ceil_mode=small))
        self.features = nn.Sequential(*layers)
        self.places = (*places, len(layers) - 1)  # what is pooled last is the only map of its resolution
        self.strides = tuple(2**number for number in range(len(self.places)))
        self.channels = (*config.widths, before)
        side = 1 if small else 7
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        hidden = config.hidden or (512 if small else 4096)
        self.classifier = nn.Sequential(
            nn.Linear(before * side**2, hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, width_out),
        )
        begin(self, 0.01 if config.norm else 0.001)

    def body(self, input: Tensor) -> Tensor:
        x = self.avgpool(self.features(input)).flatten(1)  # [B, C, h, w] -> [B, C * side * side]
        answer: Tensor = self.classifier[:-1](x)
        return answer

    def maps(self, input: Tensor) -> list[Tensor]:
        return outputs_at(self.features, input, self.places)


def build(spec: Spec, config: Config) -> VGG:
    """[B, C, H, W] -> [B, spec.output.width]."""
    image, width_out = pictures(spec, "vgg"), answers(spec, "vgg")
    positive("depths", *config.depths)
    positive("widths", *config.widths)
    if len(config.depths) != len(config.widths) or not config.depths:
        raise Misuse(f"model.depths has {len(config.depths)} numbers: expected {len(config.widths)}, as model.widths.")
    if config.hidden is not None:
        positive("hidden", config.hidden)
    share("dropout", config.dropout)
    small = is_small(config.stem, image)
    if not small:
        pictures(spec, "vgg", 2 ** len(config.depths), "model.stem=small")
    return VGG(image.channels, width_out, config, small=small)

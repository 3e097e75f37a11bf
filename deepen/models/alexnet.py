"""AlexNet (Krizhevsky, Sutskever & Hinton, 2012), in the form of Krizhevsky, 2014, One weird trick.

The network that made deep learning the way to see: five convolutions, two wide hidden layers, rectifiers, dropout. The later
form runs on one device and has no local response normalisation; with the names of torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from deepen.nn.backbone import Backbone, Stem, begin, is_small, outputs_at
from deepen.nn.suits import answers, pictures, positive, share
from deepen.spec import Spec

SUMMARY = "AlexNet, the convolutional network of 2012 that won ImageNet; for pictures"

SMALLEST = 63
"""Below this side nothing would be left after an 11x11 stride of 4 and three poolings."""


@dataclass
class Config:
    hidden: int | None = None
    """Units of each of the two hidden layers. Default: 4096 as published, 1024 in the small form."""
    dropout: float = 0.5
    """Share of the inputs of hidden layers switched off at each training step."""
    stem: Stem = "auto"
    """imagenet: an 11x11 convolution with stride 4, and hidden layers that look at maps of 6x6. small: a 3x3 convolution with
    stride 1, and hidden layers that look at 4x4. auto: small up to 64 pixels."""


@final
class AlexNet(Backbone):
    """[B, channels, H, W] -> [B, width_out]."""

    head_name = "classifier.6"
    places = (1, 4, 11, 12)
    channels = (64, 192, 256, 256)

    def __init__(self, channels: int, width_out: int, config: Config, *, small: bool) -> None:
        super().__init__()
        frame = 1 if small else 0  # with a frame pooling always leaves a pixel
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, *((3, 1, 1) if small else (11, 4, 2))),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, frame),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, frame),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, frame),
        )
        self.strides = (1, 2, 4, 8) if small else (4, 8, 16, 32)
        side = 4 if small else 6
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        hidden = config.hidden or (1024 if small else 4096)
        self.classifier = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(256 * side**2, hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, width_out),
        )
        begin(self, 0.001)  # nothing normalises what arrives there

    def body(self, input: Tensor) -> Tensor:
        x = self.avgpool(self.features(input)).flatten(1)  # [B, 256, h, w] -> [B, 256 * side * side]
        answer: Tensor = self.classifier[:-1](x)
        return answer

    def maps(self, input: Tensor) -> list[Tensor]:
        return outputs_at(self.features, input, self.places)


def build(spec: Spec, config: Config) -> AlexNet:
    """[B, C, H, W] -> [B, spec.output.width]."""
    image, width_out = pictures(spec, "alexnet"), answers(spec, "alexnet")
    if config.hidden is not None:
        positive("hidden", config.hidden)
    share("dropout", config.dropout)
    small = is_small(config.stem, image)
    if not small:
        pictures(spec, "alexnet", SMALLEST, "model.stem=small")
    return AlexNet(image.channels, width_out, config, small=small)

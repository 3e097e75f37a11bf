"""LeNet-5 (LeCun, Bottou, Bengio & Haffner, 1998, Gradient-based learning applied to document recognition).

Two 5x5 convolutions with average pooling, then 120, 84 and the classes, with tanh. Three simplifications that have
become usual: pooling has no weights of its own, the second convolution sees all maps of the first, and the answer is a
linear layer rather than radial basis functions. The paper sets 28x28 digits into a frame of 32x32; smaller pictures get
the frame that they need.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from torch import nn

from deepen.nn.activations import Activation, activation
from deepen.nn.initialise import Initialisation, initialise
from deepen.nn.suits import answers, pictures
from deepen.spec import Spec

SUMMARY = "LeNet-5, the convolutional network of 1998, as it was or modernised; for pictures"

PRESETS = {
    "lenet": {},
    "lenet-modern": {
        "activation": "relu",
        "pool": "max",
        "norm": True,
        "init": "he",
        "summary": "LeNet-5 with relu, max-pooling and batch normalisation; for pictures",
    },
}

SMALLEST = 16
"""Below this side nothing would be left after two 5x5 convolutions and two poolings."""


@dataclass
class Config:
    activation: Activation = "tanh"
    """Function after each layer; tanh in the paper."""
    pool: Literal["average", "max"] = "average"
    """Pooling; average in the paper."""
    norm: bool = False
    """Batch normalisation after each convolution."""
    init: Initialisation = "xavier"
    """How the weights start."""


def build(spec: Spec, config: Config) -> nn.Module:
    """[B, C, H, W] -> [B, spec.output.width]."""
    image, width_out = pictures(spec, "lenet"), answers(spec, "lenet")
    padding = (_padding(image.height), _padding(image.width))
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before, height, width = image.channels, image.height + 2 * padding[0], image.width + 2 * padding[1]
    for number, channels in enumerate((6, 16), start=1):
        layers[f"conv_{number}"] = nn.Conv2d(
            before, channels, 5, padding=padding if number == 1 else 0, bias=not config.norm
        )
        if config.norm:
            layers[f"norm_{number}"] = nn.BatchNorm2d(channels)
        layers[f"activation_{number}"] = activation(config.activation)
        layers[f"pool_{number}"] = nn.AvgPool2d(2) if config.pool == "average" else nn.MaxPool2d(2)
        before, height, width = channels, (height - 4) // 2, (width - 4) // 2
    layers["flatten"] = nn.Flatten()  # [B, 16, h, w] -> [B, 16 * h * w]
    before *= height * width
    for number, units in enumerate((120, 84), start=1):
        layers[f"hidden_{number}"] = nn.Linear(before, units)
        layers[f"hidden_activation_{number}"] = activation(config.activation)
        before = units
    layers["output"] = nn.Linear(before, width_out)
    model = nn.Sequential(layers)
    initialise(model, config.init, config.activation)
    return model


def _padding(side: int) -> int:
    """Frame on each side of a picture: none from 32 pixels on, 2 as in the paper, more for the very small."""
    return 0 if side >= 32 else max(2, (SMALLEST - side + 1) // 2)

"""The convolutional network of the beginner's articles: three 3x3 convolutions with pooling, one wide layer, dropout.

In the line of LeCun et al. (1989, Backpropagation applied to handwritten zip code recognition), with relu, max-pooling
and dropout (Srivastava et al., 2014). Every size is computed from the input.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from deepen.nn.activations import Activation, activation
from deepen.nn.initialise import Initialisation, initialise
from deepen.nn.suits import answers, pictures, positive, share
from deepen.spec import Spec

SUMMARY = "three 3x3 convolutions, pooling, a layer of 512, dropout; for pictures"

LARGEST = 8
"""Side that the last pooling brings the maps down to, so that large pictures do not blow up the wide layer."""


@dataclass
class Config:
    widths: tuple[int, ...] = (32, 64, 128)
    """Channels of each convolution; each is followed by 2x2 pooling as long as there is something to pool."""
    hidden: int = 512
    """Units of the layer between the convolutions and the answer."""
    activation: Activation = "relu"
    """Function after each layer."""
    dropout: float = 0.5
    """Share of the hidden layer switched off at each training step."""
    init: Initialisation = "default"
    """How the weights start."""


def build(spec: Spec, config: Config) -> nn.Module:
    """[B, C, H, W] -> [B, spec.output.width]."""
    image, width_out = pictures(spec, "cnn"), answers(spec, "cnn")
    positive("widths", *config.widths)
    positive("hidden", config.hidden)
    share("dropout", config.dropout)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before, height, width = image.channels, image.height, image.width
    for number, channels in enumerate(config.widths, start=1):
        layers[f"conv_{number}"] = nn.Conv2d(before, channels, 3, padding=1)
        layers[f"activation_{number}"] = activation(config.activation)
        last = number == len(config.widths)
        window = (_window(height, last), _window(width, last))
        if window != (1, 1):
            layers[f"pool_{number}"] = nn.MaxPool2d(window)
        before, height, width = channels, height // window[0], width // window[1]
    layers["flatten"] = nn.Flatten()  # [B, C, h, w] -> [B, C * h * w]
    layers["hidden"] = nn.Linear(before * height * width, config.hidden)
    layers["hidden_activation"] = activation(config.activation)
    layers["dropout"] = nn.Dropout(config.dropout)
    layers["output"] = nn.Linear(config.hidden, width_out)
    model = nn.Sequential(layers)
    initialise(model, config.init, config.activation)
    return model


def _window(side: int, last: bool) -> int:
    """Pooling window along a side: 2, 1 when nothing is left to pool, more at the end of a large picture."""
    window = 2 if side >= 2 else 1
    while last and side // window > LARGEST:
        window += 1
    return window

"""Multi-layer perceptron: linear layers with a non-linear function between them.

Trained by back-propagation since Rumelhart, Hinton & Williams (1986, Learning representations by back-propagating
errors). Takes any input; a picture is read as one long row of numbers.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from torch import nn

from deepen.nn.activations import Activation, activation
from deepen.nn.initialise import Initialisation, initialise
from deepen.nn.suits import answers, numbers, positive, share
from deepen.spec import Spec

SUMMARY = "multi-layer perceptron, for any input"


@dataclass
class Config:
    widths: tuple[int, ...] = (256, 128)
    """Units of each hidden layer, first to last."""
    activation: Activation = "relu"
    """Function after each hidden layer."""
    dropout: float = 0.0
    """Share of hidden units switched off at each training step."""
    norm: Literal["none", "batch", "layer"] = "none"
    """Normalisation before each activation."""
    init: Initialisation = "default"
    """How the weights start."""


def build(spec: Spec, config: Config) -> nn.Module:
    """[B, *spec.input.shape] -> [B, spec.output.width]."""
    numbers(spec, "mlp")
    width_out = answers(spec, "mlp")
    positive("widths", *config.widths)
    share("dropout", config.dropout)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if len(spec.input.shape) > 1:
        layers["flatten"] = nn.Flatten()
    before = spec.input_size
    for number, width in enumerate(config.widths, start=1):
        layers[f"hidden_{number}"] = nn.Linear(
            before, width, bias=config.norm == "none"
        )  # a norm has a bias of its own
        if config.norm != "none":
            layers[f"norm_{number}"] = nn.BatchNorm1d(width) if config.norm == "batch" else nn.LayerNorm(width)
        layers[f"activation_{number}"] = activation(config.activation)
        if config.dropout:
            layers[f"dropout_{number}"] = nn.Dropout(config.dropout)
        before = width
    layers["output"] = nn.Linear(before, width_out)
    model = nn.Sequential(layers)
    initialise(model, config.init, config.activation)
    return model

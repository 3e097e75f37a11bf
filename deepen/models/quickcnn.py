"""A small convolutional network for the best accuracy within a time budget.

Batch normalisation (Ioffe & Szegedy, 2015) lets it learn at a high rate, so that few passes are enough. Pooling stands
before normalisation and activation: both then work on a quarter of the numbers. Optional residual blocks follow
He et al. (2015).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from deepen.errors import Misuse
from deepen.nn.activations import Activation, activation
from deepen.nn.initialise import Initialisation, initialise
from deepen.nn.suits import answers, pictures, positive, share
from deepen.spec import Spec

SUMMARY = "small fast convolutional network with batch normalisation; for pictures, best within minutes"

SMALLEST = 3
"""Side of a map below which nothing is pooled away any more."""


@dataclass
class Config:
    widths: tuple[int, ...] = (24, 48, 96)
    """Channels of each stage."""
    blocks: tuple[int, ...] = (0, 0, 0)
    """Further convolutions in each stage, after its first."""
    pools: tuple[int, ...] = (2, 2, 1)
    """Pooling window of each stage, 1 for none; left out where fewer than three pixels a side would remain."""
    residual: bool = False
    """Add each stage's further convolutions to their input, rather than replacing it."""
    activation: Activation = "relu"
    """Function after each normalisation."""
    head: Literal["flat", "max", "average"] = "flat"
    """How maps become numbers: all of them, the largest of each map, or the mean of each map."""
    dropout: float = 0.0
    """Share of the numbers before the answer switched off at each training step."""
    scale: float = 1.0
    """Factor on the logits; a small one keeps early steps calm at high learning rates."""
    init: Initialisation = "default"
    """How the weights start."""


class Stage(nn.Module):
    """Convolution, pooling, normalisation, activation, then `blocks` more without pooling: [B, C, H, W] -> the same."""

    def __init__(
        self, before: int, width: int, *, blocks: int, pool: tuple[int, int], residual: bool, act: str
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(before, width)]
        if pool != (1, 1):
            layers.append(nn.MaxPool2d(pool))
        self.enter = nn.Sequential(*layers, nn.BatchNorm2d(width), activation(act))
        more = [
            part for _ in range(blocks) for part in (_convolution(width, width), nn.BatchNorm2d(width), activation(act))
        ]
        self.more = nn.Sequential(*more)
        self.residual = residual and blocks > 0

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return x + self.more(x) if self.residual else self.more(x)


class Scale(nn.Module):
    """Multiply by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


def build(spec: Spec, config: Config) -> nn.Module:
    """[B, C, H, W] -> [B, spec.output.width]."""
    image, width_out = pictures(spec, "quickcnn"), answers(spec, "quickcnn")
    _check(config)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before, height, width = image.channels, image.height, image.width
    for number, (channels, blocks, window) in enumerate(
        zip(config.widths, config.blocks, config.pools, strict=True), 1
    ):
        pool = (_window(window, height), _window(window, width))
        layers[f"stage_{number}"] = Stage(
            before, channels, blocks=blocks, pool=pool, residual=config.residual, act=config.activation
        )
        before, height, width = channels, height // pool[0], width // pool[1]
    if config.head != "flat":
        layers["pool"] = (nn.MaxPool2d if config.head == "max" else nn.AvgPool2d)((height, width))
        height = width = 1
    layers["flatten"] = nn.Flatten()  # [B, C, h, w] -> [B, C * h * w]
    if config.dropout:
        layers["dropout"] = nn.Dropout(config.dropout)
    layers["output"] = nn.Linear(before * height * width, width_out)
    if config.scale != 1.0:
        layers["scale"] = Scale(config.scale)
    model = nn.Sequential(layers)
    initialise(model, config.init, config.activation)
    return model


def _window(window: int, side: int) -> int:
    """The pooling window along a side: what was asked for, unless too little would be left of a small picture."""
    return window if side // window >= SMALLEST else 1


def _convolution(before: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(before, width, 3, padding=1, bias=False)  # the normalisation that follows has the bias


def _check(config: Config) -> None:
    positive("widths", *config.widths)
    positive("pools", *config.pools)
    positive("scale", config.scale)
    share("dropout", config.dropout)
    if any(count < 0 for count in config.blocks):
        raise Misuse(f"model.blocks={','.join(map(str, config.blocks))} is not usable: expected no number below 0.")
    for name in ("blocks", "pools"):
        if len(getattr(config, name)) != len(config.widths):
            count = len(config.widths)
            raise Misuse(f"model.{name} has {len(getattr(config, name))} numbers: expected {count}, as model.widths.")

"""U-Net: a class for every pixel, from what is seen coarsely and what is seen finely (Ronneberger, Fischer & Brox, 2015).

An encoder halves the picture level by level; a decoder doubles it again and at each level looks once more at what the encoder
saw there. Unlike the paper's it pads, normalises batches (Ioffe & Szegedy, 2015) and by default begins at half of the
resolution, where a CPU spends a quarter of the time. The encoder may be any network of the registry that offers its maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepen.errors import Misuse, Problem
from deepen.nn.backbone import Backbone, Stem
from deepen.nn.borrowed import borrowed
from deepen.nn.initialise import initialise
from deepen.nn.suits import pictures, positive, share
from deepen.spec import Mask, Spec

SUMMARY = "U-Net on an encoder of its own or any network with maps; for masks"


@dataclass
class Config:
    backbone: str = "own"
    """own, or a network for pictures that offers its maps, such as resnet18."""
    stem: Stem = "auto"
    """Form of a backbone with a name: imagenet, as weights for large pictures were trained, or small. Weights that are taken over
    bring theirs. auto: small up to 64 pixels."""
    widths: tuple[int, ...] = (32, 64, 128, 256)
    """own: channels of its levels, each at half the resolution of the one before."""
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    """own: residual blocks in each level, after the convolution that enters it."""
    stride: Literal[1, 2, 4] = 2
    """own: pixels between two places of the finest map. 1 is the paper's, and four times as slow as 2."""
    decoder: int = 128
    """Most channels of a level on the way up; it has those of the encoder's level up to that."""
    upsample: Literal["bilinear", "transposed"] = "bilinear"
    """How a map is doubled: between its values, or by a transposed convolution as in the paper."""
    dropout: float = 0.0
    """Share of the coarsest maps switched off at each training step."""


class Convolution(nn.Module):
    """3x3 convolution, normalisation, activation: [B, before, H, W] -> [B, width, H / stride, W / stride]."""

    def __init__(self, before: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.filters = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.filters(x)))


class Residual(nn.Module):
    """Two 3x3 convolutions added to their input (He et al., 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Convolution(width, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


@final
class Encoder(Backbone):
    """The way down, dense 3x3 convolutions only."""

    head_name = "nothing"

    def __init__(self, before: int, config: Config) -> None:
        super().__init__()
        self.channels = config.widths
        self.strides = tuple(config.stride * 2**level for level in range(len(config.widths)))
        self.levels = nn.ModuleList()
        steps = [config.stride] + [2] * (len(config.widths) - 1)
        for width, count, step in zip(config.widths, config.blocks, steps, strict=True):
            entry: list[nn.Module] = [Convolution(before, width, min(step, 2))]
            if step == 4:
                entry.append(Convolution(width, width, 2))
            self.levels.append(nn.Sequential(*entry, *(Residual(width) for _ in range(count))))
            before = width
        self.nothing = nn.Identity()

    def body(self, input: Tensor) -> Tensor:
        return self.maps(input)[-1]

    def maps(self, input: Tensor) -> list[Tensor]:
        found, x = [], input
        for level in self.levels:
            x = level(x)
            found.append(x)
        return found


class Up(nn.Module):
    """One level of the way up: the coarser map enlarged, beside what the encoder saw: [B, before, h, w] and
    [B, beside, H, W] -> [B, width, H, W]."""

    def __init__(self, before: int, beside: int, width: int, factor: int, upsample: str) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(before, width, factor, factor) if upsample == "transposed" else None
        self.join = Convolution((before if self.enlarge is None else width) + beside, width)
        self.settle = Convolution(width, width)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        height, width = beside.shape[2:]
        x = _enlarged(x if self.enlarge is None else self.enlarge(x), height, width)
        settled: Tensor = self.settle(self.join(torch.cat([x, beside], dim=1)))
        return settled


@final
class UNet(nn.Module):
    """Pictures [B, C, H, W] -> logits [B, classes, H, W]."""

    def __init__(self, backbone: Backbone, num_classes: int, config: Config) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout2d(config.dropout)
        strides, channels = backbone.strides, backbone.channels
        self.ups = nn.ModuleList()
        before = channels[-1]
        for level in range(len(strides) - 2, -1, -1):
            width = min(channels[level], config.decoder)
            factor = strides[level + 1] // strides[level]
            self.ups.append(Up(before, channels[level], width, factor, config.upsample))
            before = width
        self.answer = nn.Conv2d(before, num_classes, 1)

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[2:]
        coarsest = self.backbone.strides[-1]
        # To a multiple of the coarsest stride, so that a place of a map lies over the same pixels as those of the next.
        padded = F.pad(input, (0, -width % coarsest, 0, -height % coarsest), mode="replicate")
        maps = self.backbone.maps(padded)
        x = self.dropout(maps.pop())
        for up in self.ups:
            x = up(x, maps.pop())
        return _enlarged(self.answer(x), *padded.shape[2:])[:, :, :height, :width]


def build(spec: Spec, config: Config) -> nn.Module:
    """[B, C, H, W] -> [B, spec.output.width, H, W]."""
    image = pictures(spec, "unet")
    if not isinstance(spec.output, Mask):
        kind = type(spec.output).__name__.lower()
        raise Problem(
            f"Model 'unet' answers for every pixel and this data has no masks, its target is a {kind}: choose another --model."
        )
    _check(config)
    if config.backbone == "own":
        if config.stem != "auto":
            raise Misuse("model.stem is for a backbone with a name, such as resnet18, and this is own: leave it out.")
        backbone: Backbone = Encoder(image.channels, config)
        initialise(backbone, "he")
    else:
        fresh = Config()
        for key in ("widths", "blocks", "stride"):
            if getattr(config, key) != getattr(fresh, key):
                raise Misuse(f"model.{key} is for model.backbone=own, and this is {config.backbone}: leave it out.")
        backbone = borrowed(config.backbone, image, "own", stem=config.stem)
    model = UNet(backbone, spec.output.width, config)
    initialise(model.ups, "he")
    # No class is preferred before the first step.
    nn.init.normal_(model.answer.weight, 0.0, 0.01)
    assert model.answer.bias is not None
    nn.init.zeros_(model.answer.bias)
    return model


def _enlarged(x: Tensor, height: int, width: int) -> Tensor:
    """Between the values of a map, [B, C, h, w] -> [B, C, height, width]."""
    if x.shape[2:] == (height, width):
        return x
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=False)


def _check(config: Config) -> None:
    positive("widths", *config.widths)
    positive("decoder", config.decoder)
    share("dropout", config.dropout)
    if len(config.widths) < 2:
        raise Misuse(f"model.widths={config.widths[0]} is one level: expected at least two.")
    if any(count < 0 for count in config.blocks):
        raise Misuse(f"model.blocks={','.join(map(str, config.blocks))} is not usable: expected no number below 0.")
    if len(config.blocks) != len(config.widths):
        raise Misuse(f"model.blocks has {len(config.blocks)} numbers: expected {len(config.widths)}, as model.widths.")

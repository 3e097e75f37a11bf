"""DCGAN: a generator that draws pictures and a discriminator that tells them from real ones, both convolutional.

Radford, Metz & Chintala (2015), Unsupervised representation learning with deep convolutional generative adversarial
networks: strided convolutions instead of pooling, batch normalisation except at the picture, relu in the generator,
leaky relu in the discriminator, weights from N(0, 0.02). Sized from the data: the picture is halved as often as four
pixels a side remain (at least twice), and a side that does not divide is drawn larger and cut.

Contract: `model(latent [B, latent_size]) -> pictures [B, C, H, W]` in [-1, 1], and
`model.discriminator(pictures) -> logits [B]`, high for real.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from deepen.nn.initialise import Initialisation, initialise
from deepen.nn.suits import pictures, positive
from deepen.spec import Image, Spec

SUMMARY = "deep convolutional generator and discriminator; draws new pictures"

SMALLEST = 8
"""Side of the smallest pictures that can be halved twice and still hold something."""


@dataclass
class Config:
    latent_size: int = 64
    """Random numbers that a picture is drawn from."""
    width: int = 64
    """Channels next to the picture; they double with each halving."""
    init: Initialisation = "normal"
    """How the weights start; normal in the paper."""


class Generator(nn.Module):
    """[B, latent_size] -> [B, C, H, W] in [-1, 1]."""

    def __init__(self, image: Image, latent_size: int, width: int) -> None:
        super().__init__()
        self.size = (image.height, image.width)
        halvings = num_halvings(image)
        channels = width * 2 ** (halvings - 1)
        self.base = (channels, math.ceil(image.height / 2**halvings), math.ceil(image.width / 2**halvings))
        self.enter = nn.Sequential(nn.Linear(latent_size, math.prod(self.base), bias=False))
        layers: list[nn.Module] = [nn.BatchNorm2d(channels), nn.ReLU()]
        for _ in range(halvings - 1):
            layers += [_enlarge(channels, channels // 2, bias=False), nn.BatchNorm2d(channels // 2), nn.ReLU()]
            channels //= 2
        self.draw = nn.Sequential(*layers, _enlarge(channels, image.channels, bias=True), nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        x = self.enter(latent).unflatten(1, self.base)  # [B, latent] -> [B, C, h, w]
        height, width = self.size
        return self.draw(x)[:, :, :height, :width]


class Discriminator(nn.Module):
    """[B, C, H, W] in [-1, 1] -> a logit for each picture [B]."""

    def __init__(self, image: Image, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, channels, height, across = image.channels, width, image.height, image.width
        for number in range(num_halvings(image)):
            layers.append(nn.Conv2d(before, channels, 4, stride=2, padding=1, bias=number == 0))
            if number:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(nn.LeakyReLU(0.2))
            before, channels, height, across = channels, channels * 2, height // 2, across // 2
        self.look = nn.Sequential(*layers, nn.Flatten())
        self.judge = nn.Linear(before * height * across, 1)

    def forward(self, picture: Tensor) -> Tensor:
        return self.judge(self.look(picture)).squeeze(1)


class DCGAN(nn.Module):
    """The pair. Drawing is the model's answer; the discriminator is only needed to learn."""

    def __init__(self, generator: Generator, discriminator: Discriminator, latent_size: int) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.latent_size = latent_size

    def forward(self, latent: Tensor) -> Tensor:
        return self.generator(latent)


def num_halvings(image: Image) -> int:
    """How often the picture is halved on the way to the coarsest map."""
    return max(2, int(math.log2(min(image.height, image.width) / 4)))


def build(spec: Spec, config: Config) -> nn.Module:
    """[B, latent_size] -> [B, C, H, W]. The target of the data, if it has one, is not used."""
    image = pictures(spec, "dcgan", SMALLEST)
    positive("latent_size", config.latent_size)
    positive("width", config.width)
    generator = Generator(image, config.latent_size, config.width)
    model = DCGAN(generator, Discriminator(image, config.width), config.latent_size)
    initialise(model, config.init)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d) and config.init == "normal":
            nn.init.normal_(layer.weight, 1.0, 0.02)
    return model


def _enlarge(before: int, channels: int, *, bias: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, channels, 4, stride=2, padding=1, bias=bias)  # doubles height and width

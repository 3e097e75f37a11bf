"""Augmentation: random changes to training pictures, a whole batch at a time, on the device.

Shift and mirror (the padding and flipping of Krizhevsky et al., 2012), rotation and scale (Simard et al., 2003),
a random part brought to full size (Szegedy et al., 2015), colour, random erasing (Zhong et al., 2017), mixup (Zhang et
al., 2017), cutmix (Yun et al., 2019). What is pure moving of pixels is done on the stored uint8 rows, the rest on the
normalised floats. Everything drawn comes from the generator that is given, so that a batch is a function of (seed, step).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional as F

from deepen.data.moves import flipped, move_by_index, move_on_cpu
from deepen.errors import Misuse, Problem
from deepen.recipe import Augment
from deepen.spec import Image, Input

GREY = (0.299, 0.587, 0.114)
"""How bright red, green and blue look (ITU-R BT.601)."""
ERASED = (0.02, 0.33)
"""Share of a picture that an erased rectangle takes, and below its log of height over width, as in the paper."""
SLANT = (math.log(0.3), math.log(3.3))
ASPECT = 4 / 3
"""Width over height of a random part lies between its inverse and this, as in the paper."""
OF_SOUND = ("speed", "delay", "noise", "gain", "mask_time", "mask_bands")
"""Settings that are for recordings, see `sound_augment`."""
QUANTILES = 4096
"""Steps of the table that Beta(alpha, alpha) is drawn from: torch has no public Beta with a generator."""


def off(config: Augment) -> bool:
    """Whether nothing is asked for."""
    return not any(getattr(config, field.name) for field in fields(config) if field.name != "padding")


def describe(config: Augment) -> str:
    """What is done to a picture or a recording, for people."""
    parts = (
        (config.shift, f"shift up to {config.shift} px"),
        (config.flip, "mirror"),
        (config.flip_vertical, "mirror top and bottom"),
        (config.rotate, f"rotate up to {config.rotate:g} degrees"),
        (config.scale, f"scale up to {config.scale:.0%}"),
        (config.crop, f"crop to {config.crop:.0%} of the area or more"),
        (config.mosaic, f"mosaic of four in {config.mosaic:.0%}"),
        (config.colour, f"colour by {config.colour:.0%}"),
        (config.erase, f"erase a rectangle in {config.erase:.0%}"),
        (config.mixup, f"mixup {config.mixup:g}"),
        (config.cutmix, f"cutmix {config.cutmix:g}"),
        (config.speed, f"speed up to {config.speed:.0%}"),
        (config.delay, f"up to {config.delay:g} s of silence before"),
        (config.noise, f"noise up to {config.noise:.0%}"),
        (config.gain, f"loudness up to {config.gain:g} dB"),
        (config.mask_time, f"hide up to {config.mask_time:.0%} of the time, twice"),
        (config.mask_bands, f"hide up to {config.mask_bands:.0%} of the bands, twice"),
    )
    return ", ".join(text for wanted, text in parts if wanted) or "none"


class Augmenter:
    """The changes of `config` to batches of pictures.

    `mean` and `std` are those that pictures are normalised with, per channel, in units of 0..1. Raises `Problem` when
    the input is not pictures, `Misuse` for a strength out of range.
    """

    def __init__(self, config: Augment, input: Input, mean: Sequence[float], std: Sequence[float]) -> None:
        if not isinstance(input, Image):
            kind = type(input).__name__.lower()
            raise Problem(f"Augmentation changes pictures and this data is a {kind}: leave augment.* out.")
        check(config, input)
        if config.mosaic:
            raise Misuse(
                f"augment.mosaic={config.mosaic:g} puts pictures with boxes or masks together: for pictures that have one "
                "target each there is augment.cutmix."
            )
        self.config = config
        self.mean = torch.tensor(mean, dtype=torch.float32)
        self.std = torch.tensor(std, dtype=torch.float32)
        self._beta = {alpha: _beta_table(alpha) for alpha in (config.mixup, config.cutmix) if alpha}

    def stored(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Shift and mirror the stored rows `input` [B, H, W, C]; the batch itself when that is off."""
        config = self.config
        if config.shift or config.flip:
            batch = {**batch, "input": self._shift(batch["input"], generator)}
        if config.flip_vertical:
            chance = uniform(generator, (len(batch["input"]),), batch["input"].device)
            batch = {**batch, "input": flipped(batch["input"], chance < 0.5, 1)}
        return batch

    def _shift(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        config = self.config
        count, device = len(rows), rows.device
        chance = 0.5 if config.flip else 0.0
        mirrored = torch.rand(count, generator=generator, device=generator.device).to(device) < chance
        span = (-config.shift, config.shift + 1)
        moves = torch.randint(*span, (2, count), generator=generator, device=generator.device).to(device)
        move = move_on_cpu if device.type == "cpu" else move_by_index
        return move(rows, mirrored, moves[0], moves[1], config.shift, config.padding == "reflect")

    def tensor(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """The changes to normalised pictures `input` [B, C, H, W], after `stored`.

        mixup and cutmix blend pictures with another of the batch. Targets stay as they are; `target_other`, of the same
        shape, and `mix` float [B], the weight of `target`, are added for the task to blend its loss.
        """
        config, x = self.config, batch["input"]
        if config.rotate or config.scale or config.crop:
            x = self._turn(x, generator)
        if config.colour:
            x = self._colour(x, generator)
        if config.erase:
            x = self._erase(x, generator)
        batch = {**batch, "input": x}
        if config.mixup or config.cutmix:
            batch = self._mix(batch, generator)
        return batch

    def _turn(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Rotation and change of size about the centre and a random part of the picture, with one bilinear sampling."""
        height, width = x.shape[2:]
        draws = uniform(generator, (2, len(x), 1, 1), x.device) * 2 - 1
        angle = draws[0] * math.radians(self.config.rotate)
        shrink = 1 / (1 + draws[1] * self.config.scale)
        cosine, sine = torch.cos(angle) * shrink, torch.sin(angle) * shrink
        # Where each pixel comes from, in coordinates that run from -1 to 1 along both sides whatever their length. They are
        # sums of a part along the line and a part down the column: eight times as fast as affine_grid's matrix product.
        across = ((torch.arange(width, device=x.device) + 0.5) * (2 / width) - 1).expand(len(x), 1, width)
        down = ((torch.arange(height, device=x.device) + 0.5) * (2 / height) - 1).expand(len(x), 1, height).mT
        from_x = cosine * across - sine * (height / width) * down  # [B, H, W]
        from_y = sine * (width / height) * across + cosine * down
        if self.config.crop:
            part_x, part_y, middle_x, middle_y = self._part(len(x), height, width, generator, x.device)
            from_x, from_y = from_x * part_x + middle_x, from_y * part_y + middle_y
        grid = torch.stack([from_x, from_y], dim=3)
        if self.config.padding == "reflect":
            turned = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
        else:
            black = (-self.mean / self.std).to(x.device).view(1, -1, 1, 1)
            turned = F.grid_sample(x - black, grid, padding_mode="zeros", align_corners=False) + black
        return turned.contiguous(memory_format=torch.channels_last)

    def _part(
        self, count: int, height: int, width: int, generator: torch.Generator, device: torch.device
    ) -> tuple[Tensor, ...]:
        """A part of each picture: its width and height as shares, and its middle in -1 to 1, float [count, 1, 1] each."""
        share, slant, right, down = uniform(generator, (4, count, 1, 1), device)
        area = (1 - share * (1 - self.config.crop)) * (height * width)
        slant = torch.exp((slant * 2 - 1) * math.log(ASPECT))
        wide, tall = ((area * slant).sqrt() / width).clamp(max=1), ((area / slant).sqrt() / height).clamp(max=1)
        return wide, tall, (right * 2 - 1) * (1 - wide), (down * 2 - 1) * (1 - tall)

    def _colour(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Brightness, contrast and saturation, each by a factor within 1 +- strength.

        With pixel p, brightness is b p, contrast blends p with the mean grey of its picture and saturation with its own
        grey. All three are linear in p, so they are one matrix and one offset for each picture, applied in one product.
        """
        mean, std = self.mean.to(x.device), self.std.to(x.device)
        channels = len(mean)
        weights = torch.tensor(GREY if channels == 3 else [1 / channels] * channels, device=x.device)
        factors = 1 + (uniform(generator, (3, len(x), 1), x.device) * 2 - 1) * self.config.colour
        bright, contrast, saturation = factors.clamp_min(0)  # [B, 1] each
        level = bright * (1 - contrast) * ((x.mean((2, 3)) * std + mean) @ weights)[:, None]  # [B, 1]
        gain = (bright * contrast)[:, :, None]
        grey = weights.expand(channels, channels)
        blend = gain * (
            saturation[:, :, None] * torch.eye(channels, device=x.device) + (1 - saturation[:, :, None]) * grey
        )
        offset = (blend @ mean + level - mean) / std  # [B, C], for normalised values like the matrix below
        # A product over planes is ten times as fast as one over pixels of three numbers, and worth the two changes of order.
        planes = x.contiguous().flatten(2)  # [B, C, H * W]
        changed = torch.baddbmm(offset[:, :, None], blend * std / std[:, None], planes)
        size = planes[0].numel() // channels
        lowest, highest = (-mean / std).repeat_interleave(size), ((1 - mean) / std).repeat_interleave(size)
        changed = torch.clamp(changed.flatten(1), lowest, highest).view(x.shape)
        return changed.contiguous(memory_format=torch.channels_last)

    def _erase(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A rectangle of the mean colour over some pictures."""
        height, width = x.shape[2:]
        chosen, area, slant, down, right = uniform(generator, (5, len(x)), x.device)
        area = (ERASED[0] + area * (ERASED[1] - ERASED[0])) * (height * width)
        slant = torch.exp(SLANT[0] + slant * (SLANT[1] - SLANT[0]))
        tall = torch.sqrt(area * slant).round().clamp(1, height)
        wide = torch.sqrt(area / slant).round().clamp(1, width)
        tall = torch.where(chosen < self.config.erase, tall, 0)
        top, left = (down * (height - tall + 1)).floor(), (right * (width - wide + 1)).floor()
        return paste(x, x.new_zeros(()), top, left, top + tall, left + wide)

    def _mix(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Blend each picture with the one before it in the batch, whose order is random."""
        x, config = batch["input"], self.config
        if "target" not in batch:
            raise Problem(
                "mixup and cutmix blend targets and this data has none: set augment.mixup=0 augment.cutmix=0."
            )
        count, device = len(x), x.device
        steps = torch.randint(QUANTILES, (2, count), generator=generator, device=generator.device).to(device)
        draws = uniform(generator, (3, count), device)
        other = x.roll(1, 0)
        if config.mixup:
            blend = self._beta[config.mixup].to(device)[steps[0]]
            mixed = torch.lerp(other, x, blend.view(-1, 1, 1, 1))
        if config.cutmix:
            height, width = x.shape[2:]
            side = torch.sqrt(1 - self._beta[config.cutmix].to(device)[steps[1]]) / 2
            top = (draws[0] * height - side * height).round().clamp(0, height)
            left = (draws[1] * width - side * width).round().clamp(0, width)
            bottom = (draws[0] * height + side * height).round().clamp(0, height)
            right = (draws[1] * width + side * width).round().clamp(0, width)
            cut = paste(x, other, top, left, bottom, right)
            kept = 1 - (bottom - top) * (right - left) / (height * width)
        if config.mixup and config.cutmix:
            coin = draws[2] < 0.5
            x, mix = torch.where(coin.view(-1, 1, 1, 1), mixed, cut), torch.where(coin, blend, kept)
        else:
            x, mix = (mixed, blend) if config.mixup else (cut, kept)
        return {**batch, "input": x, "target_other": batch["target"].roll(1, 0), "mix": mix}


def paste(x: Tensor, other: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """Pictures [B, C, H, W] with a rectangle of `other` (pictures, or one number), from corners [B], end not included.

    Works on lines of W * C numbers, so that nothing is laid out anew for each colour.
    """
    _, channels, height, width = x.shape
    lines = x.permute(0, 2, 3, 1).flatten(2)  # [B, H, W * C], a view of channels_last memory
    line = torch.arange(height, device=x.device)
    place = torch.arange(width * channels, device=x.device)
    tall = (line >= top[:, None]) & (line < bottom[:, None])  # [B, H]
    wide = (place >= left[:, None] * channels) & (place < right[:, None] * channels)  # [B, W * C]
    source = other.permute(0, 2, 3, 1).flatten(2) if other.ndim else other
    pasted = torch.where(tall[:, :, None] & wide[:, None, :], source, lines)
    return pasted.unflatten(2, (width, channels)).permute(0, 3, 1, 2)


def uniform(generator: torch.Generator, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers from 0 to 1, drawn where the generator is."""
    return torch.rand(shape, generator=generator, device=generator.device).to(device)


def _beta_table(alpha: float) -> Tensor:
    """Values of Beta(alpha, alpha) at evenly spaced chances, float32 [QUANTILES]."""
    chances = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return torch.from_numpy(betaincinv(alpha, alpha, chances)).to(torch.float32)


def check(config: Augment, image: Image) -> None:
    """Raise `Misuse` for what is for recordings, and for a strength that is out of range."""
    for name in OF_SOUND:
        if getattr(config, name):
            raise Misuse(f"augment.{name} changes recordings and this data is pictures: leave it out.")
    side = min(image.height, image.width)
    limits = {
        "shift": (config.shift, 0, side - 1),
        "rotate": (config.rotate, 0, 180),
        "scale": (config.scale, 0, 0.9),
        "colour": (config.colour, 0, 1),
        "erase": (config.erase, 0, 1),
        "mixup": (config.mixup, 0, 100),
        "cutmix": (config.cutmix, 0, 100),
        "crop": (config.crop, 0, 1),
        "mosaic": (config.mosaic, 0, 1),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise Misuse(f"augment.{name}={value:g} is not usable: expected a number from {low:g} to {high:g}.")

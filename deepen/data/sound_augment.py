"""Random changes to training recordings, a whole batch at a time, on the device.

Speed (Ko et al., 2015, Audio augmentation for speech recognition), silence before the recording, noise and loudness are
changes of the stored samples; stretches of time and bands are hidden in the spectrogram (Park et al., 2019, SpecAugment).
Everything drawn comes from the generator that is given, so that a batch is a function of (seed, step).
"""

from __future__ import annotations

import math
from dataclasses import fields

import torch
from torch import Tensor

from deepen.data.augment import OF_SOUND, uniform
from deepen.data.sound import FILL
from deepen.errors import Misuse
from deepen.recipe import Augment
from deepen.spec import Audio

STRETCHES = 2
"""That are hidden, of time and of bands each."""
HIDDEN = 1e-3
"""What stands where something is hidden: the mean, as nearly as it can be told from frames beyond the end, which are zero."""


class SoundAugmenter:
    """The changes of `config` to batches of recordings. Raises `Misuse` for one that is for pictures, or out of range."""

    def __init__(self, config: Augment, input: Audio) -> None:
        check(config)
        self.config = config
        self.rate = input.rate

    def stored(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """The changes to samples `input` int16 [B, L], which may become more or fewer."""
        config, rows = self.config, batch["input"]
        if not (config.speed or config.delay or config.noise or config.gain):
            return batch
        there = rows != FILL
        x = rows.float().masked_fill(~there, 0.0)
        lengths = there.sum(1)
        if config.speed or config.delay:
            x, lengths = self._move(x, lengths, generator)
            there = torch.arange(x.shape[1], device=x.device) < lengths.unsqueeze(1)
        if config.noise:
            loudness = (x.square().sum(1) / lengths).sqrt() * uniform(generator, (len(x),), x.device) * config.noise
            drawn = torch.randn(x.shape, generator=generator, device=generator.device).to(x.device)
            x = x + drawn * loudness.unsqueeze(1)
        if config.gain:
            decibels = (uniform(generator, (len(x),), x.device) * 2 - 1) * config.gain
            x = x * (10 ** (decibels / 20)).unsqueeze(1)
        x = x.round().clamp(-32767, 32767).masked_fill(~there, FILL)
        return {**batch, "input": x.to(torch.int16)}

    def _move(self, x: Tensor, lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Faster or slower, by straight lines between samples, and later."""
        draws = uniform(generator, (2, len(x)), x.device)
        speed = 1 + (draws[0] * 2 - 1) * self.config.speed
        delay = (draws[1] * self.config.delay * self.rate).floor()
        changed = ((lengths - 1) / speed).floor() + 1 + delay
        times = torch.arange(int(changed.max()), device=x.device) - delay.unsqueeze(1)
        places = (times * speed.unsqueeze(1)).clamp(min=0)
        before = places.floor()
        last = x.shape[1] - 1
        left, right = (x.gather(1, at.long().clamp(max=last)) for at in (before, before + 1))
        moved = torch.lerp(left, right, places - before).masked_fill(times < 0, 0.0)
        return moved, changed.long()

    def tensor(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Hide stretches of spectrograms `input` [B, F, bands]."""
        config, x = self.config, batch["input"]
        if config.mask_time:
            lengths = (x != 0).any(2).sum(1)
            hidden = _stretches(lengths, x.shape[1], config.mask_time, generator) & (x != 0).any(2)
            x = x.masked_fill(hidden.unsqueeze(2), HIDDEN)
        if config.mask_bands:
            bands = torch.full((len(x),), x.shape[2], device=x.device)
            hidden = _stretches(bands, x.shape[2], config.mask_bands, generator).unsqueeze(1) & (x != 0)
            x = x.masked_fill(hidden, HIDDEN)
        return {**batch, "input": x}


def _stretches(lengths: Tensor, count: int, share: float, generator: torch.Generator) -> Tensor:
    """Which of `count` places are hidden in each row, bool [B, count]: stretches of up to `share` of its length [B]."""
    draws = uniform(generator, (2, STRETCHES, len(lengths)), lengths.device)
    size = (draws[0] * share * lengths).round()
    start = (draws[1] * (lengths - size + 1)).floor()
    places = torch.arange(count, device=lengths.device)
    inside = (places >= start.unsqueeze(2)) & (places < (start + size).unsqueeze(2))
    return inside.any(0)


def check(config: Augment) -> None:
    """Raise `Misuse` for what is for pictures, and for a strength out of range."""
    for field in fields(config):
        if field.name not in (*OF_SOUND, "padding") and getattr(config, field.name):
            raise Misuse(
                f"augment.{field.name} changes pictures and this data is recordings, for which there are "
                f"{', '.join(f'augment.{name}' for name in OF_SOUND)}: leave it out."
            )
    limits = {"speed": 0.5, "delay": 60, "noise": 10, "gain": 60, "mask_time": 1, "mask_bands": 1}
    for name, most in limits.items():
        value = getattr(config, name)
        if not 0 <= value <= most or math.isnan(value):
            raise Misuse(f"augment.{name}={value:g} is not usable: expected a number from 0 to {most:g}.")

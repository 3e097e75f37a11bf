"""GAN: a generator learns to draw pictures that a discriminator cannot tell from real ones.

Goodfellow et al. (2014), Generative adversarial nets, with the non-saturating loss; trained in turn as in DCGAN
(Radford, Metz & Chintala, 2015). One-sided label smoothing is from Salimans et al. (2016). What an epoch achieved is
measured by the sliced Wasserstein distance (Rabin et al., 2011; on patches of several sizes as in Karras et al., 2018)
between held-out pictures and equally many drawn ones.

Models answer a latent [B, latent_size] with pictures [B, C, H, W] in [-1, 1], and have children `generator` and
`discriminator` (pictures -> logits [B], high for real) and an attribute `latent_size`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepen.data.dataset import Columns
from deepen.data.preprocess import Preprocess
from deepen.errors import Misuse, Problem
from deepen.randomness import generator
from deepen.spec import Image, Spec
from deepen.tasks.base import Batch, Generates, Goal, Rows, Task, Update
from deepen.tasks.measures import Weighted, mean

SUMMARY = "Draws new pictures like the given ones; two networks compete"

DIRECTIONS = 192
"""Slices of the distance."""
STUDIED = 5000
"""Training pictures that the baseline is fitted to."""
GRID = 8
"""Pictures along each side of the preview."""
BATCH = 256
"""Pictures drawn at once."""


@dataclass
class Config:
    """What the two play for."""

    loss: Literal["non-saturating", "hinge"] = "non-saturating"
    """non-saturating: binary cross-entropy, the generator asks for "real"; hinge: margins (Lim & Ye, 2017)."""
    real_label: float = 0.9
    """non-saturating: what the discriminator shall say of real pictures; below 1 keeps it from being too sure."""


def natural(spec: Spec) -> bool:
    return False  # pictures alone could as well be learnt from in other ways: one asks for it by name


def build(spec: Spec, config: Config) -> Gan:
    if not isinstance(spec.input, Image):
        raise Problem(f"gan draws pictures and needs pictures to learn from, not {type(spec.input).__name__.lower()}.")
    if not 0.5 < config.real_label <= 1:
        raise Misuse(f"task.real_label={config.real_label} is not usable: expected more than 0.5 and at most 1.")
    return Gan(spec, config)


@final
class Gan(Task, Generates, Weighted):
    """Batches need only `input`; a target, where there is one, is not used."""

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.input, Image)
        self.spec = spec
        self.config = config
        self.goal = Goal("distance", "min")
        self._slices = _directions(spec.input)  # [C * H * W, DIRECTIONS]
        self._black: Tensor | None = None
        self._white: Tensor | None = None
        self._fitted: tuple[Tensor, Tensor] | None = None

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        row = train["input"][:1]
        self._black = preprocess.tensor(torch.zeros_like(row))
        self._white = preprocess.tensor(torch.full_like(row, 255))
        index = torch.linspace(0, len(train) - 1, min(STUDIED, len(train))).long()
        real = self._picture(preprocess.tensor(train.take(index)["input"])).flatten(1) @ self._slices
        self._fitted = (real.mean(dim=0), real.std(dim=0, correction=0))

    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        for name in ("generator", "discriminator", "latent_size"):
            if not hasattr(model, name):
                raise Problem(
                    f"gan needs a model with a '{name}', and {type(model).__name__} has none: try --model dcgan."
                )
        children = dict(model.named_children())
        return {"discriminator": children["discriminator"], "generator": children["generator"]}

    def step(self, model: Any, batch: Batch, update: Update) -> dict[str, Tensor]:
        real = self._picture(batch["input"])
        fake = model.generator(torch.randn(len(real), model.latent_size, device=real.device))
        of_real, of_fake = model.discriminator(real).float(), model.discriminator(fake.detach()).float()
        if self.config.loss == "hinge":
            against = F.relu(1 - of_real).mean() + F.relu(1 + of_fake).mean()
        else:
            sure = F.binary_cross_entropy_with_logits(of_real, torch.full_like(of_real, self.config.real_label))
            against = sure + F.softplus(of_fake).mean()
        update(against, part="discriminator")
        # The same pictures are judged again by the discriminator that has just learnt from them.
        verdict = model.discriminator(fake).float()
        loss = -verdict.mean() if self.config.loss == "hinge" else F.softplus(-verdict).mean()
        update(loss, part="generator")
        return {
            "loss": loss.detach(),
            "discriminator_loss": against.detach(),
            "real_chance": of_real.detach().sigmoid().mean(),
            "fake_chance": of_fake.detach().sigmoid().mean(),
        }

    def score(self, model: Any, batch: Batch) -> Rows:
        """Rows: slices of a real picture and of a drawn one, [B, DIRECTIONS], and the discriminator's logits [B].

        The latent is a function of the real picture, so that rows do not depend on how samples fall into batches.
        """
        real = self._picture(batch["input"])
        fake = model(_latent_of(real, model.latent_size)).float()
        slices = self._slices.to(real.device)
        return {
            "real": real.flatten(1) @ slices,
            "fake": fake.flatten(1) @ slices,
            "real_logit": model.discriminator(real).float(),
            "fake_logit": model.discriminator(fake).float(),
        }

    def measure(self, rows: Rows) -> dict[str, float]:
        """`distance`: the sliced Wasserstein distance in standard deviations of the real slices, 0 for equal sets;
        `told_apart`: how often the discriminator is right, 0.5 when it can but guess."""
        told = self.weighted(rows, torch.ones(1, len(rows["real"])))
        return {"distance": _distance(rows["real"], rows["fake"]), **{name: float(v) for name, v in told.items()}}

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        """Without the distance: resampled sets differ more, so that its bootstrap would not hold its value."""
        right = torch.cat([rows["real_logit"] > 0, rows["fake_logit"] <= 0])
        return {"told_apart": mean(right, torch.cat([weights, weights], dim=1))}

    def baseline(self, rows: Rows) -> dict[str, float]:
        """Draws from a Gaussian with the mean and covariance of the training pictures: normal along every slice."""
        assert self._fitted is not None, "study() comes before baseline()"
        centre, spread = self._fitted
        noise = torch.randn(rows["real"].shape, generator=generator(0, "baseline"))
        return {"distance": _distance(rows["real"], centre + spread * noise)}

    def examples(self, model: Any, columns: Columns, preprocess: Preprocess, count: int) -> Tensor:
        return _latent(count, model.latent_size, 0)

    def preview(self, model: Any) -> dict[str, Tensor]:
        """`samples`: a grid of pictures, always of the same latents."""
        pictures = self.generate(model, GRID * GRID, 0)
        _, height, width, channels = pictures.shape
        framed = torch.full((GRID * GRID, height + 1, width + 1, channels), 128, dtype=torch.uint8)
        framed[:, :height, :width] = pictures
        grid = framed.unflatten(0, (GRID, GRID)).transpose(1, 2)  # [row, H, column, W, C]
        return {"samples": grid.reshape(GRID * (height + 1), GRID * (width + 1), channels)[:-1, :-1].contiguous()}

    @torch.no_grad()
    def generate(self, model: Any, count: int, seed: int) -> Tensor:
        training, device = model.training, next(model.parameters()).device
        model.eval()
        try:
            parts = _latent(count, model.latent_size, seed).to(device).split(BATCH)
            return torch.cat([_pixels(model(part)) for part in parts])
        finally:
            model.train(training)

    def _picture(self, normalised: Tensor) -> Tensor:
        """Model input as the generator draws: black is -1, white is 1."""
        assert self._black is not None, "study() comes first"
        assert self._white is not None
        if self._black.device != normalised.device:
            self._black, self._white = self._black.to(normalised.device), self._white.to(normalised.device)
        return 2 * (normalised - self._black) / (self._white - self._black) - 1


def _latent(count: int, size: int, seed: int) -> Tensor:
    return torch.randn(count, size, generator=generator(seed, "latent"))


def _latent_of(pictures: Tensor, size: int) -> Tensor:
    """A standard normal latent [B, size] for each picture [B, C, H, W], a function of its pixels alone.

    Pixels are hashed by integer arithmetic, which wraps around and is exact in any order; SplitMix64 (Steele et al.,
    2014) then counts on from the hash.
    """
    # The logical layout is hashed, whatever the memory layout.
    pixels = ((pictures + 1) * 127.5).round().long().flatten(1)
    odd = torch.randint(-(2**62), 2**62, (pixels.shape[1],), generator=generator(0, "hash")).to(pixels.device) * 2 + 1
    state = (pixels * odd).sum(dim=1, keepdim=True)
    state = state + torch.arange(1, size + 1, device=pixels.device) * -0x61C8864680B583EB
    state = (state ^ _shifted(state, 30)) * -0x40A7B892E31B1A47
    state = (state ^ _shifted(state, 27)) * -0x6B2FB644ECCEEE15
    state = state ^ _shifted(state, 31)
    uniform = (_shifted(state, 41).float() + 0.5) / 2**23
    return math.sqrt(2) * torch.erfinv(2 * uniform - 1)


def _shifted(values: Tensor, bits: int) -> Tensor:
    """Unsigned right shift of int64."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _directions(image: Image) -> Tensor:
    """Unit directions in the space of pictures, [C * H * W, DIRECTIONS]: random weights on random squares of all sizes.

    Whole pictures alone would let fine structure go unseen, since most of a picture's variance is coarse.
    """
    random = generator(0, "slices")
    directions = torch.zeros(DIRECTIONS, image.channels, image.height, image.width)
    sizes = [size for size in (3, 5, 9, 17) if size < min(image.height, image.width)] + [0]
    for number in range(DIRECTIONS):
        size = sizes[number % len(sizes)]
        height, width = (size, size) if size else (image.height, image.width)
        top = int(torch.randint(image.height - height + 1, (1,), generator=random))
        left = int(torch.randint(image.width - width + 1, (1,), generator=random))
        patch = torch.randn(image.channels, height, width, generator=random)
        directions[number, :, top : top + height, left : left + width] = patch / patch.norm()
    return directions.flatten(1).T.contiguous()


def _distance(real: Tensor, fake: Tensor) -> float:
    """Mean over the slices of the Wasserstein-1 distance of two sets of equal size [N, D], in deviations of `real`."""
    # Where all real pictures agree (a black corner), a hundredth of the range counts as the deviation.
    spread = real.std(dim=0, correction=0).clamp(min=0.02)
    between = (real.sort(dim=0).values - fake.sort(dim=0).values).abs().mean(dim=0)
    return float((between / spread).mean())


def _pixels(pictures: Tensor) -> Tensor:
    """Pictures [N, C, H, W] in [-1, 1] as uint8 [N, H, W, C] on the CPU."""
    values = (pictures.float() + 1) * 127.5
    return values.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()

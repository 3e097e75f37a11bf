"""Stylize: a picture is drawn anew in the style of another.

The content of the one and the style of the other, as a network sees them that was trained on photographs (`perceptual`). Two
ways with one loss: the pixels of a single picture follow its gradient (Gatys, Ecker & Bethge, 2016; model `canvas`), or a
network learns to draw any picture in one pass (Johnson, Alahi & Fei-Fei, 2016; model `stylenet`).

Models answer normalised pictures [B, 3, H, W] with pictures [B, 3, H, W] in 0..1 and have an attribute `draws`: "any", or
"one" for a model that holds one picture, which also has `begin(picture [1, 3, H, W] in 0..1)`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL.Image import Resampling
from torch import Tensor, nn

from deepen.data.dataset import Columns
from deepen.data.image_files import UnreadableError, opened, quiet, upright
from deepen.data.pixels import PicturePreprocess
from deepen.data.preprocess import Preprocess
from deepen.errors import Misuse, Problem
from deepen.spec import Image, Spec
from deepen.tasks.base import Batch, Generates, Goal, Rows, Task, Transforms, Update
from deepen.tasks.measures import Weighted, mean, once
from deepen.tasks.perceptual import SMALLEST, Seen, Style, content_distance, seen_by, variation

SUMMARY = "draws a picture anew in the style of another"

STYLE_SCALE = 1.5
"""The style's shorter side over that of the pictures: strokes of the size that they have in it would be lost in a small one."""
SHOWN = 4
"""Held-out pictures that the preview draws."""


@dataclass
class Config:
    """What is kept of a picture and what is taken from the other."""

    style: str | None = None
    """Path of the picture whose style is taken. It has to be given."""
    style_weight: float = 3.0
    """What the distance in style counts; higher for more of the style."""
    content_weight: float = 1.0
    """What the distance in content counts; higher for more of the picture."""
    tv_weight: float = 3.0
    """What differences between neighbouring pixels count; higher for less noise."""
    style_size: int | None = None
    """Pixels that the style's shorter side is scaled to; higher for larger strokes. Default: 1.5 times that of the pictures."""
    features: str = "auto"
    """The network that compares pictures. auto: VGG-19 if its weights lie on this machine, else SqueezeNet."""
    weights: str = "imagenet"
    """Where its weights come from: imagenet, hf:owner/name or a file."""
    style_digest: str | None = None
    """SHA-256 of the style, written down by the training: another picture at that path is then refused."""
    weights_digest: str | None = None
    """The same for the weights."""


def natural(spec: Spec) -> bool:
    return False  # it needs a second picture, which one names


def build(spec: Spec, config: Config) -> Stylize:
    if not isinstance(spec.input, Image):
        raise Problem(
            f"stylize draws pictures anew and this data is no pictures but a {type(spec.input).__name__.lower()}."
        )
    for name in ("style_weight", "content_weight", "tv_weight"):
        if getattr(config, name) < 0:
            raise Misuse(f"task.{name}={getattr(config, name):g} is not usable: expected 0 or more.")
    if config.style_size is not None and config.style_size < SMALLEST:
        raise Misuse(f"task.style_size={config.style_size} is not usable: expected {SMALLEST} or more pixels.")
    return Stylize(spec, config)


@final
class Stylize(Task, Transforms, Generates, Weighted):
    """Batches need only `input`; a target, where there is one, is not used."""

    def __init__(self, spec: Spec, config: Config) -> None:
        self.spec = spec
        self.config = config
        self.goal = Goal("loss", "min")
        self.compared_by = ""
        """The network that compares pictures, once it is found."""
        self._canvas: Any = None
        self._mean = self._std = torch.empty(0)
        self._seen: Seen | None = None
        self._style: Style | None = None
        self._shown: Tensor | None = None

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        assert isinstance(preprocess, PicturePreprocess)
        if preprocess.channels != 3:
            raise Problem("stylize works on pictures in colour and these are grey: set data.channels=3.")
        if min(preprocess.height, preprocess.width) < SMALLEST:
            size = f"{preprocess.height}x{preprocess.width}"
            raise Problem(
                f"stylize needs pictures of at least {SMALLEST}x{SMALLEST} pixels, not {size}: set data.size."
            )
        config = self.config
        side = config.style_size or round(STYLE_SCALE * min(preprocess.height, preprocess.width))
        style = self.style_picture(side)
        self._seen, self.compared_by, weights = seen_by(config.features, config.weights, config.weights_digest)
        config.weights_digest = _as_before(config.weights_digest, weights.digest, f"The weights from {weights.origin}")
        self._style = Style(self._seen, _to_float(style))
        self._mean, self._std = (torch.tensor(values).view(1, -1, 1, 1) for values in (preprocess.mean, preprocess.std))
        if self._canvas is not None:
            if len(train) != 1:
                raise Problem(
                    f"A canvas is one picture and this data holds {len(train):,} to learn from: name a picture file as the data, "
                    "or take --model stylenet, which learns to draw any."
                )
            self._canvas.begin(_to_float(train["input"]))
            self._canvas = None

    def style_picture(self, side: int) -> Tensor:
        """The style, uint8 [h, w, 3], its shorter side of `side` pixels. The path is made to hold from any folder, and its
        digest written down."""
        config = self.config
        if config.style is None:
            raise Misuse("stylize needs a picture whose style it takes: name its path with task.style=PICTURE.")
        path = Path(config.style).expanduser()
        if not path.is_file():
            if config.style_digest is None:
                raise Problem(f"There is no picture at task.style={config.style}: expected a picture file.")
            raise Problem(
                f"The style that this run was begun with is gone from task.style={config.style} (SHA-256 "
                f"{config.style_digest[:12]}...): put that picture back to resume or evaluate; `deepen generate` needs none."
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        config.style_digest = _as_before(config.style_digest, digest, f"The picture at task.style={config.style}")
        config.style = str(path.resolve())
        try:
            with quiet(), opened(path) as image:
                plain = upright(image, "RGB")
        except UnreadableError as error:
            raise Problem(f"task.style={config.style} cannot be used as a picture: {error}.") from None
        ratio = side / min(plain.size)
        wide, high = (max(side, round(length * ratio)) for length in plain.size)
        return torch.from_numpy(np.array(plain.resize((wide, high), Resampling.LANCZOS)))

    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        if not hasattr(model, "draws"):
            raise Problem(
                f"stylize needs a model that answers with pictures, and {type(model).__name__} does not: try --model stylenet."
            )
        if self._style is None and model.draws == "one":
            self._canvas = model  # `study` comes next, and brings the picture that it begins with
        return {"model": model}

    def step(self, model: nn.Module, batch: Batch, update: Update) -> dict[str, Tensor]:
        original = self._picture(batch["input"])
        rows = self._distances(model(batch["input"]), original, self._looked_at(original))
        numbers = {name: value.mean() for name, value in rows.items()}
        loss = self._total(numbers)
        update(loss)
        return {"loss": loss.detach(), **{name: value.detach() for name, value in numbers.items()}}

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows: the distances of what is drawn, and those of the picture itself, unchanged: float [B] each."""
        original = self._picture(batch["input"])
        maps = self._looked_at(original)
        drawn = self._distances(model(batch["input"]).float(), original, maps)
        plain = self._distances(original, original, maps)
        return drawn | {f"plain_{name}": value for name, value in plain.items()}

    def measure(self, rows: Rows) -> dict[str, float]:
        """`loss`, and its parts before they are weighted: `content`, `style` and `tv`."""
        return once(self, rows)

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        parts = {name: mean(rows[name], weights) for name in ("content", "style", "tv")}
        return {"loss": self._total(parts), **parts}

    def losses(self, rows: Rows) -> Tensor:
        """Of each picture, [N]."""
        return self._total(rows)

    def baseline(self, rows: Rows) -> dict[str, float]:
        """Leaves every picture as it is."""
        return once(self, {name: rows[f"plain_{name}"] for name in ("content", "style", "tv")})

    def examples(self, model: nn.Module, columns: Columns, preprocess: Preprocess, count: int) -> Tensor:
        self._shown = preprocess.tensor(columns.take(torch.arange(min(count, SHOWN, len(columns))))["input"])
        return self._shown

    def preview(self, model: nn.Module) -> dict[str, Tensor]:
        """`canvas`: the picture as it is. `stylised`: held-out pictures, under each what becomes of it."""
        if getattr(model, "draws", "") == "one":
            return {"canvas": self.generate(model, 1, 0)[0]}
        if self._shown is None:
            return {}
        drawn, shown = self.drawn(model, self._shown), _to_bytes(self._picture(self._shown))
        return {"stylised": torch.cat([torch.cat(list(row), dim=1) for row in (shown, drawn)])}

    def transform(self, model: nn.Module, preprocess: Preprocess, pictures: Tensor) -> Tensor:
        assert isinstance(preprocess, PicturePreprocess)
        if getattr(model, "draws", "") == "one":
            raise Problem(
                "A canvas holds the one picture that it was trained on: leave the pictures out, and it is written."
            )
        _, height, width, _ = pictures.shape
        if min(height, width) < SMALLEST:
            raise UnreadableError(
                f"at {height}x{width} pixels it is too small to be drawn anew, expected {SMALLEST} or more each way"
            )
        return self.drawn(model, replace(preprocess, height=height, width=width).tensor(pictures))

    def generate(self, model: nn.Module, count: int, seed: int) -> Tensor:
        """The picture that a canvas holds, uint8 [1, H, W, 3]."""
        if getattr(model, "draws", "") != "one":
            raise Problem("This model draws pictures anew and makes none out of nothing: name pictures after the run.")
        assert isinstance(self.spec.input, Image)
        return self.drawn(model, torch.zeros(1, *self.spec.input.shape))

    @torch.no_grad()
    def drawn(self, model: nn.Module, normalised: Tensor) -> Tensor:
        """What the model draws for its input [B, 3, H, W], uint8 [B, H, W, 3] on the CPU."""
        training, device = model.training, next(model.parameters()).device
        model.eval()
        try:
            return torch.cat([_to_bytes(model(one.to(device))) for one in normalised.split(1)])
        finally:
            model.train(training)

    def _picture(self, normalised: Tensor) -> Tensor:
        """Model input as pictures in 0..1."""
        assert self._mean.numel(), "study() comes first"
        if self._mean.device != normalised.device:
            self._mean, self._std = self._mean.to(normalised.device), self._std.to(normalised.device)
        return normalised * self._std + self._mean

    @torch.no_grad()
    def _looked_at(self, original: Tensor) -> list[Tensor]:
        assert self._seen is not None, "study() comes first"
        return self._seen.maps(original)

    def _distances(self, drawn: Tensor, original: Tensor, maps: list[Tensor]) -> Rows:
        """`content`, `style` and `tv` [B] of drawn pictures; `maps` are those of the originals."""
        assert self._seen is not None
        assert self._style is not None
        if drawn.shape != original.shape:
            received = list(drawn.shape)
            raise Problem(
                f"stylize needs a model that answers with pictures {list(original.shape)}, not {received}: see --model."
            )
        looked = maps if drawn is original else self._seen.maps(drawn)
        place = self._seen.places.index(self._seen.content)
        return {
            "content": content_distance(looked[place], maps[place]),
            "style": self._style.distance(drawn.float(), looked),
            "tv": variation(drawn.float()),
        }

    def _total(self, parts: dict[str, Tensor]) -> Tensor:
        config = self.config
        return (
            config.style_weight * parts["style"]
            + config.content_weight * parts["content"]
            + config.tv_weight * parts["tv"]
        )


def _as_before(before: str | None, now: str, what: str) -> str:
    if before not in (None, now):
        raise Problem(f"{what} changed since this run began: put the former one back to go on, or train again.")
    return now


def _to_float(pictures: Tensor) -> Tensor:
    """uint8 [H, W, 3] or [B, H, W, 3] as float32 [B, 3, H, W] in 0..1."""
    return pictures.view(-1, *pictures.shape[-3:]).permute(0, 3, 1, 2).float() / 255


def _to_bytes(pictures: Tensor) -> Tensor:
    """[B, 3, H, W] in 0..1 as uint8 [B, H, W, 3] on the CPU."""
    return (pictures.float() * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()

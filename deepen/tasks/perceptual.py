"""How far pictures are from each other in content and in style, as a network sees them that was trained on photographs.

Gatys, Ecker & Bethge (2016): content is what a map of the network shows and where, style is what its channels show together
wherever it is: their Gram matrix. Each distance is a share of what it is measured against, so that weights mean about the
same for any network, map and size. The network is frozen and belongs to nobody's model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepen import registry
from deepen.errors import Misuse, Problem, unknown
from deepen.nn.backbone import Backbone
from deepen.nn.borrowed import borrowed, preset
from deepen.pretrained.find import IMAGENET, find
from deepen.pretrained.load import load, not_in
from deepen.pretrained.published import FILES, MEAN, STD
from deepen.pretrained.stem import stem_of
from deepen.pretrained.weights import Weights
from deepen.spec import Image

AUTO = "auto"
CHOICES = ("vgg19", "squeezenet1-0")
"""What is looked for on this machine, the better one first."""
COARSEST = 8
"""Style is compared on maps of up to this stride, that of the last one which Johnson et al. take: what the next ones show of a
small picture is no longer texture but the things in it."""
CONTENT = 4
"""Stride of the map on which content is compared: fine enough to keep a thing's parts, too coarse for its surface."""
TRAINED_SIZE = 224
SMALLEST = 32
"""Side of the smallest pictures: the coarsest map then has sixteen places."""
NOTHING = 1e-6


class Seen:
    """The maps of a network that looks at pictures [B, 3, H, W] in 0..1."""

    def __init__(self, network: Backbone, mean: Sequence[float], std: Sequence[float]) -> None:
        self.network = network.eval().requires_grad_(False)
        self.mean, self.std = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
        wanted = [place for place, stride in enumerate(network.strides) if stride <= COARSEST]
        self.places = wanted or [0]
        self.content = min(self.places, key=lambda place: abs(network.strides[place] - CONTENT))

    def maps(self, pictures: Tensor) -> list[Tensor]:
        """Of the strides that are compared, from fine to coarse; on the device of the pictures."""
        if self.mean.device != pictures.device:
            self.network.to(pictures.device)
            self.mean, self.std = self.mean.to(pictures.device), self.std.to(pictures.device)
        maps = self.network.maps((pictures - self.mean) / self.std)
        return [maps[place] for place in self.places]


class Style:
    """The style of one picture, and how far others are from it."""

    @torch.no_grad()
    def __init__(self, seen: Seen, picture: Tensor) -> None:
        """`picture` [1, 3, H, W] in 0..1."""
        self.mean = picture.mean((2, 3), keepdim=True)
        self.std = picture.std((2, 3), keepdim=True).clamp(min=0.02)
        self.grams = self.of(picture, seen.maps(picture))

    def of(self, pictures: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        """Gram matrices [B, C, C] of pictures and of their maps."""
        # Colours in deviations of the style's own, and a channel of ones, with which the matrix holds their mean as well.
        # Most networks halve a picture before they first look at it, and hardly see what colour a large area has.
        colours = (pictures - self.mean) / self.std
        colours = torch.cat([colours, torch.ones_like(colours[:, :1])], dim=1)
        return [gram(one) for one in (colours, *maps)]

    def distance(self, pictures: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """[B]: the mean over the matrices of the squared distance, as a share of the style's own squared length."""
        if self.mean.device != pictures.device:
            self.mean, self.std = self.mean.to(pictures.device), self.std.to(pictures.device)
            self.grams = [one.to(pictures.device) for one in self.grams]
        pairs = zip(self.of(pictures, maps), self.grams, strict=True)
        shares = [(one - own).square().sum((1, 2)) / own.square().sum() for one, own in pairs]
        return torch.stack(shares).mean(dim=0)


def gram(maps: Tensor) -> Tensor:
    """How strongly channels [B, C, H, W] show together, [B, C, C]: the mean of their products, in float32."""
    with torch.autocast(maps.device.type, enabled=False):
        flat = maps.float().flatten(2)
        return flat @ flat.mT / flat.shape[2]


def content_distance(maps: Tensor, original: Tensor) -> Tensor:
    """[B]: the mean squared difference of maps [B, C, H, W], as a share of the original's mean square."""
    original = original.float()
    return (maps.float() - original).square().mean((1, 2, 3)) / (original.square().mean((1, 2, 3)) + NOTHING)


def variation(pictures: Tensor) -> Tensor:
    """[B]: the mean squared difference of neighbouring pixels, after Rudin, Osher & Fatemi's total variation (1992)."""
    across = (pictures[..., 1:] - pictures[..., :-1]).square().mean((1, 2, 3))
    down = (pictures[..., 1:, :] - pictures[..., :-1, :]).square().mean((1, 2, 3))
    return across + down


def seen_by(features: str, source: str, digest: str | None = None) -> tuple[Seen, str, Weights]:
    """What a network sees, its name and its weights. `auto` takes the best that lies on this machine, or that of `digest`; only
    for a network that is named is anything downloaded. Raises `Problem`."""
    if features == AUTO:
        if source != IMAGENET:
            raise Misuse(f"task.weights={source} are of some network: name it with task.features, such as vgg19.")
        name, weights = _lying_here(digest)
    else:
        registry.find("model", features)
        if source == IMAGENET and features not in FILES:
            raise Misuse(
                f"task.features={features}: {unknown('network with published ImageNet weights', features, FILES)} Or name "
                "with task.weights a file of weights for it, or hf:owner/name."
            )
        name, weights = features, find(source, features)
    stem = stem_of(name, preset(name), weights) or "auto"
    network = borrowed(name, Image(3, TRAINED_SIZE, TRAINED_SIZE), AUTO, "task.features", stem)
    loaded = load(network, weights, allow_partial=False, named_by="task.features")
    if loaded.lacking:
        raise Problem(
            f"task.features={name} would see at random: {not_in(weights, loaded.lacking)}. Give the whole of its weights."
        )
    return Seen(network, weights.mean or MEAN, weights.std or STD), name, weights


def _lying_here(digest: str | None) -> tuple[str, Weights]:
    for name in CHOICES:
        try:
            weights = find(IMAGENET, name, named=False)
        except Problem:
            continue
        if digest in (None, weights.digest):
            return name, weights
    missing = "those that this run was begun with do not" if digest else f"weights of none ({' or '.join(CHOICES)})"
    raise Problem(
        f"Styles are compared by a network that was trained on photographs, and {missing} lie on this machine: "
        "task.features=vgg19 downloads one, task.features=NETWORK task.weights=FILE takes one of yours."
    )

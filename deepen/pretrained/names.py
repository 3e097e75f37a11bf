"""The names of parameters in other people's files, brought to those of a network.

The same network is saved under many names: with the prefix of what it was wrapped in, as a part of a larger one, by libraries
that call things differently. Each known form is tried, and the one taken under which most tensors have a name and shape of
the network.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Size, Tensor

PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "encoder_q.", "network.", "net.")
"""Of DistributedDataParallel, torch.compile, EMA and Lightning modules, detectors, U-Nets and self-supervised training."""
DEEPEST = 4
NORMALISATION = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
"""TensorFlow's names for what torch calls otherwise."""
HUGGING_FACE_RESNET = (
    (r"embedder\.embedder\.convolution\.(.+)", "conv1.{0}"),
    (r"embedder\.embedder\.normalization\.(.+)", "bn1.{0}"),
    (r"encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.convolution\.(.+)", "layer{n0}.{1}.downsample.0.{2}"),
    (r"encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.normalization\.(.+)", "layer{n0}.{1}.downsample.1.{2}"),
    (r"encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.convolution\.(.+)", "layer{n0}.{1}.conv{n2}.{3}"),
    (r"encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.normalization\.(.+)", "layer{n0}.{1}.bn{n2}.{3}"),
    (r"classifier\.1\.(.+)", "fc.{0}"),
)
"""From Hugging Face's ResNet to torchvision's, {n0} being the part {0} counted from 1 instead of 0."""
HEADS = ("fc", "linear", "classifier", "head", "head.fc", "heads.head", "last_linear", "output")
"""What the module that answers is called in one library or another."""


@dataclass(frozen=True)
class Renamed:
    """Tensors under the names of a network."""

    tensors: dict[str, Tensor]
    steps: tuple[str, ...] = ()
    """How they came to them, phrases for people."""


def fit(tensors: Mapping[str, Tensor], wanted: Mapping[str, Size], head: str = "") -> Renamed:
    """`tensors` renamed to the network whose parameters are `wanted`; `head` is the name of the module that answers."""
    best, most = Renamed(dict(tensors)), agreeing(tensors, wanted)
    for depth, hugging_face, tensorflow in itertools.product(range(DEEPEST + 1), (False, True), (False, True)):
        names = {name: name for name in tensors}
        steps = []
        if depth:
            names = {name: _without_prefixes(now, depth) for name, now in names.items()}
            gone = {name.removesuffix(now) for name, now in names.items() if now != name}
            steps.append(f"without the prefix {' or '.join(sorted(gone))}")
        if hugging_face:
            names = {name: _torchvision(now) for name, now in names.items()}
            steps.append("from Hugging Face's names for a ResNet")
        if tensorflow:
            names = {name: _normalisation(now) for name, now in names.items()}
            steps.append("gamma and beta read as weight and bias")
        # Where two come to one name, the one that had it keeps it.
        renamed = {now: tensors[name] for name, now in sorted(names.items(), key=lambda pair: pair[0] == pair[1])}
        if (count := agreeing(renamed, wanted)) > most:
            best, most = Renamed(renamed, tuple(steps)), count
    return _with_head(best, wanted, head)


def agreeing(tensors: Mapping[str, Tensor], wanted: Mapping[str, Size]) -> int:
    """How many tensors have a name and the shape of the network's."""
    return sum(name in tensors and tensors[name].shape == shape for name, shape in wanted.items())


def _without_prefixes(name: str, depth: int) -> str:
    for _ in range(depth):
        name = next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)
    return name


def _torchvision(name: str) -> str:
    for pattern, form in HUGGING_FACE_RESNET:
        found = re.fullmatch(rf"(?:resnet\.)?{pattern}", name)
        if found is not None:
            parts = found.groups()
            return form.format(
                *parts, **{f"n{place}": int(part) + 1 for place, part in enumerate(parts) if part.isdigit()}
            )
    return name


def _normalisation(name: str) -> str:
    stem, dot, last = name.rpartition(".")
    return f"{stem}{dot}{NORMALISATION.get(last, last)}"


def _with_head(renamed: Renamed, wanted: Mapping[str, Size], head: str) -> Renamed:
    """The last module under the network's name for it, where the file calls it otherwise."""
    weight = f"{head}.weight"
    if not head or weight in renamed.tensors or weight not in wanted:
        return renamed
    for other in HEADS:
        known = renamed.tensors.get(f"{other}.weight")
        if known is not None and f"{other}.weight" not in wanted and known.shape[1:] == wanted[weight][1:]:
            tensors = {
                f"{head}.{name.removeprefix(f'{other}.')}" if name.startswith(f"{other}.") else name: value
                for name, value in renamed.tensors.items()
            }
            return Renamed(tensors, (*renamed.steps, f"{other} as {head}"))
    return renamed

"""Weights of networks for texts, each with its tokenizer: brought to our names, and their rows into our order of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepen.data.adopted import NEW, adopt
from deepen.errors import Misuse, Problem
from deepen.pretrained import files, llama2c
from deepen.pretrained.families import FAMILIES, Network
from deepen.pretrained.packages import PACKAGES, installed
from deepen.pretrained.weights import Reader, Weights

CONFIG = "config.json"
SAVED = ("model.safetensors", "pytorch_model.bin")
"""What transformers calls its files of weights."""


def reads_texts(place: str) -> bool:
    """Whether what lies at a place is known to be weights of a network for texts, without reading them."""
    if place in PACKAGES:
        return True
    path = Path(place).expanduser()
    if llama2c.is_one(path):
        return True
    for folder in (path / "model", path):
        if (folder / "bundle.json").is_file():
            try:
                return "tokenizer" in json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["preprocess"]
            except (ValueError, KeyError, TypeError, OSError, RecursionError):
                return False
    return is_saved(path if path.is_dir() else path.parent)


def is_saved(folder: Path) -> bool:
    """Whether a folder is as Hugging Face's library writes a network for texts."""
    if not (folder / CONFIG).is_file():
        return False
    try:
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):
        return False
    return describes_texts(settings)


def describes_texts(settings: Any) -> bool:
    """Whether a `config.json` is that of a network for texts, of a family that is known or not."""
    return isinstance(settings, dict) and isinstance(settings.get("vocab_size"), int)


def of_package(name: str) -> Weights:
    """The weights that come with a package. Raises `Problem` where it is not installed."""
    folder = installed(name)
    return of_folder(folder, folder / PACKAGES[name].weights, PACKAGES[name].origin)


def of_folder(folder: Path, file: Path | None = None, origin: str | None = None) -> Weights:
    """The weights in a folder as Hugging Face's library writes it. Raises `Problem`."""
    said = origin or str(file or folder)
    if file is None:
        file = next((folder / name for name in SAVED if (folder / name).is_file()), None)
        if file is None:
            raise Problem(f"{folder} has no {' and no '.join(SAVED)} beside its {CONFIG}.")
    try:
        settings: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Problem(f"{folder / CONFIG} cannot be read: it is damaged ({error}).") from error
    family = FAMILIES.get(str(settings.get("model_type")))
    if family is None:
        raise Problem(
            f"The weights {said} are of a network of the kind '{settings.get('model_type')}', which is not known here: expected "
            f"{', '.join(FAMILIES)}."
        )
    content = files.read(file)
    try:
        network = family(settings, content.tensors)
    except Problem as problem:
        raise Problem(f"The weights {said} cannot be taken over: {problem}.") from problem
    except (KeyError, TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise Problem(
            f"The weights {said} are not what {folder / CONFIG} says of them: {error} is missing or of another form."
        ) from error
    return _ordered(network, folder, said, content.digest)


def of_llama2c(path: Path) -> Weights:
    """A file of llama2.c with its tokens beside it. Raises `Problem`."""
    return _ordered(llama2c.read(path), llama2c.tokenizer_of(path), str(path), files.sha256(path))


def _ordered(network: Network, place: Path, origin: str, digest: str) -> Weights:
    adopted = adopt(place)
    tensors, old = dict(network.tensors), adopted.order
    for name in network.rows:
        if old.max() >= len(tensors[name]):
            raise Problem(
                f"The tokenizer at {place} has {int(old.max()) + 1:,} tokens and the weights {origin} know "
                f"{len(tensors[name]):,}: it is not theirs."
            )
        tensors[name] = _rows(tensors[name], old)
    reader = Reader(str(place), network.length, network.model, network.fields)
    return Weights(tensors, origin, digest, names=network.names, reader=reader)


def _rows(table: Tensor, old: np.ndarray) -> Tensor:
    """A table with its rows in our order. Rows of tokens that it lacks are the mean of all: of n tokens one such never has more
    than the n-th part of the chance (Jensen), which nobody notices."""
    index = torch.from_numpy(old)
    rows = table[index.clamp(min=0)]
    rows[index == NEW] = table.float().mean(0).to(table.dtype)
    return rows


def cut_to(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    """Tables of places cut to as many as a network of ours has: each is the vector of one place. Raises `Misuse` where it has
    more."""
    cut = dict(tensors)
    for name in names:
        if name in own and name in cut and cut[name].shape[1:] == own[name].shape[1:]:
            if len(own[name]) > len(cut[name]):
                raise Misuse(
                    f"The weights know {len(cut[name]):,} places of a text and data.length={len(own[name])} asks for more: "
                    f"expected at most data.length={len(cut[name])}."
                )
            cut[name] = cut[name][: len(own[name])]
    return cut

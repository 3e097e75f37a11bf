"""Pictures without classes."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from deepen.models import squeezenet
from deepen.spec import Category, Image, Spec
from tests.samples.drawing import cut_short, scene

SETTINGS = {"fit.batch_size": 4}


def make(folder: Path) -> str:
    for number in range(12):
        picture, _, _ = scene(number, side=32)
        path = folder / "pictures" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return str(folder / "pictures")


@cache
def style() -> dict[str, Any]:
    """A style and a network of random weights that sees it: at one place, for a run names them by their paths."""
    folder = Path(tempfile.mkdtemp(prefix="deepen-style-"))
    picture, _, _ = scene(5, side=40, wide=56)
    picture.save(folder / "style.png")
    torch.manual_seed(0)
    network = squeezenet.build(Spec(Image(3, 64, 64), Category(("a", "b"))), squeezenet.Config(stem="imagenet"))
    save_file(network.state_dict(), folder / "weights.safetensors")
    return {
        "task.style": str(folder / "style.png"),
        "task.features": "squeezenet1-1",
        "task.weights": str(folder / "weights.safetensors"),
    }


NEEDS = {"stylize": lambda folder: style() | {"model.width": 4}}


def _empty(source: Path) -> None:
    next(source.rglob("*.png")).write_bytes(b"")


BREAKS = {
    "cut short": (lambda source: cut_short(next(Path(source).rglob("*.png"))), "cut short"),
    "empty file": (lambda source: _empty(Path(source)), "0 bytes"),
}

"""Pictures drawn anew: beside the picture and the style that they come from, and as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from deepen.data.dataset import Dataset
from deepen.errors import Problem
from deepen.insight import files
from deepen.insight.grid import picture
from deepen.insight.pictures import tiles
from deepen.tasks.base import Rows, Transforms
from deepen.tasks.stylize import Stylize

SHOWN = 4
SIDE = 320
"""Pixels of the style's shorter side in a report."""
PHOTOGRAPHS = (".jpg", ".jpeg")
QUALITY = 92


def told(dataset: Dataset, rows: Rows, module: nn.Module, task: Transforms) -> dict[str, str]:
    """`styles`: validation pictures, the style, and what became of them. `rows` are those of the validation split."""
    assert isinstance(task, Stylize)
    count = min(SHOWN, len(dataset.validation))
    index = torch.linspace(0, len(dataset.validation) - 1, count).long()
    stored = dataset.validation.take(index)["input"]
    drawn = task.drawn(module, dataset.preprocess.tensor(stored))
    try:
        style = task.style_picture(SIDE).numpy()
    except Problem:  # the picture may be gone when a report is written anew; what was drawn is still there
        style = None
    loss = task.losses(rows).tolist()
    pixels, captions = [], []
    for place, original, result in zip(index.tolist(), stored, drawn, strict=True):
        pixels += [original.numpy(), *([] if style is None else [style]), result.numpy()]
        captions += [["picture"], *([] if style is None else [["style"]]), [f"loss {loss[place]:.3g}"]]
    across = 2 if style is None else 3
    return {"styles": tiles("Drawn anew", pixels, captions, across=across, tile=200)}


class Redrawing:
    """Where pictures that are drawn anew go, as JPEG where they come from one and else as PNG: every name is decided before the
    first is drawn, and takes the place of no file that is there.

    `inputs` are what they will be called, in their order; some of them may not be drawn. Raises `Misuse` naming `option` for a
    folder that cannot be used.
    """

    def __init__(self, folder: Path, inputs: Sequence[str], option: str) -> None:
        sources = ((Path(one).stem, Path(one).suffix.lower()) for one in inputs)
        names = files.distinct((stem, ".jpg" if ending in PHOTOGRAPHS else ".png") for stem, ending in sources)
        self.folder = files.room(folder, names, option)
        self._names = zip(inputs, names, strict=True)

    def add(self, source: str, pixels: Tensor) -> Path:
        """Write a picture uint8 [h, w, 3]. Raises `OSError`."""
        path = self.folder / next(name for one, name in self._names if one == source)
        files.write_picture(path, picture(pixels), quality=QUALITY)
        return path

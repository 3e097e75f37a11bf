"""Pictures drawn anew: beside the picture and the style that they come from, and as files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepen.data.dataset import Dataset
from deepen.errors import Misuse, Problem
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


def save(folder: Path, drawn: Iterable[tuple[str, Tensor]]) -> list[dict[str, Any]]:
    """Write pictures uint8 [h, w, 3] under the names of the files that they come from, as JPEG where those are JPEG and else as
    PNG. Returns `input`, `path`, `height` and `width` of each. Raises `OSError`, `Misuse` where one would take the place of its
    original."""
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[Path, dict[str, Any]] = {}
    for name, pixels in drawn:
        source = Path(name)
        ending = ".jpg" if source.suffix.lower() in PHOTOGRAPHS else ".png"
        path, number = folder / f"{source.stem}{ending}", 1
        while path in written:
            number += 1
            path = folder / f"{source.stem}-{number}{ending}"
        if path.exists() and source.exists() and path.samefile(source):
            raise Misuse(f"{path} would be written over: name another folder with --out.")
        unfinished = path.with_suffix(".unfinished")
        picture(pixels).save(unfinished, format="JPEG" if ending == ".jpg" else "PNG", quality=QUALITY)
        unfinished.replace(path)
        written[path] = {"input": name, "path": str(path), "height": pixels.shape[0], "width": pixels.shape[1]}
    return list(written.values())

"""Answers for new inputs, drawn: one picture per input, or one table for the rows of a table.

Pictures are SVG, so that class names in any script show; a mask is written as a PNG of class numbers as well, for other
programs to read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pictures

from deepen.data.framed import MOST_TILED
from deepen.data.image_files import UnreadableError, opened, quiet, upright
from deepen.engine.checkpoint import write_text
from deepen.errors import Misuse, Problem
from deepen.insight.ink import colour, percent, picture, shorten, svg, text
from deepen.spec import Boxes, Category, Image, Mask, Spec

WIDE = 480
"""Pixels of the longer side of a drawn picture with a class."""

Answer = Mapping[str, Any]


def save(folder: Path, spec: Spec, answers: Sequence[Answer]) -> list[Path]:
    """Write what was answered for the files that `input` of each answer names. Returns the paths.

    No picture that was answered for is written over. Raises `Problem` for answers that cannot be drawn, `OSError` where the
    folder cannot be written to.
    """
    if not isinstance(spec.input, Image):
        return [_table(folder / "predictions.csv", answers)]
    written: list[Path] = []
    for answer in answers:
        stem = _free(Path(answer["input"]).stem, written)
        shown = _picture(Path(answer["input"]))
        written.append(folder / f"{stem}.svg")
        write_text(written[-1], _drawn(spec, shown, answer))
        if isinstance(spec.output, Mask):
            written.append(folder / f"{stem}-mask.png")
            from deepen.insight import masks

            masks.mask_png(answer, written[-1])
    return written


def ready(folder: Path) -> Path:
    """The folder, made before anything is computed. Raises `Misuse` where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misuse(
            f"--save {folder} cannot be made ({error.strerror}): name a folder that can be written to."
        ) from None
    return folder


def _picture(path: Path) -> Pictures.Image:
    try:
        with quiet(), opened(path, MOST_TILED) as image:
            return upright(image, "RGB")
    except UnreadableError as error:
        raise Problem(f"'{path}' was answered for and cannot be drawn: {error}.") from None


def _drawn(spec: Spec, shown: Pictures.Image, answer: Answer) -> str:
    if isinstance(spec.output, Boxes):
        from deepen.insight import boxes

        return boxes.drawn(shown, answer)
    if isinstance(spec.output, Mask):
        from deepen.insight import masks

        return masks.drawn(shown, answer, spec.output.names)
    if isinstance(spec.output, Category):
        return _classes(shown, answer)
    raise Problem(f"Answers of the kind '{type(spec.output).__name__.lower()}' cannot be drawn: leave out --save.")


def _classes(shown: Pictures.Image, answer: Answer) -> str:
    """The picture and a bar for each of the likeliest classes."""
    scale = WIDE / max(shown.size)
    width, height = round(shown.width * scale), round(shown.height * scale)
    left, room = width + 28.0, 240.0
    parts = [picture(8, 8, width, height, np.asarray(shown))]
    for number, (name, chance) in enumerate(answer["top"]):
        y = 24.0 + 44 * number
        parts.append(text(left, y, shorten(name, room - 60), "" if number else "title", tip=name))
        parts.append(text(left + room, y, percent(chance), "end"))
        parts.append(
            f'<rect x="{left:.1f}" y="{y + 8:.1f}" width="{max(1.0, room * chance):.1f}" height="10" rx="2" fill="{colour(0)}"/>'
        )
    tall = max(height + 16, 24 + 44 * len(answer["top"]))
    return svg(left + room + 12, tall, "".join(parts), f"{answer['input']}: {answer['category']}")


def _table(path: Path, answers: Sequence[Answer]) -> Path:
    """A line per row: what it is called, the answer, and how sure it is."""
    lines = io.StringIO(newline="")
    rows = [_flat(answer) for answer in answers]
    writer = csv.DictWriter(lines, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, lines.getvalue())
    return path


def _flat(answer: Answer) -> dict[str, Any]:
    plain = {key: value for key, value in answer.items() if not isinstance(value, Mapping | list)}
    inner = {name: value for part in answer.values() if isinstance(part, Mapping) for name, value in part.items()}
    return plain | inner


def _free(stem: str, written: Sequence[Path]) -> str:
    """A name that none of those written has: pictures of several folders may be called the same."""
    taken, name, number = {path.stem for path in written}, stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name

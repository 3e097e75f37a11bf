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
from deepen.data.lookback import SeriesPreprocess
from deepen.data.preprocess import Preprocess
from deepen.engine.checkpoint import write_text
from deepen.errors import Problem
from deepen.insight import files
from deepen.insight.ink import colour, percent, picture, shorten, svg, text
from deepen.spec import Boxes, Category, Horizon, Image, Mask, Spec

WIDE = 480
"""Pixels of the longer side of a drawn picture with a class."""

TABLE = "predictions.csv"

Answer = Mapping[str, Any]


class Drawing:
    """Where the answers of one command are drawn: every name is decided before the first answer, and takes the place of no file
    that is there.

    `inputs` are what the answers will be called, in their order; some of them may get no answer. Raises `Problem` for answers
    that cannot be drawn, `Misuse` for a folder that cannot be used.
    """

    def __init__(self, folder: Path, spec: Spec, inputs: Sequence[str], preprocess: Preprocess | None = None) -> None:
        self.spec = spec
        self.preprocess = preprocess
        """What reads the past of a forecast again."""
        self.saved: list[Path] = []
        self._rows: list[Answer] = []
        if isinstance(spec.output, Horizon):
            names = files.distinct((Path(one).stem, ".svg") for one in inputs)
            self.folder = files.room(folder, [*names, *(_numbers(name) for name in names)], "--save")
            self._names = zip(inputs, names, strict=True)
            return
        if not isinstance(spec.input, Image):
            self.folder = files.room(folder, [TABLE], "--save")
            return
        if not isinstance(spec.output, Boxes | Mask | Category):
            kind = type(spec.output).__name__.lower()
            raise Problem(f"Answers of the kind '{kind}' cannot be drawn: leave out --save.")
        names = files.distinct((Path(one).stem, ".svg") for one in inputs)
        masks = [_mask(name) for name in names] if isinstance(spec.output, Mask) else []
        self.folder = files.room(folder, [*names, *masks], "--save")
        self._names = zip(inputs, names, strict=True)

    def add(self, answer: Answer) -> None:
        """Draw one answer now; rows of a table wait for `finish`. Raises `Problem`, `OSError`."""
        if isinstance(self.spec.output, Horizon):
            self._forecast(answer)
            return
        if not isinstance(self.spec.input, Image):
            self._rows.append(answer)
            return
        path = self.folder / next(name for one, name in self._names if one == answer["input"])
        write_text(path, _drawn(self.spec, _picture(Path(answer["input"])), answer))
        self.saved.append(path)
        if isinstance(self.spec.output, Mask):
            from deepen.insight import masks

            masks.mask_png(answer, path.with_name(_mask(path.name)))
            self.saved.append(path.with_name(_mask(path.name)))

    def _forecast(self, answer: Answer) -> None:
        from deepen.insight import forecasts

        path = self.folder / next(name for one, name in self._names if one == answer["input"])
        assert isinstance(self.preprocess, SeriesPreprocess)
        write_text(path, forecasts.drawn(answer, self.preprocess))
        write_text(path.with_name(_numbers(path.name)), forecasts.table(answer))
        self.saved += [path, path.with_name(_numbers(path.name))]

    def finish(self) -> None:
        if self._rows:
            self.saved.append(_table(self.folder / TABLE, self._rows))


def _numbers(name: str) -> str:
    """Not NAME.csv: the table that is forecast may be called so."""
    return f"{name.removesuffix('.svg')}-forecast.csv"


def _mask(name: str) -> str:
    """Not NAME-mask.png: beside NAME.jpg, that would be read as its label when the folder is learnt from."""
    return f"{name.removesuffix('.svg')}-answer.png"


def _picture(path: Path) -> Pictures.Image:
    try:
        with quiet(), opened(path, MOST_TILED) as image:
            return upright(image, "RGB")
    except UnreadableError as error:
        raise Problem(f"'{path}' was answered for and cannot be drawn: {error}.") from None


def _drawn(spec: Spec, shown: Pictures.Image, answer: Answer) -> str:
    if isinstance(spec.output, Boxes):
        from deepen.insight import boxes

        return boxes.drawn(shown, answer, spec.output.names)
    if isinstance(spec.output, Mask):
        from deepen.insight import masks

        return masks.drawn(shown, answer, spec.output.names)
    return _classes(shown, answer)


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
    rows = [row for answer in answers for row in (_tags(answer) if "tags" in answer else [_flat(answer)])]
    writer = csv.DictWriter(lines, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, lines.getvalue())
    return path


def _tags(answer: Answer) -> list[dict[str, Any]]:
    """A line per word of a text."""
    return [{"input": answer["input"], **tag} for tag in answer["tags"]] or [{"input": answer["input"]}]


def _flat(answer: Answer) -> dict[str, Any]:
    plain = {key: value for key, value in answer.items() if not isinstance(value, Mapping | list)}
    inner = {name: value for part in answer.values() if isinstance(part, Mapping) for name, value in part.items()}
    return plain | inner

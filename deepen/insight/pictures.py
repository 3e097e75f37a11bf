"""Pictures that a person would look at: samples, the same samples augmented, mistakes, what a generator draws.

Every function takes plain arrays and gives SVG text; `save` writes a set of them into a run folder. Pixels are uint8
[n, height, width, channels]; tables are rows of text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepen.insight.charts import Series, line_chart
from deepen.insight.ink import clean, picture, shorten, svg, text, text_width, wrapped

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Mistake:
    """One answer that was wrong, worth looking at."""

    true: str
    predicted: str
    confidence: float | None = None
    """The probability that the model gave its wrong answer."""
    origin: str = ""
    """Where the sample is: a file, a line of a file."""
    pixels: Pixels | None = None
    """[height, width, channels] for pictures."""
    values: tuple[tuple[str, str], ...] = ()
    """(column, value) for rows of a table."""


def save(folder: Path, drawn: Mapping[str, str]) -> list[Path]:
    """Write each picture as `<name>.svg`, each file whole or not at all. Returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in drawn.items():
        path = folder / f"{file_name(name)}.svg"
        part = path.with_suffix(".part")
        part.write_text(content, encoding="utf-8")
        part.replace(path)
        paths.append(path)
    return paths


def file_name(name: str) -> str:
    """A picture's name as a file name: letters, digits and dashes."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")
    return kept or "picture"


def samples(inputs: Pixels, labels: Sequence[str], *, title: str = "Training samples", across: int = 3) -> str:
    """Pictures uint8 [n, H, W, C] in a grid, each with its label under it."""
    tile = 132 if across <= 3 else 96
    return tiles(title, list(inputs), [[label] for label in labels], across=across, tile=tile)


def augmented(originals: Pixels, variants: Pixels, *, title: str = "What augmentation does") -> str:
    """Each original uint8 [n, H, W, C] at the start of a row, then its variants uint8 [n, v, H, W, C]."""
    count, columns = variants.shape[0], variants.shape[1]
    side, gap, left, top = 58.0, 5.0, 12.0, 56.0
    first = left + side + 14
    parts = [text(left, 22, title, "title"), text(left, 46, "original", "mute")]
    parts.append(text(first, 46, "as seen in training, anew each time", "mute"))
    for row in range(count):
        y = top + row * (side + gap)
        parts.append(picture(left, y, side, side, originals[row]))
        parts += [picture(first + i * (side + gap), y, side, side, variants[row, i]) for i in range(columns)]
    x = first - 7
    parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{top}" y2="{top + count * (side + gap) - gap}"/>')
    return svg(max(first + columns * (side + gap) + 8, 280), top + count * (side + gap) + 8, "".join(parts), title)


def mistakes(worst: Sequence[Mistake], *, title: str = "Worst mistakes") -> str:
    """The mistakes as pictures, or as rows where they have no pixels."""
    if not worst:
        return tiles(title, [], [])
    if any(one.pixels is None for one in worst):
        header = ["true", "predicted", "sure", *(name for name, _ in worst[0].values), "where"]
        rows = [[one.true, one.predicted, _sure(one), *(value for _, value in one.values), one.origin] for one in worst]
        return rows_table(title, header, rows)
    pixels = [one.pixels for one in worst if one.pixels is not None]
    captions = [[one.true, f"→ {one.predicted}", f"{_sure(one)} {one.origin}".strip()] for one in worst]
    note = "the truth, → the answer, how sure it was, where it is"
    return tiles(title, pixels, captions, across=6, tile=118, note=note)


def _sure(one: Mistake) -> str:
    return "" if one.confidence is None else f"{one.confidence * 100:.0f} %"


def progress(grids: Sequence[tuple[str, Pixels]], *, title: str = "What it draws, as it learns", most: int = 6) -> str:
    """Sample grids (when, uint8 [H, W, C]) over time, at most `most` of them, the first and the last always."""
    index = np.linspace(0, max(len(grids) - 1, 0), min(most, len(grids))).round().astype(int)
    chosen = [grids[i] for i in index.tolist()]
    wide = {1: 1, 2: 2, 4: 2}.get(len(chosen), 3)
    return tiles(title, [grid for _, grid in chosen], [[when] for when, _ in chosen], across=wide, tile=260)


def scatter(
    points: ArrayLike, classes: ArrayLike, names: Sequence[str], columns: tuple[str, str], *, title: str
) -> str:
    """Samples of a table with two columns, float [n, 2], coloured by class, int [n]."""
    where, which = np.asarray(points, dtype=np.float64), np.asarray(classes)
    clouds = [
        Series(name, where[which == index, 0], where[which == index, 1], dots=True) for index, name in enumerate(names)
    ]
    return line_chart(title, clouds, x_label=columns[0], y_label=columns[1], height=400, width=480)


def tiles(
    title: str,
    pixels: Sequence[Pixels],
    captions: Sequence[Sequence[str]],
    *,
    across: int = 3,
    tile: float = 132,
    note: str = "",
) -> str:
    """Pictures in a grid with lines of text under each; a line that does not fit is cut and shows whole on hover."""
    gap, left = 12.0, 12.0
    top = 52.0 if note else 34.0
    lines = max((len(caption) for caption in captions), default=0)
    height = tile + 17 * lines + 10
    columns = max(1, min(across, len(pixels)))
    parts = [text(left, 22, title, "title")] + ([text(left, 42, note, "mute")] if note else [])
    for index, (one, caption) in enumerate(zip(pixels, captions, strict=True)):
        x = left + (index % columns) * (tile + gap)
        y = top + (index // columns) * height
        parts.append(picture(x, y, tile, tile, one, tip="\n".join(caption)))
        for line, words in enumerate(caption):
            kind = "mute mid" if line else "mid"
            parts.append(text(x + tile / 2, y + tile + 15 + 17 * line, shorten(words, tile), kind, tip=words))
    if not pixels:
        parts.append(text(left, top + 18, "none", "mute"))
    width = max(left + columns * (tile + gap), text_width(title, 15) + 24, text_width(note) + 24)
    return svg(width, top + math.ceil(max(len(pixels), 1) / columns) * height, "".join(parts), title)


def rows_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, most_columns: int = 9) -> str:
    """Rows of a table as a picture; columns beyond `most_columns` are left out and counted, the last one is kept."""
    picked = list(range(len(header)))
    left_out = len(picked) - most_columns
    if left_out > 0:
        picked = [*picked[: most_columns - 1], picked[-1]]
    table = [[str(line[i]) for i in picked] for line in (header, *rows)]
    widest = max(190.0, 680.0 / len(picked))
    widths = [min(max(text_width(line[i]) for line in table), widest) + 20 for i in range(len(picked))]
    starts = np.concatenate([[12.0], 12.0 + np.cumsum(widths)])
    parts = [text(12, 22, title, "title")]
    for number, line in enumerate(table):
        y = 50 + 22 * number
        for i, cell in enumerate(line):
            parts.append(text(float(starts[i]), y, shorten(cell, widths[i] - 14), "" if number else "mute", tip=cell))
        parts.append(f'<line class="grid" x1="12" x2="{starts[-1]:.1f}" y1="{y + 7}" y2="{y + 7}"/>')
    bottom = 50 + 22 * len(table)
    if left_out > 0:
        parts.append(text(12, bottom, f"and {left_out} more columns", "mute"))
    return svg(max(float(starts[-1]) + 12, text_width(clean(title), 15) + 24), bottom + 12, "".join(parts), title)


def wrapped_table(title: str, header: tuple[str, str], rows: Sequence[tuple[str, str]], *, width: float = 640) -> str:
    """A short and a long text in each row; the long one is shown whole, its own lines and blanks kept."""
    left = max(text_width(line[0]) for line in (header, *rows)) + 32
    parts = [text(12, 22, title, "title"), text(12, 50, header[0], "mute"), text(left, 50, header[1], "mute")]
    y = 57.0
    for name, words in rows:
        parts.append(f'<line class="grid" x1="12" x2="{width - 12:g}" y1="{y:g}" y2="{y:g}"/>')
        parts.append(text(12, y + 16, name))
        for line in (part for whole in words.splitlines() or [""] for part in wrapped(whole, width - left - 16)):
            y += 16
            parts.append(text(left, y, line).replace("<text ", '<text style="white-space:pre" ', 1))
        y += 8
    return svg(max(width, text_width(title, 15) + 24), y + 12, "".join(parts), title)

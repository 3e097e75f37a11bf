"""Pictures with boxes drawn over them, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepen.insight.ink import clean, href, shorten, svg, text, text_width


@dataclass(frozen=True)
class Shown:
    """A box as it is drawn."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the picture."""
    words: str
    """What is said of it, in the picture or on hover."""
    colour: str
    """As a CSS value."""
    dashed: bool = False
    named: bool = True
    """Whether the words stand in the picture, where there is room."""


@dataclass(frozen=True)
class Tile:
    """A picture with boxes and what stands under it."""

    pixels: NDArray[np.uint8]
    boxes: Sequence[Shown]
    captions: Sequence[str]


def board(title: str, tiles: Sequence[Tile], legend: Sequence[tuple[str, str]], note: str) -> str:
    """Pictures with boxes, two beside each other."""
    side, gap, left, across = 392.0, 14.0, 12.0, 2
    width = left + across * (side + gap)
    names, tall = key(legend, width - 24, 12, 60)
    parts = [text(left, 22, title, "title"), text(left, 42, note, "mute"), names]
    y = 58 + tall
    for start in range(0, len(tiles), across):
        line = tiles[start : start + across]
        height = max(side * one.pixels.shape[0] / one.pixels.shape[1] for one in line)
        for place, one in enumerate(line):
            x = left + place * (side + gap)
            parts.append(overlaid(x, y, side, one.pixels, one.boxes))
            for number_, words in enumerate(one.captions):
                parts.append(
                    text(x, y + height + 15 + 16 * number_, shorten(words, side), "mute" if number_ else "", tip=words)
                )
        y += height + 16 * max(len(one.captions) for one in line) + 14
    if not tiles:
        parts.append(text(left, y + 14, "none", "mute"))
        y += 28
    return svg(width, y, "".join(parts), title)


def overlaid(x: float, y: float, width: float, pixels: NDArray[np.uint8], boxes: Sequence[Shown]) -> str:
    """Pixels uint8 [H, W, C] with boxes over them."""
    scale = width / pixels.shape[1]
    height = pixels.shape[0] * scale
    image = href(pixels, side=round(max(width, height) * 1.5))
    parts = [f'<image x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" href="{image}"/>']
    labels: list[str] = []
    taken: list[tuple[float, float, float]] = []  # where words stand: left, right, base line
    for one in boxes:
        left, top, right, bottom = (side * scale for side in one.box)
        dash = "stroke-dasharray:4 3;" if one.dashed else ""
        size = f'width="{max(1.0, right - left):.1f}" height="{max(1.0, bottom - top):.1f}"'
        style = f"fill:none;pointer-events:all;stroke:{one.colour};stroke-width:2;{dash}"
        tip = f"<title>{clean(one.words)}</title>"
        parts.append(f'<rect x="{x + left:.1f}" y="{y + top:.1f}" {size} rx="2" style="{style}">{tip}</rect>')
        words = shorten(one.words, width)
        wide = text_width(words, 11)
        at = max(min(left, width - wide), 0.0)
        for base in (top - 4, top + 12, bottom + 12, bottom - 4):
            free = all(at > end or at + wide < start or abs(base - line) > 12 for start, end, line in taken)
            if one.named and free and 10 <= base <= height - 3:
                taken.append((at, at + wide, base))
                halo = "font-size:11px;paint-order:stroke;stroke:var(--paper,#fff);stroke-width:3"
                labels.append(f'<text x="{x + at:.1f}" y="{y + base:.1f}" style="{halo}">{clean(words)}</text>')
                break
    return "".join(parts + labels)  # words over every box


def key(names: Sequence[tuple[str, str]], width: float, x: float = 12, y: float = 18) -> tuple[str, float]:
    """Squares of colour with their names, in lines of `width`; returns how tall they are."""
    parts, at, line = [], x, 0
    for name, paint in names:
        said = shorten(name, 180)
        taken = text_width(said) + 32
        if at > x and at + taken > x + width:
            at, line = x, line + 1
        base = y + 18 * line
        square = f'x="{at:.1f}" y="{base - 9:.1f}" width="10" height="10"'
        parts.append(f'<rect {square} rx="2" style="fill:none;stroke-width:2;stroke:{paint}"/>')
        parts.append(text(at + 15, base, said, tip=name))
        at += taken
    return "".join(parts), 18.0 * (line + 1) if names else 0.0

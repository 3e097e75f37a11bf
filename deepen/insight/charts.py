"""Charts as SVG text: lines, dots, bars, drawn in milliseconds without a plotting library."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepen.insight.axes import Axis, axis_for
from deepen.insight.ink import clean, colour, number, percent, shorten, svg, text, text_width

MOST_POINTS = 400
"""A line with more points is drawn by the lowest and highest of each stretch."""


@dataclass(frozen=True)
class Series:
    """One line or cloud of a chart; `x` and `y` of equal length, values that are not finite leave a gap."""

    name: str
    x: ArrayLike
    y: ArrayLike
    dashed: bool = False
    dots: bool = False
    faint: bool = False
    colour: int | None = None
    """Index into the palette. Default: its place in the chart."""


@dataclass(frozen=True)
class Mark:
    """A point that a person should notice, with a word or two beside it."""

    x: float
    y: float
    text: str
    colour: int = 3


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str = "",
    y_label: str = "",
    marks: Sequence[Mark] = (),
    log_y: bool = False,
    percent_x: bool = False,
    percent_y: bool = False,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    width: float = 560,
    height: float = 320,
    behind: str = "",
) -> str:
    """A chart of lines and dots as SVG.

    Values that cannot be shown (not finite, or not positive on a logarithmic axis) leave gaps. `behind` is
    the href of a picture that fills the plot, e.g. a decision map; it needs both ranges.
    """
    drawn = [_points(one, log_y) for one in series]
    usable = [points for points in drawn if len(points)]
    names = [(one, index) for index, one in enumerate(series) if one.name]
    top, head = _head(title, names, width)
    top += 22 if y_label else 6
    y_axis = axis_for(
        [points[:, 1] for points in usable], y_range, height - (46 if x_label else 30), top, log_y, percent_y
    )
    left = 14 + max((text_width(label) for label in y_axis.labels()), default=20)
    x_pad = 0.03 if any(one.dots for one in series) else 0.0
    x_axis = axis_for([points[:, 0] for points in usable], x_range, left, width - 22, False, percent_x, x_pad)
    parts = [head]
    if behind:
        box = f'x="{left:.1f}" y="{top:.1f}" width="{x_axis.end - left:.1f}" height="{y_axis.start - top:.1f}"'
        parts.append(f'<image {box} href="{behind}" preserveAspectRatio="none" opacity="0.45"/>')
    parts.append(_frame(x_axis, y_axis, x_label, y_label, width))
    if not usable:
        middle = (x_axis.start + x_axis.end) / 2
        parts.append(text(middle, (y_axis.start + y_axis.end) / 2, "nothing to show yet", "mute mid"))
    for index, (one, points) in enumerate(zip(series, drawn, strict=True)):
        parts.append(_draw(one, index, points, np.asarray(one.x).size, x_axis, y_axis))
    parts += [_mark(mark, x_axis, y_axis) for mark in marks if _shows(mark, log_y)]
    return svg(width, height, "".join(parts), title)


def _value(value: float, as_percent: bool) -> str:
    return percent(value) if as_percent else number(value, 6)


def _points(one: Series, log_y: bool) -> NDArray[np.float64]:
    """The points that can be shown, [n, 2]; a row of NaN marks a gap in a line."""
    x = np.asarray(one.x, dtype=np.float64).reshape(-1)
    y = np.asarray(one.y, dtype=np.float64).reshape(-1)
    good = np.isfinite(x) & np.isfinite(y)
    if log_y:
        good &= np.where(good, y, 0.0) > 0
    return np.stack([x, y], axis=1)[good]


def _runs(one: Series, points: NDArray[np.float64], total: int, log_y: bool) -> list[NDArray[np.float64]]:
    """The stretches of a line between its gaps."""
    if len(points) == total:
        return [points]
    x = np.asarray(one.x, dtype=np.float64).reshape(-1)
    y = np.asarray(one.y, dtype=np.float64).reshape(-1)
    good = np.isfinite(x) & np.isfinite(y)
    if log_y:
        good &= np.where(good, y, 0.0) > 0
    where = np.flatnonzero(good)
    cuts = np.flatnonzero(np.diff(where) > 1) + 1
    return np.split(points, cuts)


def _head(title: str, names: Sequence[tuple[Series, int]], width: float) -> tuple[float, str]:
    """Title and legend; returns the height they take."""
    parts = [text(12, 22, shorten(title, (width - 24) * 0.85), "title")]
    if len(names) < 1 or (len(names) == 1 and not names[0][0].dots and names[0][0].name == title):
        return 32, "".join(parts)
    widths = [text_width(shorten(one.name, width * 0.4)) + 40 for one, _ in names]
    beside = sum(widths) + text_width(title, 15) + 30 <= width
    x, y = (width - sum(widths) - 6, 22.0) if beside else (12.0, 44.0)
    for (one, index), taken in zip(names, widths, strict=True):
        if x + taken > width and x > 12:
            x, y = 12.0, y + 18
        stroke = colour(index if one.colour is None else one.colour)
        if one.dots:
            parts.append(f'<circle cx="{x + 9:.1f}" cy="{y - 4:.1f}" r="4" style="fill:{stroke}"/>')
        else:
            dash = "stroke-dasharray:5 3;" if one.dashed else ""
            fade = "opacity:.35;" if one.faint else ""
            line = f'x1="{x:.1f}" x2="{x + 20:.1f}" y1="{y - 4:.1f}" y2="{y - 4:.1f}"'
            parts.append(f'<line {line} style="stroke:{stroke};stroke-width:2.5;{dash}{fade}"/>')
        parts.append(text(x + 25, y, shorten(one.name, width * 0.4), tip=one.name))
        x += taken
    return (32 if beside else y + 8), "".join(parts)


def _frame(x_axis: Axis, y_axis: Axis, x_label: str, y_label: str, width: float) -> str:
    left, right, bottom, top = x_axis.start, x_axis.end, y_axis.start, y_axis.end
    parts = []
    for y, label in zip(y_axis.at(y_axis.ticks), y_axis.labels(), strict=True):
        parts.append(f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(left - 7, y + 4, label, "mute end"))
    labels = x_axis.labels()
    room = (right - left) / max(len(labels), 1)
    stride = max(1, math.ceil((max((text_width(label) for label in labels), default=0.0) + 8) / max(room, 1.0)))
    for index, (x, label) in enumerate(zip(x_axis.at(x_axis.ticks), labels, strict=True)):
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
        if index % stride == 0:
            at = min(x, width - text_width(label) / 2 - 2)
            parts.append(text(at, bottom + 17, label, "mute mid"))
    parts.append(f'<line class="axis" x1="{left:.1f}" x2="{right:.1f}" y1="{bottom:.1f}" y2="{bottom:.1f}"/>')
    if x_label:
        parts.append(text((left + right) / 2, bottom + 36, x_label, "mute mid"))
    if y_label:
        parts.append(text(12, top - 12, shorten(y_label, width - 24), "mute"))
    return "".join(parts)


def _draw(one: Series, index: int, points: NDArray[np.float64], total: int, x_axis: Axis, y_axis: Axis) -> str:
    stroke = colour(index if one.colour is None else one.colour)
    fade = "opacity:.35;" if one.faint else ""
    if not len(points):
        return ""
    if one.dots:
        pixels = zip(x_axis.at(points[:, 0]), y_axis.at(points[:, 1]), strict=True)
        radius = 3.5 if len(points) <= 300 else 2.2
        # a path of zero-length strokes with round ends is a tenth of the size of as many circles
        path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in pixels)
        style = (
            f"stroke:{stroke};stroke-width:{2 * radius:g};stroke-linecap:round;opacity:{0.35 if one.faint else 0.75}"
        )
        return f'<path d="{path}" style="fill:none;{style}"/>'
    dash = "stroke-dasharray:6 4;" if one.dashed else ""
    thin = "stroke-width:1.2;" if one.faint else ""
    parts = []
    for run in _runs(one, points, total, y_axis.log):
        x, y = x_axis.at(run[:, 0]), y_axis.at(run[:, 1])
        if len(run) == 1:
            parts.append(f'<circle cx="{x[0]:.1f}" cy="{y[0]:.1f}" r="4" style="fill:{stroke};{fade}"/>')
            continue
        x, y = _thin_out(x, y)
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
        parts.append(f'<path class="line" d="{path}" style="stroke:{stroke};{dash}{thin}{fade}"/>')
    return "".join(parts)


def _thin_out(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `MOST_POINTS` points that keep every peak: the lowest and the highest of each stretch, and both ends."""
    if len(x) <= MOST_POINTS:
        return x, y
    edges = np.linspace(0, len(x), MOST_POINTS // 2, dtype=np.int64)
    kept = {0, len(x) - 1}
    for low, high in itertools.pairwise(edges):
        kept |= {int(low + y[low:high].argmin()), int(low + y[low:high].argmax())}
    index = np.asarray(sorted(kept))
    return x[index], y[index]


def _shows(mark: Mark, log_y: bool) -> bool:
    return math.isfinite(mark.x) and math.isfinite(mark.y) and (mark.y > 0 or not log_y)


def _mark(mark: Mark, x_axis: Axis, y_axis: Axis) -> str:
    x, y = float(x_axis.at(mark.x)), float(y_axis.at(mark.y))
    wide = text_width(mark.text)
    low, high = x_axis.start + wide / 2 + 2, x_axis.end - wide / 2
    at = min(max(x, low), max(high, low))
    above = y - 12 if y - 24 > y_axis.end else y + 22
    ring = f'style="fill:var(--paper,#fff);stroke:{colour(mark.colour)};stroke-width:2.5"'
    halo = 'style="paint-order:stroke;stroke:var(--paper,#fff);stroke-width:4"'
    words = f'<text x="{at:.1f}" y="{above:.1f}" class="mid" {halo}>{clean(mark.text)}</text>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {ring}/>{words}'

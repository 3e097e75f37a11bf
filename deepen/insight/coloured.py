"""Texts whose words lie on colours, the stronger the more there is to say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepen.insight.ink import colour, shorten, svg, text, text_width

WIDTH = 640.0


@dataclass(frozen=True)
class Word:
    """A piece of a text."""

    text: str
    strength: float = 0.0
    """Of its colour, 0 to 1."""
    colour: int = 0
    """Index into the palette."""
    tip: str = ""


def passages(title: str, lines: Sequence[Sequence[Word]], note: str = "") -> str:
    """Texts one under the other, broken where a line is full. Letters are all of one width: boxes fit them without measuring."""
    parts, y = [text(12, 22, title, "title")], 34.0
    if note:
        parts, y = [*parts, text(12, 42, note, "mute")], 48.0
    for words in lines:
        x, y = 12.0, y + 24
        for word in words:
            shown = shorten(word.text, WIDTH - 60)
            taken = text_width(shown, 13) + 6
            if x + taken > WIDTH - 12 and x > 12:
                x, y = 12.0, y + 21
            if word.strength > 0:
                box = f'x="{x:.1f}" y="{y - 14:.1f}" width="{taken:.1f}" height="19" rx="3"'
                parts.append(f'<rect {box} style="fill:{colour(word.colour)};opacity:{0.55 * word.strength:.3f}"/>')
            parts.append(f'<g style="font-family:monospace">{text(x + 3, y, shown, tip=word.tip or word.text)}</g>')
            x += taken + 1
        y += 11
        parts.append(f'<line class="grid" x1="12" x2="{WIDTH - 12:g}" y1="{y:g}" y2="{y:g}"/>')
    return svg(max(WIDTH, text_width(note) + 24), y + 14, "".join(parts), title)

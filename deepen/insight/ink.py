"""The pen of charts, pictures and the report: SVG, text made safe, numbers for people, pixels as data URIs.

Text is left to the viewer's fonts, so that class names in any script show. Colours are CSS variables with a fallback:
inside the report they follow its light or dark theme, in a file of their own they are drawn on white.
"""

from __future__ import annotations

import base64
import colorsys
import html
import io
import math
import re
import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PALETTE = ("#2f6fdb", "#e0702b", "#2a9d64", "#c8384a", "#8457c9", "#a07a1f", "#d14f9b", "#5b6b7b")
"""Fallbacks of the variables --c0 to --c7."""
GOLDEN = 0.61803398875
"""Hues this far apart stay apart, however many there are."""

STYLE = (
    "<style>.dc{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','Noto Sans CJK SC',sans-serif}"
    ".dc text{fill:var(--ink,#1f2933);font-size:12px}.dc .mute{fill:var(--mute,#5f6c7b)}"
    ".dc .title{font-size:14px;font-weight:600}.dc .end{text-anchor:end}.dc .mid{text-anchor:middle}"
    ".dc .paper{fill:var(--paper,#fff)}.dc .grid{stroke:var(--grid,#e4e8ee);stroke-width:1}"
    ".dc .axis{stroke:var(--mute,#5f6c7b);stroke-width:1}.dc image{image-rendering:auto}"
    ".dc image.pixels{image-rendering:pixelated}.dc .line{fill:none;stroke-width:2;stroke-linejoin:round}</style>"
)


def clean(text: object) -> str:
    """Any text as safe XML: escaped, without characters that XML forbids or that turn the writing direction round."""
    shown = "".join(_visible(letter) for letter in str(text))
    return html.escape(shown, quote=True)


JOINERS = " \u200c\u200d"
"""Not printable by themselves, but needed inside emoji and some scripts."""


def _visible(letter: str) -> str:
    if letter.isprintable() or letter in JOINERS:
        return letter
    return " " if letter in "\n\r\t\u3000\xa0\u202f" else "\ufffd"


def shorten(text: str, width: float) -> str:
    """`text` cut in the middle so that it is at most about `width` pixels wide at 12 px."""
    most = int(width)
    if len(text) <= most and text_width(text) <= width:
        return text
    # No letter is narrower than a pixel: what is far too long is cut first, for a text may be a megabyte.
    letters = [*text[:most], *text[-most:]] if len(text) > 2 * most else list(text)
    while len(letters) > 2 and text_width("".join(letters)) + 12 > width:
        del letters[len(letters) // 2]
    middle = len(letters) // 2
    return "".join(letters[:middle]) + "…" + "".join(letters[middle:])


def wrapped(text: str, width: float) -> list[str]:
    """`text` in lines that are at most about `width` pixels wide at 12 px, broken between words where there are some."""
    lines, line = [], ""
    most = max(1, int(width / text_width(".")) + 1)  # letters that may fit: none is narrower
    for word in re.findall(r"\s*\S+|\s+$", text):
        if text_width(line + word) > width and line:
            lines.append(line)
            line, word = "", word.lstrip()
        while text_width(word[: most + 1]) > width and len(word) > 1:
            fitting = next(n for n in range(min(most, len(word)), 0, -1) if n == 1 or text_width(word[:n]) <= width)
            lines.append(word[:fitting])
            word = word[fitting:]
        line += word
    return [*lines, line]


def text_width(text: str, size: float = 12) -> float:
    """About how many pixels a text takes; East Asian wide letters take a full square."""
    wide = sum(1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.56 for letter in text)
    return wide * size


def number(value: float, digits: int = 4) -> str:
    """A number for people: `0.9951`, `1,234`, `2.5e-05`, at most `digits` significant digits."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    if abs(value) >= 1e7 or abs(value) < 1e-4:
        mantissa, _, exponent = f"{value:.{max(digits - 2, 1)}e}".partition("e")
        return f"{_trim(mantissa)}e{int(exponent)}".replace("-", "−")
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return _trim(f"{value:,.{places}f}").replace("-", "−")


def percent(value: float, places: int = 1) -> str:
    """A share as `99.5 %`; only what is exactly all is written as `100 %`."""
    if not math.isfinite(value):
        return "not a number"
    if value in (0.0, 1.0):
        return f"{value * 100:.0f} %"
    while 0 < value < 1 and places < 6 and round(value * 100, places) in (0.0, 100.0):
        places += 1
    return f"{value * 100:.{places}f} %"


def several(count: int, what: str) -> str:
    """`1 sample`, `1,234 samples`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def marked(text: object) -> str:
    """`clean`, with what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", clean(text))


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def svg(width: float, height: float, body: str, title: str) -> str:
    """A whole SVG document, also usable inside a page; `title` is read aloud by screen readers."""
    return (
        f'<svg class="dc" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="{clean(title)}">{STYLE}'
        f'<rect class="paper" width="{width:g}" height="{height:g}"/>{body}</svg>'
    )


MOST_TIP = 1000
"""Characters of what shows on hover."""


def text(x: float, y: float, words: object, kind: str = "", *, tip: str = "") -> str:
    """A text element; `tip` shows on hover, as far as it is readable there."""
    hover = f"<title>{clean(tip[:MOST_TIP])}</title>" if tip else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{clean(words)}{hover}</text>'


def colour(index: int) -> str:
    """The palette's colour as a CSS value."""
    index %= len(PALETTE)
    return f"var(--c{index},{PALETTE[index]})"


def colours(count: int) -> list[str]:
    """As many colours as CSS values, no two alike: the palette's without its grey, or hues far apart."""
    if count < len(PALETTE):
        return [colour(index) for index in range(count)]
    return ["#" + "".join(f"{part:02x}" for part in hue(number)) for number in range(1, count + 1)]


def hue(number: int) -> tuple[int, int, int]:
    """One of a series of colours, 0..255, as far apart as they can be, however many there are."""
    # Neighbours differ in brightness too; the first is dark, for it mostly is the background.
    bright = 0.35 if number == 0 else (0.95, 0.7, 0.85)[number % 3]
    red, green, blue = colorsys.hsv_to_rgb((0.6 + number * GOLDEN) % 1, (0.75, 0.9, 0.55)[number % 3], bright)
    return round(255 * red), round(255 * green), round(255 * blue)


def href(pixels: NDArray[Any], *, side: int = 320) -> str:
    """Pixels, uint8 [H, W, C] with C of 1, 3 or 4, as a data URI.

    What is larger than `side` is made smaller. Large photographs become JPEG, everything else PNG.
    """
    assert pixels.dtype == np.uint8, f"pixels are uint8, not {pixels.dtype}"
    assert pixels.ndim == 3, f"a picture is [H, W, C], not {pixels.shape}"
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    photograph = image.mode != "RGBA" and image.width * image.height > 96 * 96
    buffer = io.BytesIO()
    if photograph:
        image.save(buffer, "JPEG", quality=88)
    else:
        image.save(buffer, "PNG", compress_level=1)
    kind = "jpeg" if photograph else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def picture(x: float, y: float, width: float, height: float, pixels: NDArray[Any], *, tip: str = "") -> str:
    """An SVG image element of pixels, uint8 [H, W, C]; small ones are enlarged without smoothing, none is distorted."""
    kind = "pixels" if max(pixels.shape[:2]) <= 96 else "smooth"
    hover = f"<title>{clean(tip)}</title>" if tip else ""
    box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<image class="{kind}" {box} href="{href(pixels)}">{hover}</image>'

"""Masks for people: pictures under the colours of their classes, beside the truth; the overlap of each class; masks as files.

Everything takes validation pictures and what `tasks/segment.py` measured of them, or one answer of `deepen predict`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from deepen.data.dataset import Dataset
from deepen.data.framed import fitted
from deepen.data.run_lengths import unpacked
from deepen.insight.answers import confusion
from deepen.insight.files import write_picture
from deepen.insight.ink import clean, href, hue, percent, shorten, svg, text, text_width
from deepen.spec import IGNORED, Mask
from deepen.tasks.base import Rows, Task

Pixels = NDArray[np.uint8]

SHOWN = 6
"""Pictures of each of the two kinds that are drawn."""
MOST_CLASSES = 60
"""That bars and confusion are drawn of."""
LARGEST = 960
"""Pixels of the longer side of a picture that is drawn alone."""
STRENGTH = 0.6
"""Of the colours over a picture."""


def told(dataset: Dataset, rows: Rows, module: nn.Module, task: Task) -> dict[str, str]:
    """Pictures of what was answered on the validation split: `examples` from the best to the worst, the `worst`, the overlap
    of the `classes`, and the `confusion` of pixels."""
    output = dataset.spec.output
    assert isinstance(output, Mask)
    counts = rows["confusion"].numpy()
    each = overlap(counts)  # [N, C]
    with np.errstate(invalid="ignore"):
        measured = np.flatnonzero(~np.isnan(each).all(axis=1))
        scores = np.array([np.nanmean(each[row]) for row in measured])
    ranked = measured[np.argsort(scores, kind="stable")]
    spread = ranked[np.linspace(len(ranked) - 1, 0, min(SHOWN, len(ranked))).round().astype(int)]
    by_row = dict(zip(measured.tolist(), scores.tolist(), strict=True))
    paint = paints(output)

    def drawn(title: str, chosen: NDArray[np.int64]) -> str:
        shown = [_shown(dataset, module, row) for row in chosen.tolist()]
        captions = [f"IoU {percent(by_row[row])} · {dataset.validation.origin(row)}" for row in chosen.tolist()]
        return beside(title, shown, captions, output.names, paint)

    whole = counts.sum(axis=0)
    found = {
        "examples": drawn("Validation pictures, from the best to the worst", spread),
        "worst": drawn("The worst validation pictures", ranked[:SHOWN]),
    }
    if len(output.names) <= MOST_CLASSES:
        found["classes"] = bars(overlap(whole[None])[0], whole.sum(axis=1), output.names, paint)
        shares = np.rint(100 * whole / np.maximum(whole.sum(axis=1, keepdims=True), 1)).astype(np.int64)
        found["confusion"] = confusion(shares, output.names, title="Pixels of each class, per cent")
    return found


def drawn(picture: Image.Image, answer: Mapping[str, Any], names: Sequence[str]) -> str:
    """A picture under the colours of the classes that were answered, with the share of each."""
    scale = min(1.0, LARGEST / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))
    mask = unpacked(answer["mask"])
    lines, places = (_nearest(*sides) for sides in ((mask.shape[0], height), (mask.shape[1], width)))
    paint = paints(Mask(tuple(names), tuple(answer["mask"].get("colours", ()))))
    over = overlaid(small, mask[lines[:, None], places], paint)
    left, room = width + 24.0, 230.0
    parts = [_image(8, 8, width, height, over, LARGEST)]
    for number, (name, share) in enumerate(answer["shares"].items()):
        y = 16.0 + 20 * number
        parts += [
            _swatch(left, y - 10, paint[names.index(name)]),
            text(left + 18, y, shorten(name, room - 76), tip=name),
        ]
        parts.append(text(left + room, y, percent(share), "mute end"))
    tall = max(height + 16, 20 * len(answer["shares"]) + 16)
    return svg(
        left + room + 12, tall, "".join(parts), f"{answer.get('input', '')} {', '.join(answer['shares'])}".strip()
    )


def mask_png(answer: Mapping[str, Any], path: Path) -> None:
    """The mask as a PNG of class numbers, with a palette so that it can be looked at as well. Written whole or not at all."""
    mask = np.ascontiguousarray(unpacked(answer["mask"]))
    image = Image.fromarray(mask)
    image.putpalette(_palette(tuple(answer["mask"].get("colours", ()))).tobytes())
    write_picture(path, image)


def overlap(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """IoU of each class [N, C] from confusion counts [N, C, C], row the truth; not a number where a class does not occur."""
    right = np.diagonal(counts, axis1=1, axis2=2).astype(np.float64)
    truth, said = counts.sum(axis=2), counts.sum(axis=1)
    return np.divide(right, truth + said - right, out=np.full_like(right, np.nan), where=truth > 0)


def paints(output: Mask) -> Pixels:
    """The colour of each class, uint8 [C, 3]: the data's own, else hues far apart."""
    return _palette(output.colours)[: len(output.names)]


def overlaid(picture: Pixels, mask: Pixels, paint: Pixels) -> Pixels:
    """A picture uint8 [H, W, 3] under the colours of its mask uint8 [H, W]; grey where no class is given."""
    full = np.full((IGNORED + 1, 3), 128, dtype=np.float32)
    full[: len(paint)] = paint
    # Brightness alone shows through, for colours under colours cannot be told apart.
    grey = picture.astype(np.float32).mean(axis=2, keepdims=True)
    return np.rint((1 - STRENGTH) * grey + STRENGTH * full[mask]).astype(np.uint8)


def beside(
    title: str,
    shown: Sequence[tuple[Pixels, Pixels, Pixels]],
    captions: Sequence[str],
    names: Sequence[str],
    paint: Pixels,
) -> str:
    """Rows of three: the picture uint8 [H, W, 3], the truth and the answer uint8 [H, W] over it; a legend below."""
    tile, gap, left, top = 200.0, 8.0, 12.0, 56.0
    width = left * 2 + 3 * tile + 2 * gap
    parts = [text(left, 22, title, "title")]
    heads = ("the picture", "the truth", "the answer")
    parts += [text(left + number * (tile + gap), 46, head, "mute") for number, head in enumerate(heads)]
    y = top
    for (picture, truth, said), caption in zip(shown, captions, strict=True):
        tall = tile * picture.shape[0] / picture.shape[1]
        for number, pixels in enumerate((picture, overlaid(picture, truth, paint), overlaid(picture, said, paint))):
            parts.append(_image(left + number * (tile + gap), y, tile, tall, pixels, 400))
        parts.append(text(left, y + tall + 15, shorten(caption, width - 2 * left), "mute", tip=caption))
        y += tall + 26
    used = sorted(
        {int(one) for _, truth, said in shown for mask in (truth, said) for one in np.unique(mask)} - {IGNORED}
    )
    x = left
    for number in used:
        wide = text_width(names[number]) + 34
        if x + wide > width and x > left:
            x, y = left, y + 20
        parts += [_swatch(x, y, paint[number]), text(x + 18, y + 10, names[number])]
        x += wide
    return svg(width, y + 26, "".join(parts), title)


def bars(values: NDArray[np.float64], pixels: NDArray[np.int64], names: Sequence[str], paint: Pixels) -> str:
    """A bar for the IoU of each class, with its share of the pixels."""
    title, left, room, top = "Overlap of each class (IoU)", 150.0, 300.0, 56.0
    shares = pixels / max(1, int(pixels.sum()))
    parts = [text(12, 22, title, "title"), text(left + room + 120, 44, "share of the pixels", "mute end")]
    for number, name in enumerate(names):
        y = top + 24 * number
        parts.append(text(left - 10, y + 12, shorten(name, left - 24), "end", tip=name))
        if np.isnan(values[number]):
            parts.append(text(left, y + 12, "does not occur", "mute"))
            continue
        length = max(1.0, room * float(values[number]))
        parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="15" rx="2" fill="{_hex(paint[number])}"/>')
        parts.append(text(left + length + 6, y + 12, percent(float(values[number]))))
        parts.append(text(left + room + 120, y + 12, percent(float(shares[number])), "mute end"))
    return svg(left + room + 136, top + 24 * len(names) + 8, "".join(parts), title)


@torch.no_grad()
def _shown(dataset: Dataset, module: nn.Module, row: int) -> tuple[Pixels, Pixels, Pixels]:
    """A validation picture, its truth and the answer at the size of the row, without padding."""
    stored = dataset.validation.take(torch.tensor([row]))
    device = next(module.parameters()).device
    said = module(dataset.preprocess.tensor(stored["input"].to(device))).argmax(1)[0].to(torch.uint8).cpu().numpy()
    picture, truth = stored["input"][0].numpy(), stored["target"][0].numpy()
    tall, wide = truth.shape
    if "size" in stored:
        height, width = stored["size"][0].tolist()
        tall, wide = fitted(height, width, tall, wide)
    picture = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
    return picture[:tall, :wide], truth[:tall, :wide], said[:tall, :wide]


def _palette(colours: Sequence[str]) -> Pixels:
    """256 colours uint8 [256, 3], the first ones as given."""
    found = np.array([hue(number) for number in range(256)], dtype=np.uint8)
    for number, code in enumerate(colours):
        found[number] = [int(code[at : at + 2], 16) for at in (1, 3, 5)]
    return found


def _nearest(length: int, wanted: int) -> NDArray[np.int64]:
    return (np.arange(wanted) * 2 + 1) * length // (2 * wanted)


def _image(x: float, y: float, width: float, height: float, pixels: Pixels, side: int) -> str:
    box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<image class="smooth" {box} href="{href(pixels, side=side)}"/>'


def _swatch(x: float, y: float, paint: Pixels) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="12" height="12" rx="2" fill="{clean(_hex(paint))}"/>'


def _hex(paint: Pixels) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in paint)

"""Recordings for people: their spectrograms, with seconds to the right and pitch upwards, and what was heard in them and when.

A spectrogram is drawn as the model sees it, brighter where a band has more energy than usual.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepen.data.dataset import Columns, Dataset
from deepen.data.loader import Augmentation
from deepen.data.paired import read_back
from deepen.data.sound import FILL, HOP, SoundPreprocess, band_hertz
from deepen.insight.ink import number, picture, shorten, svg, text, text_width
from deepen.randomness import generator
from deepen.spec import PAD, Category
from deepen.tasks.base import Rows
from deepen.tasks.transcribe import Transcribe

SHADES = ((8, 6, 40), (70, 18, 110), (150, 40, 110), (222, 82, 70), (250, 160, 60), (252, 240, 180))
"""From little energy to much."""
RANGE = (-1.8, 2.4)
"""Deviations from the mean of a band that are drawn darkest and brightest."""
NINE, ACROSS, VARIANTS = 9, 3, 5
TILE = (190.0, 96.0)
SMALL = (104.0, 60.0)
STRIP = (440.0, 76.0)
SHOWN = 4
"""Recordings of each kind with what was heard in them."""
LEFT = 44.0
"""Room for pitches."""


def coloured(frames: Tensor) -> NDArray[np.uint8]:
    """A spectrogram [F, bands] as pixels [bands, F, 3], high pitches on top."""
    low, high = RANGE
    place = ((frames.numpy().T[::-1] - low) / (high - low)).clip(0, 1) * (len(SHADES) - 1)
    shades = np.array(SHADES, dtype=np.float64)
    below = np.floor(place).astype(int).clip(max=len(SHADES) - 2)
    mixed = shades[below] + (place - below)[..., None] * (shades[below + 1] - shades[below])
    return np.asarray(mixed.round(), dtype=np.uint8)


def pixels(preprocess: SoundPreprocess, stored: Tensor) -> NDArray[np.uint8]:
    """One stored recording [n] as pixels [bands, F, 3]."""
    return coloured(preprocess.tensor(stored.unsqueeze(0).cpu())[0])


def of_data(dataset: Dataset, some: Columns, augmentation: Augmentation | None, seed: int) -> dict[str, str]:
    """Training recordings as `samples`, and what `augment` makes of them."""
    preprocess = dataset.preprocess
    assert isinstance(preprocess, SoundPreprocess)
    drawn = {"samples": _samples(dataset, some, preprocess)}
    if augmentation is not None:
        drawn["augment"] = _augmented(some, preprocess, augmentation, seed)
    return drawn


def told(dataset: Dataset, rows: Rows, module: nn.Module, task: Transcribe) -> dict[str, str]:
    """What was heard when, for `examples` evenly from all validation recordings and for the `worst`."""
    columns = dataset.validation
    errors = rows["character_errors"].numpy()
    order = np.lexsort((-rows["nats"].numpy(), -errors))
    worst = [row for row in order[:SHOWN].tolist() if errors[row]]
    spread = np.linspace(0, len(columns) - 1, min(SHOWN, len(columns))).round().astype(int).tolist()
    drawn = {"examples": _heard("Validation recordings, and what was heard when", dataset, spread, module)}
    if worst:
        drawn["worst"] = _heard("The worst validation recordings", dataset, worst, module)
    return drawn


def _samples(dataset: Dataset, some: Columns, preprocess: SoundPreprocess) -> str:
    title, (wide, high) = "Training recordings", TILE
    parts = [text(12, 22, title, "title")]
    labels = _labels(dataset, some, preprocess)
    for place, label in enumerate(labels):
        x, y = LEFT + place % ACROSS * (wide + LEFT), 52 + place // ACROSS * (high + 46)
        parts.append(text(x, y - 6, shorten(label, wide), tip=label))
        parts.append(_spectrogram(x, y, TILE, _one(some, place), preprocess))
    lines = -(-len(labels) // ACROSS)
    return svg(ACROSS * (wide + LEFT) + 12, 52 + lines * (high + 46), "".join(parts), title)


def _augmented(some: Columns, preprocess: SoundPreprocess, augmentation: Augmentation, seed: int) -> str:
    title, (wide, high), gap = "What augmentation does", SMALL, 5.0
    first = 12 + wide + 14
    parts = [text(12, 22, title, "title"), text(12, 44, "original", "mute")]
    parts.append(text(first, 44, "as heard in training, anew each time", "mute"))
    count = min(4, len(some))
    for row in range(count):
        y, one = 54 + row * (high + gap), _one(some, row)
        parts.append(picture(12, y, wide, high, _stretched(pixels(preprocess, one), SMALL)))
        for variant in range(VARIANTS):
            draws = generator(seed, "shown", variant)
            batch = augmentation.stored({"input": one.unsqueeze(0)}, draws)
            batch = augmentation.tensor(batch | {"input": preprocess.tensor(batch["input"])}, draws)
            changed = _stretched(coloured(batch["input"][0]), SMALL)
            parts.append(picture(first + variant * (wide + gap), y, wide, high, changed))
    return svg(first + VARIANTS * (wide + gap) + 8, 54 + count * (high + gap) + 8, "".join(parts), title)


@torch.no_grad()
def _heard(title: str, dataset: Dataset, chosen: list[int], module: nn.Module) -> str:
    """Spectrograms with each token over the moment at which it was heard."""
    preprocess, columns = dataset.preprocess, dataset.validation
    assert isinstance(preprocess, SoundPreprocess)
    assert preprocess.words is not None
    (wide, high), step = STRIP, STRIP[1] + 84
    parts = [text(12, 22, title, "title")]
    for place, row in enumerate(chosen):
        x, y = LEFT, 62 + place * step
        batch = columns.take(torch.tensor([row]))
        stored = batch["input"][0]
        frames = preprocess.tensor(stored.unsqueeze(0))
        path = module(frames.to(next(module.parameters()).device))[0].argmax(1).cpu().tolist()
        parts.append(_spectrogram(x, y, STRIP, stored, preprocess))
        moments = [
            moment for moment, token in enumerate(path) if token != PAD and path[max(0, moment - 1) : moment] != [token]
        ]
        ends, raised = 0.0, False
        for moment in moments:
            letter = preprocess.words.decode([path[moment]]).replace(" ", "␣")
            middle = x + (moment + 0.5) / len(path) * wide
            raised = (
                middle - text_width(letter) / 2 < ends + 6 and not raised
            )  # over its neighbour, where there is no room beside
            ends = middle + text_width(letter) / 2
            parts.append(text(middle, y - (18 if raised else 6), letter, "mid"))
        said = read_back(batch["reference"][0])
        heard = str(preprocess.worded({"tokens": [path[moment] for moment in moments]})["text"])
        for line, (kind, words) in enumerate((("said", said), ("written", heard or "(nothing)"))):
            parts.append(text(x, y + high + 34 + 17 * line, kind, "mute"))
            parts.append(text(x + 54, y + high + 34 + 17 * line, shorten(words, wide - 54), tip=words))
        where = columns.origin(row)
        parts.append(text(x + wide / 2, y + high + 14, shorten(where, wide - 100), "mute mid", tip=where))
    return svg(LEFT + wide + 16, 62 + len(chosen) * step, "".join(parts), title)


def _spectrogram(x: float, y: float, size: tuple[float, float], stored: Tensor, preprocess: SoundPreprocess) -> str:
    """A recording with its axes: seconds below, Hz to the left."""
    wide, high = size
    seconds = len(stored) / preprocess.rate
    parts = [picture(x, y, wide, high, _stretched(pixels(preprocess, stored), size))]
    parts.append(text(x, y + high + 14, "0", "mute"))
    end = number(max(seconds, HOP), 3)
    parts.append(text(x + wide, y + high + 14, f"{end} s", "mute end"))
    hertz = band_hertz(preprocess.rate, preprocess.bands)
    for share in (0.0, 0.5, 1.0):
        band = round(share * (len(hertz) - 1))
        label = f"{hertz[band] / 1000:.1f}k" if hertz[band] >= 1000 else f"{hertz[band]:.0f}"
        parts.append(text(x - 4, y + high - share * (high - 9), f"{label} Hz" if share == 0 else label, "mute end"))
    return "".join(parts)


def _stretched(shown: NDArray[np.uint8], size: tuple[float, float]) -> NDArray[np.uint8]:
    """Pixels [H, W, 3] brought to a size by repeating them."""
    wide, high = round(size[0]), round(size[1])
    down = np.arange(high) * shown.shape[0] // high
    across = np.arange(wide) * shown.shape[1] // wide
    return shown[down][:, across]


def _one(columns: Columns, row: int) -> Tensor:
    stored = columns.take(torch.tensor([row]))["input"][0]
    return stored[stored != FILL]


def _labels(dataset: Dataset, some: Columns, preprocess: SoundPreprocess) -> list[str]:
    rows = some.take(torch.arange(min(NINE, len(some))))
    output = dataset.spec.output
    if isinstance(output, Category):
        return [output.names[index] for index in rows["target"].tolist()]
    if preprocess.words is not None and "reference" in rows:
        return [read_back(row) for row in rows["reference"]]
    return [""] * len(rows["input"])

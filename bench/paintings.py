"""Pictures in three styles, painted by code: nothing that somebody else holds rights in.

Brush strokes that follow whirls, a mosaic of cut stones, and a woodcut of two inks. Each is a function of its seed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SIDE = 512
FINE = 2
"""Everything is painted this many times as large and then reduced, for smooth edges."""
Random = np.random.Generator
Colour = tuple[int, int, int]

NIGHT = np.array(
    ((12, 20, 62), (24, 52, 120), (46, 92, 170), (98, 152, 200), (190, 206, 196), (246, 214, 92), (232, 150, 34))
)
STONES = (
    (178, 68, 46),
    (214, 120, 58),
    (232, 190, 110),
    (240, 226, 190),
    (40, 110, 116),
    (28, 66, 92),
    (116, 150, 92),
    (98, 34, 40),
)


def whirls(seed: int = 3, side: int = SIDE) -> Image.Image:
    """Strokes of a loaded brush along a field of whirls, in blues, with yellow where the whirls have their centres."""
    random = np.random.default_rng(seed)
    size = side * FINE
    centres = random.uniform(0.08, 0.92, (9, 2)) * size
    reach = random.uniform(0.10, 0.24, 9) * size
    turns = random.choice((-1.0, 1.0), 9)
    picture = Image.new("RGB", (size, size), (18, 36, 92))
    pen = ImageDraw.Draw(picture)
    for length, width, count in ((0.13, 0.022, 1500), (0.085, 0.014, 3200), (0.05, 0.008, 3600)):
        for start in random.uniform(-0.05, 1.05, (count, 2)) * size:
            _stroke(pen, start, length * size, width * size, (centres, reach, turns), random)
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _stroke(
    pen: ImageDraw.ImageDraw,
    start: NDArray[np.float64],
    length: float,
    width: float,
    field: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    random: Random,
) -> None:
    """One stroke: hairs of a brush side by side, each a little lighter or darker than the paint."""
    path = [start]
    for _ in range(9):
        path.append(path[-1] + _flow(path[-1], field)[0] * length / 9)
    line = np.array(path)
    along = np.gradient(line, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    warmth = _flow(line[4], field)[1]
    place = np.clip(warmth * (len(NIGHT) - 1) + random.normal(0, 0.75), 0, len(NIGHT) - 1)
    low = min(int(place), len(NIGHT) - 2)
    paint = NIGHT[low] + (NIGHT[low + 1] - NIGHT[low]) * (place - low)
    hairs = max(3, int(width / (1.6 * FINE)))
    for offset in np.linspace(-0.5, 0.5, hairs):
        shade = paint * random.normal(1, 0.11) + random.normal(0, 7, 3)
        first, last = random.integers(0, 2), random.integers(8, 11)
        points = (line + across * offset * width)[first:last]
        colour: Colour = tuple(np.clip(shade, 0, 255).astype(int).tolist())
        pen.line([tuple(point) for point in points.tolist()], fill=colour, width=int(2.2 * FINE), joint="curve")


def _flow(
    place: NDArray[np.float64], field: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
) -> tuple[NDArray[np.float64], float]:
    """The direction at a place, of length 1, and how near the centre of a whirl it is, 0..1."""
    centres, reach, turns = field
    size = SIDE * FINE
    away = place - centres
    distance = np.linalg.norm(away, axis=1) + 1e-6
    pull = np.exp(-((distance / reach) ** 2))
    round_ = np.stack([-away[:, 1], away[:, 0]], axis=1) / distance[:, None] * (turns * pull)[:, None]
    drift = np.array([1.0, 0.35 * np.sin(place[0] / size * 6)]) * 0.22
    direction = round_.sum(axis=0) + drift
    near = float(np.exp(-((distance / (0.42 * reach)) ** 2)).max())
    rings = 0.7 * (1 + np.sin(distance / reach * 8)) / 2 * pull
    clouds = 0.26 + 0.22 * np.sin(place[1] / size * 9 + 2 * np.sin(place[0] / size * 5))
    return direction / (np.linalg.norm(direction) + 1e-9), max(near, float(rings.max()), float(clouds))


def mosaic(seed: int = 5, side: int = SIDE) -> Image.Image:
    """Stones of some eight colours in bands, with dark joints between them."""
    random = np.random.default_rng(seed)
    size = side * FINE
    step = size / 30
    rows, columns = np.mgrid[-1:32, -1:32]
    points = np.stack([rows.ravel(), columns.ravel()], axis=1) * step + random.uniform(-0.36, 0.36, (33 * 33, 2)) * step
    down, across = np.mgrid[0:size, 0:size].astype(np.float32)
    first = np.full((size, size), np.inf, dtype=np.float32)
    second = first.copy()
    owner = np.zeros((size, size), dtype=np.int64)
    for number, (y, x) in enumerate(points):
        top, left = max(0, int(y - 2.2 * step)), max(0, int(x - 2.2 * step))
        area = (slice(top, max(0, int(y + 2.2 * step))), slice(left, max(0, int(x + 2.2 * step))))
        distance = np.hypot(down[area] - y, across[area] - x)
        nearer = distance < first[area]
        second[area] = np.where(nearer, first[area], np.minimum(second[area], distance))
        first[area] = np.where(nearer, distance, first[area])
        owner[area] = np.where(nearer, number, owner[area])
    waves = np.sin(points[:, 0] / size * 7 + 2.2 * np.sin(points[:, 1] / size * 6)) + 0.8 * np.cos(
        points[:, 1] / size * 9
    )
    band = (waves + 1.8) / 3.6 * len(STONES) + random.normal(0, 0.45, len(points))
    paint = np.array(STONES, dtype=np.float64)[np.clip(band, 0, len(STONES) - 1).astype(int)]
    paint = np.clip(paint * random.normal(1, 0.12, (len(points), 1)) + random.normal(0, 5, paint.shape), 0, 255)
    edge = second - first
    light = 0.86 + 0.2 * np.clip(edge / (0.55 * step), 0, 1)
    stones = paint[owner] * light[..., None] * random.normal(1, 0.03, (size, size, 1))
    joint = edge < 0.13 * step
    stones[joint] = np.array((34, 30, 32))
    picture = Image.fromarray(np.clip(stones, 0, 255).astype(np.uint8))
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def woodcut(seed: int = 7, side: int = SIDE) -> Image.Image:
    """Cut lines that swell and taper, black and red ink on paper."""
    random = np.random.default_rng(seed)
    size = side * FINE
    down, across = np.mgrid[0:size, 0:size] / size
    bent = _cloud(random, size, 5) * 0.5
    phase = (down * 1.0 + across * 0.35 + bent) * 2 * np.pi * 24
    tone = _cloud(random, size, 4)
    tone = (tone - tone.min()) / (tone.max() - tone.min())
    ink = np.sin(phase) + 0.35 * (_cloud(random, size, 60) * 4) > 1.6 * tone - 0.8 + 0.1
    red = _cloud(random, size, 3) > 0.12
    paper = np.array((238, 226, 200))
    sheet = np.where(red[..., None], np.array((206, 74, 44)), paper)
    sheet = np.where(ink[..., None], np.array((24, 22, 28)), sheet)
    picture = Image.fromarray(sheet.astype(np.uint8)).filter(ImageFilter.GaussianBlur(FINE * 0.5))
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _cloud(random: Random, size: int, cells: int) -> NDArray[np.float64]:
    """Smooth noise about 0, [size, size], with about `cells` hills along a side."""
    coarse = Image.fromarray(random.normal(0, 1, (cells + 2, cells + 2)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64) * 0.5


STYLES: dict[str, Callable[[], Image.Image]] = {"whirls": whirls, "mosaic": mosaic, "woodcut": woodcut}

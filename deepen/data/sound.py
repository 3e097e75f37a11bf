"""Sound as log-mel spectrograms: the preprocessing of everything that is heard.

A stored row is the recording itself, int16 samples at one rate, so that speed, noise and loudness can be changed while it is
learnt from. On the device it becomes frames of 25 ms, one every 10 ms, each as the logarithm of its energy in bands that are
spaced as the ear tells pitches apart (Davis & Mermelstein, 1980), normalised per band by the training recordings.

A recording may end in silence, so that its length cannot be told from zeros: rows that are shorter than their neighbours go on
with `FILL`, a number that no sample has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deepen.data import tokenizer as tokenizers
from deepen.data.image_files import UnreadableError
from deepen.data.piles import is_hidden
from deepen.data.pixels import UnusableError
from deepen.data.preprocess import Frame, Preprocess
from deepen.data.ragged import Strung
from deepen.data.sound_file import ENDINGS, Recording, is_recording, read
from deepen.data.tokenizer import Characters, Pieces
from deepen.errors import Problem

FILL = -32768
"""Beyond the end of a stored row."""
WINDOW, HOP = 0.025, 0.010
"""Seconds that a frame covers, and from one to the next."""
LOWEST = 20.0
"""Hz where the first band begins: below is rumble."""
FLOOR = 1e-8
"""Added to energies: about what rounding to 16 bits leaves in a band, so that silence is no further away than that."""
TOGETHER = 128
"""Rows that are looked at together when the normalisation is fitted."""
ASKED = 2**21
"""Samples, with what fills them up, of recordings that are answered together."""
AT_ONCE = 2**23
"""Samples, with what fills them up, that are turned into frames at once: memory holds some ten times as much."""


@dataclass(frozen=True)
class SoundPreprocess(Preprocess):
    """Recordings brought to `rate` samples a second, at most `seconds` of each, as spectrograms of `bands`."""

    rate: int
    seconds: float
    mean: tuple[float, ...]
    """Of each band, over the frames of the training recordings."""
    std: tuple[float, ...]
    words: Characters | Pieces | None = None
    """Where what is said is asked for: how it is written. A recording that is too long is then refused rather than cut."""

    kind = "audio"

    @property
    def bands(self) -> int:
        return len(self.mean)

    def read(self, sources: Iterable[str]) -> list[tuple[str, Any]]:
        """Recordings: sound files, and all of those in a folder."""
        found: list[tuple[str, Any]] = []
        for source in sources:
            path = Path(source)
            if not path.is_dir():
                if not path.is_file():
                    raise Problem(f"There is no file {source}.")
                found.append((source, path))
                continue
            inside = sorted(file for file in path.iterdir() if is_recording(file.name) and not is_hidden(file.name))
            if not inside:
                raise Problem(f"{source} holds no recording: expected files that end in {', '.join(ENDINGS)}.")
            found += [(str(file), file) for file in inside]
        return found

    def encode(self, items: Sequence[Any]) -> Tensor:
        """Files, their bytes, or arrays of samples at `rate` (whole numbers of 16 bits, or floats in -1 to 1; int16 [n] or
        [n, channels]), as int16 [N, longest]."""
        return self.joined([self._row(item, number) for number, item in enumerate(items)])

    def pieces(self, items: Sequence[Any]) -> Iterator[tuple[Tensor, list[Frame]]]:
        rows: list[Tensor] = []
        for number, item in enumerate(items):
            one = self._row(item, number)
            if rows and (len(rows) + 1) * max(row.shape[1] for row in (*rows, one)) > ASKED:
                yield self.joined(rows), []
                rows = []
            rows.append(one)
        if rows:
            yield self.joined(rows), []

    def joined(self, rows: Sequence[Tensor]) -> Tensor:
        longest = max(row.shape[1] for row in rows)
        return torch.cat([functional.pad(row, (0, longest - row.shape[1]), value=FILL) for row in rows])

    def _row(self, item: Any, number: int) -> Tensor:
        name = str(item) if isinstance(item, Path) else f"Item {number}"
        try:
            samples, _ = row(item, self.rate, self.seconds, whole=self.words is not None)
        except UnreadableError as error:
            raise UnusableError(f"{name} cannot be used: {error}.") from None
        return torch.from_numpy(samples).unsqueeze(0)

    def tensor(self, stored: Tensor) -> Tensor:
        """int16 [N, L] -> float32 [N, F, bands], frames of zeros after the end of each recording."""
        mean, std = (torch.tensor(values, device=stored.device) for values in (self.mean, self.std))
        energies, lengths = log_mel(stored, self.rate, self.bands)
        beyond = torch.arange(energies.shape[1], device=stored.device) >= lengths.unsqueeze(1)
        return ((energies - mean) / std).masked_fill(beyond.unsqueeze(2), 0.0)

    def worded(self, answer: dict[str, Any]) -> dict[str, Any]:
        """`tokens` of what is said as `text`."""
        if self.words is None or "tokens" not in answer:
            return answer
        rest = {name: value for name, value in answer.items() if name != "tokens"}
        return {"text": self.words.decode(answer["tokens"]), **rest}

    def to_json(self) -> dict[str, Any]:
        known = {"rate": self.rate, "seconds": self.seconds, "mean": list(self.mean), "std": list(self.std)}
        return known | {"words": None if self.words is None else self.words.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SoundPreprocess:
        words = None if data["words"] is None else tokenizers.restore(data["words"])
        return cls(data["rate"], data["seconds"], tuple(data["mean"]), tuple(data["std"]), words)


KIND = SoundPreprocess


def row(item: Any, rate: int, seconds: float, *, whole: bool) -> tuple[np.ndarray, float]:
    """A recording as int16 [n] at `rate`, cut to `seconds`, and how long all of it is. Raises `UnreadableError`, also for one
    that is longer and is to stay whole."""
    recording = read(item, seconds) if isinstance(item, Path | bytes) else _from_array(item, rate)
    if whole and recording.seconds > seconds:
        raise UnreadableError(
            f"it is {recording.seconds:,.1f} s long (expected at most {seconds:g} s): cut it into pieces"
        )
    return recording.at(rate)[: longest(rate, seconds)], recording.seconds


def longest(rate: int, seconds: float) -> int:
    """Samples of a row, at most."""
    return max(1, math.floor(seconds * rate))


def _from_array(item: Any, rate: int) -> Recording:
    array = np.asarray(item)
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2) or not array.size:
        kind = f"an array {list(array.shape)} of {array.dtype}" if array.dtype != object else type(item).__name__
        raise UnreadableError(f"expected a sound file or an array of samples, received {kind}")
    if array.dtype.kind != "f" and array.dtype != np.int16:
        raise UnreadableError(f"expected samples of 16 bits or floats in -1 to 1, received {array.dtype}")
    samples = array.astype(np.float32) / (32768 if array.dtype == np.int16 else 1)
    samples = samples if samples.ndim == 1 else samples.mean(axis=1)
    if not np.isfinite(samples).all():
        raise UnreadableError("some of its numbers are infinite or none")
    return Recording(samples, rate, len(samples) / rate)


def sizes(rate: int) -> tuple[int, int, int]:
    """Samples of a window, from one to the next, and of the transform, a power of two."""
    window = max(2, round(WINDOW * rate))
    return window, max(1, round(HOP * rate)), 2 ** math.ceil(math.log2(window))


def frames(samples: Any, rate: int) -> Any:
    """How many frames so many samples make (a number, or int64 [N]): those that are full, but always one."""
    window, hop, _ = sizes(rate)
    if isinstance(samples, Tensor):
        return (samples - window).clamp(min=0).div(hop, rounding_mode="floor") + 1
    return max(0, samples - window) // hop + 1


def log_mel(stored: Tensor, rate: int, bands: int) -> tuple[Tensor, Tensor]:
    """Log energies float32 [N, F, bands] of int16 [N, L], and how many frames of each row are sound, int64 [N]."""
    window, hop, size = sizes(rate)
    lengths = (stored != FILL).sum(1)
    samples = stored.float().masked_fill(stored == FILL, 0.0) / 32768
    samples = functional.pad(samples, (0, max(0, window - samples.shape[1])))
    weights = torch.hann_window(window, device=stored.device)
    filters = torch.from_numpy(mel_filters(rate, size, bands)).to(stored.device)
    several = max(1, AT_ONCE // samples.shape[1])
    parts = []
    for some in samples.split(several):
        pieces = some.unfold(1, window, hop) * weights  # [n, F, window]
        power = torch.view_as_real(torch.fft.rfft(pieces, n=size)).square().sum(-1)  # [n, F, size / 2 + 1]
        parts.append((power @ filters + FLOOR).log())
    return torch.cat(parts), frames(lengths, rate)


@cache
def mel_filters(rate: int, size: int, bands: int) -> np.ndarray:
    """Triangles that overlap by half, evenly spaced on the mel scale (Stevens, Volkmann & Newman, 1937; the formula is
    O'Shaughnessy's, 1987), for the energies of a transform of `size`: float32 [size / 2 + 1, bands].

    A triangle that would lie between two of these energies takes the nearest one, so that no band is empty."""
    edges = np.linspace(_mel(LOWEST), _mel(rate / 2), bands + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    places = np.arange(size // 2 + 1) * (rate / size)
    below, top, above = hertz[:-2], hertz[1:-1], hertz[2:]
    rising = (places[:, None] - below) / (top - below)
    falling = (above - places[:, None]) / (above - top)
    filters = np.minimum(rising, falling).clip(min=0)
    for band in np.flatnonzero(filters.sum(axis=0) == 0).tolist():
        filters[np.abs(places - top[band]).argmin(), band] = 1
    return np.asarray(filters, dtype=np.float32)


def band_hertz(rate: int, bands: int) -> list[float]:
    """The pitch in the middle of each band."""
    edges = np.linspace(_mel(LOWEST), _mel(rate / 2), bands + 2)
    return [700 * (10 ** (float(edge) / 2595) - 1) for edge in edges[1:-1]]


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def fit(rows: Strung, rate: int, bands: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each band over the frames of all rows."""
    total, squares, count = torch.zeros(bands).double(), torch.zeros(bands).double(), 0
    for some in rows.lengths.argsort().split(TOGETHER):  # of about one length, so that little is padding
        energies, lengths = log_mel(rows.take(some), rate, bands)
        heard = energies[torch.arange(energies.shape[1]) < lengths.unsqueeze(1)].double()
        total += heard.sum(0)
        squares += heard.square().sum(0)
        count += len(heard)
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(std.clamp(min=1e-3).tolist())

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from deepen.data.image_files import UnreadableError
from deepen.data.preprocess import dump, restore
from deepen.data.ragged import string
from deepen.data.sound import FILL, SoundPreprocess, fit, frames, log_mel, mel_filters, row, sizes
from deepen.data.tokenizer import Characters
from deepen.errors import Problem
from tests.samples.tones import RATE, tone, wav, write

PLAIN = SoundPreprocess(RATE, 1.0, (0.0,) * 10, (1.0,) * 10)
ROWS = [
    (tone("low", seconds, seed=number) * 20000).astype(np.int16) for number, seconds in enumerate((0.3, 0.01, 0.123))
]


def plain_log_mel(samples: list[int], rate: int, bands: int) -> list[list[float]]:
    """As a book has it: one frame, one bin, one band after the other."""
    window, hop, size = sizes(rate)
    samples = samples + [0] * (window - len(samples))
    mel = [2595 * math.log10(1 + hertz / 700) for hertz in (20.0, rate / 2)]
    edges = [700 * (10 ** ((mel[0] + (mel[1] - mel[0]) * n / (bands + 1)) / 2595) - 1) for n in range(bands + 2)]
    found = []
    for start in range(0, len(samples) - window + 1, hop):
        piece = [samples[start + n] / 32768 * (0.5 - 0.5 * math.cos(2 * math.pi * n / window)) for n in range(window)]
        power = []
        for k in range(size // 2 + 1):
            real = sum(x * math.cos(2 * math.pi * k * n / size) for n, x in enumerate(piece))
            imaginary = sum(x * math.sin(2 * math.pi * k * n / size) for n, x in enumerate(piece))
            power.append(real**2 + imaginary**2)
        line = []
        for low, top, high in zip(edges, edges[1:], edges[2:], strict=False):
            energy = 0.0
            for k, one in enumerate(power):
                hertz = k * rate / size
                if low < hertz <= top:
                    energy += one * (hertz - low) / (top - low)
                elif top < hertz < high:
                    energy += one * (high - hertz) / (high - top)
            line.append(math.log(energy + 1e-8))
        found.append(line)
    return found


def test_spectrograms_agree_with_the_plain_sums() -> None:
    some = ROWS[2][:400]
    energies, lengths = log_mel(torch.from_numpy(some).unsqueeze(0), RATE, 10)
    expected = torch.tensor(plain_log_mel(some.tolist(), RATE, 10))
    assert int(lengths[0]) == len(expected)
    assert torch.allclose(energies[0], expected, atol=2e-3)


@pytest.mark.parametrize(("rate", "bands"), [(8000, 40), (16_000, 64), (48_000, 128), (1000, 40), (8000, 200)])
def test_no_band_is_empty(rate: int, bands: int) -> None:
    filters = mel_filters(rate, sizes(rate)[2], bands)
    assert filters.shape == (sizes(rate)[2] // 2 + 1, bands)
    assert (filters.sum(0) > 0).all()
    assert (np.diff(filters.argmax(0)) >= 0).all()


def test_a_row_does_not_depend_on_its_neighbours_and_ends_in_zeros() -> None:
    together = PLAIN.tensor(string(ROWS, FILL, np.int16).take(torch.arange(3)))
    for number, samples in enumerate(ROWS):
        alone = PLAIN.tensor(torch.from_numpy(samples).unsqueeze(0))[0]
        assert len(alone) == frames(len(samples), RATE)
        assert torch.allclose(together[number, : len(alone)], alone, atol=1e-5)
        assert not together[number, len(alone) :].any()
        assert (alone != 0).any(1).all()


def test_silence_at_the_end_is_part_of_a_recording() -> None:
    silent = np.concatenate([ROWS[0], np.zeros(800, dtype=np.int16)])
    both = string([silent, np.zeros(8000, dtype=np.int16)], FILL, np.int16).take(torch.arange(2))
    there = (PLAIN.tensor(both) != 0).any(2).sum(1)
    assert there.tolist() == [frames(len(silent), RATE), frames(8000, RATE)]


def test_a_recording_of_one_sample_is_one_frame() -> None:
    assert PLAIN.tensor(torch.tensor([[7]], dtype=torch.int16)).shape == (1, 1, 10)
    assert frames(1, RATE) == 1


def test_the_normalisation_is_that_of_all_frames() -> None:
    mean, std = fit(string(ROWS * 60, FILL, np.int16), RATE, 10)
    every = torch.cat([log_mel(torch.from_numpy(one).unsqueeze(0), RATE, 10)[0][0] for one in ROWS])
    assert torch.allclose(torch.tensor(mean), every.mean(0), atol=1e-3)
    assert torch.allclose(torch.tensor(std), every.std(0, correction=0), atol=1e-3)


def test_files_bytes_and_arrays_are_one(tmp_path: Path) -> None:
    samples = tone("high", 0.1)
    path = tmp_path / "one.wav"
    write(path, wav(samples))
    rows = PLAIN.encode([path, wav(samples), samples, row(path, RATE, 1.0, whole=False)[0], ROWS[1]])
    assert rows.dtype == torch.int16
    assert rows.shape == (5, 800)
    assert (rows[:3] - rows[0]).abs().max() <= 1
    assert torch.equal(rows[3], rows[0])
    assert (rows[4, 80:] == FILL).all()


@pytest.mark.parametrize(
    "item", [np.zeros((2, 2, 2)), np.zeros(0), "name", {"a": 1}, np.zeros(4, dtype=np.int64), None]
)
def test_what_is_no_recording_is_named(item: object) -> None:
    with pytest.raises(Problem, match="Item 1 cannot be used: expected"):
        PLAIN.encode([np.ones(90, dtype=np.int16), item])


def test_numbers_that_are_none_are_named() -> None:
    with pytest.raises(Problem, match="infinite or none"):
        PLAIN.encode([np.array([0.0, np.inf])])


def test_a_long_recording_is_cut_or_refused() -> None:
    content = wav(tone("low", 2.5))
    assert PLAIN.encode([content]).shape == (1, RATE)
    with pytest.raises(UnreadableError, match=r"2\.5 s long \(expected at most 1 s\)"):
        row(content, RATE, 1.0, whole=True)


def test_folders_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b.wav", "a.FLAC", ".hidden.wav", "notes.txt"):
        write(tmp_path / name, wav(tone("low", 0.1)))
    found = PLAIN.read([str(tmp_path)])
    assert [Path(name).name for name, _ in found] == ["a.FLAC", "b.wav"]
    with pytest.raises(Problem, match="There is no file"):
        PLAIN.read([str(tmp_path / "none.wav")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(Problem, match="holds no recording"):
        PLAIN.read([str(tmp_path / "empty")])


def test_it_is_kept_with_the_bundle() -> None:
    made = SoundPreprocess(RATE, 2.0, (1.0, 2.0), (3.0, 4.0), Characters("ab "))
    again = restore(dump(made))
    assert isinstance(again, SoundPreprocess)
    assert again.to_json() == made.to_json()
    assert again.worded({"tokens": [5, 6]}) == made.worded({"tokens": [5, 6]})
    assert restore(dump(PLAIN)) == PLAIN

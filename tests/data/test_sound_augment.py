from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deepen.data.augment import OF_SOUND, Augmenter, describe, off
from deepen.data.ragged import string
from deepen.data.sound import FILL, SoundPreprocess
from deepen.data.sound_augment import SoundAugmenter
from deepen.errors import Misuse
from deepen.randomness import generator
from deepen.recipe import Augment
from deepen.spec import Audio, Image
from tests.samples.tones import RATE, tone

SOUND = Audio(98, 10, RATE)
PREPROCESS = SoundPreprocess(RATE, 1.0, (-8.0,) * 10, (2.0,) * 10)
ROWS = string([(tone("low", 0.1 + 0.05 * n, seed=n) * 20000).astype(np.int16) for n in range(8)], FILL, np.int16)
BATCH = {"input": ROWS.take(torch.arange(8)), "target": torch.arange(8)}


def stored(step: int = 0, **settings: Any) -> Tensor:
    batch = SoundAugmenter(Augment(**settings), SOUND).stored(BATCH, generator(0, "augment", step))
    assert torch.equal(batch["target"], BATCH["target"])
    assert batch["input"].dtype == torch.int16
    return batch["input"]


def spectrograms(**settings: Any) -> tuple[Tensor, Tensor]:
    before = PREPROCESS.tensor(BATCH["input"])
    augmenter = SoundAugmenter(Augment(**settings), SOUND)
    return before, augmenter.tensor({**BATCH, "input": before}, generator(0, "augment", 0))["input"]


def lengths(rows: Tensor) -> Tensor:
    return (rows != FILL).sum(1)


@pytest.mark.parametrize("settings", [{"speed": 0.2}, {"delay": 0.1}, {"noise": 0.5}, {"gain": 6}])
def test_it_is_a_function_of_seed_and_step(settings: dict[str, float]) -> None:
    assert torch.equal(stored(3, **settings), stored(3, **settings))
    assert not torch.equal(stored(3, **settings), stored(4, **settings))
    assert not torch.equal(stored(3, **settings), BATCH["input"])


def test_nothing_asked_is_nothing_done() -> None:
    assert stored() is BATCH["input"]


def test_speed_changes_length_and_pitch_together() -> None:
    changed = stored(speed=0.2)
    ratio = lengths(changed) / lengths(BATCH["input"])
    assert ((ratio >= 1 / 1.21) & (ratio <= 1 / 0.79)).all()
    for row in range(8):
        pitches = []
        for rows in (BATCH["input"], changed):
            some = rows[row][rows[row] != FILL].double()
            heard = torch.fft.rfft(some * torch.hann_window(len(some)), n=65536).abs()
            pitches.append(float(heard.argmax()))
        assert pitches[1] / pitches[0] == pytest.approx(1 / float(ratio[row]), rel=0.01)


def test_half_the_speed_of_a_ramp_is_a_ramp_of_half_the_slope() -> None:
    """By hand: between two samples lies their mean."""
    ramp = torch.arange(0, 1000, 10, dtype=torch.int16).unsqueeze(0)
    augmenter = SoundAugmenter(Augment(speed=0.5), SOUND)
    x, count = augmenter._move(ramp.float(), torch.tensor([100]), generator(0, "x"))
    slope = x[0, 1] - x[0, 0]
    assert 5 <= float(slope) <= 15
    assert int(count[0]) == int(99 / (float(slope) / 10)) + 1
    assert torch.allclose(x[0, : int(count[0])].diff(), slope.expand(int(count[0]) - 1), atol=1e-3)


def test_silence_is_put_before() -> None:
    delayed = stored(delay=0.1)
    for row, more in enumerate((lengths(delayed) - lengths(BATCH["input"])).tolist()):
        assert 0 <= more <= 0.1 * RATE
        assert not delayed[row, :more].any()
        own = int(lengths(BATCH["input"])[row])
        assert torch.equal(delayed[row, more : more + own], BATCH["input"][row, :own])


def test_loudness_and_noise_keep_ends_and_range() -> None:
    for settings in ({"gain": 40.0}, {"noise": 5.0}):
        changed = stored(**settings)
        assert torch.equal(changed == FILL, BATCH["input"] == FILL)
    louder = stored(gain=6).double()
    there = BATCH["input"] != FILL
    for row in range(8):
        some = BATCH["input"][row][there[row]].double()
        factor = float((louder[row][there[row]] @ some) / (some @ some))
        assert 0.5 <= factor <= 2
        assert (louder[row][there[row]] - factor * some).abs().max() <= 1


def test_stretches_are_hidden_and_ends_kept() -> None:
    before, after = spectrograms(mask_time=0.3, mask_bands=0.3)
    assert torch.equal((before != 0).any(2), (after != 0).any(2))
    changed = before != after
    assert (after[changed].abs() < 0.01).all()
    assert 0.05 < float(changed.float().mean()) < 0.7
    _, times = spectrograms(mask_time=0.3)
    hidden = (times != before).any(2)
    assert (hidden.sum(1) <= 0.6 * (before != 0).any(2).sum(1) + 2).all()
    assert torch.equal(hidden, (times != before).all(2))


@pytest.mark.parametrize("settings", [{"flip": True}, {"shift": 2}, {"mixup": 0.2}])
def test_what_is_for_pictures_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match=r"changes pictures and this data is recordings.*augment\.speed"):
        SoundAugmenter(Augment(**settings), SOUND)


@pytest.mark.parametrize("name", OF_SOUND)
def test_strengths_have_a_range_and_pictures_have_none(name: str) -> None:
    for value in (-0.1, 1e9, float("nan")):
        with pytest.raises(Misuse, match=rf"augment\.{name}="):
            SoundAugmenter(Augment(**{name: value}), SOUND)
    with pytest.raises(Misuse, match=rf"augment\.{name} changes recordings"):
        Augmenter(Augment(**{name: 0.1}), Image(1, 8, 8), (0.5,), (0.5,))
    assert not off(Augment(**{name: 0.1}))
    assert describe(Augment(**{name: 0.1})) != "none"

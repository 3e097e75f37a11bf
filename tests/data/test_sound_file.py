from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepen.data import sound_file
from deepen.data.image_files import UnreadableError
from tests.samples.tones import RATE, tone, wav

SAMPLES = tone("low", 0.05)


@pytest.mark.parametrize(
    ("bits", "floats"), [(8, False), (16, False), (24, False), (32, False), (32, True), (64, True)]
)
@pytest.mark.parametrize("extensible", [False, True])
def test_every_kind_of_wav(bits: int, floats: bool, extensible: bool) -> None:
    content = wav(SAMPLES, bits=bits, floats=floats, extensible=extensible)
    recording = sound_file.read(content)
    assert recording.rate == RATE
    assert recording.seconds == 0.05
    assert np.abs(recording.samples - SAMPLES).max() < 1.01 / 2 ** min(bits - 1, 20)
    other, _ = soundfile.read(io.BytesIO(content), dtype="float32")  # the library that others read with
    assert np.abs(recording.samples - other).max() < 2e-7


def test_channels_are_averaged() -> None:
    both = np.stack([SAMPLES, -SAMPLES / 2, np.zeros_like(SAMPLES)], axis=1)
    assert np.abs(sound_file.read(wav(both)).samples - SAMPLES / 6).max() < 1e-4


def test_samples_of_16_bits_stay_as_they_are_but_for_the_lowest() -> None:
    numbers = np.array([0, 1, -1, 32767, -32767, -32768, 12345], dtype=np.int16)
    assert sound_file.read(wav(numbers / 32767)).at(RATE).dtype == np.int16
    content = bytearray(wav(np.zeros(len(numbers))))
    content[-2 * len(numbers) :] = numbers.tobytes()
    assert sound_file.read(bytes(content)).at(RATE).tolist() == [0, 1, -1, 32767, -32767, -32767, 12345]


@pytest.mark.parametrize("rate", [4000, 7_919, 11_025, 44_099, 44_100, 192_000])
def test_other_rates_sound_the_same(rate: int) -> None:
    times = np.arange(round(0.3 * rate)) / rate
    row = sound_file.read(wav(0.5 * np.sin(2 * np.pi * 440 * times), rate)).at(RATE)
    assert abs(len(row) - 0.3 * RATE) <= 2
    heard = np.abs(np.fft.rfft(row * np.hanning(len(row))))
    assert abs(heard.argmax() * RATE / len(row) - 440) < 4
    assert abs(np.abs(row[200:-200]).max() / 16384 - 1) < 0.02


def test_pitches_that_a_lower_rate_cannot_hold_are_gone() -> None:
    times = np.arange(8820) / 44_100
    row = sound_file.read(wav(0.5 * np.sin(2 * np.pi * 9000 * times), 44_100)).at(RATE)
    assert np.abs(row[200:-200]).max() < 100


def test_only_the_beginning_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(wav(np.tile(SAMPLES, 100)))
    recording = sound_file.read(path, 0.1)
    assert len(recording.samples) == 800
    assert recording.seconds == 5.0


@pytest.mark.parametrize(
    ("kind", "packed"),
    [
        ("WAV", "ULAW"),
        ("WAV", "ALAW"),
        ("WAV", "IMA_ADPCM"),
        ("WAVEX", "ULAW"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_16"),
        ("AIFF", "FLOAT"),
        ("AU", "ULAW"),
        ("CAF", "PCM_24"),
        ("W64", "PCM_16"),
        ("RF64", "PCM_16"),
    ],
)
def test_the_library_reads_the_rest(kind: str, packed: str) -> None:
    stream = io.BytesIO()
    soundfile.write(stream, np.tile(SAMPLES, 4), RATE, format=kind, subtype=packed)
    recording = sound_file.read(stream.getvalue(), 0.1)
    assert len(recording.samples) == 800
    assert recording.seconds == pytest.approx(0.2, abs=0.06)  # some are written in whole blocks
    heard = np.abs(np.fft.rfft(recording.samples)).argmax()
    assert abs(int(heard) - int(np.abs(np.fft.rfft(np.tile(SAMPLES, 2))).argmax())) <= 1


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError

    monkeypatch.setattr(sound_file.importlib, "import_module", missing)
    with pytest.raises(UnreadableError, match=r"pip install 'deepen\[audio\]'"):
        sound_file.read(b"fLaC" + bytes(50))


def streamed(content: bytes) -> bytes:
    """As a program writes that does not know yet how much will come."""
    place = content.index(b"data") + 4
    return content[:place] + struct.pack("<I", 0xFFFFFFFF) + content[place + 4 :]


def test_a_size_that_was_not_known_yet() -> None:
    assert len(sound_file.read(streamed(wav(SAMPLES))).samples) == len(SAMPLES)


def changed(start: int, form: str, value: int) -> bytes:
    content = bytearray(wav(SAMPLES))
    struct.pack_into(form, content, content.index(b"fmt ") + 8 + start, value)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes"),
        (b"RIFF", "no sound file"),
        (b"a text, and no sound", "no sound file"),
        (wav(SAMPLES)[:20], "cut short before the sound begins"),
        (wav(SAMPLES)[:50], "cut short before the sound begins"),
        (wav(SAMPLES)[:-100], r"cut short: 800 bytes of sound are announced and 700"),
        (wav(np.zeros(0)), "0 seconds"),
        (changed(0, "<H", 0x11), r"WAV of kind 17 with 16 bits is .*\(Error in ADPCM WAV .*\): save it as WAV or FLAC"),
        (b"\0\0\0\x20ftypM4A " + bytes(99), "it is MPEG-4, which is not read here: save it as WAV or FLAC"),
        (b"0&\xb2u\x8ef\xcf\x11" + bytes(99), "it is WMA, which is not read here"),
        (changed(2, "<H", 0), "0 channels"),
        (changed(4, "<I", 3), "3 samples a second"),
        (changed(4, "<I", 4_000_000_000), "4,000,000,000 samples a second"),
        (wav(np.full(9, np.nan), bits=32, floats=True), "infinite or none"),
        (b"RIFF\0\0\0\0WAVEdata\x04\0\0\0\0\0\0\0", "stands before the description"),
        (b"fLaC" + bytes(99), "FLAC is damaged"),
    ],
)
def test_what_cannot_be_read_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        sound_file.read(content)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="cannot be opened"):
        sound_file.read(tmp_path / "none.wav")

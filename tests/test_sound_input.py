"""Recordings of every kind, asked from the command line: each is answered, or named in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import deepen
from tests.samples import sound_folder, sound_table
from tests.samples.tones import RATE, tone, wav, write

SMALL: dict[str, Any] = {
    "fit.epochs": 1,
    "fit.batch_size": 16,
    "plan": "fp32",
    "device": "cpu",
    "model.channels": "4,4",
    "model.strides": "2,2",
    "model.width": 8,
    "data.seconds": 2,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("sound")
    made = {"classify": sound_folder.make(root), "transcribe": sound_table.make(root)}
    return {task: str(deepen.train(source, runs=root / task, **SMALL).path) for task, source in made.items()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("files")
    samples = tone("low", 0.5)
    write(root / "plain.wav", wav(samples))
    write(root / "stereo.wav", wav(np.stack([samples, samples], 1)))
    write(root / "rate.wav", wav(tone("low", 0.5, 44_100), 44_100))
    write(root / "bytes.wav", wav(samples, bits=8))
    write(root / "fine.wav", wav(samples, bits=24))
    write(root / "float.wav", wav(samples, bits=32, floats=True))
    write(root / "one.wav", wav(samples[:1]))
    write(root / "silent.wav", wav(np.zeros(2000)))
    soundfile.write(root / "packed.flac", samples, RATE)
    write(root / "long.wav", wav(np.tile(samples, 10)))
    write(root / "none.wav", wav(np.zeros(0)))
    write(root / "empty.wav", b"")
    write(root / "text.wav", b"Dear all, this is a letter.")
    write(root / "short.wav", wav(samples)[:-700])
    return root


GOOD = ("plain", "stereo", "rate", "bytes", "fine", "float", "one", "silent")
BAD = {"none.wav": "0 seconds", "empty.wav": "0 bytes", "text.wav": "no sound file", "short.wav": "cut short"}


@pytest.mark.parametrize("task", ["classify", "transcribe"])
def test_all_that_can_be_heard_is_answered(task: str, runs: dict[str, str], files: Path, call: Any) -> None:
    names = [*(f"{name}.wav" for name in GOOD), "packed.flac"]
    done = call("predict", runs[task], *(str(files / name) for name in names), "--json")
    assert done.code == 0, done.err
    answers = {Path(one["input"]).name: one for one in done.json["predictions"]}
    assert list(answers) == names
    same = ["plain.wav", "stereo.wav", "fine.wav", "float.wav", "packed.flac"]
    if task == "transcribe":
        assert all(isinstance(one["text"], str) for one in answers.values())
        assert len({answers[name]["text"] for name in same}) == 1
    else:
        assert all(one["category"] in ("high", "low") for one in answers.values())
        chances = [answers[name]["probability"] for name in same]
        assert max(chances) - min(chances) < 1e-2


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("task", ["classify", "transcribe"])
def test_what_cannot_be_heard_is_named_and_the_rest_answered(
    task: str, name: str, runs: dict[str, str], files: Path, call: Any
) -> None:
    done = call("predict", runs[task], str(files / name), str(files / "plain.wav"), "--json")
    assert done.code == 1
    assert [Path(one["input"]).name for one in done.json["predictions"]] == ["plain.wav"]
    assert BAD[name] in done.json["bad"][0]["reason"]
    assert name in done.json["bad"][0]["reason"]
    alone = call("predict", runs[task], str(files / name))
    assert alone.code == 1
    assert BAD[name] in alone.err
    assert "Traceback" not in alone.err


def test_a_long_recording_has_a_class_by_its_beginning_and_no_half_of_a_transcript(
    runs: dict[str, str], files: Path, call: Any
) -> None:
    long = str(files / "long.wav")
    assert call("predict", runs["classify"], long, "--json").code == 0
    done = call("predict", runs["transcribe"], long)
    assert done.code == 1
    assert "5.0 s long (expected at most 2 s): cut it into pieces" in done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("augment.flip=true",), "changes pictures and this data is recordings"),
        (("augment.speed=3",), "augment.speed=3 is not usable"),
        (("data.rate=1",), "data.rate=1 is not usable"),
        (("data.size=32",), "is for pictures"),
        (("--model", "lstm"), "reads texts"),
        (("--model", "mlp"), "choose --model sound-cnn or sound-gru"),
        (("--model", "resnet18"), "choose --model sound-cnn or sound-gru"),
        (("--as", "transcribe"), "metadata.csv"),
        (("model.strides=2",), "model.strides has 1 numbers"),
        (("--pretrained", "imagenet"), "leave --pretrained out"),
    ],
)
def test_slips_are_told_in_a_sentence(words: tuple[str, ...], told: str, call: Any, tmp_path: Path) -> None:
    done = call("train", sound_folder.make(tmp_path), *words, "--runs", str(tmp_path / "runs"))
    assert done.code in (1, 2)
    assert told in done.err
    assert done.err.count("\n") == 1, done.err

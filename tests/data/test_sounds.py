from __future__ import annotations

import os
import tarfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch

from deepen.data import fsdd, fsdd_strings, hearing, sound_folder, sound_table, sounds
from deepen.data.paired import read_back
from deepen.data.sound import FILL, SoundPreprocess
from deepen.errors import Misuse, Problem
from deepen.sources import find_source, without_pictures
from deepen.spec import Audio, Category, Sentence
from tests.samples import sound_folder as folder_sample
from tests.samples import sound_table as table_sample
from tests.samples.tones import tone, wav, write

real = pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set: it names the real data")


def test_class_folders_become_recordings_of_one_rate(tmp_path: Path) -> None:
    dataset = sound_folder.load(folder_sample.make(tmp_path), hearing.Config(), 0)
    assert dataset.spec.input == Audio(2998, 40, 8000)
    assert dataset.spec.output == Category(("high", "low"))
    assert "Those of 11,127 are resampled" in dataset.facts[1]
    assert dataset.test is not None
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 70
    batch = dataset.train.take(torch.arange(5))
    assert batch["input"].dtype == torch.int16
    frames = dataset.preprocess.tensor(batch["input"])
    assert frames.shape[2] == 40
    every = dataset.preprocess.tensor(dataset.train.take(torch.arange(len(dataset.train)))["input"])
    heard = every[(every != 0).any(2)]
    assert heard.mean(0).abs().max() < 0.01  # normalised by the training recordings
    assert (heard.std(0) - 1).abs().max() < 0.01
    assert without_pictures(find_source(str(tmp_path / "recordings"))[0])


def test_an_archive_is_the_folder(tmp_path: Path) -> None:
    source = folder_sample.make(tmp_path)
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(source, "recordings")
    assert find_source(str(tmp_path / "all.tar.gz"))[0].name == "sound-folder"
    packed = sound_folder.load(str(tmp_path / "all.tar.gz"), hearing.Config(), 0)
    unpacked = sound_folder.load(source, hearing.Config(), 0)
    assert np.array_equal(packed.train.fingerprints(), unpacked.train.fingerprints())


def test_split_folders_are_splits(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("val", 3), ("test", 2)):
        for name in ("high", "low"):
            for number in range(count):
                write(tmp_path / "all" / part / name / f"{number}.wav", wav(tone(name, 0.1, seed=number)))
    dataset = sound_folder.load(str(tmp_path / "all"), hearing.Config(), 0)
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (12, 6, 4)


def test_long_and_silent_recordings_are_told(tmp_path: Path) -> None:
    source = folder_sample.make(tmp_path)
    write(tmp_path / "recordings" / "low" / "silent.wav", wav(np.zeros(900)))
    dataset = sound_folder.load(source, hearing.Config(seconds=0.2), 0)
    assert {"cut-recordings", "silent"} <= {finding.subject for finding in dataset.findings}
    assert dataset.train.take(torch.arange(len(dataset.train)))["input"].shape[1] == 1600


def test_bad_recordings_are_listed_or_left_out(tmp_path: Path) -> None:
    source = folder_sample.make(tmp_path)
    write(tmp_path / "recordings" / "low" / "zz.wav", b"")
    with pytest.raises(Problem, match=r"1 recording of 71 cannot be used: 'low/zz\.wav': it holds 0 bytes"):
        sound_folder.load(source, hearing.Config(), 0)
    dataset = sound_folder.load(source, hearing.Config(skip_bad=True), 0)
    assert [bad.path for bad in dataset.bad] == ["low/zz.wav"]


def test_recordings_that_nothing_reads_are_named_and_not_passed_over(tmp_path: Path) -> None:
    source = folder_sample.make(tmp_path)
    write(tmp_path / "recordings" / "low" / "zz.m4a", b"\0\0\0\x20ftypM4A " + bytes(99))
    with pytest.raises(Problem, match=r"'low/zz\.m4a': it is MPEG-4, which is not read here: save it as WAV or FLAC"):
        sound_folder.load(source, hearing.Config(), 0)
    for name in ("low", "high"):
        write(tmp_path / "phone" / name / "1.m4a", b"\0\0\0\x20ftypM4A " + bytes(99))
    assert find_source(str(tmp_path / "phone"))[0].name == "sound-folder"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 3}, r"data\.rate=3"),
        ({"bands": 1}, r"data\.bands=1"),
        ({"seconds": -1}, r"data\.seconds=-1"),
        ({"target": "x"}, r"data\.target"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=words):
        sound_folder.load(folder_sample.make(tmp_path), hearing.Config(**settings), 0)  # type: ignore[arg-type]


def test_recordings_without_classes_say_what_is_missing(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "flat" / f"{number}.wav", wav(tone("low", 0.1)))
    assert find_source(str(tmp_path / "flat"))[0].name == "sound-folder"
    with pytest.raises(Problem, match=r"3 recordings and no class folders: expected .*metadata\.csv"):
        sound_folder.load(str(tmp_path / "flat"), hearing.Config(), 0)


def test_a_table_says_what_is_said(tmp_path: Path) -> None:
    source = table_sample.make(tmp_path)
    for named in (source, f"{source}/metadata.csv"):
        assert find_source(named)[0].name == "sound-table"
        dataset = sound_table.load(named, hearing.Config(), 0)
        assert isinstance(dataset.spec.output, Sentence)
        assert dataset.test is not None
        assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (32, 8, 8)
    preprocess = dataset.preprocess
    assert isinstance(preprocess, SoundPreprocess)
    assert preprocess.words is not None
    batch = dataset.train.take(torch.arange(4))
    for tokens, bytes_ in zip(batch["target"], batch["reference"], strict=True):
        text = read_back(bytes_)
        assert set(text.split()) <= {"high", "low"}  # in small letters, without commas
        assert preprocess.words.decode(tokens[tokens != 0].tolist()) == text


def test_transcripts_as_they_are_written(tmp_path: Path) -> None:
    dataset = sound_table.load(table_sample.make(tmp_path), hearing.Config(plain=False), 0)
    assert read_back(dataset.train.take(torch.tensor([0]))["reference"][0])[-1] == "."
    assert sounds.plainly("Don't  STOP, now; x_y!") == "don't stop now x y"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Low, HIGH!", "low high"),
        ("O’Neil's co_op", "o’neil's co op"),
        ("हिन्दी, ไทยที่", "हिन्दी ไทยที่"),
        ("مُحَمَّد", "مُحَمَّد"),
        ("cafe\u0301 E\u0301te\u0301", "caf\u00e9 \u00e9t\u00e9"),
    ],
)
def test_plain_transcripts_keep_all_parts_of_letters(text: str, plain: str) -> None:
    assert sounds.plainly(text) == unicodedata.normalize("NFC", plain)


def test_transcripts_without_a_word_are_told() -> None:
    heard = hearing.Heard([np.full(900, 9, np.int16)] * 20, list(range(20)), 8000, "0" * 64)
    texts = ["low", "!?"] + ["high"] * 18
    made = sounds.transcripts("said", heard, texts, hearing.Config(), 0, origins=[f"{n}.wav" for n in range(20)])
    told = {finding.subject: finding.text for finding in made.findings}
    assert "1 transcripts hold no word (first: '1.wav')" in told["wordless"]


def test_nothing_is_learnt_from_silence(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / "hush" / "ab"[number % 2] / f"{number}.wav", wav(np.zeros(900)))
    with pytest.raises(Problem, match="all recordings to learn from are silent"):
        sound_folder.load(str(tmp_path / "hush"), hearing.Config(), 0)


def test_a_table_of_classes(tmp_path: Path) -> None:
    source = table_sample.make(tmp_path)
    table = Path(source) / "metadata.csv"
    lines = table.read_text().splitlines()
    kinds = [f"{line.partition(',')[0]},{'abc'[n % 3]}" for n, line in enumerate(lines[1:])]
    table.write_text("\n".join(["file,kind", *kinds]))
    assert sound_table.load(source, hearing.Config(), 0).spec.output == Category(("a", "b", "c"))
    with pytest.raises(Misuse, match=r"data\.text=knd names no column.*kind"):
        sound_table.load(source, hearing.Config(text="knd"), 0)


def test_transcripts_that_cannot_be_said_in_time_are_told(tmp_path: Path) -> None:
    source = table_sample.make(tmp_path)
    with (Path(source) / "metadata.csv").open("a") as file:
        file.write(f"clips/00.wav,{'high low ' * 20},train\n")
    dataset = sound_table.load(source, hearing.Config(), 0)
    assert {"hurried", "listed-twice"} <= {finding.subject for finding in dataset.findings}


def test_long_recordings_with_transcripts_are_not_cut(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"s long \(expected at most 0\.3 s\)"):
        sound_table.load(table_sample.make(tmp_path), hearing.Config(seconds=0.3), 0)


@real
def test_fsdd_has_its_official_split() -> None:
    dataset = fsdd.load("fsdd", fsdd.Config(), 0)
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (2400, 300, 300)
    numbers = [int(name.rpartition("_")[2].removesuffix(".wav")) for name in dataset.validation.origins or ()]
    assert set(numbers) == set(range(5, 10))
    assert dataset.validation["target"].bincount().tolist() == [30] * 10


@real
def test_a_speaker_is_held_out() -> None:
    dataset = fsdd.load("fsdd", fsdd.Config(held_out="theo", validate="lucas"), 0)
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (2000, 500, 500)
    assert not [name for name in dataset.train.origins or () if "theo" in name or "lucas" in name]
    alone = fsdd.load("fsdd", fsdd.Config(held_out="theo"), 0)
    assert (len(alone.train), len(alone.validation)) == (2250, 250)
    with pytest.raises(Misuse, match=r"data\.held_out=teo is no speaker.*theo"):
        fsdd.load("fsdd", fsdd.Config(held_out="teo"), 0)
    with pytest.raises(Misuse, match="both name theo"):
        fsdd.load("fsdd", fsdd.Config(held_out="theo", validate="theo"), 0)
    with pytest.raises(Misuse, match=r"data\.target cannot be set for fsdd"):
        fsdd.load("fsdd", fsdd.Config(target="x"), 0)
    with pytest.raises(
        Misuse, match=r"data\.validation_fraction=0\.3 cannot be followed: fsdd has its standard splits"
    ):
        fsdd.load("fsdd", fsdd.Config(validation_fraction=0.3), 0)


@real
def test_strings_of_digits_share_no_recording_between_splits() -> None:
    first = fsdd_strings.load("fsdd-strings", fsdd_strings.Config(strings=20), 0)
    again = fsdd_strings.load("fsdd-strings", fsdd_strings.Config(strings=30), 5)
    assert np.array_equal(
        first.train.fingerprints(), again.train.fingerprints()[:20]
    )  # whatever the seed of a training
    assert np.array_equal(first.validation.fingerprints(), again.validation.fingerprints())
    batch = first.train.take(torch.arange(20))
    for row, bytes_ in zip(batch["input"], batch["reference"], strict=True):
        words = read_back(bytes_).split()
        assert 3 <= len(words) <= 7
        assert set(words) <= set(fsdd_strings.WORDS)
        assert int((row != FILL).sum()) / 8000 > 0.2 * len(words)
    assert first.test is not None
    assert len(first.test) == 300

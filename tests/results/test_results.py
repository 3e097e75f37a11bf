"""The accuracy runs of docs/results.md, on real data: `make results`. Slow, so marked, and not part of `make test`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ledger import Measured, record

FIVE, THREE, TWO = (0, 1, 2, 3, 4), (0, 1, 2), (0, 1)


@dataclass(frozen=True)
class Goal:
    """A line of the table: what is trained, and what it should reach."""

    name: str
    words: str
    metric: str
    target: float | None
    reference: str
    seeds: tuple[int, ...] = FIVE
    percent: bool = True
    most_whole_seconds: float | None = None
    """Limit for the whole command."""
    most_training_seconds: float | None = None
    beside: tuple[str, ...] = ()
    """Further metrics that are written down."""
    lower_is_better: bool = False


GOALS = [
    Goal("digits", "digits", "accuracy", 97.5, "-"),
    Goal(
        "MNIST, MLP 784-128-256-10",
        "mnist --model mlp",
        "accuracy",
        98.6,
        "beginner's script 96.8 after 16 epochs; 250-100 MLP with augmentation 98.37",
    ),
    Goal("MNIST", "mnist", "accuracy", 99.5, "beginner's script 99.28 after 10 epochs; PyTorch example 99.19"),
    Goal(
        "MNIST, given a minute",
        "mnist fit.epochs=9.5 augment.rotate=8 augment.scale=0.08",
        "accuracy",
        99.6,
        "-",
        TWO,
        most_training_seconds=60,
    ),
    Goal("MNIST, five seconds", "mnist fit.epochs=0.75", "accuracy", 99.0, "-", FIVE, most_training_seconds=5),
    Goal(
        "Fashion-MNIST",
        "fashion-mnist",
        "accuracy",
        93.5,
        "2 conv under 100 K parameters 92.5; DenseNet-BC 95.4",
        TWO,
        most_whole_seconds=180,
    ),
    Goal(
        "CIFAR-10 (JPEG copy), published ResNet-20",
        "{data}/cifar10/cifar10.tar.gz --model resnet20 --pretrained {data}/weights/resnet20-12fca82f.th fit.epochs=0",
        "accuracy",
        80.9,
        "81.03 by its own program; 91.73 on the lossless pictures",
        (0,),
    ),
    Goal(
        "bees and ants, head on a frozen SqueezeNet",
        "{work}/train data.test={work}/val --model squeezenet1-0 --pretrained imagenet transfer=head",
        "accuracy",
        90,
        "frozen ResNet-18 and head 93.5",
        THREE,
        most_whole_seconds=60,
    ),
    Goal(
        "bees and ants, head that begins with what the weights know of bee and ant",
        "{work}/train data.test={work}/val --model squeezenet1-0 --pretrained {work}/named transfer=head",
        "accuracy",
        90,
        "frozen ResNet-18 and head 93.5",
        THREE,
        most_whole_seconds=60,
    ),
    Goal(
        "bees and ants, the same network from scratch",
        "{work}/train data.test={work}/val --model squeezenet1-0 data.size=227 data.resize=256 fit.minutes=4",
        "accuracy",
        None,
        "65 to 75 from scratch; to be at least 15 points below the frozen one",
        (0,),
    ),
    Goal(
        "BCCD blood cells, from scratch",
        "bccd data.size=320",
        "ap50",
        0.80,
        "YOLOv8n pretrained on COCO .90 to .92",
        (0,),
        percent=False,
        most_training_seconds=1800,
    ),
    Goal(
        "BCCD blood cells, on a pretrained SqueezeNet",
        "bccd data.size=320 model.backbone=squeezenet1-0 --pretrained imagenet",
        "ap50",
        0.85,
        "YOLOv8n pretrained on COCO .90 to .92",
        (0,),
        percent=False,
        most_training_seconds=1800,
    ),
    Goal("CamVid 240x180", "camvid", "miou", 50, "SegNet 46 to 60, ENet 51.3", (0,), most_training_seconds=1800),
    Goal(
        "ETTh1, the next 96 hours of 7 variates",
        "etth1",
        "mse",
        0.375,
        "DLinear .375, NLinear .374, PatchTST .370; ours before its weights were averaged .376",
        percent=False,
        lower_is_better=True,
    ),
    Goal(
        "ETTh1, the same, mean absolute error",
        "etth1",
        "mae",
        0.395,
        "DLinear .399, NLinear .394, PatchTST .400; ours before its weights were averaged .398",
        percent=False,
        lower_is_better=True,
    ),
    Goal(
        "Multi30k, German to English, attention GRU",
        "multi30k --model seq2seq task.beam=1",
        "bleu",
        28,
        "attention GRU 28.3, small letters, spaCy's words",
        (0,),
        percent=False,
        beside=("sacrebleu",),
    ),
    Goal(
        "Multi30k, German to English, Transformer",
        "multi30k",
        "bleu",
        36,
        "Transformer of 9.04 M parameters 36.52, greedy, small letters, spaCy's words",
        (0,),
        percent=False,
        beside=("sacrebleu",),
    ),
    Goal("FSDD, spoken digits", "fsdd", "accuracy", 98, "-", most_training_seconds=120),
    Goal(
        "FSDD, strings of three to seven digits written down",
        "fsdd-strings",
        "word_error_rate",
        5,
        "-",
        THREE,
        beside=("character_error_rate", "exact"),
        lower_is_better=True,
    ),
    Goal(
        "SST-2, sentences, from scratch", "sst2", "accuracy", 80, "Kim's CNN from random vectors 82.7, with phrases too"
    ),
    Goal(
        "SST-2, sentences, MiniLM fine-tuned",
        "sst2 --pretrained minilm",
        "accuracy",
        87,
        "MiniLM-L6 91.5 on GLUE's dev part, from ten times the data",
        (0,),
    ),
    Goal(
        "MR, sentences, from scratch",
        "mr",
        "accuracy",
        76,
        "Kim's CNN from random vectors 76.1, on nine tenths of the data",
    ),
    Goal("MR, sentences, MiniLM fine-tuned", "mr --pretrained minilm", "accuracy", 83, "BERT about 86", (0,)),
    Goal(
        "SMS spam, from scratch",
        "sms-spam",
        "f1/spam",
        96,
        "naive Bayes 95.6, LSTM 94.3, on other splits",
        beside=("accuracy", "precision/spam", "recall/spam"),
    ),
    Goal(
        "SMS spam, MiniLM fine-tuned",
        "sms-spam --pretrained minilm task.goal=macro_f1",
        "f1/spam",
        96,
        "naive Bayes 95.6, LSTM 94.3, on other splits",
        beside=("accuracy", "precision/spam", "recall/spam"),
    ),
    Goal(
        "waimai_10k, Chinese reviews, from scratch",
        "{data}/text/zh_waimai/waimai_10k.csv",
        "accuracy",
        88,
        "LSTM 88.7, BERT 89.5, on other splits",
    ),
    Goal("CartPole-v1", "CartPole-v1", "return", 475, "PPO 490 to 500", THREE, percent=False, most_whole_seconds=90),
]


@pytest.mark.results
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("goal", GOALS, ids=[goal.name for goal in GOALS])
def test_reaches_its_target(goal: Goal, tmp_path: Path) -> None:
    data = os.environ.get("DEEPEN_DATA")
    if data is None:
        pytest.skip("DEEPEN_DATA is not set: it names the folder with the real data")
    work = bees_and_ants(Path(data), tmp_path) if "{work}" in goal.words else tmp_path
    words = goal.words.format(data=data, work=work).split()
    if "{work}/named" in goal.words:
        names = f"{data}/weights/squeezenet1_0/imagenet_class_names.txt"
        deepen(tmp_path, *f"convert imagenet --model squeezenet1-0 --names {names} --out {work}/named".split())
    values, whole, training, rivals, method = [], [], [], [], ""
    for seed in goal.seeds:
        one = trained(tmp_path, tuple(words), seed)
        whole.append(one.whole)
        training.append(one.training)
        metrics, rival = one.metrics, one.rival
        values.append(metrics[goal.metric] * (100 if goal.percent else 1))
        if rival is not None and goal.metric in rival["metrics"]:
            method = rival["method"]
            rivals.append(rival["metrics"][goal.metric] * (100 if goal.percent else 1))
    beside = f"; {method} on the same splits {statistics.mean(rivals):.4g}" if rivals else ""
    command = "deepen train " + goal.words.format(data="$DEEPEN_DATA", work="hymenoptera_data")
    # Errors of one variate are in its own units, and none of them is a class.
    per_class = {name: value for name, value in metrics.items() if "/" in name and not goal.lower_is_better}
    # Where classes have several metrics, which of them stands for a class is for `beside` to say.
    if "/" in goal.metric or len({name.partition("/")[0] for name in per_class}) > 1:
        per_class = {}
    per_class |= {name: metrics[name] for name in goal.beside}
    row = Measured(
        goal.name,
        command,
        goal.metric,
        values,
        goal.target,
        goal.reference + beside,
        whole,
        training,
        lower_is_better=goal.lower_is_better,
        note=over_time(goal, whole, training),
        per_class={
            name if name in goal.beside else name.partition("/")[2]: round(value, 4)
            for name, value in per_class.items()
        },
    )
    record(row)
    assert row.reached, f"{row.name}: {row.values} against {row.target}"
    assert not row.note, row.note


@pytest.mark.results
@pytest.mark.timeout(3600)
def test_voices_that_were_never_heard(tmp_path: Path) -> None:
    """Spoken digits of a speaker who was left out of the training, each of the six in turn."""
    if os.environ.get("DEEPEN_DATA") is None:
        pytest.skip("DEEPEN_DATA is not set: it names the folder with the real data")
    speakers = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    found, whole, training = {}, [], []
    for speaker in speakers:
        started = time.perf_counter()
        result = deepen(tmp_path, "train", "fsdd", f"data.held_out={speaker}")
        whole.append(time.perf_counter() - started)
        training.append(result["seconds"])
        found[speaker] = deepen(tmp_path, "evaluate", result["run"])["metrics"]["accuracy"]
    record(
        Measured(
            "FSDD, the digits of a speaker who was never heard",
            "deepen train fsdd data.held_out=SPEAKER, each of the six in turn",
            "accuracy",
            [100 * value for value in found.values()],
            None,
            "-",
            whole,
            training,
            per_class={speaker: round(value, 4) for speaker, value in found.items()},
        )
    )


@pytest.mark.results
@pytest.mark.timeout(600)
def test_published_squeezenet_knows_bees_and_ants(tmp_path: Path) -> None:
    """How often the right one of the thousand classes comes first, and among the first five, of 153 pictures."""
    data = os.environ.get("DEEPEN_DATA")
    if data is None:
        pytest.skip("DEEPEN_DATA is not set: it names the folder with the real data")
    work = bees_and_ants(Path(data), tmp_path)
    words = "convert imagenet --model squeezenet1-0 --names {data}/weights/squeezenet1_0/imagenet_class_names.txt --out named"
    started = time.perf_counter()
    deepen(tmp_path, *words.format(data=data).split())
    hits, count = {1: 0, 5: 0}, 0
    for folder, truth in (("ants", "ant, emmet, pismire"), ("bees", "bee")):
        for answer in deepen(tmp_path, "predict", "named", str(work / "val" / folder))["predictions"]:
            named = [name for name, _ in answer["top"]]
            count += 1
            hits = {most: many + (truth in named[:most]) for most, many in hits.items()}
    spent = time.perf_counter() - started
    rows = [
        Measured(
            f"published SqueezeNet on bees and ants, among the first {most} of 1000 classes",
            f"deepen {words.format(data='$DEEPEN_DATA')}; deepen predict named hymenoptera_data/val/ants (and bees)",
            f"right of {count}",
            [float(hits[most])],
            wanted,
            f"{wanted} on the original pictures, of which only reduced copies are here",
            [spent],
            [0.0],
        )
        for most, wanted in ((1, 94), (5, 134))
    ]
    for row in rows:
        record(row)
    missed = [f"{row.name}: {row.values[0]:g} against {row.target}" for row in rows if not row.reached]
    assert not missed, missed


def bees_and_ants(data: Path, folder: Path) -> Path:
    """The pictures unpacked: their val folder is the test split here, and chooses nothing."""
    with tarfile.open(data / "transfer/hymenoptera_256.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "hymenoptera_data"


def over_time(goal: Goal, whole: list[float], training: list[float]) -> str:
    """A sentence where a time limit was missed."""
    if goal.most_whole_seconds is not None and max(whole) > goal.most_whole_seconds:
        return f"**missed** its limit of {goal.most_whole_seconds:g} s for the whole command: {max(whole):.1f} s."
    if goal.most_training_seconds is not None and max(training) > goal.most_training_seconds:
        return f"**missed** its limit of {goal.most_training_seconds:g} s of training: {max(training):.1f} s."
    return ""


@dataclass(frozen=True)
class Trained:
    """A run and what it scores on the test split, which is opened for it once."""

    whole: float
    """Seconds of the whole command."""
    training: float
    metrics: dict[str, float]
    rival: dict[str, Any] | None


KNOWN: dict[tuple[tuple[str, ...], int], Trained] = {}
"""Two lines about one command are lines about one run, whose test split is not opened again for the second."""


def trained(folder: Path, words: tuple[str, ...], seed: int) -> Trained:
    if (words, seed) not in KNOWN:
        started = time.perf_counter()
        result = deepen(folder, "train", *words, f"seed={seed}")
        whole = time.perf_counter() - started
        evaluation = deepen(folder, "evaluate", result["run"])
        KNOWN[words, seed] = Trained(whole, result["seconds"], evaluation["metrics"], evaluation["rival"])
    return KNOWN[words, seed]


def deepen(folder: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "deepen", *words, "--json"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content

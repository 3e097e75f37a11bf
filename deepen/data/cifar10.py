"""CIFAR-10: 32x32 colour pictures of ten things (Krizhevsky 2009). 50,000 to train with, 10,000 sealed.

Read from the binary version (each record a label byte and 3,072 bytes of red, green and blue planes), or from an
archive of class folders. The python version is a pickle, which is not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from deepen import recipe
from deepen.data import archives, folder, places
from deepen.data.dataset import About, Dataset
from deepen.data.download import fetch, sha256_is
from deepen.data.pictures import Numbered, assemble
from deepen.errors import Problem

SUMMARY = "60,000 colour pictures of ten things, 32x32, official test part"
ABOUT = About(
    title="CIFAR-10",
    licence="none stated by the authors; widely used for research",
    citation="A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images. University of Toronto, 2009.",
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
)
MIRRORS = ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",)
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
ARCHIVE_BYTES = 170_052_171
FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
RECORDS, TRAIN, SIDE = 10_000, 50_000, 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BINARY = ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin")
CLASS_FOLDERS = ("cifar10.tar.gz", "cifar10.tgz", "cifar10.tar", "cifar10.zip")
PYTHON = ("cifar-10-python.tar.gz", "cifar-10-batches-py")


@dataclass
class Config(recipe.Data):
    """How CIFAR-10 is split."""

    validation_fraction: float = 5000 / 50000
    """Share of the 50,000 training pictures kept for validation: 5,000 by default. The test part is official."""


def load(source: str, options: recipe.Data, seed: int) -> Dataset:
    """CIFAR-10 as uint8 rows [N, 32, 32, 3], from the data folder, else downloaded."""
    unpacked = places.find("cifar10", BINARY)
    if unpacked is not None:
        return _from_binary(_unpacked(unpacked), unpacked, options, seed)
    packed = places.find("cifar10", (ARCHIVE,))
    wrong = sha256_is(ARCHIVE_SHA256)(packed) if packed is not None else None
    if wrong is not None:
        raise Problem(f"'{packed}' is not the published file: {wrong}. Delete it to have it downloaded again.")
    if packed is None:
        class_folders = places.find("cifar10", (*CLASS_FOLDERS, "train"))
        if class_folders is not None:
            inside = class_folders.parent if class_folders.is_dir() else class_folders
            dataset = folder.load(str(inside), options, seed)
            dataset.name = "cifar10"
            return dataset
        pickled = places.find("cifar10", PYTHON)
        if pickled is not None:
            raise Problem(
                f"'{pickled}' is the python version of CIFAR-10, a pickle, which can run programs and is not read: "
                f"put the binary version there ({MIRRORS[0]})."
            )
        packed = fetch(
            MIRRORS, places.homes("cifar10")[0] / ARCHIVE, check=sha256_is(ARCHIVE_SHA256), most=ARCHIVE_BYTES + 2**20
        )
    return _from_binary(_packed(packed), packed, options, seed)


def _from_binary(batches: Iterator[tuple[str, bytes]], path: Path, options: recipe.Data, seed: int) -> Dataset:
    """From the six files of the binary version in any order."""
    count = len(FILES) * RECORDS
    rows = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    digests = {}
    for name, content in batches:
        if len(content) != RECORDS * RECORD_BYTES:
            raise Problem(
                f"'{name}' of '{path}' has {len(content):,} bytes, expected {RECORDS * RECORD_BYTES:,}: it is cut short."
            )
        records = np.frombuffer(content, dtype=np.uint8).reshape(RECORDS, RECORD_BYTES)
        start = FILES.index(name) * RECORDS
        labels[start : start + RECORDS] = records[:, 0]
        planes = records[:, 1:].reshape(RECORDS, 3, SIDE, SIDE)
        rows[start : start + RECORDS] = planes.transpose(0, 2, 3, 1)
        digests[name] = hashlib.sha256(content).hexdigest()
    missing = [name for name in FILES if name not in digests]
    if missing:
        raise Problem(f"'{path}' lacks {', '.join(missing)} of the binary version of CIFAR-10.")
    if labels.max() >= len(NAMES):
        raise Problem(f"'{path}' has the label {labels.max()}, expected 0 to 9: it is not CIFAR-10.")
    return assemble(
        "cifar10",
        torch.from_numpy(rows),
        labels,
        NAMES,
        options,
        seed,
        digest=hashlib.sha256("".join(digests[name] for name in FILES).encode()).hexdigest(),
        given=np.repeat(["train", "test"], [TRAIN, count - TRAIN]),
        origins=Numbered("cifar10", TRAIN, range(count)),
        facts=[f"{count:,} colour pictures of {SIDE}x{SIDE} pixels in {len(NAMES)} classes, from '{path}'."],
    )


def _unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    for name in FILES:
        if (path / name).is_file():
            yield name, (path / name).read_bytes()


def _packed(path: Path) -> Iterator[tuple[str, bytes]]:
    for member in archives.walk(path):
        name = member.name.rpartition("/")[2]
        if name in FILES:
            yield name, member.read()

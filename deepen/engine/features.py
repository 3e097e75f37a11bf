"""What a frozen body makes of pictures or texts, computed once and kept on disk: a head then learns in seconds.

An entry of the cache is a folder of a split's features, float32, and a manifest with its checksum, under a digest of
everything that they are a function of: the rows of the samples, how they become tensors, the body's weights, the file that its
class is written in, and the versions of Deepen and torch. The test split never comes here.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from deepen.data import preprocess as preprocessing
from deepen.data.arrays import ArrayPreprocess
from deepen.data.dataset import Columns, Dataset
from deepen.data.loader import in_order
from deepen.data.places import cache_folder
from deepen.data.preprocess import Preprocess
from deepen.data.progress import report
from deepen.data.ragged import by_length
from deepen.engine import mode
from deepen.engine.checkpoint import DamageError, verify, write_folder
from deepen.engine.device import describe
from deepen.nn.headed import Headed
from deepen.version import VERSION as DEEPEN

VERSION = 1
"""Raise it with every change of how features are computed."""
BATCH = 32
MOST_BYTES = 4 * 2**30
"""Features of a training that take more than this are computed in each step instead."""
MOST_KEPT_BYTES = 8 * 2**30
"""Of the whole cache; entries that were not used for longest make room."""
ABANDONED_SECONDS = 86_400
FILE = "features.safetensors"
PLAIN = (bool, int, float, str, tuple, type(None))
"""Kinds of values that a module is set to; what it keeps beside them it has from its inputs."""


@dataclass(frozen=True)
class Features:
    """The splits of a data set as the head of a network sees them."""

    network: Headed
    """The whole of it."""
    train: Columns
    validation: Columns
    preprocess: Preprocess
    told: str
    """What was computed or found, for people."""

    def whole(self, head: nn.Module) -> Headed:
        """The network with this head: what is shipped."""
        self.network.set_submodule(self.network.head_name, head)
        return self.network


def size_of(network: Headed, dataset: Dataset, device: torch.device) -> int:
    """Bytes that the features of training and validation samples take."""
    one = _answer(network, dataset.preprocess.tensor(dataset.train.between(0, 1)["input"]).to(device))
    return one.numel() * 4 * (len(dataset.train) + len(dataset.validation))


def features_of(network: Headed, dataset: Dataset, device: torch.device) -> Features:
    """The features of training and validation samples, from the cache where they have been computed before."""
    body = _digest_of(network, dataset.preprocess, device)
    found = [
        _split(network, columns, dataset.preprocess, device, body) for columns in (dataset.train, dataset.validation)
    ]
    (train, fresh, unkept), (validation, *_) = found
    count, size = len(train) + len(validation), sum(part.numel() * 4 for part, *_ in found)
    how = "computed once" if fresh else "found as they were computed before"
    told = f"features of {count:,} samples ({size / 2**20:,.0f} MB) {how}: the body has no further work to do"
    if unkept:
        told += f"; they could not be kept for the next time ({unkept})"
    return Features(
        network,
        _with(dataset.train, train),
        _with(dataset.validation, validation),
        ArrayPreprocess(tuple(train.shape[1:])),
        told,
    )


def _with(columns: Columns, features: Tensor) -> Columns:
    return Columns(columns.arrays | {"input": features}, columns.origins)


def _split(
    network: Headed, columns: Columns, preprocess: Preprocess, device: torch.device, body: bytes
) -> tuple[Tensor, bool, str]:
    """Features float32 [N, ...] on the CPU, whether they were computed now, and why they could not be kept."""
    digest = hashlib.sha256(body)
    for start in range(0, len(columns), BATCH):
        digest.update(_bytes(columns.between(start, start + BATCH)["input"]))
    entry = cache_folder() / "features" / digest.hexdigest()[:32]
    with suppress(DamageError, OSError):
        verify(entry)
        features = load_file(entry / FILE)["features"]
        os.utime(entry)
        return features, False, ""
    features = _computed(network, columns, preprocess, device)
    try:
        _keep(entry, features)
    except OSError as error:
        return features, True, error.strerror or str(error)
    return features, True, ""


def _computed(network: Headed, columns: Columns, preprocess: Preprocess, device: torch.device) -> Tensor:
    features, done = None, 0
    seen, places = by_length(columns)
    for batch in in_order(seen, preprocess, batch_size=BATCH, device=device):
        answered = _answer(network, batch["input"])
        if features is None:
            features = torch.empty((len(columns), *answered.shape[1:]))
        features[done : done + len(answered)] = answered
        done += len(answered)
        report("computing features", done, len(columns))
    assert features is not None, "a split that is learnt from has a sample"
    return features if places is None else features[places]


@torch.no_grad()
def _answer(network: Headed, input: Tensor) -> Tensor:
    """float32 on the CPU, in evaluation mode and without the memory formats that a plan may bring."""
    with mode.evaluating(network):
        return network.body(input).float().cpu().contiguous()


def _digest_of(network: Headed, preprocess: Preprocess, device: torch.device) -> bytes:
    """Of everything but the pictures. Threads and processor decide in which order products are added up."""
    answering = {id(value) for value in network.head.state_dict(keep_vars=True).values()}
    weights = {k: v for k, v in network.state_dict(keep_vars=True).items() if id(v) not in answering}
    known = [VERSION, preprocessing.dump(preprocess), network.head_name, _settings_of(network)]
    known += [DEEPEN, _written(type(network)), torch.__version__, describe(device)]
    digest = hashlib.sha256(json.dumps(known).encode())
    for name, value in weights.items():
        digest.update(name.encode())
        digest.update(_bytes(value))
    return digest.digest()


def _settings_of(network: Headed) -> list[list[str]]:
    """What each module of the body is set to beside its weights: heads of an attention, strides, how places are pooled."""
    told = []
    for name, module in network.named_modules():
        if not f"{name}.".startswith(f"{network.head_name}."):
            plain = {
                key: value for key, value in vars(module).items() if isinstance(value, PLAIN) and key != "training"
            }
            told.append([name, type(module).__qualname__, repr(sorted(plain.items()))])
    return told


def _written(kind: type) -> str:
    """SHA-256 of the file that a class is written in: what it computes may change with its weights and layers as they were."""
    return hashlib.sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()


def _bytes(values: Tensor) -> bytes:
    return values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _keep(entry: Path, features: Tensor) -> None:
    """Write an entry whole or not at all, under another name first: two trainings may compute the same."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    for left in entry.parent.glob(".*"):  # of processes that were killed
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left)
    own = entry.with_name(f".{entry.name}.{os.getpid()}")
    try:
        write_folder(own, {FILE: {"features": features}}, {})
        shutil.rmtree(entry, ignore_errors=True)  # one of that name has been found wanting before
        own.rename(entry)
    finally:
        shutil.rmtree(own, ignore_errors=True)
    _make_room(entry)


def _make_room(newest: Path) -> None:
    left = MOST_KEPT_BYTES
    for entry, size in _entries(newest.parent):
        left -= size
        if left < 0 and entry != newest:
            shutil.rmtree(entry, ignore_errors=True)


def _entries(folder: Path) -> Iterator[tuple[Path, int]]:
    """What is kept with its size, the latest used first."""
    found = []
    for entry in folder.glob("[!.]*"):
        with suppress(OSError):
            found.append((entry.stat().st_mtime, (entry / FILE).stat().st_size, entry))
    for _, size, entry in sorted(found, reverse=True):
        yield entry, size

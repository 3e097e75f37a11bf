"""From decoded pictures with class labels to a `Dataset`: the part that every picture source shares."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from deepen.data.dataset import Bad, Columns, Dataset, Finding, Sealed
from deepen.data.image_files import pixels_of
from deepen.data.pixels import ImagePreprocess, PicturePreprocess
from deepen.data.progress import report
from deepen.data.splits import BY_SETTING, split
from deepen.errors import Misuse, Problem
from deepen.recipe import Data, as_text
from deepen.spec import Category, Spec

Kind = TypeVar("Kind", bound=PicturePreprocess)

MOVED_BYTES = 2**22
LARGEST_SIDE = 4096
OWN_TEST = "it brings a test split of its own"


@dataclass(frozen=True)
class Numbered(Sequence[str]):
    """Names of samples that only have a number: `mnist train #17`."""

    name: str
    boundary: int
    """Rows before it are the train part, those after it the test part, each counted from 0."""
    rows: Sequence[int] | np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        if isinstance(row, slice):
            return replace(self, rows=self.rows[row])
        number = int(self.rows[row])
        if number < self.boundary:
            return f"{self.name} train #{number}"
        return f"{self.name} test #{number - self.boundary}"


def assemble(
    name: str,
    rows: Tensor,
    labels: np.ndarray,
    names: Sequence[str],
    options: Data,
    seed: int,
    *,
    digest: str,
    given: np.ndarray | None = None,
    origins: Sequence[str] | None = None,
    facts: Sequence[str] = (),
    bad: Sequence[Bad] = (),
    findings: Sequence[Finding] = (),
    folder: Path | None = None,
    second_test: bool = False,
) -> Dataset:
    """A data set from `rows` uint8 [N, H, W, C] and `labels` int64 [N], which number `names`.

    `given` holds "train", "validation" or "test" for each row where the data brings its own splits. `rows` are given
    away: the splits share their memory and put them in another order. `folder` is where large rows are mapped from.
    `second_test` says that `options.test` has been followed.
    """
    check_options(options, name, second_test=second_test)
    testing = BY_SETTING if second_test else ""
    parts, split_facts = split(len(rows), options, seed, given=given, labels=labels, names=names, testing=testing)
    rows = resized(rows, options)
    target = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))
    inputs = shared_out(rows, parts, folder)
    columns = {
        part: Columns(
            {"input": inputs[part], "target": target[torch.from_numpy(index)]},
            picked(origins, index),
            mapped=folder is not None,
        )
        for part, index in parts.items()
    }
    preprocess = replace(normalised(ImagePreprocess, columns["train"]["input"], options), resize=options.resize)
    return Dataset(
        name=name,
        spec=Spec(preprocess.input, Category(tuple(names))),
        preprocess=preprocess,
        train=columns["train"],
        validation=columns["validation"],
        test=Sealed(columns["test"]) if len(columns["test"]) else None,
        digest=digest,
        facts=[*facts, *split_facts],
        bad=list(bad),
        findings=list(findings),
        testing=testing,
    )


def check_options(options: Data, name: str, *, second_test: bool = False, instead: str = OWN_TEST) -> None:
    """Raise `Misuse` for settings that pictures cannot follow, instead of passing over them in silence. `instead` is said to who
    asks for a second test split where that is not read."""
    if options.size is not None and not 1 <= options.size <= LARGEST_SIDE:
        raise Misuse(f"data.size={options.size} is out of range: expected a side of 1 to {LARGEST_SIDE} pixels.")
    if options.resize is not None:
        if options.size is None:
            raise Misuse(
                f"data.resize={options.resize} is a scale before the centre is cut out: give data.size as well."
            )
        if not options.size <= options.resize <= LARGEST_SIDE:
            raise Misuse(
                f"data.resize={options.resize} is out of range: expected {options.size} (data.size) to {LARGEST_SIDE} pixels."
            )
    if (options.mean is None) != (options.std is None):
        one, other = ("mean", "std") if options.std is None else ("std", "mean")
        raise Misuse(
            f"data.{one} was given without data.{other}: give both, or neither to have them taken from the data."
        )
    if options.std is not None and min(options.std, default=0) <= 0:
        raise Misuse(f"data.std={as_text(options.std)} is what pictures are divided by: expected numbers above 0.")
    if options.threads is not None and options.threads < 1:
        raise Misuse(f"data.threads={options.threads} is out of range: expected 1 or more.")
    for key in ("target", "group", "time"):
        if getattr(options, key) is not None:
            raise Misuse(f"data.{key}={getattr(options, key)} names a column of a table: '{name}' holds pictures.")
    if options.test is not None and not second_test:
        raise Misuse(f"data.test={options.test} is not read for '{name}': {instead}.")


def normalised(kind: type[Kind], rows: Tensor, options: Data) -> Kind:
    """Preprocessing with the mean and deviation of the options, else with those of `rows`, uint8 [N, H, W, C]."""
    if options.mean is None or options.std is None:
        return kind.fit(rows)
    channels = rows.shape[3]
    for key, values in (("mean", options.mean), ("std", options.std)):
        if len(values) != channels:
            raise Misuse(
                f"data.{key}={as_text(values)} has {len(values)} number{'s' if len(values) > 1 else ''}: expected {channels}, "
                f"one for each channel of the pictures (data.channels={channels})."
            )
    return kind.given(rows, options.mean, options.std)


def resized(rows: Tensor, options: Data) -> Tensor:
    """Rows in the size and channels that the options ask for; the same rows where they ask for nothing else."""
    _, height, width, channels = rows.shape
    side = (options.size, options.size) if options.size else (height, width)
    wanted = options.channels or channels
    scaled = options.resize is not None and options.resize != min(height, width)
    if side == (height, width) and wanted == channels and not scaled:
        return rows
    changed = torch.empty((len(rows), *side, wanted), dtype=torch.uint8)
    for number, row in enumerate(rows.numpy()):
        image = Pillow.fromarray(row[..., 0] if channels == 1 else row)
        changed[number] = torch.from_numpy(np.array(pixels_of(image, wanted, *side, options.resize)))
    return changed


def shared_out(rows: Tensor, parts: dict[str, np.ndarray], folder: Path | None) -> dict[str, Tensor]:
    """The rows of each part (sorted indices), which share the memory of `rows` and put them in another order. `folder` is
    where large rows are mapped from."""
    whole = rows.numpy()
    found = _gathered(whole, parts) if folder is None else _laid_down(whole, parts, folder)
    return {part: torch.from_numpy(inside) for part, inside in found.items()}


def _gathered(rows: np.ndarray, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The rows of each part without a second copy of them all, which would cost more time than anything else here.

    The largest part is moved together inside `rows`; parts that lie in one piece outside of it stay where they are.
    numpy gathers with one thread, which does not wait for others on busy cores.
    """
    largest = max(parts, key=lambda part: len(parts[part]))
    index = parts[largest]
    start, end = int(index[0]), int(index[0]) + len(index)
    found = {}
    for part, other in parts.items():
        if part != largest:
            whole = _in_one_piece(other) and (other[-1] < start or other[0] >= end)
            found[part] = rows[other[0] : other[-1] + 1] if whole else rows[other]
    if not _in_one_piece(index):
        step = max(1, MOVED_BYTES // rows[0].nbytes)
        for begin in range(0, len(index), step):
            # Sorted indices only move towards the start, so that nothing is overwritten before it is read.
            several = index[begin : begin + step]
            rows[start + begin : start + begin + len(several)] = rows[several]
    found[largest] = rows[start:end]
    return found


def _laid_down(rows: np.ndarray, parts: dict[str, np.ndarray], folder: Path) -> dict[str, np.ndarray]:
    """The rows of each part mapped from disk, a part that is scattered written to a file of its own once."""
    found = {}
    for part, index in parts.items():
        if len(index) == 0 or _in_one_piece(index):
            found[part] = rows[index[0] : index[-1] + 1] if len(index) else rows[:0]
            continue
        path = folder / f"part-{hashlib.sha256(index.tobytes()).hexdigest()[:32]}"
        shape = (len(index), *rows.shape[1:])
        if not path.exists() or path.stat().st_size != len(index) * rows[0].nbytes:
            partial = path.with_name(f"{path.name}.{os.getpid()}.part")
            step = max(1, MOVED_BYTES // rows[0].nbytes)
            try:
                with partial.open("wb") as file:
                    for begin in range(0, len(index), step):
                        file.write(rows[index[begin : begin + step]].data)
                        report("laying out splits", begin, len(index))
                partial.replace(path)
            except OSError as error:
                partial.unlink(missing_ok=True)
                raise Problem(
                    f"'{folder}' has no room for the split of {len(index) * rows[0].nbytes:,} bytes "
                    f"({error.strerror}): make room, or name another place with XDG_CACHE_HOME."
                ) from None
        found[part] = np.memmap(path, dtype=np.uint8, mode="c", shape=shape)
    return found


def _in_one_piece(index: np.ndarray) -> bool:
    return len(index) > 0 and int(index[-1]) - int(index[0]) + 1 == len(index)


def picked(origins: Sequence[str] | None, index: np.ndarray) -> Sequence[str] | None:
    """The names of the samples at `index`."""
    if isinstance(origins, Numbered):
        return replace(origins, rows=index)
    return None if origins is None else [origins[number] for number in index.tolist()]

"""From decoded pictures with class labels to a `Dataset`: the part that every picture source shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from deepen.data.dataset import Bad, Columns, Dataset, Finding, Sealed
from deepen.data.pixels import ImagePreprocess, pixels_of
from deepen.data.splits import split
from deepen.recipe import Data
from deepen.spec import Category, Spec


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
) -> Dataset:
    """A data set from `rows` uint8 [N, H, W, C] and `labels` int64 [N], which number `names`.

    `given` holds "train", "validation" or "test" for each row where the data brings its own splits.
    """
    parts, split_facts = split(len(rows), options, seed, given=given, labels=labels, names=names)
    rows = resized(rows, options)
    target = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))
    columns = {part: _columns(rows, target, index, origins) for part, index in parts.items()}
    preprocess = ImagePreprocess.fit(columns["train"]["input"])
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
    )


def resized(rows: Tensor, options: Data) -> Tensor:
    """Rows in the size and channels that the options ask for; the same rows where they ask for nothing else."""
    _, height, width, channels = rows.shape
    side = (options.size, options.size) if options.size else (height, width)
    wanted = options.channels or channels
    if side == (height, width) and wanted == channels:
        return rows
    changed = torch.empty((len(rows), *side, wanted), dtype=torch.uint8)
    for number, row in enumerate(rows.numpy()):
        image = Pillow.fromarray(row[..., 0] if channels == 1 else row)
        changed[number] = torch.from_numpy(np.array(pixels_of(image, wanted, *side)))
    return changed


def _columns(rows: Tensor, target: Tensor, index: np.ndarray, origins: Sequence[str] | None) -> Columns:
    named: Sequence[str] | None = None
    if isinstance(origins, Numbered):
        named = replace(origins, rows=index)
    elif origins is not None:
        named = [origins[number] for number in index.tolist()]
    # Gathered by numpy: one thread copies as fast as memory goes, and does not wait for others on busy cores.
    arrays = {"input": torch.from_numpy(rows.numpy()[index]), "target": torch.from_numpy(target.numpy()[index])}
    return Columns(arrays, named)

"""32x32 colour pictures from uint8 to augmented, normalised float batches: pictures per second.

Crop out of a border of 4, flip, normalise, batches of 128; a slice is one pass over 50,000 pictures. Random pixels:
what a picture shows makes no difference here.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from itertools import islice
from typing import Any

from bench.timing import Result, Slice, interleave, ratio, spread

COUNT, BATCH = 50_000, 128
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
SIDES = {
    "deepen": "**Deepen**: loader and augmentation",
    "bare": "index and cast alone (no augmentation, no normalisation)",
    "transforms": "per-sample transforms in a `DataLoader`, in the main process",
    "workers": "the same with 2 worker processes",
}


def run(rounds: int, quick: bool) -> Result:
    times = interleave("pictures", list(SIDES), rounds)
    lines = [
        (text, spread([1 / value for value in times[side]], "{:.0f}"), ratio(times[side], times["deepen"]))
        for side, text in SIDES.items()
    ]
    share = statistics.median(bare / ours for bare, ours in zip(times["bare"], times["deepen"], strict=True))
    notes = (
        f"One pass over {COUNT} random uint8 pictures a slice, {rounds} rounds, the warm-up round dropped. The last "
        "column is a side's time over Deepen's in the same round.",
        f"Deepen's batches come at {share:.0%} of the speed of index and cast alone.",
        "The transforms are torchvision's RandomCrop(32, padding=4), RandomHorizontalFlip, ToTensor and Normalize, said "
        "with the same PIL and torch calls (bench/plain/vision.py); their border is black, Deepen's is the picture mirrored.",
    )
    return Result("32x32 colour pictures to augmented batches", ("side", "pictures/s", "against Deepen"), lines, notes)


def pixels() -> Any:
    """uint8 [N, 32, 32, 3]."""
    import torch

    return torch.randint(0, 256, (COUNT, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def passing(batches: Iterable[Any]) -> float:
    """Seconds a picture over one pass."""
    start = time.perf_counter()
    for _ in batches:
        pass
    return (time.perf_counter() - start) / COUNT


def deepen() -> Slice:
    import torch

    from deepen.data.augment import Augmenter
    from deepen.data.dataset import Columns
    from deepen.data.loader import Loader
    from deepen.data.pixels import ImagePreprocess
    from deepen.engine import device
    from deepen.recipe import Augment
    from deepen.spec import Image

    device.keep_memory()  # as each training does first
    columns = Columns({"input": pixels(), "target": torch.zeros(COUNT, dtype=torch.int64)})
    augmenter = Augmenter(Augment(shift=4, flip=True), Image(3, 32, 32), MEAN, STD)
    preprocess = ImagePreprocess(3, 32, 32, MEAN, STD)
    loader = Loader(columns, preprocess, augmenter, batch_size=BATCH, seed=0, device=torch.device("cpu"))
    number = -(-COUNT // BATCH)
    return lambda: passing(islice(loader.stream(0), number))


def bare() -> Slice:
    import torch

    rows, labels = pixels(), torch.zeros(COUNT, dtype=torch.int64)

    def batches() -> Any:
        for index in torch.randperm(COUNT).split(BATCH):
            yield rows.index_select(0, index).float(), labels.index_select(0, index)

    return lambda: passing(batches())


def transforms(workers: int = 0) -> Slice:
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    from bench.plain.vision import Compose, Normalize, RandomCrop, RandomHorizontalFlip, ToTensor

    transform = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), ToTensor(), Normalize(MEAN, STD)])

    class Pictures(Dataset):
        data = pixels().numpy()

        def __len__(self) -> int:
            return COUNT

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return transform(Image.fromarray(self.data[index])), 0

    loader = DataLoader(Pictures(), batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    return lambda: passing(loader)


def workers() -> Slice:
    return transforms(2)

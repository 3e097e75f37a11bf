"""Segmentation: losses and metrics against plain references, sizes of pictures, tiles put together, memory."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor, nn
from torch.nn import functional as F

from deepen.data import mask_folder
from deepen.data.dataset import Columns
from deepen.data.framed import FramedPreprocess, fitted
from deepen.data.preprocess import Frame
from deepen.data.run_lengths import unpacked
from deepen.errors import Misuse, Problem
from deepen.models import unet
from deepen.spec import Boxes, Image, Mask, Spec
from deepen.tasks import segment
from deepen.tasks.base import Rows
from deepen.tasks.measures import independent, intervals
from deepen.tasks.segment import Config, Segment, labels
from tests.samples.drawing import scene

NAMES = ("sky", "road", "道路")
SPEC = Spec(Image(3, 12, 16), Mask(NAMES))


class Told(nn.Module):
    """Answers with logits that stand in its input."""

    def forward(self, input: Tensor) -> Tensor:
        return input


def task(**settings: Any) -> Segment:
    return segment.build(SPEC, Config(**settings))


def drawn(count: int, height: int = 12, width: int = 16, *, seed: int = 0, void: bool = True) -> tuple[Tensor, Tensor]:
    """Logits float32 [N, 3, H, W] and classes uint8 [N, H, W], some of them ignored."""
    draws = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 3, height, width, generator=draws)
    target = torch.randint(0, 3, (count, height, width), generator=draws).to(torch.uint8)
    if void:
        target[torch.rand(count, height, width, generator=draws) < 0.2] = 255
    return logits, target


def plain_metrics(said: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """By the textbook, over all pixels that have a class."""
    known = truth != 255
    said, truth = said[known], truth[known]
    found = {"pixel_accuracy": float((said == truth).mean())}
    ious, recalls = [], []
    for number, name in enumerate(NAMES):
        if (truth == number).any():
            both = ((said == number) & (truth == number)).sum()
            ious.append(both / ((said == number) | (truth == number)).sum())
            recalls.append(both / (truth == number).sum())
            found[f"iou/{name}"] = float(ious[-1])
    return found | {"miou": float(np.mean(ious)), "mean_accuracy": float(np.mean(recalls))}


def test_metrics_are_those_of_the_textbook_whatever_the_batches() -> None:
    logits, target = drawn(7)
    doing = task()
    whole = doing.score(Told(), {"input": logits, "target": target})
    several = [doing.score(Told(), {"input": logits[i : i + 3], "target": target[i : i + 3]}) for i in (0, 3, 6)]
    parts = {name: torch.cat([one[name] for one in several]) for name in whole}
    expected = plain_metrics(logits.argmax(1).numpy(), target.numpy())
    for rows in (whole, parts):
        assert rows["confusion"].shape == (7, 3, 3)
        metrics = doing.measure(rows)
        for name, value in expected.items():
            assert metrics[name] == pytest.approx(value), name


def test_classes_that_do_not_occur_do_not_count() -> None:
    logits, target = drawn(4)
    target[target == 2] = 0
    metrics = task().measure(task().score(Told(), {"input": logits, "target": target}))
    assert "iou/道路" not in metrics
    assert metrics["miou"] == pytest.approx(plain_metrics(logits.argmax(1).numpy(), target.numpy())["miou"])


def test_nothing_to_measure_is_said() -> None:
    logits, target = drawn(2)
    with pytest.raises(Problem, match="miou cannot be measured on these 2 pictures"):
        task().measure(task().score(Told(), {"input": logits, "target": torch.full_like(target, 255)}))


def test_scaled_pictures_are_measured_at_their_own_size() -> None:
    sizes = [(24, 32), (9, 12), (40, 10), (12, 16)]
    logits, target = drawn(4)
    draws = np.random.default_rng(0)
    truth = np.full((4, 40, 32), 77, dtype=np.uint8)  # what lies beyond a mask is not looked at
    expected = np.zeros((4, 3, 3), dtype=np.int64)
    for row, (height, width) in enumerate(sizes):
        mask = draws.integers(0, 3, (height, width))
        truth[row, :height, :width] = mask
        tall, wide = fitted(height, width, 12, 16)
        said = F.interpolate(logits[row : row + 1, :, :tall, :wide], (height, width), mode="bilinear").argmax(1)[0]
        np.add.at(expected[row], (mask, said.numpy()), 1)
    batch = {"input": logits, "target": target, "truth": torch.from_numpy(truth), "size": torch.tensor(sizes)}
    rows = task().score(Told(), batch)
    assert (np.abs(rows["confusion"].numpy() - expected).sum((1, 2)) <= 2).all()  # rounding may part equal chances
    assert rows["confusion"].sum((1, 2)).tolist() == [height * width for height, width in sizes]


@pytest.mark.parametrize(("height", "width"), [(33, 50), (12, 16), (5, 7), (100, 3), (12, 40)])
def test_labels_are_those_of_interpolate(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, _ = drawn(1)
    monkeypatch.setattr(segment, "AT_ONCE", 200)
    enlarged = F.interpolate(logits, (height, width), mode="bilinear")[0]
    said = labels(logits[0], height, width).long()
    # The likeliest but for rounding.
    assert torch.allclose(enlarged.gather(0, said[None])[0], enlarged.amax(0), atol=1e-5)


def test_the_loss_is_cross_entropy_and_dice_of_each_picture() -> None:
    logits, target = drawn(3)
    for dice in (0.0, 0.7):
        found = task(dice=dice).criterion(logits, target)
        for row in range(3):
            known = target[row] != 255
            expected = F.cross_entropy(logits[row][:, known].T, target[row][known].long())
            chances = logits[row].softmax(0)[:, known]
            for number in range(3):
                truth = (target[row][known] == number).float()
                overlap = (2 * (chances[number] * truth).sum() + 1) / (chances[number].sum() + truth.sum() + 1)
                expected = expected + dice * (1 - overlap) / 3
            assert found[row] == pytest.approx(float(expected), rel=1e-5)


def test_parts_of_a_batch_add_up_to_its_loss() -> None:
    logits, target = drawn(4)
    doing = task(class_weights="balanced")
    doing.study(Columns({"input": logits, "target": target}), FramedPreprocess(3, 12, 16, (0.5,) * 3, (1.0,) * 3))
    whole = doing.loss(Told(), {"input": logits, "target": target})[0]
    halves = [doing.loss(Told(), {"input": logits[i : i + 2], "target": target[i : i + 2]})[0] for i in (0, 2)]
    assert float(whole) == pytest.approx(float(sum(halves) / 2))


def test_pictures_without_any_class_neither_teach_nor_break() -> None:
    logits, target = drawn(2)
    target[0] = 255
    given = logits.clone().requires_grad_()
    loss, numbers = task(dice=1.0).loss(Told(), {"input": given, "target": target})
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert math.isfinite(float(numbers["pixel_accuracy"]))
    assert given.grad is not None
    assert given.grad[0].abs().sum() == 0


@pytest.mark.parametrize("kind", ["sqrt", "balanced"])
def test_rare_classes_weigh_more_and_the_mean_weight_is_one(kind: str) -> None:
    target = torch.zeros(10, 12, 16, dtype=torch.uint8)
    target[:, :2], target[0, 5, :4], target[:, 11] = 1, 2, 255
    doing = task(class_weights=kind, dice=0.0)
    doing.study(
        Columns({"input": torch.zeros(10, 1), "target": target}), FramedPreprocess(3, 12, 16, (0.5,) * 3, (1.0,) * 3)
    )
    logits = torch.zeros(10, 3, 12, 16)
    each = doing.criterion(logits, target) / math.log(3)
    known = (target != 255).sum((1, 2)).double()
    assert float((each.double() * known).sum() / known.sum()) == pytest.approx(1, rel=1e-5)
    weights = doing._weights
    assert weights is not None
    assert weights[2] > weights[1] > weights[0] > 0
    counts = np.bincount(target.numpy().ravel(), minlength=256)[:3]
    share = counts / [1760, 1760, 176]  # of the labelled pixels of pictures that have it
    ratio = np.median(share) / share
    ratio = ratio if kind == "balanced" else np.sqrt(ratio)
    assert weights.numpy() / float(weights[0]) == pytest.approx(ratio / ratio[0], rel=1e-4)


def test_the_baseline_names_the_commonest_class_everywhere() -> None:
    logits, target = drawn(5)
    target[target == 1] = 0
    doing = task()
    doing.study(Columns({"input": logits, "target": target}), FramedPreprocess(3, 12, 16, (0.5,) * 3, (1.0,) * 3))
    found = doing.baseline(doing.score(Told(), {"input": logits, "target": target}))
    expected = plain_metrics(np.zeros_like(target), target.numpy())
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name
    frequency = torch.bincount(target[target != 255], minlength=3).float() / (target != 255).sum()
    constant = (frequency + 1e-9).log().view(1, 3, 1, 1).expand(5, 3, 12, 16)
    assert found["loss"] == pytest.approx(float(doing.criterion(constant, target).mean()), abs=0.01)


def test_intervals_come_from_whole_pictures() -> None:
    logits, target = drawn(30)
    doing = task()
    rows: Rows = doing.score(Told(), {"input": logits, "target": target})
    metrics, found = doing.measure(rows), intervals(doing, rows, seed=0, repeats=200)
    for name in ("miou", "pixel_accuracy", "iou/sky", "loss"):
        low, high = found[name]
        assert low < metrics[name] < high


def test_pieces_of_a_picture_count_as_one_picture() -> None:
    """However pictures are cut, their rows, metrics and intervals are those of whole pictures."""
    logits, target = drawn(30, 24)
    doing = task(dice=0.0)
    doing.study(Columns({"input": logits, "target": target}), FramedPreprocess(3, 24, 16, (0.5,) * 3, (1.0,) * 3))
    whole = doing.score(Told(), {"input": logits, "target": target})
    cut = {
        "input": torch.stack([logits[:, :, :12], logits[:, :, 12:]], 1).flatten(0, 1),
        "target": torch.stack([target[:, :12], target[:, 12:]], 1).flatten(0, 1),
        "owner": torch.arange(30).repeat_interleave(2) * 3,
    }
    rows = doing.score(Told(), cut)
    assert len(rows["loss"]) == 60
    joined = doing.joined(rows)
    assert torch.equal(joined["confusion"], whole["confusion"])
    assert torch.allclose(joined["loss"], whole["loss"], atol=1e-6)
    assert doing.measure(rows) == pytest.approx(doing.measure(whole))
    assert doing.baseline(rows) == pytest.approx(doing.baseline(whole))
    of_pieces, of_whole = (intervals(doing, one, seed=0, repeats=100) for one in (rows, whole))
    assert of_pieces["miou"] == pytest.approx(of_whole["miou"])
    assert len(independent(doing, rows)["loss"]) == 30


def test_answers_are_run_lengths_and_shares() -> None:
    logits, _ = drawn(2)
    height, width = logits.shape[2:]
    frames = [Frame(number, height, width, keep=(0, 0, height, width)) for number in range(2)]
    for told, mask in zip(task().place([(logits, frames)]), logits.argmax(1).numpy(), strict=True):
        json.dumps(told)
        assert (unpacked(told["mask"]) == mask).all()
        assert sum(told["mask"]["counts"]) == mask.size
        assert told["shares"] == {name: pytest.approx((mask == NAMES.index(name)).mean()) for name in told["shares"]}
        assert list(told["shares"].values()) == sorted(told["shares"].values(), reverse=True)
    coloured = Segment(Spec(SPEC.input, Mask(NAMES, ("#000000", "#ff0000", "#0000ff"))), Config())
    assert next(coloured.place([(logits, frames)]))["mask"]["colours"] == ["#000000", "#ff0000", "#0000ff"]


def test_answers_are_placed_in_pictures_of_any_size() -> None:
    preprocess = FramedPreprocess(3, 12, 16, (0.5,) * 3, (1.0,) * 3)
    sizes = [(24, 32), (12, 16), (50, 9), (3, 4)]
    pictures = [np.zeros((*size, 3), dtype=np.uint8) for size in sizes]

    def outputs() -> Iterator[tuple[Tensor, list[Any]]]:
        for rows, frames in preprocess.pieces(pictures):
            yield torch.randn(len(rows), 3, 12, 16), frames

    told = list(task().place(outputs()))
    assert [tuple(one["mask"]["size"]) for one in told] == sizes


def test_tiles_are_put_together_by_what_they_keep() -> None:
    """A model that answers by the pixel alone gives the same in tiles as in one piece."""
    preprocess = FramedPreprocess(3, 32, 32, (0.5,) * 3, (0.2,) * 3, tile=True)
    draws = np.random.default_rng(3)
    pictures = [
        draws.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((70, 90), (20, 33), (32, 32), (200, 31))
    ]
    outputs = ((preprocess.tensor(rows), frames) for rows, frames in preprocess.pieces(pictures))
    told = list(task().place(outputs))
    assert len(told) == 4
    for one, pixels in zip(told, pictures, strict=True):
        assert (unpacked(one["mask"]) == pixels.argmax(2)).all()


def test_a_large_picture_is_answered_in_little_memory() -> None:
    preprocess = FramedPreprocess(3, 256, 256, (0.5,) * 3, (0.2,) * 3, tile=True)
    tall, wide = 2048, 3072
    outputs = (
        (torch.zeros(1, 3, 256, 256), [frame]) for frame in preprocess.frames(tall, wide)
    )  # one tile at a time, as a large one comes
    tracemalloc.start()
    (told,) = task().place(outputs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told["mask"]["counts"] == [tall * wide]
    # The mask, its copy down the columns and where they change; logits alone would be twelve times the pixels.
    assert peak < 4 * tall * wide


def test_other_data_and_settings_are_refused() -> None:
    with pytest.raises(Problem, match=r"not boxes\. If the boxes are of a COCO file"):
        segment.build(Spec(Image(3, 8, 8), Boxes(("a",))), Config())
    with pytest.raises(Misuse, match=r"task\.dice=-1"):
        task(dice=-1)


@pytest.mark.parametrize("settings", [{}, {"size": 40}, {"tile": True, "size": 32}])
def test_what_is_answered_is_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Of a picture file, whole, scaled or in tiles: the mask that is told has the confusion that evaluation counted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(8):
        picture, _, mask = scene(number, side=60, wide=70 + 3 * (number % 2))
        picture.save(tmp_path / f"images/{number}.png")
        Pillow.fromarray(mask).save(tmp_path / f"masks/{number}.png")
    data = mask_folder.load(str(tmp_path), mask_folder.Config(**settings), 0)
    torch.manual_seed(0)
    model = unet.build(data.spec, unet.Config(widths=(16, 16), blocks=(0, 0), stride=1))
    assert isinstance(model, unet.UNet)
    nn.init.normal_(model.answer.weight)
    for _ in range(5):  # so that normalisation has seen something
        model(data.preprocess.tensor(data.train["input"][:8]))
    doing = segment.build(data.spec, Config())
    with torch.no_grad():
        model.eval()
        split = data.validation
        counted = doing.score(model, split.arrays | {"input": data.preprocess.tensor(split["input"])})["confusion"].sum(
            0
        )
        path = Path(split.origin(0).partition(" from ")[0])
        outputs = ((model(data.preprocess.tensor(rows)), frames) for rows, frames in data.preprocess.pieces([path]))
        (told,) = doing.place(outputs)
    truth = np.asarray(Pillow.open(tmp_path / "masks" / path.name))
    expected = np.zeros((3, 3), dtype=np.int64)
    np.add.at(expected, (truth, unpacked(told["mask"])), 1)
    assert counted.sum() == truth.size
    assert np.abs(counted.numpy() - expected).sum() <= 4  # rounding may part equal chances
    assert (expected.sum(0) > 0).sum() > 1

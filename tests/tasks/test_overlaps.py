"""Boxes as numbers: every batched computation beside a plain one, and average precision beside COCO's own program."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deepen.randomness import generator
from deepen.spec import ignored
from deepen.tasks import boxes
from deepen.tasks.boxes import Found


def overlap(one: list[float], other: list[float]) -> float:
    """Intersection over union of two boxes, plainly."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    both = max(across, 0.0) * max(down, 0.0)
    size = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other) if b[2] > b[0] and b[3] > b[1])
    return both / (size - both) if size - both > 0 else 0.0


def some_boxes(seed: int, *shape: int, side: int = 8) -> Tensor:
    """Boxes with whole corners in a small picture, so that many overlap, are equal or have no area."""
    draws = generator(seed, "boxes")
    corner = torch.randint(0, side, (*shape, 2), generator=draws)
    size = torch.randint(0, side // 2 + 1, (*shape, 2), generator=draws)
    return torch.cat([corner, corner + size], dim=-1).float()


def test_overlaps_are_those_of_pairs() -> None:
    one, other = some_boxes(0, 2, 30), some_boxes(1, 2, 20)
    found = boxes.overlaps(one, other)
    for b, i, j in itertools.product(range(2), range(30), range(20)):
        assert found[b, i, j].item() == pytest.approx(overlap(one[b, i].tolist(), other[b, j].tolist()), abs=1e-6)


def test_boxes_without_area_share_nothing() -> None:
    flat = torch.tensor([[3.0, 3, 3, 3], [2, 2, 2, 9], [9, 9, 1, 1]])
    assert (boxes.overlaps(flat, flat) == 0).all()
    assert boxes.area(flat).tolist() == [0, 0, 0]


def test_generalised_overlap() -> None:
    one = torch.tensor([[0.0, 0, 2, 2]])
    same, beside, far = (torch.tensor([box]) for box in ([0.0, 0, 2, 2], [2.0, 0, 4, 2], [6.0, 0, 8, 2]))
    assert boxes.generalised_overlap(one, same).item() == pytest.approx(1)
    assert boxes.generalised_overlap(one, beside).item() == pytest.approx(0)  # nothing shared, nothing between
    assert boxes.generalised_overlap(one, far).item() == pytest.approx(-0.5)
    moved = far.clone().requires_grad_()
    boxes.generalised_overlap(one, moved).sum().backward()
    assert moved.grad is not None
    assert moved.grad[0, 0] < 0, "boxes that do not meet are drawn to each other"
    shapeless = torch.zeros(1, 4, requires_grad=True)
    boxes.generalised_overlap(shapeless, shapeless.detach()).sum().backward()
    assert shapeless.grad is not None
    assert shapeless.grad.isfinite().all()


def suppressed(box: list[list[float]], kinds: list[int], limit: float, most: int) -> list[int]:
    """Greedy non-maximum suppression of one picture, plainly: which stay."""
    stay: list[int] = []
    for i in range(len(box)):
        covered = any(kinds[i] == kinds[j] and overlap(box[i], box[j]) > limit for j in stay)
        if kinds[i] >= 0 and not covered and len(stay) < most:
            stay.append(i)
    return stay


@pytest.mark.parametrize("limit", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("most", [4, 100])
def test_suppression_is_greedy(limit: float, most: int) -> None:
    count = 5
    box = some_boxes(2, count, 40)
    kinds = torch.randint(-1, 3, (count, 40), generator=generator(3))
    scores = torch.rand(count, 40, generator=generator(4)).sort(dim=1, descending=True).values
    found = boxes.suppress(Found(box, scores, kinds), limit, most)
    assert found.classes.shape == (count, most)
    for b in range(count):
        stay = suppressed(box[b].tolist(), kinds[b].tolist(), limit, most)
        assert found.classes[b].tolist() == kinds[b, stay].tolist() + [-1] * (most - len(stay))
        assert found.boxes[b, : len(stay)].tolist() == box[b, stay].tolist()
        assert found.scores[b, : len(stay)].tolist() == scores[b, stay].tolist()
        assert (found.scores[b, len(stay) :] == 0).all()


def test_nothing_to_suppress() -> None:
    found = boxes.suppress(Found(torch.zeros(2, 0, 4), torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.long)), 0.5)
    assert (found.classes == -1).all()
    assert found.boxes.shape == (2, boxes.MOST, 4)


def test_picked_from_an_output() -> None:
    """The surest answers, each class by itself, equals in the order of cells, whatever else is in the batch."""
    draws = generator(5)
    logits = torch.randint(-9, 4, (3, 60, 2), generator=draws).float()
    output = torch.cat([some_boxes(6, 3, 60), logits], dim=2)
    found = boxes.pick(output, 0.5, 0.1)
    for b in range(3):
        cells = [(-logits[b, cell, kind].item(), cell, kind) for cell in range(60) for kind in range(2)]
        told = [(cell, kind) for score, cell, kind in sorted(cells) if 1 / (1 + math.exp(score)) > 0.1]
        kinds = [kind for _, kind in told]
        stay = suppressed([output[b, cell, :4].tolist() for cell, _ in told], kinds, 0.5, boxes.MOST)
        assert found.classes[b, : len(stay)].tolist() == [kinds[i] for i in stay]
        assert found.boxes[b, : len(stay)].tolist() == [output[b, told[i][0], :4].tolist() for i in stay]
        assert (found.classes[b, len(stay) :] == -1).all()
        alone = boxes.pick(output[b : b + 1], 0.5, 0.1)
        assert torch.equal(alone.boxes[0], found.boxes[b])
        assert torch.equal(alone.scores[0], found.scores[b])


def test_nothing_is_sure_enough() -> None:
    output = torch.full((2, 5, 6), -20.0)
    assert (boxes.pick(output, 0.5).classes == -1).all()


def within(one: list[float], other: list[float]) -> float:
    """Share of a box that lies in another, plainly."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    size = (one[2] - one[0]) * (one[3] - one[1])
    return max(across, 0.0) * max(down, 0.0) / size if size > 0 else 0.0


def matched(found: list[list[float]], kinds: list[int], truth: list[list[float]], limit: float) -> list[int]:
    """COCO's greedy matching of one picture, plainly: the number of each detection's box, -1 for none, -2 and below for those
    that are ignored, which come last."""
    order = sorted(range(len(truth)), key=lambda j: truth[j][4] < -1)
    taken: set[int] = set()
    about: list[int] = []
    for box, kind in zip(found, kinds, strict=True):
        best, share = -1, limit
        for j in order:
            *there, label = truth[j]
            if best >= 0 and truth[best][4] >= 0 and label < -1:
                break
            alike = kind >= 0 and label in (kind, ignored(kind, crowd=False), ignored(kind, crowd=True))
            fit = within(box, there) if label == ignored(kind, crowd=True) else overlap(box, there)
            if alike and j not in taken and fit >= share:
                best, share = j, fit
        label = truth[best][4]
        about.append(-2 - best if best >= 0 and label < -1 else best)
        if best >= 0 and label != ignored(kind, crowd=True):
            taken.add(best)
    return about


def test_ignored_classes_are_read_back() -> None:
    rows = [(3, False, False), (-1, False, False)]
    rows += [(number, True, crowd) for number in (0, 1, 2, 90) for crowd in (False, True)]
    codes = [ignored(number, crowd) if apart else number for number, apart, crowd in rows]
    assert len(set(codes)) == len(rows)
    truth = torch.zeros(1, len(rows), 5)
    truth[0, :, 4] = torch.tensor(codes)
    assert list(zip(*(kind[0].tolist() for kind in boxes.kinds(truth)), strict=True)) == rows


@pytest.mark.parametrize("lowest", [-1, -5])
def test_matching_is_greedy_and_each_box_is_taken_once(lowest: int) -> None:
    """From -5 on, with ignored boxes of both classes, each one thing or a crowd."""
    kinds = torch.randint(-1, 2, (6, 40), generator=generator(7))
    labels = torch.randint(lowest, 2, (6, 24, 1), generator=generator(8)).float()
    box, truth = some_boxes(9, 6, 40), torch.cat([some_boxes(10, 6, 24), labels], dim=2)
    about = boxes.match(Found(box, torch.zeros(6, 40), kinds), truth)
    assert (about >= 0).any()
    assert (about < -1).any() == (lowest < -1)
    for b, (step, limit) in itertools.product(range(6), enumerate(boxes.THRESHOLDS.tolist())):
        plain = matched(box[b].tolist(), kinds[b].tolist(), truth[b].tolist(), limit)
        assert about[b, :, step].tolist() == plain


def test_a_crowd_takes_any_number_of_its_parts_and_a_difficult_object_one() -> None:
    part = [[0.0, 0, 4, 4], [4, 4, 8, 8], [4, 4, 8, 8], [6, 6, 20, 20], [0, 0, 9, 10]]
    found = Found(torch.tensor([part]), torch.zeros(1, 5), torch.zeros(1, 5, dtype=torch.long))
    for crowd, expected in ((True, [-2, -2, -2, -1, -2]), (False, [-1, -1, -1, -1, -2])):
        truth = torch.tensor([[[0.0, 0, 10, 10, ignored(0, crowd)]]])
        assert boxes.match(found, truth)[0, :, 0].tolist() == expected
        other = torch.tensor([[[0.0, 0, 10, 10, ignored(1, crowd)]]])
        assert (boxes.match(found, other) == -1).all()
    again = Found(*(torch.cat([one, one], dim=1) for one in (found.boxes, found.scores, found.classes)))
    truth = torch.tensor([[[0.0, 0, 10, 10, ignored(0, crowd=False)], [0, 0, 3, 4, 0]]])
    assert boxes.match(again, truth)[0, :, 0].tolist() == [1, -1, -1, -1, -2, -1, -1, -1, -1, -1]


def test_matching_without_truth() -> None:
    found = Found(some_boxes(0, 2, 5), torch.zeros(2, 5), torch.zeros(2, 5, dtype=torch.long))
    assert (boxes.match(found, torch.zeros(2, 0, 5)) == -1).all()
    assert (boxes.match(found, torch.full((2, 3, 5), -1.0)) == -1).all()


def test_thresholds_are_those_of_coco() -> None:
    assert boxes.THRESHOLDS.tolist() == np.linspace(0.5, 0.95, 10).tolist()
    assert boxes.RECALLS.tolist() == np.linspace(0, 1, 101).tolist()


def by_coco(found: Found, truth: Tensor, num_classes: int, folder: Path) -> np.ndarray:
    """AP of each class at each threshold by faster-coco-eval, [C, 10], -1 where a class does not occur."""
    from faster_coco_eval import COCO, COCOeval_faster

    count = len(truth)
    annotations: list[dict[str, Any]] = []
    labels, apart, crowd = (kind.tolist() for kind in boxes.kinds(truth))
    for b, j in itertools.product(range(count), range(truth.shape[1])):
        if labels[b][j] >= 0:
            left, top, right, bottom, _ = truth[b, j].tolist()
            entry = {"id": len(annotations) + 1, "image_id": b + 1, "category_id": labels[b][j] + 1}
            # Its program overwrites `ignore`; what is larger than any picture is ignored by its size.
            area = 1e12 if apart[b][j] else (right - left) * (bottom - top)
            size = [left, top, right - left, bottom - top]
            annotations.append({**entry, "bbox": size, "area": area, "iscrowd": int(crowd[b][j])})
    results: list[dict[str, Any]] = []
    for b, k in itertools.product(range(count), range(found.classes.shape[1])):
        if found.classes[b, k] >= 0:
            left, top, right, bottom = found.boxes[b, k].tolist()
            entry = {"image_id": b + 1, "category_id": int(found.classes[b, k]) + 1, "score": found.scores[b, k].item()}
            results.append({**entry, "bbox": [left, top, right - left, bottom - top]})
    (folder / "truth.json").write_text(
        json.dumps(
            {
                "images": [{"id": b + 1, "width": 64, "height": 64} for b in range(count)],
                "categories": [{"id": c + 1, "name": str(c)} for c in range(num_classes)],
                "annotations": annotations,
            }
        )
    )
    given = COCO(str(folder / "truth.json"))
    judge = COCOeval_faster(given, given.loadRes(results), iouType="bbox", print_function=lambda *_: None)
    judge.evaluate()
    judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1]  # [T, R, C], any area, 100 detections
    return precision.mean(axis=1).T


def compared(found: Found, truth: Tensor, num_classes: int, folder: Path) -> None:
    counts = boxes.count_boxes(truth, num_classes)
    about = boxes.match(found, truth)
    ones = torch.ones(1, len(truth), dtype=torch.float64)
    ours = boxes.average_precision(found.scores, found.classes, about >= 0, about < -1, counts, ones)[0]
    theirs = by_coco(found, truth, num_classes, folder)
    assert torch.equal(ours.isnan(), torch.from_numpy(theirs < 0))
    np.testing.assert_allclose(ours.nan_to_num(-1).numpy(), theirs, atol=1e-6)


def near_truth(truth: Tensor, seed: int, ranks: int, num_classes: int) -> Found:
    """Detections of which many lie on boxes, some exactly, some shifted; scores in tenths, so that many are equal."""
    draws = generator(seed, "near")
    count, most = truth.shape[:2]
    pick = torch.randint(0, most, (count, ranks), generator=draws)
    row = truth.gather(1, pick.unsqueeze(2).expand(-1, -1, 5))
    shift = torch.randint(-2, 3, (count, ranks, 4), generator=draws) * (
        torch.rand(count, ranks, 1, generator=draws) < 0.7
    )
    box = row[..., :4] + shift
    other = torch.randint(-1, num_classes, (count, ranks), generator=draws)
    kinds = torch.where(torch.rand(count, ranks, generator=draws) < 0.7, boxes.kinds(row)[0], other)
    scores = torch.randint(1, 11, (count, ranks), generator=draws).float() / 10
    scores = scores.sort(dim=1, descending=True).values
    turned = torch.cat([torch.minimum(box[..., :2], box[..., 2:]), torch.maximum(box[..., :2], box[..., 2:])], dim=-1)
    return Found(turned, scores, kinds)


@pytest.mark.parametrize("apart", ["nothing", "crowds", "difficult", "both"])
@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_that_of_coco(seed: int, apart: str, tmp_path: Path) -> None:
    """Random boxes with equal scores and shares that lie on the thresholds, empty pictures, classes that never occur; a third
    of the boxes is ignored, and all of some pictures."""
    num_classes = 4
    box = some_boxes(seed, 12, 9, side=20)
    box[..., 2:] += 1  # what has no area is left out by the readers
    kinds = torch.randint(-1, 3, (12, 9, 1), generator=generator(seed, "kinds")).float()
    kinds[::5] = -1
    some = torch.rand(kinds.shape, generator=generator(seed, "apart")) < 0.35
    some[1::5] = True
    crowd = torch.rand(kinds.shape, generator=generator(seed, "crowd")) < {"crowds": 1, "both": 0.5}.get(apart, 0)
    if apart != "nothing":
        one, many = (kinds.clone().apply_(lambda number, of=of: ignored(number, of)) for of in (False, True))
        code = torch.where(crowd, many, one)
        kinds = torch.where(some & (kinds >= 0), code, kinds)
        box[..., 2:] += 8 * (kinds < -1)  # so that much is found in them
    truth = torch.cat([box, kinds], dim=2)
    found = near_truth(truth, seed, 25, num_classes)
    assert (boxes.match(found, truth) < -1).any() == (apart != "nothing")
    compared(found, truth, num_classes, tmp_path)


def test_average_precision_of_a_perfect_and_of_no_answer() -> None:
    truth = torch.cat([some_boxes(1, 7, 5) + torch.tensor([0, 0, 1, 1]), torch.zeros(7, 5, 1)], dim=2)
    counts = boxes.count_boxes(truth, 2)
    exact = Found(truth[..., :4], torch.ones(7, 5), truth[..., 4].long())
    nothing = Found(exact.boxes, torch.zeros(7, 5), torch.full((7, 5), -1))
    ones = torch.ones(1, 7)
    for found, value in ((exact, 1.0), (nothing, 0.0)):
        about = boxes.match(found, truth)
        precision = boxes.average_precision(found.scores, found.classes, about >= 0, about < -1, counts, ones)[0]
        assert precision[0].tolist() == [value] * 10
        assert precision[1].isnan().all()


@pytest.mark.parametrize("chunk", [boxes.CHUNK, 1])
def test_a_weight_is_how_often_a_picture_is_there(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights 0, 1, 2 ... give what the same pictures left out and repeated give: that makes a bootstrap of it."""
    monkeypatch.setattr(boxes, "CHUNK", chunk)
    truth = torch.cat([some_boxes(20, 10, 6, side=20) + torch.tensor([0, 0, 1, 1]), torch.zeros(10, 6, 1)], dim=2)
    truth[:, 4:, 4] = torch.tensor([ignored(0, crowd) for crowd in (False, True)])
    found = near_truth(truth, 21, 12, 1)
    # Equal scores in one picture would be shuffled with those of its copies.
    found = Found(
        found.boxes, torch.rand(10, 12, generator=generator(22)).sort(dim=1, descending=True).values, found.classes
    )
    about, counts = boxes.match(found, truth), boxes.count_boxes(truth, 1)
    right, apart = about >= 0, about < -1
    assert apart.any()
    weights = torch.randint(0, 4, (5, 10), generator=generator(23))
    together = boxes.average_precision(found.scores, found.classes, right, apart, counts, weights.float())
    for number, often in enumerate(weights):
        index = torch.arange(10).repeat_interleave(often)
        parts = (found.scores[index], found.classes[index], right[index], apart[index], counts[index])
        alone = boxes.average_precision(*parts, torch.ones(1, len(index)))
        torch.testing.assert_close(together[number], alone[0], equal_nan=True)

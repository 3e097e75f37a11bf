"""Detection: which cells learn what, that scores are those of each picture alone, and where answers lie in the picture."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
import torch
from test_overlaps import compared, near_truth, overlap
from torch import Tensor, nn

from deepen.data.arrays import ArrayPreprocess
from deepen.data.dataset import Columns
from deepen.data.preprocess import Frame
from deepen.errors import Misuse, Problem
from deepen.models import detector
from deepen.nn.pyramid import cells, num_cells
from deepen.randomness import generator
from deepen.spec import Boxes, Category, Image, Spec, Table, ignored
from deepen.tasks import assignment, boxes, detect
from deepen.tasks.boxes import Found
from deepen.tasks.measures import intervals

NAMES = ("cat", "dog")
SPEC = Spec(Image(3, 64, 64), Boxes(NAMES))


def the_task(**settings: object) -> detect.Detect:
    return detect.build(SPEC, detect.Config(**settings))  # type: ignore[arg-type]


def some_truth(count: int, most: int = 5, seed: int = 0) -> Tensor:
    """Boxes [count, most, 5] of all sizes, some rows of them empty."""
    draws = generator(seed, "truth")
    corner = torch.rand(count, most, 2, generator=draws) * 40
    size = torch.rand(count, most, 2, generator=draws) ** 2 * 40 + 1
    label = torch.randint(-1, 2, (count, most, 1), generator=draws)
    return torch.cat([corner, corner + size, label], dim=2)


def some_output(count: int, seed: int = 0) -> Tensor:
    """An answer for each cell of 64x64 pixels, around its middle."""
    draws = generator(seed, "output")
    place = cells(64, 64)
    reach = torch.rand(count, len(place), 4, generator=draws) * place[:, 2:] * 4
    told = torch.cat([place[:, :2] - reach[..., :2], place[:, :2] + reach[..., 2:]], dim=2)
    return torch.cat([told, torch.randn(count, len(place), 2, generator=draws) - 1], dim=2)


class Fixed(nn.Module):
    """A model that knows the answer to each picture: the number of the answer is its first pixel."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = nn.Parameter(output)

    def cells(self, height: int, width: int) -> Tensor:
        return cells(height, width)

    def forward(self, input: Tensor) -> Tensor:
        return self.output[input[:, 0, 0, 0].long()]


def numbered(count: int) -> Tensor:
    """Pictures for `Fixed`."""
    return torch.arange(count).view(-1, 1, 1, 1).expand(-1, 3, 64, 64).float()


def assigned(output: Tensor, truth: list[list[float]]) -> tuple[list[int], list[float]]:
    """Task alignment for one picture, plainly: the box of each cell (-1 none) and its score."""
    place = cells(64, 64).tolist()
    claims: dict[int, dict[int, tuple[float, float]]] = {}
    for j, (left, top, right, bottom, label) in enumerate(truth):
        if label < 0:
            continue
        aligned = {}
        for i, (x, y, stride) in enumerate(place):
            across, down = max(right - left, stride) / 2, max(bottom - top, stride) / 2
            if abs(x - (left + right) / 2) < across and abs(y - (top + bottom) / 2) < down:
                fit = overlap([left, top, right, bottom], output[i, :4].tolist())
                chance = output[i, 4 + int(label)].sigmoid().item()
                aligned[i] = (chance**assignment.SCORE_POWER * fit**assignment.FIT_POWER, fit)
        best = sorted(aligned, key=lambda i: -aligned[i][0])[: assignment.PER_BOX]
        for i in best:
            if aligned[i][0] > 0:
                claims.setdefault(i, {})[j] = aligned[i]
    owner, score = [-1] * len(place), [0.0] * len(place)
    for i, claim in claims.items():
        owner[i] = max(claim, key=lambda j: claim[j][1])
    for j in set(owner) - {-1}:
        mine = [i for i in range(len(place)) if owner[i] == j]
        most = max(claims[i][j][0] for i in mine)
        fits = max(claims[i][j][1] for i in mine)
        for i in mine:
            score[i] = claims[i][j][0] / most * fits
    return owner, score


def test_cells_that_learn_a_box_are_those_of_a_plain_computation() -> None:
    output, truth = some_output(6), some_truth(6)
    found = assignment.assign(output, cells(64, 64), truth)
    assert (found.weights > 0).any(dim=1).all()
    for b in range(6):
        owner, score = assigned(output[b], truth[b].tolist())
        torch.testing.assert_close(found.weights[b], torch.tensor(score), rtol=1e-3, atol=1e-5)
        for i, j in enumerate(owner):
            if j >= 0 and score[i] > 1e-5:
                assert torch.equal(found.boxes[b, i], truth[b, j, :4])
                assert found.scores[b, i, int(truth[b, j, 4])] > 0


def test_a_box_smaller_than_a_cell_is_learnt() -> None:
    truth = torch.tensor([[[30.0, 30, 31, 31, 1]]])  # no middle of a cell lies inside
    place = cells(64, 64)
    told = torch.cat([place[:, :2] - 4, place[:, :2] + 4, torch.zeros(len(place), 2)], dim=1)[None]
    assert assignment.assign(told, place, truth).weights.sum() > 0


def test_nothing_to_find_is_learnt_too() -> None:
    task, model = the_task(), Fixed(some_output(2))
    loss, numbers = task.loss(model, {"input": numbered(2), "target": torch.full((2, 3, 5), -1.0)})
    loss.backward()
    assert loss.item() > 0
    assert numbers["box_loss"] == 0
    assert model.output.grad is not None
    assert model.output.grad.isfinite().all()
    assert (model.output.grad[..., :4] == 0).all()


@pytest.mark.parametrize("crowd", [False, True])
def test_scores_inside_an_ignored_box_are_not_learnt(crowd: bool) -> None:
    """But those of cells inside a real one, and all boxes, are learnt as if it were not there."""
    there, apart = [4.0, 4, 30, 30, 0], [20.0, 10, 60, 40, ignored(1, crowd)]
    with_it, without = torch.tensor([[there, apart]]), torch.tensor([[there, [0, 0, 0, 0, -1]]])
    place, output = cells(64, 64), some_output(1)

    def inside(box: list[float]) -> Tensor:
        half = torch.maximum(torch.tensor([box[2] - box[0], box[3] - box[1]]), place[:, 2:]) / 2
        middle = torch.tensor([box[0] + box[2], box[1] + box[3]]) / 2
        return ((place[:, :2] - middle).abs() < half).all(dim=1)

    spared = inside(apart) & ~inside(there)
    assert 10 < spared.sum() < len(place) - 10
    assert (inside(apart) & inside(there)).any()
    one, other = assignment.assign(output, place, with_it), assignment.assign(output, place, without)
    assert torch.equal(one.counted[0], ~spared)
    assert other.counted.all()
    assert torch.equal(one.scores, other.scores)
    slopes = []
    for truth in (with_it, without):
        model = Fixed(output)
        the_task().loss(model, {"input": numbered(1), "target": truth})[0].backward()
        assert model.output.grad is not None
        slopes.append(model.output.grad[0])
    assert (slopes[0][spared, 4:] == 0).all()
    assert (slopes[1][spared, 4:] != 0).all()
    assert torch.equal(slopes[0][~spared], slopes[1][~spared])
    assert torch.equal(slopes[0][:, :4], slopes[1][:, :4])


def test_a_picture_with_nothing_but_ignored_boxes_is_learnt_and_measured() -> None:
    truth = torch.tensor([[[8.0, 8, 40, 40, ignored(1, True)]], [[8.0, 8, 40, 40, 1]]])
    task, model = the_task(), Fixed(some_output(2))
    loss, _ = task.loss(model, {"input": numbered(2)[:1], "target": truth[:1]})
    assert loss.isfinite()
    assert loss > 0
    rows = rows_of(task, some_output(2), truth)
    assert rows["counts"].tolist() == [[0, 0], [0, 1]]
    with pytest.raises(Problem, match="none of them has a box"):
        task.measure({name: values[:1] for name, values in rows.items()})
    assert 0 <= task.measure(rows)["ap50"] <= 1


def test_what_is_found_in_an_ignored_box_is_neither_right_nor_wrong() -> None:
    task, model = the_task(), Fixed(certain((8, 8, 40, 40, 1, 0.9), (4, 44, 20, 60, 1, 0.8)))
    there = [4.0, 44, 20, 60, 1]
    for code, value in ((-1, 0.5), (ignored(1, False), 1), (ignored(1, True), 1), (ignored(0, True), 0.5)):
        truth = torch.tensor([[there, [8.0, 8, 40, 40, code]]])
        with torch.no_grad():
            rows = task.score(model, {"input": numbered(1), "target": truth})
        assert task.measure(rows)["ap50"] == pytest.approx(value)
        task._usual = Found(rows["boxes"], rows["scores"], rows["classes"])
        assert task.baseline(rows)["ap50"] == pytest.approx(value)


def test_the_right_answer_has_nearly_no_loss() -> None:
    truth = torch.tensor([[[8.0, 8, 40, 40, 1], [0, 0, 0, 0, -1]]])
    output = some_output(1)
    output[..., :4], output[..., 4:] = truth[0, 0, :4], -20
    place = cells(64, 64)
    inside = ((place[:, :2] > 8) & (place[:, :2] < 40)).all(dim=1).nonzero().squeeze(1)
    output[0, inside[: assignment.PER_BOX], 5] = 20.0
    output[0, inside[assignment.PER_BOX :], 5] = -20.0
    loss, _ = the_task().loss(Fixed(output), {"input": torch.zeros(1, 3, 64, 64), "target": truth})
    assert loss.item() == pytest.approx(0, abs=1e-4)


def test_rows_of_a_picture_do_not_depend_on_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    task, model = the_task(), Fixed(some_output(5))
    batch = {"input": numbered(5), "target": some_truth(5)}
    with torch.no_grad():
        rows = task.score(model, batch)
        monkeypatch.setattr(detect, "PART", 2)
        parts = task.score(model, batch)
        alone = task.score(model, {name: values[3:4] for name, values in batch.items()})
    assert rows["boxes"].shape == (5, boxes.MOST, 4)
    for name, values in rows.items():
        torch.testing.assert_close(parts[name], values)
        torch.testing.assert_close(alone[name][0], values[3])
    assert (rows["boxes"] >= 0).all()
    assert (rows["boxes"] <= 64).all()


def rows_of(task: detect.Detect, output: Tensor, target: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return task.score(Fixed(output), {"input": numbered(len(output)), "target": target})


def test_what_lies_beyond_a_picture_in_its_row_is_not_measured() -> None:
    """Of a letterboxed row, as of the answer that is told."""
    task = the_task()
    output = certain((4, 4, 30, 60, 0, 0.9))
    target = torch.tensor([[[4.0, 4.0, 30.0, 40.0, 0.0]]])
    batch = {"input": torch.zeros(1, 3, 64, 96), "target": target, "size": torch.tensor([[40, 96]])}

    class Says(torch.nn.Module):
        def cells(self, height: int, width: int) -> Tensor:
            return torch.zeros(output.shape[1], 3) + 8

        def forward(self, input: Tensor) -> Tensor:
            return output

    rows = task.score(Says(), batch)
    assert rows["boxes"][0, 0].tolist() == [4, 4, 30, 40]
    assert rows["right"][0, 0].all()


def test_metrics_by_name() -> None:
    task, truth = the_task(), some_truth(6)
    rows = rows_of(task, some_output(6), truth)
    metrics = task.measure(rows)
    assert set(metrics) == {"ap50", "ap", "ap75", "ap50/cat", "ap50/dog", "loss"}
    assert metrics["ap50"] == pytest.approx((metrics["ap50/cat"] + metrics["ap50/dog"]) / 2)
    assert 0 <= metrics["ap75"] <= metrics["ap50"] <= 1
    assert task.goal.metric == "ap50"
    assert the_task(goal="ap").goal.metric == "ap"
    ends = intervals(task, rows, 0, 200)
    for name in ("ap50", "ap", "loss"):
        low, high = ends[name]
        assert low <= metrics[name] <= high


def test_the_loss_does_not_depend_on_how_pictures_are_batched() -> None:
    task, output, truth = the_task(), some_output(4), some_truth(4)
    batch = {"input": numbered(4), "target": truth}
    loss, _ = task.loss(Fixed(output), batch)
    assert task.measure(rows_of(task, output, truth))["loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_a_class_that_never_occurs_has_no_metric() -> None:
    truth = some_truth(4)
    truth[..., 4] = truth[..., 4].clamp(max=0)
    metrics = the_task().measure(rows_of(the_task(), some_output(4), truth))
    assert "ap50/dog" not in metrics
    assert metrics["ap50"] == metrics["ap50/cat"]


def test_pictures_without_boxes_measure_nothing() -> None:
    rows = rows_of(the_task(), some_output(3), torch.full((3, 4, 5), -1.0))
    with pytest.raises(Problem, match="none of them has a box"):
        the_task().measure(rows)


def test_the_trivial_answer_is_where_things_mostly_are() -> None:
    task = the_task()
    usual = torch.tensor([[10.0, 10, 30, 30, 0], [40, 40, 60, 60, 1]])
    truth = torch.full((8, 3, 5), -1.0)
    truth[:, :2] = usual
    truth[::2, 2] = torch.tensor([30.0, 0, 60, 20, 0])
    task.study(Columns({"input": torch.zeros(8, 1), "target": truth}), ArrayPreprocess((3, 64, 64)))
    rows = rows_of(task, some_output(8), truth)
    metrics = task.baseline(rows)
    assert metrics["ap50/dog"] == pytest.approx(1)
    assert 0.6 < metrics["ap50/cat"] < 1
    assert "loss" not in metrics


def test_training_pictures_without_boxes_have_a_trivial_answer() -> None:
    task = the_task()
    task.study(
        Columns({"input": torch.zeros(2, 1), "target": torch.full((2, 3, 5), -1.0)}), ArrayPreprocess((3, 64, 64))
    )
    assert task.baseline(rows_of(task, some_output(3), some_truth(3)))["ap50"] == 0


def certain(*found: Sequence[float]) -> Tensor:
    """An output [1, 84, 6] of detections (box, class, probability) only."""
    output = torch.full((1, num_cells(64, 64), 6), -20.0)
    for i, (left, top, right, bottom, label, chance) in enumerate(found):
        output[0, i, :4] = torch.tensor([left, top, right, bottom])
        output[0, i, 4 + int(label)] = torch.tensor(chance).logit()
    return output


def test_answers_are_the_sure_ones_once() -> None:
    output = certain((1, 2, 20, 20, 1, 0.9), (1, 2, 20, 21, 1, 0.8), (1, 2, 20, 20, 0, 0.7), (40, 40, 50, 50, 0, 0.2))
    frames = [Frame(0, 64, 64, keep=(0, 0, 64, 64))]
    (answer,) = the_task(threshold=0.3).place([(output, frames)])
    assert [(one["category"], one["box"]) for one in answer["boxes"]] == [
        ("dog", [1, 2, 20, 20]),
        ("cat", [1, 2, 20, 20]),
    ]
    assert answer["boxes"][0]["probability"] == pytest.approx(0.9)
    assert len(next(the_task(threshold=0.1).place([(output, frames)]))["boxes"]) == 3
    assert list(the_task(threshold=1).place([(output, frames)])) == [{"boxes": []}]


def test_answers_are_told_in_the_pixels_of_the_picture() -> None:
    output = torch.cat([certain((8, 4, 32, 24, 0, 0.9)), certain((-4, 8, 90, 30, 1, 0.9), (2, 45, 20, 60, 0, 0.8))])
    frames = [Frame(0, 96, 128, scale=0.5, keep=(0, 0, 48, 64)), Frame(1, 80, 128, scale=0.5, keep=(0, 0, 40, 64))]
    first, second = the_task().place([(output, frames)])
    assert first["boxes"][0]["box"] == [16, 8, 64, 48]
    # Cut at the picture's edges; what lies in the padding below it is nothing.
    assert [one["box"] for one in second["boxes"]] == [[0, 16, 128, 60]]


def test_answers_of_tiles_are_joined() -> None:
    """Two rows of one picture see the same thing; the one that answers for its middle tells it."""
    left = certain((50, 10, 62, 20, 0, 0.8), (10, 10, 20, 20, 1, 0.9))
    right = certain((2, 10, 14, 20, 0, 0.9), (40, 40, 60, 60, 1, 0.7))
    frames = [Frame(0, 64, 112, keep=(0, 0, 64, 56)), Frame(0, 64, 112, left=48, keep=(0, 8, 64, 64))]
    other = certain((1, 1, 9, 9, 0, 0.5))
    outputs = [(left, frames[:1]), (torch.cat([right, other]), [frames[1], Frame(1, 64, 64, keep=(0, 0, 64, 64))])]
    first, second = the_task().place(outputs)
    assert [(one["category"], one["box"]) for one in first["boxes"]] == [
        ("dog", [10, 10, 20, 20]),
        ("cat", [50, 10, 62, 20]),
        ("dog", [88, 40, 108, 60]),
    ]
    assert len(second["boxes"]) == 1


def test_what_is_expected_of_a_model() -> None:
    assert the_task().expected(7) == (7, 84, 6)
    model = detector.build(SPEC, detector.Config())
    assert model(torch.zeros(2, 3, 64, 64)).shape == the_task().expected(2)


def test_a_model_must_say_where_it_looks() -> None:
    batch = {"input": torch.zeros(1, 3, 64, 64), "target": some_truth(1)}
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 84 * 6), nn.Unflatten(1, (84, 6)))
    with pytest.raises(Problem, match="cells"):
        the_task().loss(model, batch)


def test_only_boxes_are_natural() -> None:
    assert detect.natural(SPEC)
    other = Spec(Image(3, 64, 64), Category(NAMES))
    assert not detect.natural(other)
    for spec in (other, Spec(Table(("x",)), Boxes(NAMES))):
        with pytest.raises(Problem, match="boxes"):
            detect.build(spec, detect.Config())


@pytest.mark.parametrize("settings", [{"threshold": -0.1}, {"threshold": 2.0}, {"overlap": 1.5}])
def test_settings_that_cannot_be(settings: dict[str, float]) -> None:
    with pytest.raises(Misuse, match=f"task.{next(iter(settings))}"):
        the_task(**settings)


@pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set")
def test_average_precision_on_real_boxes_is_that_of_coco(tmp_path: object) -> None:
    from pathlib import Path

    from deepen.data import bccd
    from deepen.recipe import Data

    assert isinstance(tmp_path, Path)
    truth = bccd.load("bccd", Data(), 0).validation["target"]
    compared(near_truth(truth, 0, 60, 3), truth, 3, tmp_path)

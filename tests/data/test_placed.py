"""Augmentation of pictures with boxes and masks against a plain reference, one picture, pixel and box at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deepen.data.placed import KEPT, MIDDLE, SMALLEST, PlacedAugmenter, Quarters, assemble, cut, mirror, move
from deepen.errors import Misuse
from deepen.recipe import Augment
from deepen.spec import Image

MEAN, STD = (0.4, 0.5, 0.3), (0.2, 0.3, 0.25)
Batch = dict[str, Tensor]


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmenter(channels: int, height: int, width: int, **settings: Any) -> PlacedAugmenter:
    return PlacedAugmenter(Augment(**settings), Image(channels, height, width), MEAN[:channels], STD[:channels])


def boxes(count: int, most: int, height: int, width: int) -> Tensor:
    """float32 [B, M, 5] with some rows empty."""
    random = np.random.default_rng(3)
    found = np.zeros((count, most, 5), dtype=np.float32)
    found[..., 4] = -1
    for picture in range(count):
        for row in range(random.integers(0, most + 1)):
            x, y = np.sort(random.uniform(0, width, 2)), np.sort(random.uniform(0, height, 2))
            found[picture, row] = (x[0], y[0], x[1], y[1], random.integers(0, 4))
    return torch.from_numpy(found)


def batch(count: int = 7, channels: int = 3, height: int = 12, width: int = 17, most: int = 5) -> Batch:
    """Stored rows with boxes, and what else a batch may hold."""
    rows = torch.randint(0, 256, (count, height, width, channels), dtype=torch.uint8, generator=draws(9))
    size = torch.tensor([[height, width]]).expand(count, 2)
    return {"input": rows, "target": boxes(count, most, height, width), "size": size}


def masked(count: int = 7, channels: int = 3, height: int = 12, width: int = 17) -> Batch:
    mask = torch.randint(0, 9, (count, height, width), dtype=torch.uint8, generator=draws(5))
    return batch(count, channels, height, width) | {"target": mask}


def normalised(given: Batch) -> Batch:
    return given | {"input": (given["input"].float() / 100 - 1).permute(0, 3, 1, 2)}


def plain_cut(box: list[float], edges: tuple[float, float, float, float]) -> list[float] | None:
    """A box cut at the edges, or nothing where too little is left."""
    left, top = max(box[0], edges[0]), max(box[1], edges[1])
    right, bottom = min(box[2], edges[2]), min(box[3], edges[3])
    whole = (box[2] - box[0]) * (box[3] - box[1])
    if min(right - left, bottom - top) < SMALLEST or (right - left) * (bottom - top) < KEPT * whole:
        return None
    return [left, top, right, bottom, box[4]]


def kept(rows: Tensor) -> list[list[float]]:
    return sorted([row for row in rows.tolist() if row[4] >= 0])


def close(found: Tensor, expected: list[list[float]]) -> bool:
    assert (found[found[:, 4] < 0] == torch.tensor([0.0, 0, 0, 0, -1])).all()
    return len(kept(found)) == len(expected) and np.allclose(
        np.array(kept(found)).reshape(-1, 5), np.array(sorted(expected)).reshape(-1, 5), atol=1e-3
    )


@pytest.mark.parametrize("make", [batch, masked])
@pytest.mark.parametrize("side", [1, 2])
def test_mirror_is_left_for_right_or_top_for_bottom(make: Any, side: int) -> None:
    given = make()
    chosen = torch.arange(7) % 2 == 0
    found = mirror(given, chosen, side)
    turn = np.s_[::-1] if side == 1 else np.s_[:, ::-1]
    for i in range(7):
        if not chosen[i]:
            assert torch.equal(found["input"][i], given["input"][i])
            assert torch.equal(found["target"][i], given["target"][i])
            continue
        assert np.array_equal(found["input"][i].numpy(), given["input"][i].numpy()[turn])
        if make is masked:
            assert np.array_equal(found["target"][i].numpy(), given["target"][i].numpy()[turn])
        else:
            expected = [
                [left, 12 - bottom, right, 12 - top, c] if side == 1 else [17 - right, top, 17 - left, bottom, c]
                for left, top, right, bottom, c in kept(given["target"][i])
            ]
            assert close(found["target"][i], expected)


@pytest.mark.parametrize("make", [batch, masked])
def test_mirrors_alone_are_those_of_an_affine_map(make: Any) -> None:
    """What is mirrored pixel by pixel is what the sampling does with nothing but mirrors."""
    given = make(16)
    made = augmenter(3, 12, 17, flip=True, flip_vertical=True)
    found = normalised(made.stored(given, draws(6)))
    assert torch.equal(found["input"], normalised(made.stored(given, draws(6)))["input"])
    four = {
        (across, along): move(
            normalised(given),
            torch.tensor([[across, 0.0, 17.0 * (across < 0)], [0, along, 12.0 * (along < 0)]]).expand(16, 2, 3),
        )
        for across in (1, -1)
        for along in (1, -1)
    }
    seen = set()
    for i in range(16):
        (which,) = [key for key, one in four.items() if torch.allclose(one["input"][i], found["input"][i], atol=1e-4)]
        seen.add(which)
        if make is masked:
            assert torch.equal(four[which]["target"][i], found["target"][i])
        else:
            expected = [one for row in kept(found["target"][i]) if (one := plain_cut(row, (0, 0, 17, 12)))]
            assert close(four[which]["target"][i], expected)
    assert len(seen) == 4


def quarters(count: int, height: int, width: int, seed: int = 1) -> Quarters:
    made = augmenter(3, height, width, mosaic=0.6)._quarters(torch.empty(count, height, width, 3), draws(seed))
    assert 0 < made.chosen.sum() < count
    return made


@pytest.mark.parametrize("make", [batch, masked])
def test_four_pictures_are_put_together_as_a_loop_would(make: Any) -> None:
    given = make()
    count, height, width, _ = given["input"].shape
    asked = quarters(count, height, width)
    found = assemble(given, asked)
    for i in range(count):
        rows, target = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.uint8)
        expected: list[list[float]] = []
        (line, column), starts = asked.middle[:, i].tolist(), asked.starts[:, :, i].tolist()
        places = [
            (0, 0, line, column),
            (0, column, line, width),
            (line, 0, height, column),
            (line, column, height, width),
        ]
        for number, (top, left, bottom, right) in enumerate(places):
            source = (i + number) % count
            first, second = starts[0][number], starts[1][number]
            assert 0 <= first <= height - (bottom - top)
            assert 0 <= second <= width - (right - left)
            window = np.s_[first : first + bottom - top, second : second + right - left]
            rows[top:bottom, left:right] = given["input"][source].numpy()[window]
            if make is masked:
                target[top:bottom, left:right] = given["target"][source].numpy()[window]
                continue
            for x, y, end_x, end_y, c in kept(given["target"][source]):
                moved = [x + left - second, y + top - first, end_x + left - second, end_y + top - first, c]
                seen = plain_cut(moved, (left, top, right, bottom))
                expected += [] if seen is None else [seen]
        if not asked.chosen[i]:
            rows, target, expected = given["input"][i].numpy(), given["target"][i].numpy(), kept(given["target"][i])
        assert np.array_equal(found["input"][i].numpy(), rows)
        if make is masked:
            assert np.array_equal(found["target"][i].numpy(), target)
        else:
            assert close(found["target"][i], expected)
    assert torch.equal(found["size"], given["size"])


def test_there_is_room_for_the_boxes_of_four_pictures_the_same_in_every_batch() -> None:
    for most, room in ((1, 4), (8, 32), (10, 32), (30, 60)):
        given = batch(most=most)
        assert assemble(given, quarters(7, 12, 17))["target"].shape == (7, room, 5)


def test_of_more_boxes_than_there_is_room_for_the_largest_stay() -> None:
    given = batch(count=4, height=64, width=64, most=40)
    given["target"] = torch.tensor([10.0, 10, 14, 14, 1]).repeat(4, 40, 1)
    given["target"][:, :, 2] += torch.arange(40)  # widths from 4 to 43
    starts = torch.zeros(2, 4, 4, dtype=torch.long)
    asked = Quarters(torch.ones(4, dtype=torch.bool), torch.full((2, 4), 32), starts)
    found = assemble(given, asked)["target"]
    assert found.shape == (4, 80, 5)
    assert (found[..., 4] == 1).all()
    # A quarter shows the first 32 columns: of 10 to 53 wide ones at least 30 % is seen, and all four are alike.
    assert (found[..., 2] - found[..., 0]).min() >= 20


def test_a_box_stays_when_enough_of_it_is_seen() -> None:
    edges = torch.tensor([0.0, 0, 20, 20])
    given = torch.tensor(
        [
            [-6.9, 0, 3.1, 10, 1],  # 31 % are left
            [-7.1, 0, 2.9, 10, 1],  # 29 %
            [-2, 5, 2, 9, 1],  # 2 pixels wide
            [-2, 5, 1.9, 9, 1],
            [5, 5, 6.5, 15, 1],  # narrow from the beginning
            [30, 30, 40, 40, 1],
            [5, 5, 9, 9, -1],
        ]
    )
    found = cut(given, edges)
    assert [row[4] for row in found.tolist()] == [1, -1, 1, -1, -1, -1, -1]
    assert found[0].tolist() == pytest.approx([0, 0, 3.1, 10, 1])
    for row in range(len(given)):
        expected = plain_cut(given[row].tolist(), (0, 0, 20, 20)) if given[row, 4] >= 0 else None
        assert close(found[row : row + 1], [] if expected is None else [expected])


def test_what_is_ignored_moves_like_a_box_and_stays_while_any_of_it_is_seen() -> None:
    given = batch()
    given["target"] = torch.tensor([[2.0, 3, 8, 9, 1], [2, 3, 8, 9, -2], [0, 0, 0, 0, -1]]).repeat(7, 1, 1)
    for side in (1, 2):
        found = mirror(given, torch.ones(7, dtype=torch.bool), side)["target"]
        assert torch.equal(found[:, 0, :4], found[:, 1, :4])
        assert found[0, :, 4].tolist() == [1, -2, -1]
        assert (found[:, 2, :4] == 0).all()
    away = torch.tensor([[1.0, 0, 7], [0, 1, 0]]).expand(7, 2, 3)  # a pixel of its width is left
    found = move(normalised(given), away)["target"]
    assert found[0, :, 4].tolist() == [-1, -2, -1]
    assert found[0, 1, :4].tolist() == [0, 3, 1, 9]
    away = torch.tensor([[1.0, 0, 8], [0, 1, 0]]).expand(7, 2, 3)
    assert (move(normalised(given), away)["target"][..., 4] == -1).all()


def test_what_is_ignored_makes_room_for_what_is_learnt() -> None:
    given = batch(count=4, height=64, width=64, most=40)
    given["target"] = torch.tensor([10.0, 10, 30, 30, -3]).repeat(4, 40, 1)
    given["target"][:, 20:] = torch.tensor([10.0, 10, 14, 14, 1])
    starts = torch.zeros(2, 4, 4, dtype=torch.long)
    asked = Quarters(torch.ones(4, dtype=torch.bool), torch.full((2, 4), 32), starts)
    found = assemble(given, asked)["target"]
    assert found.shape == (4, 80, 5)
    assert (found[..., 4] == 1).all()


def plain_move(given: Batch, i: int, matrix: np.ndarray) -> tuple[np.ndarray, Any]:
    """Bilinear sampling of the picture, 0 beyond it; the mask at the pixel that a place lies in; boxes around moved corners."""
    picture, target = given["input"][i].numpy(), given["target"][i]
    channels, height, width = picture.shape
    moved = np.zeros_like(picture)
    mask = np.full((height, width), 255, np.uint8)

    def value(c: int, h: int, w: int) -> float:
        return float(picture[c, h, w]) if 0 <= h < height and 0 <= w < width else 0.0

    for h in range(height):
        for w in range(width):
            x, y = matrix @ np.array([w + 0.5, h + 0.5, 1])
            left, top = math.floor(x - 0.5), math.floor(y - 0.5)
            u, v = x - 0.5 - left, y - 0.5 - top
            for c in range(channels):
                upper = (1 - u) * value(c, top, left) + u * value(c, top, left + 1)
                lower = (1 - u) * value(c, top + 1, left) + u * value(c, top + 1, left + 1)
                moved[c, h, w] = (1 - v) * upper + v * lower
            if target.dtype == torch.uint8 and 0 <= math.floor(x) < width and 0 <= math.floor(y) < height:
                mask[h, w] = target[math.floor(y), math.floor(x)]
    if target.dtype == torch.uint8:
        return moved, mask
    back = np.linalg.inv(matrix[:, :2])
    expected = []
    for left, top, right, bottom, c in kept(target):
        four = np.array([(left, top), (right, top), (left, bottom), (right, bottom)])
        corners = np.array([back @ (corner - matrix[:, 2]) for corner in four])
        seen = plain_cut([*corners.min(0), *corners.max(0), c], (0, 0, width, height))
        expected += [] if seen is None else [seen]
    return moved, expected


SETTINGS: dict[str, dict[str, Any]] = {
    "shift": {"shift": 3},
    "mirrored shift": {"shift": 3, "flip": True},
    "both mirrors": {"shift": 1, "flip": True, "flip_vertical": True},
    "scale": {"scale": 0.5},
    "rotate": {"rotate": 40},
    "crop": {"crop": 0.3},
    "all": {"shift": 2, "flip": True, "flip_vertical": True, "scale": 0.3, "rotate": 20, "crop": 0.5},
}


@pytest.mark.parametrize("make", [batch, masked])
@pytest.mark.parametrize("name", SETTINGS)
def test_moves_are_one_sampling_as_a_loop_would(name: str, make: Any) -> None:
    given = normalised(make())
    matrix = augmenter(3, 12, 17, **SETTINGS[name])._matrix(given["input"], draws(4))
    found = move(given, matrix)
    assert found["input"].is_contiguous(memory_format=torch.channels_last)
    for i in range(7):
        picture, target = plain_move(given, i, matrix[i].double().numpy())
        assert np.allclose(found["input"][i].numpy(), picture, atol=1e-4)
        if make is masked:
            # A place on the border of two pixels may fall to either by rounding.
            assert (found["target"][i].numpy() != target).mean() < 0.01
        else:
            assert close(found["target"][i], target)


def test_a_shift_alone_keeps_pixels_as_they_are() -> None:
    given = normalised(masked())
    matrix = augmenter(3, 12, 17, shift=4)._matrix(given["input"], draws(2))
    found = move(given, matrix)
    for i in range(7):
        right, down = matrix[i, :, 2].round().int().tolist()
        picture = np.pad(given["input"][i].numpy(), ((0, 0), (4, 4), (4, 4)))
        mask = np.pad(given["target"][i].numpy(), 4, constant_values=255)
        window = np.s_[4 + down : 16 + down, 4 + right : 21 + right]
        assert np.allclose(found["input"][i].numpy(), picture[:, *window], atol=1e-4)
        assert np.array_equal(found["target"][i].numpy(), mask[window])


def test_what_is_drawn_keeps_to_what_was_asked() -> None:
    x = torch.empty(4000, 1, 30, 40)
    shifts = augmenter(1, 30, 40, shift=3)._matrix(x, draws())
    assert torch.allclose(shifts[:, :, :2], torch.eye(2), atol=1e-6)
    for side in range(2):
        assert set(shifts[:, side, 2].round().int().tolist()) == set(range(-3, 4))
    sizes = 1 / augmenter(1, 30, 40, scale=0.2)._matrix(x, draws())[:, 0, 0]
    assert 0.8 <= sizes.min() < 0.81
    assert 1.19 < sizes.max() <= 1.2001
    flips = augmenter(1, 30, 40, shift=1, flip=True)._matrix(x, draws())[:, 0, 0]
    assert 0.45 < (flips < 0).float().mean() < 0.55
    both = augmenter(1, 30, 40, shift=1, flip=True, flip_vertical=True)._matrix(x, draws())
    assert torch.equal(both[:, 0, 0], flips)  # which are mirrored does not depend on it
    assert 0.45 < (both[:, 1, 1] < 0).float().mean() < 0.55
    assert 0.2 < ((both[:, 0, 0] < 0) & (both[:, 1, 1] < 0)).float().mean() < 0.3
    parts = augmenter(1, 30, 40, crop=0.4)._matrix(x, draws())
    across, along = parts[:, 0, 0], parts[:, 1, 1]
    assert (across * along).min() > 0.4 * 0.74  # a part that is longer than the picture is cut
    assert (across <= 1.0001).all()
    assert (parts[:, 0, 2] >= -1e-4).all()
    assert (parts[:, 0, 2] + across * 40 <= 40.001).all()
    assert (parts[:, 1, 2] + along * 30 <= 30.001).all()
    turns = augmenter(1, 30, 40, rotate=10)._matrix(x, draws())
    angles = torch.rad2deg(torch.atan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert 9.9 < angles.max() <= 10.0001
    assert torch.allclose(
        turns[:, :, :2] @ torch.tensor([20.0, 15.0]) + turns[:, :, 2], torch.tensor([20.0, 15.0]), atol=1e-4
    )


def test_corners_of_a_mosaic_lie_around_the_middle() -> None:
    asked = augmenter(1, 40, 60, mosaic=0.3)._quarters(torch.empty(4000, 40, 60, 1), draws())
    assert 0.27 < asked.chosen.float().mean() < 0.33
    for side, length in enumerate((40, 60)):
        assert asked.middle[side].min() == round(MIDDLE[0] * length)
        assert asked.middle[side].max() == round(MIDDLE[1] * length)


def test_boxes_stay_around_what_they_show() -> None:
    """Bright rectangles, moved in every way without turning, are found by looking at the pixels."""
    count, height, width = 24, 60, 80
    rows = torch.zeros(count, height, width, 1, dtype=torch.uint8)
    target = torch.zeros(count, 1, 5)
    for i in range(count):
        left, top = 10 + i, 12 + i % 20
        rows[i, top : top + 20, left : left + 24] = 200
        target[i, 0] = torch.tensor([left, top, left + 24, top + 20, 0])
    made = augmenter(1, height, width, shift=6, flip=True, flip_vertical=True, scale=0.2, crop=0.7)
    given = {"input": rows, "target": target}
    stored = made.stored(given, draws(1))
    found = made.tensor(stored | {"input": stored["input"].float().permute(0, 3, 1, 2)}, draws(2))
    for i in range(count):
        line, column = (found["input"][i, 0] > 100).nonzero().unbind(1)
        left, top, right, bottom, c = found["target"][i, 0].tolist()
        assert c == 0
        assert abs(left - column.min()) < 1
        assert abs(top - line.min()) < 1
        assert abs(right - column.max() - 1) < 1
        assert abs(bottom - line.max() - 1) < 1


def test_mosaic_then_moves_keeps_masks_with_their_pictures() -> None:
    """A picture that shows its own mask still does, however it is moved."""
    given = masked(8, 1, 24, 32)
    given["target"] = torch.arange(8, dtype=torch.uint8).view(8, 1, 1).expand(8, 24, 32).contiguous()
    given["input"] = given["target"][..., None].clone()
    made = augmenter(1, 24, 32, mosaic=1.0, flip=True, scale=0.3, rotate=20)
    stored = made.stored(given, draws(3))
    assert torch.equal(stored["input"][..., 0], stored["target"])
    found = made.tensor(stored | {"input": stored["input"].float().permute(0, 3, 1, 2)}, draws(4))
    inside = found["target"] != 255
    # Beside a border of two masks a picture blends them.
    assert (found["input"][:, 0].round()[inside] == found["target"][inside]).float().mean() > 0.8


def test_what_is_drawn_is_the_generators() -> None:
    made = augmenter(3, 12, 17, mosaic=0.5, flip=True, flip_vertical=True, shift=2, colour=0.3, erase=0.5)
    given = batch()
    torch.manual_seed(1)
    first, again = draws(7), draws(7)
    one, other = made.stored(given, first), made.stored(given, again)
    assert torch.equal(one["target"], other["target"])
    torch.manual_seed(2)
    one, other = made.tensor(normalised(one), first), made.tensor(normalised(other), again)
    assert torch.equal(one["input"], other["input"])
    assert torch.equal(one["target"], other["target"])
    assert not torch.equal(made.tensor(normalised(given), draws(8))["input"], one["input"])


@pytest.mark.parametrize("make", [batch, masked])
def test_padding_is_for_pictures_without_boxes_and_masks(make: Any) -> None:
    asked = {"shift": 4, "rotate": 30, "scale": 0.5}
    one, other = (
        augmenter(3, 12, 17, padding=name, **asked).tensor(normalised(make()), draws()) for name in ("reflect", "zero")
    )
    assert torch.equal(one["input"], other["input"])
    assert torch.equal(one["target"], other["target"])


def test_colours_leave_targets_alone() -> None:
    given = normalised(batch())
    found = augmenter(3, 12, 17, colour=0.5, erase=1.0).tensor(given, draws())
    assert torch.equal(found["target"], given["target"])
    assert not torch.equal(found["input"], given["input"])


def test_what_is_off_costs_nothing() -> None:
    given = batch()
    assert augmenter(3, 12, 17, colour=0.5).stored(given, draws()) is given
    assert augmenter(3, 12, 17, flip=True, flip_vertical=True).tensor(given, draws()) is given


def test_pictures_without_any_box() -> None:
    given = batch()
    given["target"] = torch.tensor([0.0, 0, 0, 0, -1]).repeat(7, 3, 1)
    made = augmenter(3, 12, 17, mosaic=1.0, flip=True, rotate=20, crop=0.5)
    found = made.tensor(normalised(made.stored(given, draws())), draws())
    assert (found["target"] == torch.tensor([0.0, 0, 0, 0, -1])).all()
    assert (
        augmenter(3, 12, 17, mosaic=1.0).stored({k: v[:1] for k, v in given.items()}, draws())["target"].shape[0] == 1
    )


@pytest.mark.parametrize(
    "settings", [{"mixup": 0.2}, {"cutmix": 1.0}, {"mosaic": 1.5}, {"crop": -0.1}, {"scale": 2}, {"shift": 12}]
)
def test_what_boxes_cannot_follow_is_refused(settings: dict[str, Any]) -> None:
    name = next(iter(settings))
    with pytest.raises(Misuse, match=rf"augment\.{name}="):
        augmenter(3, 12, 17, **settings)

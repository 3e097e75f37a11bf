"""Augmentation against a plain reference for each change, one picture and one pixel at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deepen.data.augment import Augmenter, describe, off, paste
from deepen.data.moves import move_by_index, move_on_cpu
from deepen.errors import Misuse, Problem
from deepen.recipe import Augment
from deepen.spec import Image, Table

MEAN, STD = (0.4, 0.5, 0.3), (0.2, 0.3, 0.25)
SIZES = [(3, 9, 13), (1, 8, 8), (3, 32, 32)]


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmenter(channels: int, height: int, width: int, **settings: Any) -> Augmenter:
    return Augmenter(Augment(**settings), Image(channels, height, width), MEAN[:channels], STD[:channels])


def pictures(count: int, channels: int, height: int, width: int) -> Tensor:
    """uint8 [B, H, W, C]."""
    return torch.randint(0, 256, (count, height, width, channels), dtype=torch.uint8, generator=draws(9))


def normalised(count: int, channels: int, height: int, width: int) -> Tensor:
    values = pictures(count, channels, height, width) / 255
    return ((values - torch.tensor(MEAN[:channels])) / torch.tensor(STD[:channels])).permute(0, 3, 1, 2)


def plain_move(picture: np.ndarray, mirrored: bool, down: int, right: int, shift: int, reflect: bool) -> np.ndarray:
    height, width, _ = picture.shape
    if mirrored:
        picture = picture[:, ::-1]
    padded = np.pad(picture, ((shift, shift), (shift, shift), (0, 0)), mode="reflect" if reflect else "constant")
    top, left = shift + down, shift + right
    return padded[top : top + height, left : left + width]


@pytest.mark.parametrize("move", [move_on_cpu, move_by_index])
@pytest.mark.parametrize("reflect", [True, False])
@pytest.mark.parametrize("shift", [0, 1, 4])
@pytest.mark.parametrize("size", SIZES)
def test_move_is_flip_pad_and_cut(move: Any, reflect: bool, shift: int, size: tuple[int, int, int]) -> None:
    rows = pictures(20, *size)
    mirrored = torch.arange(20) % 3 == 0
    down, right = torch.randint(-shift, shift + 1, (2, 20), generator=draws())
    moved = move(rows, mirrored, down, right, shift, reflect)
    assert moved.shape == rows.shape
    assert moved.dtype == torch.uint8
    for i in range(20):
        expected = plain_move(rows[i].numpy(), bool(mirrored[i]), int(down[i]), int(right[i]), shift, reflect)
        assert np.array_equal(moved[i].numpy(), expected)


def test_stored_shifts_each_way_and_mirrors_half() -> None:
    rows = torch.zeros(2000, 8, 8, 1, dtype=torch.uint8)
    rows[:, 3, 3] = 255
    moved = augmenter(1, 8, 8, shift=2, flip=True, padding="zero").stored({"input": rows}, draws())["input"]
    at = moved[..., 0].flatten(1).argmax(1)
    assert set((at // 8).tolist()) == {1, 2, 3, 4, 5}
    columns = torch.bincount(at % 8, minlength=8) / 2000  # 3 -+ 2, mirrored 4 -+ 2
    assert columns[[0, 7]].sum() == 0
    assert torch.allclose(columns[1:7], torch.tensor([0.1, 0.2, 0.2, 0.2, 0.2, 0.1]), atol=0.05)


@pytest.mark.parametrize("flip", [False, True])
def test_stored_mirrors_top_and_bottom_of_half(flip: bool) -> None:
    """A mark in one corner is then found in two, or in all four where left and right are mirrored too."""
    rows = torch.zeros(2000, 8, 6, 3, dtype=torch.uint8)
    rows[:, 1, 1] = 255
    batch = {"input": rows}
    made = augmenter(3, 8, 6, flip_vertical=True, flip=flip)
    moved = made.stored(batch, draws())["input"]
    assert torch.equal(moved, made.stored(batch, draws())["input"])
    at = moved[..., 0].flatten(1).argmax(1)
    counts = [int((at == 6 * line + column).sum()) for line in (1, 6) for column in ([1, 4] if flip else [1])]
    assert sum(counts) == 2000
    assert counts == pytest.approx([2000 / len(counts)] * len(counts), abs=80)
    assert batch["input"] is rows
    assert (rows[:, 1, 1] == 255).all()


def test_the_mirror_of_top_and_bottom_leaves_other_draws_as_they_are() -> None:
    rows = pictures(40, 3, 9, 13)
    plain = augmenter(3, 9, 13, shift=2, flip=True).stored({"input": rows}, draws())["input"]
    found = augmenter(3, 9, 13, shift=2, flip=True, flip_vertical=True).stored({"input": rows}, draws())["input"]
    turned = [not torch.equal(found[i], plain[i]) for i in range(40)]
    assert 8 < sum(turned) < 32
    for i in range(40):
        assert np.array_equal(found[i].numpy(), plain[i].numpy()[::-1] if turned[i] else plain[i].numpy())


def test_stored_leaves_its_input_alone_and_does_nothing_when_off() -> None:
    rows = pictures(6, 3, 9, 13)
    before = rows.clone()
    augmenter(3, 9, 13, shift=2, flip=True).stored({"input": rows}, draws())["input"]
    assert torch.equal(rows, before)
    assert augmenter(3, 9, 13, colour=0.5).stored({"input": rows}, draws())["input"] is rows


def plain_turn(
    picture: np.ndarray,
    angle: float,
    growth: float,
    reflect: bool,
    outside: np.ndarray,
    part: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Bilinear sampling at the place in the source where each pixel comes from, in pixels from the centre. `part` is the
    left, top, width and height of what is brought to full size after that."""
    channels, height, width = picture.shape
    turned = np.empty_like(picture)

    def value(c: int, h: int, w: int) -> float:
        return float(picture[c, h, w]) if 0 <= h < height and 0 <= w < width else float(outside[c])

    def folded(place: float, size: int) -> float:
        while place < -0.5 or place > size - 0.5:
            place = -1 - place if place < -0.5 else 2 * size - 1 - place
        return min(max(place, 0), size - 1)

    for h in range(height):
        for w in range(width):
            y, x = (h - (height - 1) / 2) / growth, (w - (width - 1) / 2) / growth
            from_x = math.cos(angle) * x - math.sin(angle) * y + (width - 1) / 2
            from_y = math.sin(angle) * x + math.cos(angle) * y + (height - 1) / 2
            if part is not None:
                from_x = part[0] + (from_x + 0.5) / width * part[2] - 0.5
                from_y = part[1] + (from_y + 0.5) / height * part[3] - 0.5
            if reflect:
                from_x, from_y = folded(from_x, width), folded(from_y, height)
            left, top = math.floor(from_x), math.floor(from_y)
            u, v = from_x - left, from_y - top
            for c in range(channels):
                upper = (1 - u) * value(c, top, left) + u * value(c, top, left + 1)
                lower = (1 - u) * value(c, top + 1, left) + u * value(c, top + 1, left + 1)
                turned[c, h, w] = (1 - v) * upper + v * lower
    return turned


@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("size", [(3, 9, 13), (1, 8, 8)])
def test_turn_is_rotation_and_scale_about_the_centre(size: tuple[int, int, int], padding: str) -> None:
    x = normalised(4, *size)
    changed = augmenter(*size, rotate=30.0, scale=0.2, padding=padding).tensor({"input": x}, draws())["input"]
    angle, growth = (torch.rand((2, 4), generator=draws()) * 2 - 1).numpy()
    black = -np.array(MEAN) / np.array(STD)
    for i in range(4):
        expected = plain_turn(
            x[i].numpy(), math.radians(30) * angle[i], 1 + 0.2 * growth[i], padding == "reflect", black
        )
        assert np.allclose(changed[i].numpy(), expected, atol=2e-4)


def plain_part(height: int, width: int, least: float, four: Any) -> tuple[float, float, float, float]:
    """Left, top, width and height of a part of at least that share of the area, from four numbers in 0 to 1."""
    area = (1 - four[0] * (1 - least)) * height * width
    aspect = (4 / 3) ** (2 * four[1] - 1)
    wide, tall = min(math.sqrt(area * aspect), width), min(math.sqrt(area / aspect), height)
    return four[2] * (width - wide), four[3] * (height - tall), wide, tall


@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("size", [(3, 9, 13), (1, 8, 8)])
@pytest.mark.parametrize("turned", [True, False])
def test_crop_brings_a_part_to_full_size(size: tuple[int, int, int], padding: str, turned: bool) -> None:
    x = normalised(6, *size)
    settings = {"rotate": 30.0, "scale": 0.2} if turned else {}
    changed = augmenter(*size, crop=0.3, padding=padding, **settings).tensor({"input": x}, draws())["input"]
    generator = draws()
    angle, growth = (torch.rand((2, 6), generator=generator) * 2 - 1).numpy() * turned
    four = torch.rand((4, 6), generator=generator).numpy()
    black = -np.array(MEAN) / np.array(STD)
    for i in range(6):
        part = plain_part(*size[1:], 0.3, four[:, i])
        reflect = padding == "reflect"
        expected = plain_turn(x[i].numpy(), math.radians(30) * angle[i], 1 + 0.2 * growth[i], reflect, black, part)
        assert np.allclose(changed[i].numpy(), expected, atol=3e-4)


def test_mosaic_is_for_what_lies_in_pictures() -> None:
    with pytest.raises(Misuse, match=r"augment\.mosaic=0\.5 puts pictures with boxes or masks together"):
        augmenter(3, 9, 13, mosaic=0.5)


@pytest.mark.parametrize("size", SIZES)
def test_colour_is_brightness_then_contrast_then_saturation(size: tuple[int, int, int]) -> None:
    x = normalised(6, *size)
    changed = augmenter(*size, colour=0.6).tensor({"input": x}, draws())["input"]
    factors = (1 + (torch.rand((3, 6), generator=draws()) * 2 - 1) * 0.6).double()
    channels = size[0]
    mean, std = torch.tensor(MEAN[:channels]).double(), torch.tensor(STD[:channels]).double()
    weights = torch.tensor([0.299, 0.587, 0.114] if channels == 3 else [1.0]).double()
    for i in range(6):
        pixel = x[i].double().permute(1, 2, 0) * std + mean  # [H, W, C] in 0..1
        bright, contrast, saturation = factors[:, i]
        pixel = pixel * bright
        pixel = contrast * pixel + (1 - contrast) * (pixel @ weights).mean()
        pixel = saturation * pixel + (1 - saturation) * (pixel @ weights)[..., None]
        expected = (pixel.clamp(0, 1) - mean) / std
        assert torch.allclose(changed[i].permute(1, 2, 0).double(), expected, atol=1e-4)


def is_rectangle(mask: Tensor) -> bool:
    """Whether the true places of a mask [H, W] fill their bounding box."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return int(mask.sum()) == int((rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1))


@pytest.mark.parametrize("size", SIZES)
def test_paste_puts_a_rectangle_over_a_picture(size: tuple[int, int, int]) -> None:
    x, other = normalised(3, *size), normalised(3, *size).flip(0) + 7
    top, left, bottom, right = torch.tensor([[0, 2, 5], [1, 0, 3], [4, 3, 5], [2, 8, 9]])
    expected, erased = x.clone(), x.clone()
    for i in range(3):
        expected[i, :, top[i] : bottom[i], left[i] : right[i]] = other[i, :, top[i] : bottom[i], left[i] : right[i]]
        erased[i, :, top[i] : bottom[i], left[i] : right[i]] = 0
    assert torch.equal(paste(x, other, top, left, bottom, right), expected)
    assert torch.equal(paste(x, x.new_zeros(()), top, left, bottom, right), erased)


def test_erase_takes_a_rectangle_from_some() -> None:
    x = torch.full((400, 3, 32, 32), 2.0)
    changed = augmenter(3, 32, 32, erase=0.25).tensor({"input": x}, draws())["input"]
    erased = changed == 0
    assert torch.equal(changed[~erased], x[~erased])
    touched = erased.flatten(1).any(1)
    assert 0.17 < touched.float().mean() < 0.33
    assert all(is_rectangle(mask[0]) for mask in erased[touched])
    areas = erased[touched][:, 0].float().mean((1, 2))
    assert 0.01 < areas.min() < 0.08
    assert 0.25 < areas.max() < 0.36


def test_mixup_blends_a_picture_with_the_one_before() -> None:
    x, target = normalised(16, 3, 8, 8), torch.arange(16)
    batch = augmenter(3, 8, 8, mixup=0.4).tensor({"input": x, "target": target}, draws())
    assert torch.equal(batch["target"], target)
    for i in range(16):
        other = int(batch["target_other"][i])
        assert other == (i - 1) % 16
        weight = batch["mix"][i]
        assert torch.allclose(batch["input"][i], weight * x[i] + (1 - weight) * x[other], atol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_weights_are_drawn_from_beta(alpha: float) -> None:
    x = torch.zeros(5000, 1, 1, 1)
    mix = augmenter(1, 1, 1, mixup=alpha).tensor({"input": x, "target": torch.zeros(5000).long()}, draws())["mix"]
    assert mix.mean().item() == pytest.approx(0.5, abs=0.02)
    assert mix.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)


def test_cutmix_weighs_by_the_area_that_is_left() -> None:
    x = torch.arange(64.0).view(64, 1, 1, 1).expand(64, 3, 12, 20).contiguous()
    batch = augmenter(3, 12, 20, cutmix=1.0).tensor({"input": x, "target": torch.arange(64)}, draws())
    own = batch["input"] == x
    assert torch.allclose(own[:, 0].float().mean((1, 2)), batch["mix"], atol=1e-6)
    others = ~own
    assert torch.equal(batch["input"][others], x.roll(1, 0)[others])
    pasted = others[:, 0][others[:, 0].flatten(1).any(1)]
    assert len(pasted) > 40
    assert all(is_rectangle(mask) for mask in pasted)
    assert batch["mix"].min() < 0.3
    assert batch["mix"].max() > 0.9


def test_mixup_and_cutmix_together_take_turns() -> None:
    x = torch.arange(200.0).view(200, 1, 1, 1).expand(200, 1, 8, 8).contiguous()
    batch = augmenter(1, 8, 8, mixup=1.0, cutmix=1.0).tensor({"input": x, "target": torch.arange(200)}, draws())
    whole = (batch["input"] == x) | (batch["input"] == x.roll(1, 0))
    cut = whole.flatten(1).all(1)
    assert 0.4 < cut.float().mean() < 0.6
    expected = batch["mix"] * x[:, 0, 0, 0] + (1 - batch["mix"]) * x.roll(1, 0)[:, 0, 0, 0]
    assert torch.allclose(batch["input"].mean((1, 2, 3)), expected, atol=1e-3)


def test_targets_that_are_numbers_stay_beside_the_other() -> None:
    x, target = normalised(8, 3, 8, 8), torch.randn(8, 2)
    batch = augmenter(3, 8, 8, mixup=0.4).tensor({"input": x, "target": target}, draws())
    assert torch.equal(batch["target"], target)
    assert torch.equal(batch["target_other"], target.roll(1, 0))
    assert batch["mix"].shape == (8,)


ALL = {"shift": 2, "flip": True, "rotate": 10.0, "scale": 0.1, "crop": 0.5, "colour": 0.3, "erase": 0.5, "mixup": 0.2}
ALL |= {"cutmix": 1.0, "flip_vertical": True}


def test_a_batch_is_a_function_of_the_generator() -> None:
    change = augmenter(3, 9, 13, **ALL)
    batch = {"input": normalised(10, 3, 9, 13), "target": torch.arange(10)}
    first, again, other = (change.tensor(batch, draws(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["input"], other["input"])
    rows = pictures(10, 3, 9, 13)
    assert torch.equal(
        change.stored({"input": rows}, draws(1))["input"], change.stored({"input": rows}, draws(1))["input"]
    )
    assert not torch.equal(
        change.stored({"input": rows}, draws(1))["input"], change.stored({"input": rows}, draws(2))["input"]
    )


@pytest.mark.parametrize("setting", sorted(set(ALL) - {"shift", "flip", "flip_vertical"}))
def test_each_change_keeps_shape_type_order_and_its_input(setting: str) -> None:
    x = normalised(10, 3, 9, 13)
    before = x.clone()
    batch = {"input": x, "target": torch.arange(10)}
    changed = augmenter(3, 9, 13, **{setting: ALL[setting]}).tensor(batch, draws())["input"]
    assert changed.shape == x.shape
    assert changed.dtype == torch.float32
    assert changed.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(changed, x)
    assert torch.equal(x, before)
    assert set(batch) == {"input", "target"}


def test_off_and_describe() -> None:
    assert off(Augment())
    assert off(Augment(padding="zero"))
    assert describe(Augment()) == "none"
    for name, value in ALL.items():
        assert not off(Augment(**{name: value}))
        assert describe(Augment(**{name: value})) != "none"
    assert describe(Augment(shift=2, flip=True)) == "shift up to 2 px, mirror"


def test_only_pictures_can_be_augmented() -> None:
    with pytest.raises(Problem, match="changes pictures and this data is a table"):
        Augmenter(Augment(flip=True), Table(("a",)), (), ())


def test_blending_needs_a_target() -> None:
    with pytest.raises(Problem, match="this data has none"):
        augmenter(1, 8, 8, mixup=0.2).tensor({"input": normalised(2, 1, 8, 8)}, draws())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("shift", 8),
        ("shift", -1),
        ("rotate", 181.0),
        ("scale", 1.0),
        ("colour", -0.1),
        ("erase", 1.5),
        ("mixup", -1.0),
        ("crop", 1.1),
    ],
)
def test_strengths_out_of_range_are_misuse(setting: str, value: float) -> None:
    with pytest.raises(Misuse, match=f"augment.{setting}="):
        augmenter(1, 8, 8, **{setting: value})

"""Masks drawn for people and written for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from deepen.data.dataset import Columns, Dataset
from deepen.data.framed import FramedPreprocess
from deepen.data.run_lengths import packed
from deepen.insight import masks
from deepen.spec import Mask, Spec
from deepen.tasks import segment
from tests.samples.drawing import scene

NAMES = ("ground", "dark <&>", "明るい")


class Thresholds(nn.Module):
    """Answers by brightness: what `scene` draws, but for its noise."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, input: Tensor) -> Tensor:
        grey = input.mean(1)
        return torch.stack([torch.zeros_like(grey), -grey - 0.5, grey - 0.5], 1)


def dataset(count: int = 9, *, colours: tuple[str, ...] = (), whole: bool = False) -> Dataset:
    drawn = [scene(number, side=32, wide=40) for number in range(count)]
    rows = torch.stack([torch.from_numpy(np.array(picture)) for picture, _, _ in drawn])
    arrays = {"input": rows, "target": torch.stack([torch.from_numpy(mask) for _, _, mask in drawn])}
    if whole:
        arrays |= {"truth": arrays["target"].repeat_interleave(2, 1).repeat_interleave(2, 2)}
        arrays |= {"size": torch.tensor([[64, 80]] * count)}
    columns = Columns(arrays, [f"{number}.png" for number in range(count)])
    preprocess = FramedPreprocess(3, 32, 40, (0.47,) * 3, (0.2,) * 3)
    spec = Spec(preprocess.input, Mask(NAMES, colours))
    return Dataset("scenes", spec, preprocess, columns, columns, None, "digest")


def told(data: Dataset) -> dict[str, str]:
    task = segment.build(data.spec, segment.Config())
    batch = data.validation.arrays | {"input": data.preprocess.tensor(data.validation["input"])}
    return masks.told(data, task.score(Thresholds(), batch), Thresholds(), task)


def words(drawing: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawing).iter() if element.tag.endswith("}text")]


@pytest.mark.parametrize("whole", [False, True])
def test_the_answers_of_a_split_are_drawn(whole: bool) -> None:
    found = told(dataset(whole=whole))
    assert set(found) == {"examples", "worst", "classes", "confusion"}
    for drawing in found.values():
        ElementTree.fromstring(drawing)
    for name in ("examples", "worst"):
        assert found[name].count("<image") == 3 * masks.SHOWN
        assert {"the picture", "the truth", "the answer"} <= set(words(found[name]))
        assert "明るい" in words(found[name])
    assert [one for one in words(found["classes"]) if one in NAMES] == list(NAMES)


def test_the_worst_come_first() -> None:
    data = dataset()
    data.validation.arrays["target"][4] = 2 - data.validation.arrays["target"][4]
    captions = [one for one in words(told(data)["worst"]) if one.startswith("IoU")]
    assert captions[0].endswith("4.png")
    shares = [float(one.split()[1]) for one in captions]
    assert shares == sorted(shares)


def test_pictures_without_any_class_are_left_out() -> None:
    data = dataset(4)
    data.validation.arrays["target"][2] = 255
    found = told(data)
    assert found["worst"].count("<image") == 9
    assert "2.png" not in found["worst"]


def answer(height: int, width: int, **more: Any) -> dict[str, Any]:
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[: height // 2] = 2
    return {"input": "a.png", "mask": packed(mask) | more, "shares": {NAMES[2]: 0.5, NAMES[0]: 0.5}}


def test_an_answer_is_drawn_over_its_picture() -> None:
    picture = Image.fromarray(np.full((30, 50), 90, dtype=np.uint8))
    drawing = masks.drawn(picture, answer(30, 50), NAMES)
    assert drawing.count("<image") == 1
    assert words(drawing) == ["明るい", "50.0 %", "ground", "50.0 %"]


def test_a_large_picture_is_drawn_small() -> None:
    picture = Image.new("RGB", (3000, 2000))
    assert len(masks.drawn(picture, answer(2000, 3000), NAMES)) < 200_000


def test_a_mask_is_written_as_class_numbers_with_colours(tmp_path: Path) -> None:
    masks.mask_png(answer(30, 50, colours=["#000000", "#00ff00", "#0000ff"]), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert (np.unique(np.asarray(image)) == [0, 2]).all()
        assert image.convert("RGB").getpixel((0, 0)) == (0, 0, 255)
    masks.mask_png(answer(30, 50), tmp_path / "b.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_colours_are_the_data_s_or_far_apart() -> None:
    assert masks.paints(Mask(("a", "b"), ("#010203", "#0a0b0c"))).tolist() == [[1, 2, 3], [10, 11, 12]]
    many = masks.paints(Mask(tuple(map(str, range(40))))).astype(int)
    apart = np.abs(many[:, None] - many[None]).sum(2) + 1000 * np.eye(40)
    assert apart.min() > 10


def test_what_has_no_class_is_grey() -> None:
    over = masks.overlaid(
        np.full((1, 2, 3), 100, np.uint8), np.array([[0, 255]], np.uint8), np.array([[200, 0, 0]], np.uint8)
    )
    assert over.tolist() == [[[160, 40, 40], [117, 117, 117]]]

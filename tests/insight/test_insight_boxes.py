"""Boxes drawn: each lies where it is, every mistake has its name, and no name can break out of the picture."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image as Pictures
from torch import Tensor, nn

from deepen.data.dataset import Columns, Dataset
from deepen.data.framed import FramedPreprocess
from deepen.insight import boxes
from deepen.spec import Boxes, Category, Image, Spec, ignored
from deepen.tasks import classify, detect
from deepen.tasks.base import Rows
from deepen.tasks.boxes import Found, count_boxes, match

NASTY = '<script>alert(1)</script>"&\x07'
NAMES = ("cat", NASTY)
SPEC = Spec(Image(3, 40, 60), Boxes(NAMES))
TASK = detect.build(SPEC, detect.Config())


def elements(drawn: str, kind: str) -> list[ElementTree.Element]:
    return [node for node in ElementTree.fromstring(drawn).iter() if node.tag.endswith(kind)]


def words(drawn: str) -> str:
    return "\n".join(node.text or "" for node in ElementTree.fromstring(drawn).iter())


def rectangles(drawn: str) -> list[tuple[float, ...]]:
    """Left, top, width, height of every box that says something on hover."""
    found = [node for node in elements(drawn, "rect") if len(node)]
    return [tuple(float(node.attrib[key]) for key in ("x", "y", "width", "height")) for node in found]


def dataset(target: Tensor) -> Dataset:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (len(target), 40, 60, 3), dtype=np.uint8))
    columns = Columns({"input": pixels, "target": target}, [f"{i}{NASTY}.png" for i in range(len(target))])
    preprocess = FramedPreprocess(3, 40, 60, (0.5,) * 3, (0.2,) * 3)
    return Dataset("drawn", SPEC, preprocess, columns, columns, None, "")


def rows(found: list[list[tuple[float, ...]]], truth: list[list[tuple[float, ...]]]) -> Rows:
    """What `score` would say of these detections (box, class, probability) and these boxes (box, class)."""
    target = torch.full((len(truth), 4, 5), -1.0)
    told = Found(torch.zeros(len(found), 5, 4), torch.zeros(len(found), 5), torch.full((len(found), 5), -1))
    for b, (these, those) in enumerate(zip(found, truth, strict=True)):
        for k, (*box, label, chance) in enumerate(these):
            told.boxes[b, k], told.scores[b, k], told.classes[b, k] = torch.tensor(box), chance, int(label)
        for m, row in enumerate(those):
            target[b, m] = torch.tensor(row)
    about = match(told, target)
    said = {"boxes": told.boxes, "scores": told.scores, "classes": told.classes}
    said |= {"right": about >= 0, "ignored": about < -1, "about": about[..., 0]}
    return {**said, "target": target, "counts": count_boxes(target, 2)}


HIT = (2.0, 2.0, 20.0, 20.0)
AWAY = (30.0, 20.0, 50.0, 38.0)


def test_an_answer_drawn() -> None:
    picture = Pictures.fromarray(np.zeros((40, 80, 3), dtype=np.uint8))
    found = [
        {"category": NASTY, "probability": 0.91, "box": [10, 5, 30, 25]},
        {"category": "cat", "probability": 0.5, "box": [40, 0, 80, 40]},
    ]
    drawn = boxes.drawn(picture, {"input": f"a{NASTY}.png", "boxes": found}, NAMES)
    first, second = rectangles(drawn)
    assert first[2:] == (80, 80)  # four times as large: a small picture is enlarged
    assert second[2:] == (160, 160)
    assert second[0] - first[0] == pytest.approx(120)
    assert first[1] - second[1] == pytest.approx(20)
    assert "91 %" in words(drawn)
    assert "<script" not in drawn
    colours = {
        node.attrib["style"].partition("stroke:")[2].partition(";")[0] for node in elements(drawn, "rect") if len(node)
    }
    assert len(colours) == 2


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_an_answer_without_boxes_drawn(mode: str) -> None:
    drawn = boxes.drawn(Pictures.new(mode, (3000, 10)), {"boxes": []}, NAMES)
    assert rectangles(drawn) == []
    assert len(elements(drawn, "image")) == 1


def test_many_boxes_are_named_on_hover_only() -> None:
    found = [{"category": "cat", "probability": 0.9, "box": [i, i, i + 5, i + 5]} for i in range(40)]
    drawn = boxes.drawn(Pictures.new("RGB", (64, 64)), {"boxes": found}, NAMES)
    assert len(rectangles(drawn)) == 40
    assert len(elements(drawn, "text")) == 1  # of the legend
    assert "cat (40)" in words(drawn)


def test_the_story_has_its_pictures() -> None:
    given = rows([[(*HIT, 0, 0.9)], [], [(*AWAY, 1, 0.8)]], [[(*HIT, 0)], [(*AWAY, 1)], []])
    told = boxes.told(dataset(given["target"]), given, nn.Identity(), TASK)
    assert list(told) == ["examples", "worst", "classes", "precision-recall"]
    assert all("<script" not in drawn for drawn in told.values())
    assert len(elements(told["examples"], "image")) == 3
    assert len(elements(told["worst"], "image")) == 2
    assert "0 found, 1 missed, 0 wrong" in words(told["worst"])
    assert "0 found, 0 missed, 1 wrong" in words(told["worst"])
    assert "1, 1 of 1 box" in words(told["classes"])
    assert "0, 0 of 1 box" in words(told["classes"])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([(*HIT, 0, 0.9)], []),
        ([(*HIT, 0, 0.1)], ["cat: missed"]),  # not sure enough to be told
        ([(*HIT, 1, 0.9)], ["cat: missed", "that is cat"]),
        ([(*HIT, 0, 0.9), (2, 2, 20, 18, 0, 0.8)], ["found twice"]),
        ([(10, 10, 28, 28, 0, 0.9)], ["cat: missed", "badly placed"]),
        ([(*HIT, 0, 0.9), (*AWAY, 1, 0.8)], ["nothing there"]),
    ],
)
def test_mistakes_have_names(found: list[tuple[float, ...]], said: list[str]) -> None:
    given = rows([found], [[(*HIT, 0)]])
    told = boxes.told(dataset(given["target"]), given, nn.Identity(), TASK)["worst"]
    hovers = [node[0].text or "" for node in elements(told, "rect") if len(node)]
    assert len(hovers) == len(said)
    assert all(any(part in hover for hover in hovers) for part in said)
    assert any(node.text == "none" for node in elements(told, "text")) == (not said)


def test_what_is_ignored_is_drawn_but_no_mistake() -> None:
    given = rows([[(*HIT, 0, 0.9), (*AWAY, 0, 0.8)]], [[(*HIT, 0), (*AWAY, ignored(0, crowd=True))]])
    told = boxes.told(dataset(given["target"]), given, nn.Identity(), TASK)
    hovers = [node[0].text for node in elements(told["examples"], "rect") if len(node)]
    assert hovers[:2] == ["truth: cat", "ignored: cat"]
    assert "grey where it is ignored" in words(told["examples"])
    assert not [node for node in elements(told["worst"], "rect") if len(node)]
    assert "1, 1 of 1 box" in words(told["classes"])


def test_the_worst_come_first() -> None:
    nothing: list[tuple[float, ...]] = []
    found = [[(*AWAY, 0, 0.5)], nothing, [(*AWAY, 0, 0.9)], nothing]
    given = rows(found, [nothing, [(*HIT, 0), (*AWAY, 1)], nothing, nothing])
    told = boxes.told(dataset(given["target"]), given, nn.Identity(), TASK)["worst"]
    captions = [node.text or "" for node in elements(told, "text") if (node.text or "")[:1].isdigit()]
    assert [caption[0] for caption in captions[::2]] == ["1", "2", "0"]


def test_classes_beyond_the_palette_and_those_that_do_not_occur() -> None:
    names = tuple(f"class {i}" for i in range(50))
    task = detect.build(replace(SPEC, output=Boxes(names)), detect.Config())
    target = torch.tensor([[[*HIT, float(i)] for i in range(45)]])
    found = Found(target[..., :4].clone(), torch.linspace(1, 0.5, 45)[None], target[..., 4].long())
    about = match(found, target)
    given = {"boxes": found.boxes, "scores": found.scores, "classes": found.classes, "right": about >= 0}
    given |= {"ignored": about < -1, "about": about[..., 0], "target": target, "counts": count_boxes(target, 50)}
    told = boxes.told(replace(dataset(target), spec=task.spec), given, nn.Identity(), task)
    assert "and 5 better ones" in words(told["classes"])
    assert "class 47" not in words(told["classes"])


def painted(drawn: str, kind: str = "rect") -> list[str]:
    """The colour of every box and of every square of the legend, in their order."""
    styles = [node.attrib.get("style", "") for node in elements(drawn, kind)]
    return [style.partition("stroke:")[2].partition(";")[0] for style in styles if "stroke:" in style]


@pytest.mark.parametrize("count", [2, 7, 8, 20, 90])
def test_each_of_many_classes_has_a_colour_of_its_own(count: int) -> None:
    names = tuple(f"c{i:02}" for i in range(count))
    found = [{"category": name, "probability": 0.9, "box": [i, 0, i + 1, 1]} for i, name in enumerate(names)]
    drawn = boxes.drawn(Pictures.new("RGB", (100, 40)), {"boxes": found}, names)
    assert len(set(painted(drawn))) == count
    alone = boxes.drawn(Pictures.new("RGB", (100, 40)), {"boxes": found[1:2]}, names)
    assert set(painted(alone)) == {painted(drawn)[1]}


@pytest.mark.parametrize(("count", "told"), [(9, "c08"), (60, "and 20 more, on hover")])
def test_the_legend_names_every_class_that_is_shown(count: int, told: str) -> None:
    names = (*(f"c{i:02}" for i in range(count)), "not shown")
    task = detect.build(replace(SPEC, output=Boxes(names)), detect.Config())
    target = torch.tensor([[[*HIT, float(i)] for i in range(count)]])
    found = Found(target[..., :4].clone(), torch.linspace(1, 0.5, count)[None], target[..., 4].long())
    about = match(found, target)
    given = {"boxes": found.boxes, "scores": found.scores, "classes": found.classes, "right": about >= 0}
    given |= {"ignored": about < -1, "about": about[..., 0], "target": target, "counts": count_boxes(target, count + 1)}
    drawings = boxes.told(replace(dataset(target), spec=task.spec), given, nn.Identity(), task)
    legend = [node.text for node in elements(drawings["examples"], "text")]
    assert told in legend
    assert "not shown" not in legend
    assert len(set(painted(drawings["examples"])) - {"none"}) == count
    curves = [line for line in painted(drawings["precision-recall"], "line") if "--c" in line]
    assert len(set(curves)) == len(curves) == boxes.MOST_CURVES


def test_other_tasks_have_none() -> None:
    given = rows([[]], [[]])
    other = classify.build(Spec(SPEC.input, Category(("a", "b"))), classify.Config())
    assert boxes.told(dataset(given["target"]), given, nn.Identity(), other) == {}

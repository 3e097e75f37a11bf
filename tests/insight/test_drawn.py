"""Answers drawn: a file for each input, whatever it is called, and none for what cannot be drawn."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from deepen.data.framed import FramedPreprocess
from deepen.data.mask_folder import pair
from deepen.data.run_lengths import packed
from deepen.deploy.model import Model
from deepen.deploy.model import run as model_run
from deepen.errors import Problem
from deepen.insight.drawn import Drawing
from deepen.spec import Category, Mask, Quantity, Spec
from deepen.spec import Image as Pictures
from deepen.tasks import segment

Trained = dict[str, Path]


def test_classes(call: Any, trained: Trained, tmp_path: Path) -> None:
    source = trained["source pictures"]
    done = call("predict", str(trained["pictures"]), str(source), "--save", str(tmp_path / "out"), "--json")
    assert done.code == 0, done.err
    saved = [Path(path) for path in done.json["saved"]]
    assert len(saved) == len(set(saved)) == 24  # red/00.png and green/00.png are called the same
    for path in saved:
        drawn = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        assert drawn.tag.endswith("svg")
        assert {"red", "green"} <= {element.text for element in drawn.iter() if element.tag.endswith("text")}


def test_rows_of_a_table(call: Any, trained: Trained, tmp_path: Path) -> None:
    done = call("predict", str(trained["table"]), str(trained["source table"]), "--save", str(tmp_path), "--json")
    assert done.code == 0, done.err
    with Path(done.json["saved"][0]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["category"] for row in rows] == [answer["category"] for answer in done.json["predictions"]]


def test_a_name_that_could_be_markup(call: Any, trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "a<b>&'.png"
    Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8)).save(path)
    done = call("predict", str(trained["pictures"]), str(path), "--save", str(tmp_path / "out"), "--json")
    assert done.code == 0, done.err
    ElementTree.fromstring(Path(done.json["saved"][0]).read_text(encoding="utf-8"))


def test_a_folder_that_cannot_be_made(call: Any, trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = call("predict", str(trained["pictures"]), str(trained["source pictures"]), "--save", str(tmp_path / "file"))
    assert done.code == 2
    assert "--save" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("word", ["--save"])
def test_a_folder_is_needed(call: Any, trained: Trained, word: str) -> None:
    assert call("predict", str(trained["pictures"]), "x.png", word).code == 2


def test_no_picture_is_written_over(call: Any, trained: Trained, tmp_path: Path) -> None:
    source = trained["source pictures"] / "red"
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = call("predict", str(trained["pictures"]), str(tmp_path), "--save", str(tmp_path), "--json")
    assert done.code == 0, done.err
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


SEGMENTED = Spec(Pictures(3, 16, 16), Mask(("a", "b")))


def test_a_mask_takes_the_place_of_no_label(tmp_path: Path) -> None:
    label = np.ones((16, 16), dtype=np.uint8)
    Image.new("RGB", (16, 16)).save(tmp_path / "p.jpg")
    for name in ("p-mask.png", "p-answer.png"):
        Image.fromarray(label).save(tmp_path / name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    source = str(tmp_path / "p.jpg")
    drawing = Drawing(tmp_path, SEGMENTED, [source])
    drawing.add({"input": source, "mask": packed(0 * label), "shares": {"a": 1.0}})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert drawing.folder == tmp_path.with_name(f"{tmp_path.name}-2")
    assert drawing.saved == [drawing.folder / "p.svg", drawing.folder / "p-answer.png"]
    # Nor is it taken for a label where it lies beside its picture.
    assert pair(["p.jpg", "p-mask.png", "p-answer.png"]).mask_of == {"p.jpg": "p-mask.png"}


def test_what_was_drawn_before_is_kept(call: Any, trained: Trained, tmp_path: Path) -> None:
    for run, source, name in (("pictures", "source pictures", "00.svg"), ("table", "source table", "predictions.csv")):
        words = ("predict", str(trained[run]), str(trained[source]), "--save", str(tmp_path / run))
        assert call(*words).code == 0
        (tmp_path / run / name).write_text("mine")
        done = call(*words)
        assert done.code == 0, done.err
        assert f"{run}-2, since" in done.out.replace("\n", "")
        assert (tmp_path / run / name).read_text() == "mine"
        assert (tmp_path / f"{run}-2" / name).is_file()


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    """Five pictures, and one that is cut short between them."""
    made = tmp_path / "given"
    made.mkdir()
    for number in range(5):
        data = (trained["source pictures"] / "red" / f"{number:02}.png").read_bytes()
        (made / f"{2 * number}.png").write_bytes(data)
    (made / "3.png").write_bytes(data[: len(data) // 2])
    return made


def test_one_damaged_picture_takes_no_answer_from_the_others(
    call: Any, trained: Trained, folder: Path, tmp_path: Path
) -> None:
    words = ("predict", str(trained["pictures"]), str(folder), str(tmp_path / "gone.png"))
    done = call(*words, "--save", str(tmp_path / "out"), "--json")
    assert done.code == done.json["exit"] == 1
    assert [Path(one["input"]).name for one in done.json["predictions"]] == [
        "0.png",
        "2.png",
        "4.png",
        "6.png",
        "8.png",
    ]
    assert [Path(path).name for path in done.json["saved"]] == ["0.svg", "2.svg", "4.svg", "6.svg", "8.svg"]
    assert [Path(one["input"]).name for one in done.json["bad"]] == ["gone.png", "3.png"]
    assert "cut short" in done.json["bad"][1]["reason"]
    assert done.json["error"] == done.json["bad"][0]["reason"]
    missing, damaged = done.err.splitlines()[:2]
    assert missing.startswith("deepen: There is no file")
    assert damaged.startswith(f"deepen: '{folder / '3.png'}' cannot be used")
    done = call(*words)
    assert done.code == 1
    assert len(done.out.splitlines()) == 5
    assert len(done.err.splitlines()) == 2


def test_nothing_but_damaged_pictures(call: Any, trained: Trained, folder: Path) -> None:
    done = call("predict", str(trained["pictures"]), str(folder / "3.png"), "--json")
    assert (done.code, done.json["predictions"], len(done.json["bad"])) == (1, [], 1)
    assert done.err.count("\n") == 1


def test_of_several_tables_those_that_fit_are_answered(call: Any, trained: Trained, tmp_path: Path) -> None:
    for name, text in (("a.csv", "x1,x2\n1,2\n"), ("b.csv", "x1,y\n1,2\n"), ("c.csv", "x1,x2\n1,2\n3,4\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = call(
        "predict", str(trained["table"]), *(str(tmp_path / name) for name in ("a.csv", "b.csv", "c.csv")), "--json"
    )
    assert done.code == 1
    assert len(done.json["predictions"]) == 3
    assert "no column 'x2'" in done.json["bad"][0]["reason"]


def test_control_c_keeps_what_is_drawn(
    call: Any, trained: Trained, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepen.deploy.model.BATCH", 2)
    calls: list[Any] = []

    def interrupted(*given: Any) -> Tensor:
        calls.append(given)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return model_run(*given)

    monkeypatch.setattr("deepen.deploy.model.run", interrupted)
    done = call("predict", str(trained["pictures"]), str(folder), "--save", str(tmp_path / "out"))
    assert done.code == 130
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.svg", "2.svg", "4.svg", "6.svg"]
    assert "4 files in" in done.out


class Bright(nn.Module):
    """Answers b where a picture is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, input: Tensor) -> Tensor:
        grey = input.mean(1)
        return torch.stack([-grey, grey], 1)


@pytest.mark.parametrize("tile", [False, True])
def test_answers_in_pictures_are_those_of_the_right_picture(tmp_path: Path, tile: bool) -> None:
    preprocess = FramedPreprocess(3, 16, 16, (0.5,) * 3, (1.0,) * 3, tile)
    model = Model(Bright(), segment.build(SEGMENTED, segment.Config()), preprocess, {"task": {"name": "segment"}})
    for number in range(40):
        Image.new("RGB", (40, 10 + number), (255 * (number % 2),) * 3).save(tmp_path / f"{number:02}.png")
    for number in (0, 7, 8, 39):
        (tmp_path / f"{number:02}.png").write_bytes(b"")
    refused: list[str] = []
    named = model.read([str(tmp_path)], lambda name, problem: refused.append(name))
    answers = list(model.answers(named, lambda name, problem: refused.append(name)))
    assert [Path(name).stem for name in refused] == ["00", "07", "08", "39"]
    assert len(answers) == 36
    for answer in answers:
        number = int(Path(answer["input"]).stem)
        assert answer["mask"]["size"] == [10 + number, 40]
        assert answer["shares"] == {"ab"[number % 2]: 1.0}
    with pytest.raises(Problem, match=r"00\.png' cannot be used"):
        model.predict(str(tmp_path))


def test_what_cannot_be_drawn_is_said_before_anything_is_answered(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="leave out --save"):
        Drawing(tmp_path / "out", Spec(Pictures(3, 16, 16), Quantity(("x",))), ["a.png"])
    assert not (tmp_path / "out").exists()
    with pytest.raises(Problem, match="--save"):
        Drawing(Path(__file__), Spec(Pictures(3, 16, 16), Category(("a", "b"))), ["a.png"])

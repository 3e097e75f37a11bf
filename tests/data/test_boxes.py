"""What happens to boxes between a label file and the rows that are trained on."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from deepen.data.box_checks import Labels
from deepen.data.boxes import assemble
from deepen.data.dataset import Bad, Dataset
from deepen.data.piles import pile_at
from deepen.errors import Misuse, Problem
from deepen.insight.audit import audit
from deepen.recipe import Data
from deepen.spec import ignored


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def lay(root: Path, sizes: dict[str, tuple[int, int]]) -> Path:
    """Grey pictures of (height, width), each of its own brightness."""
    root.mkdir(parents=True, exist_ok=True)
    for number, (name, (height, width)) in enumerate(sizes.items()):
        Image.new("L", (width, height), 40 + number).save(root / name)
    return root


def labelled(*corners: tuple[float, float, float, float], names: tuple[str, ...] = ("a",), pictures: int = 8) -> Labels:
    """`pictures` pictures with one sound box each; the first has `corners` in its place."""
    labels = Labels(names=list(names))
    for number in range(pictures):
        owner = labels.picture(f"{number}.png")
        for line, one in enumerate(corners if number == 0 else [(1, 1, 5, 5)], 1):
            labels.box(owner, one, 0, f"line {line} of {number}.txt")
    return labels


def made(root: Path, labels: Labels, seed: int = 0, bad: tuple[Bad, ...] = (), **options: object) -> Dataset:
    data = Data(**options)  # type: ignore[arg-type]
    return assemble(
        "some", pile_at(str(root)), labels, data, seed, kind="tests", testing="draw one", digest="0", bad=bad
    )


def all_rows(dataset: Dataset) -> dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Row, boxes and size of every picture by its name."""
    parts = [dataset.train, dataset.validation]
    if dataset.test is not None:
        parts.append(dataset.test.open(lambda: 1))
    return {
        Path(part.origin(row)).name: (part["input"][row], part["target"][row], part["size"][row])
        for part in parts
        for row in range(len(part))
    }


def subjects(dataset: Dataset) -> dict[str, str]:
    return {finding.subject: finding.text for finding in dataset.findings}


def used(boxes: torch.Tensor) -> list[list[float]]:
    return [row for row in boxes.tolist() if row[4] >= 0]


def test_rows_hold_the_boxes_of_their_pictures_in_their_own_pixels(tmp_path: Path) -> None:
    sizes = {f"{number}.png": ((20, 40), (40, 20), (10, 10), (7, 33))[number % 4] for number in range(12)}
    labels = Labels(names=["a", "b"])
    for number, (height, width) in enumerate(sizes.values()):
        owner = labels.picture(f"{number}.png")
        for count in range(number % 3):
            labels.box(owner, (0.25 * width, 0.5 * height, width, height), count, f"{number}")
    dataset = made(lay(tmp_path / "x", sizes), labels, size=20)
    assert dataset.train["input"].shape[1:] == (20, 20, 1)
    assert dataset.train["target"].dtype == torch.float32
    rows = all_rows(dataset)
    assert len(rows) == 12
    for number, (name, (height, width)) in enumerate(sizes.items()):
        row, boxes, size = rows[name]
        assert size.tolist() == [height, width]
        scale = 20 / max(height, width)
        expected = torch.tensor([0.25 * width, 0.5 * height, width, height]) * scale
        assert torch.allclose(boxes[: number % 3, :4], expected, atol=1e-4)
        assert [box[4] for box in used(boxes)] == list(range(number % 3))
        assert (boxes[number % 3 :] == torch.tensor([0.0, 0, 0, 0, -1])).all()
        frame = dataset.preprocess.frame(height, width)  # type: ignore[attr-defined]
        assert (row[: frame.keep[2], : frame.keep[3]] == 40 + number).all()


WRONG = {
    "boxes-empty": [(5, 5, 5, 9), (9, 9, 5, 5), (3, 3, 3, 3)],
    "boxes-outside": [(30, 1, 40, 5), (-9, -9, -2, -2), (1, 20, 4, 24)],
    "boxes-not-numbers": [(float("nan"), 1, 5, 5), (1, 1, float("inf"), 5)],
    "boxes-repeated": [(2, 2, 6, 6), (2, 2, 6, 6)],
}


@pytest.mark.parametrize("subject", WRONG)
def test_a_box_that_cannot_be_is_left_out_and_told_with_its_place(subject: str, tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(8)})
    corners = [(2, 2, 6, 6), *WRONG[subject]]
    dataset = made(root, labelled(*corners))
    count = len(WRONG[subject])
    assert subjects(dataset)[subject].startswith(f"{count} box")
    assert "line 2 of 0.txt" in subjects(dataset)[subject]
    assert used(all_rows(dataset)["0.png"][1]) == [[2, 2, 6, 6, 0]]


def test_what_reaches_over_an_edge_is_cut_there(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(8)})
    dataset = made(root, labelled((-5, 2, 6, 99), (0.2, -0.3, 24.4, 16.2)))
    assert used(all_rows(dataset)["0.png"][1]) == [[0, 2, 6, 16, 0], [pytest.approx(0.2), 0, 24, 16, 0]]
    # Less than half a pixel is rounding and not worth a word.
    assert subjects(dataset)["boxes-cut"].startswith("1 box that reach")


def test_no_picture_has_more_boxes_than_there_is_room_for(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (40, 60) for number in range(8)})
    labels = labelled(*[(x, y, x + 3, y + 3) for x in range(50) for y in range(30)])
    dataset = made(root, labels)
    assert dataset.train["target"].shape[1] == 1000
    assert subjects(dataset)["boxes-too-many"].startswith("500 boxes after the first 1,000 of a picture")


def test_shares_become_pixels_and_too_large_ones_do_no_harm(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(8)})
    labels = labelled((0.25, 0.5, 0.5, 1), (0, 0, 1e308, 1), (-1.7e308, 0, 1.7e308, 1))
    labels.relative = True
    for number in range(3, len(labels.corners)):
        labels.corners[number] = (0, 0, 1, 1)
    rows = all_rows(made(root, labels))
    assert used(rows["0.png"][1])[0] == [6, 8, 12, 16, 0]
    assert used(rows["1.png"][1]) == [[0, 0, 24, 16, 0]]


def test_a_size_that_the_label_file_says_wrongly_is_told(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(8)})
    labels = labelled((1, 1, 5, 5))
    labels.declared[3] = (24, 16)
    labels.declared[4] = (16, 24)
    assert "'3.png' has 16x24 pixels, 24x16 is said" in subjects(made(root, labels))["size-differs"]


def test_pictures_without_boxes_stay_and_are_counted(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(9)})
    labels = labelled((1, 1, 5, 5))
    labels.picture("8.png")
    dataset = made(root, labels)
    assert len(all_rows(dataset)) == 9
    assert subjects(dataset)["no-boxes"].startswith("1 of 9 pictures have no box")
    assert dataset.facts[0] == "A folder of pictures with boxes (tests): 9 pictures, 8 boxes: 8 a."


def test_a_picture_with_nothing_but_ignored_boxes_stays(tmp_path: Path) -> None:
    sizes = {f"{number}.png": (10, 10) for number in range(8)}
    labels = labelled((1, 1, 5, 5), (2, 2, 9, 9), (0, 0, 9, 9), (0, 0, 0, 0))
    labels.classes[:4] = [ignored(0, crowd=True), ignored(0, crowd=False), ignored(0, crowd=False), ignored(0, True)]
    dataset = made(lay(tmp_path / "some", sizes), labels)
    target = all_rows(dataset)["0.png"][1]
    assert target.tolist() == [[1, 1, 5, 5, -3], [2, 2, 9, 9, -2], [0, 0, 9, 9, -2]]
    assert len(all_rows(dataset)) == 8
    assert "Ignored boxes: 1 of crowds, 2 of difficult objects;" in " ".join(dataset.facts)
    assert "7 boxes: 7 a." in dataset.facts[0]
    assert "no-boxes" not in subjects(dataset)
    assert "line 4 of 0.txt" in subjects(dataset)["boxes-empty"]
    findings = audit(dataset, seed=0)
    assert not any(one.level == "error" and "box" in one.text for one in findings)


def test_a_set_without_any_box_is_refused(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {"0.png": (16, 24)})
    with pytest.raises(Problem, match="1 pictures and no box"):
        made(root, labelled((5, 5, 5, 5), pictures=1))


def test_bad_pictures_and_labels_end_the_training_or_are_left_out(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(9)})
    (root / "1.png").write_bytes(b"no picture")
    bad = (Bad("7.txt", "line 1 is wrong"),)
    with pytest.raises(Problem, match=r"2 faults .*7\.txt': line 1 is wrong; .*1\.png': it is not a picture.*skip_bad"):
        made(root, labelled((1, 1, 5, 5)), bad=bad)
    dataset = made(root, labelled((1, 1, 5, 5)), bad=bad, skip_bad=True)
    assert sorted(all_rows(dataset)) == [f"{number}.png" for number in (0, 2, 3, 4, 5, 6, 7)]
    assert [Path(one.path).name for one in dataset.bad] == ["7.txt", "1.png"]


def test_nothing_but_bad_pictures(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/0.png").write_bytes(b"no picture")
    with pytest.raises(Problem, match="1 fault"):
        made(tmp_path / "x", labelled((1, 1, 5, 5), pictures=1))
    with pytest.raises(Problem, match="0 pictures and no box"):
        made(tmp_path / "x", labelled((1, 1, 5, 5), pictures=1), skip_bad=True)


def test_rare_classes_have_their_share_of_every_part(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(100)})
    labels = labelled((1, 1, 5, 5), names=("common", "rare"), pictures=100)
    for number in range(10):
        labels.box(number, (2, 2, 9, 9), 1, "")
    dataset = made(root, labels)
    assert dataset.test is not None
    parts = [dataset.train, dataset.validation, dataset.test.open(lambda: 1)]
    assert [len(part) for part in parts] == [70, 10, 20]
    assert [int((part["target"][..., 4] == 1).sum()) for part in parts] == [7, 1, 2]
    limited = made(root, labels, limit=3)
    assert len(limited.train) == 3
    assert limited.validation.origins == dataset.validation.origins


def test_given_parts_are_kept(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(8)})
    labels = labelled((1, 1, 5, 5))
    labels.splits[:] = ["train"] * 5 + ["validation"] * 2 + ["test"]
    dataset = made(root, labels)
    assert [Path(dataset.validation.origin(row)).name for row in range(2)] == ["5.png", "6.png"]


def test_settings_that_boxes_cannot_follow_are_refused(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(8)})
    for key, value in {"size": 0, "resize": 20, "target": "a", "test": "y"}.items():
        with pytest.raises(Misuse, match=rf"data\.{key}="):
            made(root, labelled((1, 1, 5, 5)), **{key: value})
    with pytest.raises(Misuse, match="resize"):
        made(root, labelled((1, 1, 5, 5)), size=16, resize=20)


def test_how_a_test_split_is_given_is_said_to_who_has_none(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(8)})
    with pytest.raises(Misuse, match=r"data\.test=y is not read for 'some': draw one\."):
        made(root, labelled((1, 1, 5, 5)), test="y")
    labels = labelled((1, 1, 5, 5))
    labels.splits[:3] = ["validation", "validation", "validation"]
    assert "the validation score is all there is. To have one, draw one." in " ".join(made(root, labels).facts)
    labels.splits[0] = "test"
    with pytest.raises(Misuse, match="it brings a test split of its own"):
        made(root, labels, test="y")


def test_class_names_that_are_nearly_alike_are_mended_in_label_files(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(8)})
    dataset = made(root, labelled((1, 1, 5, 5), names=("Square", "square")))
    (mend,) = [finding.mend for finding in dataset.findings if finding.subject == "label-typos"]
    assert mend == "Give one name in the label files to the boxes of 'Square', 'square'."


def test_mean_and_deviation_may_be_given(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(8)})
    dataset = made(root, labelled((1, 1, 5, 5)), mean=(0.5,), std=(0.25,))
    assert dataset.preprocess.mean == (0.5,)  # type: ignore[attr-defined]


def test_boxes_follow_a_picture_that_its_camera_turned(tmp_path: Path) -> None:
    root = lay(tmp_path / "x", {f"{number}.png": (16, 24) for number in range(8)})
    turned = Image.new("L", (24, 16), 100)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    turned.save(buffer, "JPEG", exif=exif)
    (root / "0.jpg").write_bytes(buffer.getvalue())
    (root / "0.png").unlink()
    labels = labelled((1, 2, 5, 20))
    labels.pictures[0] = "0.jpg"
    _, boxes, size = all_rows(made(root, labels, size=24))["0.jpg"]
    assert size.tolist() == [24, 16]
    assert used(boxes) == [[1, 2, 5, 20, 0]]

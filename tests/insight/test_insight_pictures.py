"""Pictures: the pixels that go in come out, text cannot break out, files are whole."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from deepen.insight import ink, pictures
from deepen.insight.pictures import Mistake

NASTY = '<img src=x onerror=alert(1)>"&\x07'


def random_pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def images(drawn: str) -> list[np.ndarray]:
    """The pixels of every embedded picture."""
    found = []
    for node in ElementTree.fromstring(drawn).iter():
        if node.tag.endswith("image"):
            content = base64.b64decode(node.attrib["href"].partition(",")[2])
            found.append(np.asarray(Image.open(io.BytesIO(content))))
    return found


def words(drawn: str) -> list[str]:
    return [node.text for node in ElementTree.fromstring(drawn).iter() if node.tag.endswith("text")]


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_keep_their_pixels_and_labels(channels):
    inputs = random_pixels(9, 8, 8, channels)
    drawn = pictures.samples(inputs, [f"类 {i}" for i in range(9)])
    found = images(drawn)
    assert len(found) == 9
    for shown, given in zip(found, inputs, strict=True):
        np.testing.assert_array_equal(shown.reshape(8, 8, channels), given)
    assert "类 8" in words(drawn)


def test_fewer_than_nine_samples():
    assert len(images(pictures.samples(random_pixels(2, 8, 8, 1), ["a", "b"]))) == 2
    assert "none" in words(pictures.samples(random_pixels(0, 8, 8, 1), []))


def test_augmented_shows_each_original_and_its_variants():
    originals, variants = random_pixels(9, 8, 8, 3), random_pixels(9, 6, 8, 8, 3)
    found = images(pictures.augmented(originals, variants))
    assert len(found) == 9 * 7
    np.testing.assert_array_equal(found[7], originals[1])
    np.testing.assert_array_equal(found[8 + 5], variants[1, 5])


def test_large_photographs_become_small():
    uri = ink.href(random_pixels(2000, 1000, 3))
    assert uri.startswith("data:image/jpeg;base64,")
    shown = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert shown.size == (160, 320)


def test_only_uint8_pixels_are_drawn():
    with pytest.raises(AssertionError, match="uint8"):
        ink.href(np.zeros((4, 4, 1)))


def test_mistakes_as_pictures_and_as_rows():
    seen = [Mistake("a", NASTY, 0.97, "data/" + NASTY, random_pixels(8, 8, 1))] * 3
    drawn = pictures.mistakes(seen)
    assert len(images(drawn)) == 3
    rows = [Mistake("12", "17", None, "file.csv:3", values=(("age", "31"), (NASTY, "x")))]
    assert {"true", "age", "31", "file.csv:3"} <= set(words(pictures.mistakes(rows)))
    assert "none" in words(pictures.mistakes([]))
    for text in (drawn, pictures.mistakes(rows)):
        assert "<img" not in text


def test_progress_shows_the_first_and_the_last():
    grids = [(f"step {i}", np.full((10, 10, 1), i, dtype=np.uint8)) for i in range(23)]
    found = images(pictures.progress(grids))
    assert (int(found[0][0, 0]), int(found[-1][0, 0])) == (0, 22)
    assert len(found) == 6
    assert len(images(pictures.progress(grids[:1]))) == 1
    assert images(pictures.progress([])) == []


def test_wide_tables_say_what_they_leave_out():
    header = [f"c{i}" for i in range(30)]
    found = words(pictures.rows_table("t", header, [[str(i) for i in range(30)]]))
    assert "c29" in found
    assert "c20" not in found
    assert "and 21 more columns" in found


def test_scatter_draws_every_sample():
    drawn = pictures.scatter(
        np.random.default_rng(0).random((30, 2)), np.arange(30) % 3, ["a", "b", "c"], ("x", "y"), title="t"
    )
    assert drawn.count("h0") == 30


def test_saved_files_are_named_for_their_pictures(tmp_path: Path):
    paths = pictures.save(tmp_path / "pictures", {"loss": "<svg/>", "../../macro f1": "<svg>猫</svg>"})
    assert [path.name for path in paths] == ["loss.svg", "macro-f1.svg"]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["loss.svg", "macro-f1.svg"]
    assert paths[1].read_text(encoding="utf-8") == "<svg>猫</svg>"

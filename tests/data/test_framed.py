"""Whole pictures in rows: where they lie, that nothing is resampled without need, and that tiles cover a picture once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepen.data.decode import decode
from deepen.data.framed import MOST_TILED, PADDING, FramedPreprocess, Letterbox, choose, cuts, fitted
from deepen.data.image_files import Header
from deepen.data.piles import pile_at
from deepen.data.preprocess import dump, restore
from deepen.errors import Problem


def boxes(height: int, width: int, channels: int = 3, *, tile: bool = False) -> FramedPreprocess:
    return FramedPreprocess(channels, height, width, (0.5,) * channels, (0.25,) * channels, tile)


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_a_picture_of_the_size_of_the_row_is_not_touched() -> None:
    pixels = noise(13, 17)
    preprocess = boxes(13, 17)
    assert (preprocess.encode([pixels])[0].numpy() == pixels).all()
    assert (preprocess.encode([Image.fromarray(pixels)])[0].numpy() == pixels).all()
    frame = preprocess.frame(13, 17)
    assert (frame.scale, frame.keep) == (1.0, (0, 0, 13, 17))


@pytest.mark.parametrize(("height", "width"), [(480, 640), (30, 40), (90, 20), (7, 300), (1, 5000)])
def test_every_other_is_scaled_up_or_down_until_it_fits(height: int, width: int) -> None:
    preprocess = boxes(60, 80)
    row = preprocess.encode([np.full((height, width, 3), 200, dtype=np.uint8)])[0].numpy()
    frame = preprocess.frame(height, width)
    _, _, tall, wide = frame.keep
    assert (row[:tall, :wide] == 200).all()
    assert (row[tall:] == PADDING).all()
    assert (row[:, wide:] == PADDING).all()
    assert tall == 60 or wide == 80
    assert abs(tall - height * frame.scale) <= 1
    assert abs(wide - width * frame.scale) <= 1


def test_files_are_turned_upright_before_they_are_fitted(tmp_path: Path) -> None:
    pixels = noise(20, 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    preprocess = boxes(40, 20)
    (row, (frame,)) = next(preprocess.pieces([tmp_path / "turned.png"]))
    assert (row[0].numpy() == np.rot90(pixels, -1)).all()
    assert (frame.height, frame.width) == (40, 20)


def test_a_large_jpeg_comes_out_like_its_pixels(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 1000).astype(np.uint8)
    pixels = np.stack([np.tile(ramp, (700, 1))] * 3, axis=2)
    Image.fromarray(pixels).save(tmp_path / "ramp.jpg", quality=95)
    preprocess = boxes(70, 100)
    file, array = preprocess.encode([tmp_path / "ramp.jpg"]), preprocess.encode([pixels])
    assert (file.int() - array.int()).abs().max() <= 3


def test_arrays_may_be_planes_or_grey_and_of_any_size() -> None:
    pixels = noise(9, 11)
    assert (boxes(9, 11).encode([pixels.transpose(2, 0, 1)])[0].numpy() == pixels).all()
    assert boxes(9, 11, 1).encode([pixels[..., 0]]).shape == (1, 9, 11, 1)
    assert boxes(9, 11).encode([torch.rand(3, 50, 40)]).shape == (1, 9, 11, 3)
    with pytest.raises(Problem, match="array of shape 9x11, expected height x width x 3"):
        boxes(9, 11).encode([pixels[..., 0]])


@pytest.mark.parametrize("length", [1, 31, 32, 33, 40, 56, 57, 100, 1000])
def test_cuts_answer_for_every_pixel_once(length: int) -> None:
    parts = cuts(length, 32)
    covered = [place for _, first, last in parts for place in range(first, last)]
    assert covered == list(range(length))
    for start, first, last in parts:
        assert 0 <= start <= first < last <= start + 32
        assert length <= 32 or start + 32 <= length
    for (_, _, last), (start, _, _) in pairwise(parts):
        assert last - start >= 4  # what both see is at least an eighth on each side


def test_tiles_put_together_are_the_picture() -> None:
    pixels = [noise(70, 90), noise(20, 33), noise(32, 32)]
    preprocess = boxes(32, 32, tile=True)
    whole = [np.zeros_like(one) for one in pixels]
    order = []
    for rows, frames in preprocess.pieces(pixels):
        for row, frame in zip(rows.numpy(), frames, strict=True):
            top, left, bottom, right = frame.keep
            y, x = int(frame.top), int(frame.left)
            whole[frame.item][y + top : y + bottom, x + left : x + right] = row[top:bottom, left:right]
            order.append(frame.item)
            assert (frame.height, frame.width) == pixels[frame.item].shape[:2]
    assert order == sorted(order)
    for one, made in zip(pixels, whole, strict=True):
        assert (one == made).all()


def test_pieces_are_handed_out_some_at_a_time_and_read_when_they_are_asked_for(tmp_path: Path) -> None:
    preprocess = boxes(1024, 1024, tile=True)
    given = preprocess.pieces([np.zeros((2500, 1024, 3), dtype=np.uint8), tmp_path / "missing.png"])
    assert [len(next(given)[0]) for _ in range(3)] == [1, 1, 1]
    with pytest.raises(Problem, match=r"missing\.png' cannot be used as a picture: No such file"):
        list(given)


def test_a_row_of_tiles_does_not_stand_for_a_larger_picture() -> None:
    with pytest.raises(Problem, match="40x32 pixels, more than a row of 32x32"):
        boxes(32, 32, tile=True).encode([noise(40, 32)])
    assert boxes(32, 32, tile=True).encode([noise(20, 30)]).shape == (1, 32, 32, 3)


def test_tiles_take_larger_pictures_than_rows_do(tmp_path: Path) -> None:
    side = 9_000
    Image.new("L", (side, side)).save(tmp_path / "large.png")
    with pytest.raises(Problem, match="over the limit of 80 million"):
        boxes(32, 32, 1).encode([tmp_path / "large.png"])
    assert side * side < MOST_TILED
    rows, frames = next(boxes(512, 512, 1, tile=True).pieces([tmp_path / "large.png"]))
    assert len(rows) == len(frames) == 4


def test_it_is_kept_in_a_bundle_and_restored() -> None:
    preprocess = boxes(32, 48, tile=True)
    assert restore(dump(preprocess)) == preprocess


def test_pixels_are_the_way_back_of_tensor() -> None:
    preprocess = FramedPreprocess.fit(torch.from_numpy(noise(12, 15)[None]))
    rows = preprocess.encode([noise(12, 15)])
    assert (preprocess.pixels(preprocess.tensor(rows)) == rows).all()


@pytest.mark.parametrize(
    ("sizes", "box", "expected"),
    [
        ([(240, 320)] * 2, Letterbox(), (240, 320)),
        ([(480, 640)] * 2, Letterbox(longer=320), (240, 320)),
        ([(480, 640)] * 2, Letterbox(), (312, 416)),
        ([(480, 640)] * 2, Letterbox(usual=640), (480, 640)),
        ([(480, 640), (640, 480)], Letterbox(longer=100), (100, 100)),
        ([(480, 640), (100, 300)], Letterbox(longer=320), (240, 320)),
        ([(40, 60), (50, 50)], Letterbox(), (60, 60)),
        ([(480, 640)], Letterbox(height=100, width=90), (100, 90)),
    ],
)
def test_rows_are_the_smallest_that_hold_every_picture(
    sizes: list[tuple[int, int]], box: Letterbox, expected: tuple[int, int]
) -> None:
    height, width, channels, facts = choose([Header(*size, 3) for size in sizes], box)
    assert (height, width) == expected
    assert channels == 3
    assert len(facts) == 1
    if not box.height:
        # every picture is scaled to the side that was asked for, whatever the others are
        longer = box.longer or max(expected)
        assert all(max(fitted(*size, height, width)) in (longer, max(size)) for size in sizes)


def test_a_pile_is_decoded_whole_once_and_the_sizes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, size in enumerate([(20, 40), (40, 20), (10, 10)]):
        Image.fromarray(noise(*size)).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"no picture")
    for _ in range(2):
        made = decode(pile_at(str(folder)), Letterbox(longer=32))
        assert made.rows.shape == (3, 32, 32, 3)
        assert made.sizes == [(20, 40), (40, 20), (10, 10)]
        assert [bad.path for bad in made.bad] == ["3.png"]
        alone = boxes(32, 32).encode([folder / name for name in made.names])
        assert (made.rows == alone).all()

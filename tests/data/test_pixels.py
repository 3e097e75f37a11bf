import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from deepen.data import image_files
from deepen.data.image_files import Header, UnreadableError, header, quiet
from deepen.data.pixels import ImagePreprocess
from deepen.data.preprocess import dump, restore
from deepen.errors import Problem

COLOURS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def plain(channels: int, height: int, width: int) -> ImagePreprocess:
    return ImagePreprocess(channels, height, width, (0.5,) * channels, (0.25,) * channels)


def file_of(image: Image.Image, ending: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, ending, **options)
    return buffer.getvalue()


def smooth(height: int, width: int) -> np.ndarray:
    """A picture whose corners differ, so that turning and cropping can be told apart."""
    down, across = np.mgrid[0:height, 0:width]
    return np.stack([down * 255 // max(height - 1, 1), across * 255 // max(width - 1, 1), 0 * down + 99], -1).astype(
        np.uint8
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_the_tensor_is_the_plain_formula(channels: int) -> None:
    rows = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (5, 6, 7, channels), dtype=np.uint8))
    preprocess = ImagePreprocess.fit(rows)
    values = rows.numpy().astype(np.float64) / 255
    mean, std = values.mean((0, 1, 2)), values.std((0, 1, 2))
    assert preprocess.mean == pytest.approx(mean, abs=1e-12)
    assert preprocess.std == pytest.approx(std, abs=1e-9)
    made = preprocess.tensor(rows)
    expected = ((values - mean) / std).transpose(0, 3, 1, 2)
    assert made.shape == (5, channels, 6, 7)
    assert made.dtype == torch.float32
    assert made.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(made.numpy(), expected, atol=2e-6)
    assert torch.equal(preprocess.pixels(made), rows)


def test_statistics_do_not_depend_on_how_rows_are_cut_into_chunks() -> None:
    rows = torch.full((700, 3, 3, 1), 255, dtype=torch.uint8)
    rows[::2] = 254
    preprocess = ImagePreprocess.fit(rows)
    assert preprocess.mean == pytest.approx((254.5 / 255,), abs=1e-15)
    assert preprocess.std == pytest.approx((0.5 / 255,), abs=1e-9)


def test_a_channel_that_is_the_same_everywhere_stays_finite() -> None:
    rows = torch.full((4, 2, 2, 3), 7, dtype=torch.uint8)
    assert ImagePreprocess.fit(rows).tensor(rows).abs().max() < 1e-6


def test_what_is_saved_is_what_is_restored() -> None:
    preprocess = ImagePreprocess.fit(torch.from_numpy(COLOURS[None]))
    assert restore(dump(preprocess)) == preprocess


def test_paths_bytes_pictures_and_arrays_come_to_the_same_rows(tmp_path: Path) -> None:
    picture = Image.fromarray(COLOURS)
    path = tmp_path / "a.png"
    picture.save(path)
    items = [path, str(path), path.read_bytes(), picture, COLOURS, torch.from_numpy(COLOURS), COLOURS / 255]
    items.append(COLOURS.transpose(2, 0, 1))
    rows = plain(3, 12, 20).encode(items)
    assert rows.shape == (8, 12, 20, 3)
    assert rows.dtype == torch.uint8
    for row in rows:
        np.testing.assert_array_equal(row.numpy(), COLOURS)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (COLOURS[:5], ["5x20x3", "12x20x3"]),
        (np.zeros((7, 9), np.uint8), ["7x9", "12x20x3"]),
        (np.zeros(784, np.uint8), ["784", "12x20x3"]),
        (COLOURS.astype(np.int32), ["int32", "uint8"]),
        (COLOURS.astype(np.float32), ["255", "0..1"]),
        (np.full((12, 20, 3), np.nan), ["nan", "0..1"]),
        (17, ["int"]),
        ("missing.png", ["missing.png", "No such file"]),
    ],
)
def test_what_is_no_picture_is_refused_with_what_was_expected(item: object, words: list[str]) -> None:
    with pytest.raises(Problem) as caught:
        plain(3, 12, 20).encode([item])
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int) -> None:
    upright = Image.fromarray(smooth(16, 24))
    # What a camera would have stored so that the orientation tag brings back `upright`.
    back = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    stored = upright if back == 1 else upright.transpose(image_files.TURNS[back])
    exif = Image.Exif()
    exif[image_files.ORIENTATION] = orientation
    content = file_of(stored, "PNG", exif=exif)
    np.testing.assert_array_equal(
        np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content)))), np.asarray(upright)
    )
    np.testing.assert_array_equal(plain(3, 16, 24).encode([content])[0].numpy(), np.asarray(upright))
    assert header(content) == Header(16, 24, 3)


def test_sixteen_bit_grey_is_scaled_not_cut() -> None:
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    rows = plain(1, 1, 4).encode([file_of(Image.fromarray(values), "PNG"), file_of(Image.fromarray(values), "TIFF")])
    assert rows.flatten(1).tolist() == [[0, 1, 128, 255]] * 2


def test_cmyk_is_read_as_its_colours() -> None:
    white = file_of(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "JPEG")
    black = file_of(Image.new("CMYK", (4, 4), (0, 0, 0, 255)), "JPEG")
    rows = plain(3, 4, 4).encode([white, black]).float().mean((1, 2, 3))
    assert rows[0] > 250
    assert rows[1] < 5


def test_transparency_lies_over_white() -> None:
    half = file_of(Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "PNG")
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    keyed = file_of(palette, "PNG", transparency=1)
    solid = file_of(palette, "PNG")
    rows = plain(3, 2, 2).encode([half, keyed, solid])
    assert (rows[0] == 255).all()
    assert (rows[1] == 255).all()
    assert rows[2, 0, 0].tolist() == [10, 200, 30]


def test_grey_and_colour_go_into_each_other() -> None:
    grey = Image.new("L", (3, 3), 77)
    assert (plain(3, 3, 3).encode([grey]) == 77).all()
    assert plain(1, 3, 3).encode([Image.new("RGB", (3, 3), (255, 0, 0))]).unique().tolist() == [76]
    assert plain(1, 3, 3).encode([Image.new("1", (3, 3), 1)]).unique().tolist() == [255]


def test_of_an_animation_the_first_picture_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for ending in ("GIF", "WEBP", "PNG"):
        content = file_of(
            frames[0],
            ending,
            save_all=True,
            append_images=frames[1:],
            **({"lossless": True} if ending == "WEBP" else {}),
        )
        assert plain(3, 4, 4).encode([content])[0, 0, 0].tolist() == [255, 0, 0], ending


def test_the_shorter_side_is_scaled_and_the_centre_cropped() -> None:
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = 200
    row = plain(3, 20, 20).encode([Image.fromarray(wide)])[0]
    assert row[:, 1:-1].unique().tolist() == [200]
    tall = plain(3, 20, 20).encode([Image.fromarray(wide.transpose(1, 0, 2))])[0]
    assert torch.equal(tall, row.permute(1, 0, 2))


def test_a_picture_of_the_caller_is_left_as_it_is() -> None:
    lazy = Image.open(io.BytesIO(file_of(Image.fromarray(smooth(400, 400)), "JPEG")))
    plain(3, 8, 8).encode([lazy])
    assert lazy.size == (400, 400)
    half = file_of(Image.fromarray(smooth(400, 400)), "JPEG")[:2000]
    with pytest.raises(Problem, match="truncated"):
        plain(3, 8, 8).encode([Image.open(io.BytesIO(half))])


def test_no_pixel_is_touched_where_the_size_is_right() -> None:
    assert torch.equal(plain(3, 12, 20).encode([Image.fromarray(COLOURS)])[0], torch.from_numpy(COLOURS))


def damaged() -> dict[str, bytes]:
    jpeg = file_of(Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)), "JPEG")
    png = file_of(Image.fromarray(COLOURS), "PNG")
    return {
        "empty": b"",
        "text": b"this is not a picture\n" * 20,
        "half jpeg": jpeg[: len(jpeg) // 2],
        "half png": png[: len(png) // 2],
        "only a header": jpeg[:20],
        "flipped header": png[:18] + bytes(byte ^ 255 for byte in png[18:20]) + png[20:],
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    }


@pytest.mark.parametrize("kind", damaged())
def test_damaged_files_are_refused_with_a_reason(kind: str) -> None:
    with quiet(), pytest.raises(UnreadableError) as caught:
        plain(3, 12, 20).row(damaged()[kind])
    assert len(str(caught.value)) > 10


def test_a_png_that_is_called_jpg_is_read(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(file_of(Image.fromarray(COLOURS), "PNG"))
    np.testing.assert_array_equal(plain(3, 12, 20).encode([path])[0].numpy(), COLOURS)


@pytest.mark.parametrize("side", [9_000, 12_000, 30_000])
def test_bombs_are_refused_before_they_unfold(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pillow warns from 89 million pixels on and refuses from 179 million on; all three end in our own sentence.
    bomb = file_of(Image.new("1", (side, side)), "PNG") if side < 20_000 else forged(side)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("the bomb was decoded"))
    with pytest.raises(Problem, match="limit of 80 million"):
        plain(1, 8, 8).encode([bomb])


def forged(side: int) -> bytes:
    """A BMP header that promises more than the file holds."""
    content = bytearray(file_of(Image.new("L", (4, 4)), "BMP"))
    content[18:22] = content[22:26] = side.to_bytes(4, "little")
    return bytes(content)


def test_nobody_hears_pillows_warnings_and_filters_come_back() -> None:
    before = list(warnings.filters)
    with quiet():
        with quiet():
            warnings.warn_explicit("bomb", Image.DecompressionBombWarning, "x", 1, module="PIL.Image")
        warnings.warn_explicit("bomb", Image.DecompressionBombWarning, "x", 1, module="PIL.Image")
        with pytest.warns(UserWarning, match="mine"):
            warnings.warn("mine", stacklevel=1)
    assert list(warnings.filters) == before


def test_files_and_folders_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("b.png", "in/a.PNG"):
        Image.fromarray(COLOURS).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    found = plain(3, 12, 20).read([str(tmp_path), str(tmp_path / "b.png")])
    assert [Path(name).name for name, _ in found] == ["b.png", "a.PNG", "b.png"]
    with pytest.raises(Problem, match="no file"):
        plain(3, 12, 20).read([str(tmp_path / "nothing.png")])
    (tmp_path / "void").mkdir()
    with pytest.raises(Problem, match="no picture"):
        plain(3, 12, 20).read([str(tmp_path / "void")])


def test_the_centre_is_cut_out_of_the_resized_picture() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    cut = ImagePreprocess(3, 12, 12, (0.5,) * 3, (0.25,) * 3, resize=20)
    row = cut.encode([Image.fromarray(pixels)])[0].numpy()
    np.testing.assert_array_equal(row, pixels[4:16, 10:22], "at whole pixels, unchanged where the size is right")
    wide = smooth(80, 120)
    scaled = Image.fromarray(wide).resize((30, 20), Image.Resampling.BILINEAR)
    expected = np.asarray(scaled)[4:16, 9:21].astype(int)
    difference = np.abs(cut.encode([Image.fromarray(wide)])[0].numpy().astype(int) - expected)
    assert difference.max() <= 2
    assert cut.input.shape == (3, 12, 12)
    jpeg = file_of(Image.fromarray(smooth(800, 1200)), "JPEG", quality=95)  # decoded at an eighth
    assert np.abs(cut.encode([jpeg])[0].numpy().astype(int) - expected).mean() < 6


def test_resize_is_kept_and_old_bundles_have_none() -> None:
    cut = ImagePreprocess(3, 12, 12, (0.5,) * 3, (0.25,) * 3, resize=20)
    assert restore(json.loads(json.dumps(dump(cut)))) == cut
    old = {name: value for name, value in dump(cut).items() if name != "resize"}
    restored = restore(old)
    assert isinstance(restored, ImagePreprocess)
    assert restored.resize is None

import gzip
import hashlib
import io
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from deepen.data import cifar10, digits, fashion_mnist, idx, mnist, places
from deepen.data.idx import IdxFile, load_four, read
from deepen.data.pictures import Numbered, assemble
from deepen.errors import Misuse, Problem
from deepen.recipe import Data

ROOT = os.environ.get("DEEPEN_DATA", "")
needs_data = pytest.mark.skipif(not ROOT, reason="DEEPEN_DATA is not set: it names the folder of the real data sets")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No data anywhere and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPEN_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    dataset = digits.load("digits", Data(), 0)
    assert dataset.test is not None
    parts = [dataset.train, dataset.validation, dataset.test.open(lambda: 1)]
    assert [len(part) for part in parts] == [1258, 180, 359]
    bunch = load_digits()
    expected = sorted(
        (tuple(np.rint(image.ravel() * 255 / 16).astype(int)), label)
        for image, label in zip(bunch.images, bunch.target, strict=True)
    )
    ours = sorted(
        (tuple(row), label)
        for part in parts
        for row, label in zip(part["input"].flatten(1).tolist(), part["target"].tolist(), strict=True)
    )
    assert ours == expected


def test_digits_follow_the_seed_and_the_options() -> None:
    first, same, other = (digits.load("digits", Data(), seed) for seed in (0, 0, 1))
    assert torch.equal(first.train["input"], same.train["input"])
    assert not torch.equal(first.train["input"], other.train["input"])
    assert first.digest == other.digest
    wide = digits.load("digits", Data(size=16, channels=3, limit=100), 0)
    assert wide.train["input"].shape == (100, 16, 16, 3)


@pytest.mark.parametrize(
    "setting", [{"size": 0}, {"threads": 0}, {"group": "x"}, {"time": "x"}, {"target": "x"}, {"test": "x"}]
)
def test_settings_that_pictures_cannot_follow_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(Misuse, match=next(iter(setting))):
        digits.load("digits", Data(**setting), 0)  # type: ignore[arg-type]


@needs_data
@pytest.mark.parametrize("module", [mnist, fashion_mnist])
def test_the_real_sets_have_their_official_parts(module) -> None:  # type: ignore[no-untyped-def]
    dataset = module.load("", module.Config(), 0)
    assert dataset.test is not None
    test = dataset.test.open(lambda: 1)
    assert [len(dataset.train), len(dataset.validation), len(test)] == [55_000, 5_000, 10_000]
    home = Path(ROOT) / ("mnist" if module is mnist else "fashion-mnist")
    with gzip.open(home / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(60_000, 28, 28, 1)
    with gzip.open(home / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    with gzip.open(home / "t10k-images-idx3-ubyte.gz") as file:
        assert file.read()[16:] == test["input"].numpy().tobytes()
    for part in (dataset.train, dataset.validation):
        assert part.origins is not None
        rows = [int(name.rpartition("#")[2]) for name in part.origins]
        np.testing.assert_array_equal(part["input"].numpy(), images[rows])
        np.testing.assert_array_equal(part["target"].numpy(), labels[rows])
    assert dataset.validation["target"].bincount().min() > 400


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files_are_read_plain_and_gzipped(tmp_path: Path, ending: str) -> None:
    array = np.random.default_rng(0).integers(0, 256, (700, 9, 31), dtype=np.uint8)
    path = tmp_path / f"x{ending}"
    path.write_bytes(gzip.compress(idx_bytes(array)) if ending else idx_bytes(array))
    np.testing.assert_array_equal(read(path), array)
    out = np.zeros_like(array)
    assert read(path, out, sha256=hashlib.sha256(idx_bytes(array)).hexdigest()) is out
    np.testing.assert_array_equal(out, array)


@pytest.mark.parametrize("cut", [0, 3, 7, 100])
def test_idx_files_that_are_cut_are_refused(tmp_path: Path, cut: int) -> None:
    content = idx_bytes(np.random.default_rng(0).integers(0, 256, (5, 40), dtype=np.uint8))
    for path, written in (
        (tmp_path / "x", content[:cut]),
        (tmp_path / "x.gz", gzip.compress(content)[: cut // 4 + 12]),
    ):
        path.write_bytes(written)
        with pytest.raises(Problem, match="cut short"):
            read(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"GIF89a" * 9, "not an IDX file"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 1]) + bytes(4), "not an IDX file"),
        (idx_bytes(np.zeros(4, np.uint8)) + b"x", "longer"),
        (b"\x1f\x8b" + b"junk" * 9, "damaged"),
    ],
)
def test_what_is_no_idx_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(Problem, match=words):
        read(tmp_path / "x")


def test_other_content_and_other_shapes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(idx_bytes(np.zeros(4, np.uint8)))
    with pytest.raises(Problem, match="not the published file"):
        read(tmp_path / "x", sha256="0" * 64)
    with pytest.raises(Problem, match="expected 2x2"):
        read(tmp_path / "x", np.zeros((2, 2), np.uint8))


def four(home: Path, folder: str, ending: str) -> tuple[IdxFile, ...]:
    generator = np.random.default_rng(0)
    made = []
    for name, shape in (
        ("a-images-idx3-ubyte", (60, 4, 4)),
        ("a-labels-idx1-ubyte", (60,)),
        ("b-images-idx3-ubyte", (20, 4, 4)),
        ("b-labels-idx1-ubyte", (20,)),
    ):
        content = idx_bytes(generator.integers(0, 3, shape, dtype=np.uint8))
        path = home / folder / (name + ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if ending else content)
        made.append(IdxFile(name, hashlib.sha256(content).hexdigest(), shape))
    return tuple(made)


@pytest.mark.parametrize(("folder", "ending"), [("", ".gz"), ("MNIST/raw", ""), ("raw", ".gz")])
def test_four_files_are_found_where_people_keep_them(empty: Path, folder: str, ending: str) -> None:
    files = four(empty / "set", folder, ending)
    dataset = load_four("set", files, (), ("x", "y", "z"), Data(), 0)
    assert dataset.test is not None
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [54, 6, 20]
    assert dataset.test.open(lambda: 1).origin(3) == "set test #3"


def test_a_missing_file_is_downloaded_only_if_its_content_is_right(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = four(empty / "set", "", ".gz")
    path = empty / "set" / "b-images-idx3-ubyte.gz"
    right = path.read_bytes()
    path.unlink()
    asked = []

    def fetch(urls, target, *, check, most):  # type: ignore[no-untyped-def]
        asked.extend(urls)
        for content in (gzip.compress(b"other"), right[:-9], gzip.compress(bytes(10**6)), right):
            target.write_bytes(content)
            reasons.append(check(target))
        assert most > len(right)
        return target

    reasons: list[str | None] = []
    monkeypatch.setattr(idx, "fetch", fetch)
    load_four("set", files, ("https://one/", "https://two/"), ("x", "y", "z"), Data(), 0)
    assert asked == ["https://one/b-images-idx3-ubyte.gz", "https://two/b-images-idx3-ubyte.gz"]
    assert [bool(reason) for reason in reasons] == [True, True, True, False]


def test_without_data_and_network_it_is_said_where_files_go(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # A port that nobody listens on, on this machine: refused at once, no name looked up.
    monkeypatch.setattr(mnist, "MIRRORS", ("https://127.0.0.1:9/", "https://127.0.0.1:10/"))
    with pytest.raises(Problem) as caught:
        mnist.load("mnist", mnist.Config(), 0)
    text = str(caught.value)
    assert "127.0.0.1:9/train-images-idx3-ubyte.gz" in text
    assert "127.0.0.1:10/" in text
    assert str(empty / "mnist" / "train-images-idx3-ubyte.gz") in text


def cifar(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """The binary version in small: 20 records a file."""
    monkeypatch.setattr(cifar10, "RECORDS", 20)
    monkeypatch.setattr(cifar10, "TRAIN", 100)
    generator = np.random.default_rng(0)
    planes = generator.integers(0, 256, (6, 20, 3, 32, 32), dtype=np.uint8)
    labels = np.tile(np.arange(10, dtype=np.uint8), 12).reshape(6, 20)
    files = {
        name: b"".join(bytes([label]) + one.tobytes() for label, one in zip(labels[n], planes[n], strict=True))
        for n, name in enumerate(cifar10.FILES)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".gz"):
        with tarfile.open(path, "w:gz") as archive:
            for name, content in reversed(files.items()):
                entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        monkeypatch.setattr(cifar10, "ARCHIVE_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    else:
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
    return planes.reshape(120, 3, 32, 32), labels.reshape(120)


@pytest.mark.parametrize("name", ["cifar-10-binary.tar.gz", "cifar-10-batches-bin"])
def test_the_binary_version_of_cifar_is_read(empty: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planes, labels = cifar(empty / "cifar10" / name, monkeypatch)
    dataset = cifar10.load("cifar10", cifar10.Config(), 0)
    assert dataset.test is not None
    test = dataset.test.open(lambda: 1)
    assert [len(dataset.train), len(dataset.validation), len(test)] == [90, 10, 20]
    np.testing.assert_array_equal(test["input"].permute(0, 3, 1, 2).numpy(), planes[100:])
    np.testing.assert_array_equal(test["target"].numpy(), labels[100:])
    assert dataset.train.origins is not None
    rows = [int(origin.rpartition("#")[2]) for origin in dataset.train.origins]
    np.testing.assert_array_equal(dataset.train["input"].permute(0, 3, 1, 2).numpy(), planes[rows])


def test_a_damaged_cifar_is_refused(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = empty / "cifar10" / "cifar-10-batches-bin"
    cifar(path, monkeypatch)
    (path / "test_batch.bin").write_bytes(b"short")
    with pytest.raises(Problem, match="cut short"):
        cifar10.load("cifar10", cifar10.Config(), 0)
    (path / "test_batch.bin").unlink()
    with pytest.raises(Problem, match="lacks test_batch"):
        cifar10.load("cifar10", cifar10.Config(), 0)


def test_an_archive_that_is_not_the_published_one_is_not_opened(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar(empty / "cifar10" / cifar10.ARCHIVE, monkeypatch)
    monkeypatch.setattr(cifar10, "ARCHIVE_SHA256", "0" * 64)
    monkeypatch.setattr(cifar10.archives, "walk", lambda path: pytest.fail("opened"))
    with pytest.raises(Problem, match="not the published file"):
        cifar10.load("cifar10", cifar10.Config(), 0)


def test_the_pickled_cifar_is_refused_by_name(empty: Path) -> None:
    (empty / "cifar10").mkdir(parents=True)
    (empty / "cifar10" / "cifar-10-python.tar.gz").write_bytes(b"x")
    with pytest.raises(Problem, match="pickle"):
        cifar10.load("cifar10", cifar10.Config(), 0)


@pytest.mark.parametrize("seed", range(20))
def test_splits_that_share_memory_hold_what_a_plain_gather_holds(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = int(generator.integers(30, 200))
    rows = torch.from_numpy(generator.integers(0, 256, (count, 2, 3, 1), dtype=np.uint8))
    labels = np.arange(count) % 2
    given = None
    if seed % 4:
        given = np.sort(generator.choice(["train", "test", "validation"], count, p=[0.6, 0.2, 0.2]))
        given = given if seed % 4 == 1 else generator.permutation(given) if seed % 4 == 2 else given[::-1]
    before = rows.clone()
    origins = [str(number) for number in range(count)]
    dataset = assemble("x", rows, labels, ["a", "b"], Data(), seed, digest="", given=given, origins=origins)
    assert dataset.test is not None
    seen = []
    for columns in (dataset.train, dataset.validation, dataset.test.open(lambda: 1)):
        assert columns.origins is not None
        numbers = [int(origin) for origin in columns.origins]
        assert torch.equal(columns["input"], before[numbers])
        assert columns["target"].tolist() == labels[numbers].tolist()
        seen += numbers
    assert sorted(seen) == list(range(count))


def test_numbered_names_slice_like_lists() -> None:
    names = Numbered("x", 3, range(5))
    assert list(names) == ["x train #0", "x train #1", "x train #2", "x test #0", "x test #1"]
    assert list(names[3:]) == ["x test #0", "x test #1"]


def test_places_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DEEPEN_DATA", raising=False)
    assert places.data_folder() == tmp_path / "deepen" / "data"
    monkeypatch.setenv("DEEPEN_DATA", str(tmp_path / "mine"))
    assert places.homes("x") == [tmp_path / "mine" / "x", tmp_path / "deepen" / "data" / "x"]
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert places.cache_folder() == Path.home() / ".cache" / "deepen"

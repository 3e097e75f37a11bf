"""Tables whose splits are files: what is read of a folder, and of a repository of the hub that a local server stands for."""

# ruff: noqa: F811  (fixtures that stand elsewhere)

from __future__ import annotations

import json
import shutil
import urllib.error
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from deepen.data import file_splits, hub, table_folder
from deepen.data.dataset import Dataset
from deepen.errors import Misuse, Problem
from deepen.sources import find_source
from deepen.spec import Category, Quantity, Table, Text
from tests.pretrained.conftest import Server, alone, server  # noqa: F401
from tests.pretrained.test_hub import COMMIT, git_sum
from tests.samples import table_folder as sample


def offline(request: Any) -> Any:
    raise urllib.error.URLError("Name or service not known")


def publish(server: Server, folder: Path, name: str = "some/reviews") -> None:
    """Lay the files of a folder on the server as the data set `name`."""
    siblings = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        path, content = file.relative_to(folder).as_posix(), file.read_bytes()
        siblings.append({"rfilename": path, "size": len(content), "blobId": git_sum(content)})
        server.pages[f"/datasets/{name}/resolve/{COMMIT}/{path}"] = content
    listing = {"sha": COMMIT, "siblings": siblings}
    server.pages[f"/api/datasets/{name}/revision/main?blobs=true"] = json.dumps(listing).encode()


def read(source: str | Path, transport: Any = offline, **settings: Any) -> Dataset:
    return table_folder.load(str(source), table_folder.Config(**settings), seed=0, transport=transport)


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    return Path(sample.make(tmp_path / "here"))


def test_a_data_set_of_the_hub_is_fetched_once(server: Server, reviews: Path) -> None:
    publish(server, reviews)
    shutil.rmtree(reviews)
    assert find_source("hf:some/reviews")[0].name == "table-folder"
    first = read("hf:some/reviews", server.transport)
    assert len(server.asked) == 6, "a listing, the README, two files to train on, one to validate and one to test on"
    again = read("hf:some/reviews", offline)
    for found in (first, again):
        assert found.name == "some/reviews"
        assert isinstance(found.spec.input, Text)
        assert found.spec.output == Category(("negative", "positive"))
        assert found.test is not None
        assert (len(found.train), len(found.validation), len(found.test)) == (80, 40, 40)
        assert found.train.origin(0) == "data/train-0.jsonl:1"
    assert first.digest == again.digest
    assert f"hf:some/reviews at {COMMIT[:12]}, fetched from https://huggingface.co." in first.facts


def test_it_is_trained_and_asked_by_its_name(server: Server, reviews: Path, tmp_path: Path, call: Any) -> None:
    publish(server, reviews)
    read("hf:some/reviews", server.transport)
    words = ("--model", "bag", "epochs=2", "plan=fp32", "--runs", str(tmp_path / "runs"), "--json")
    done = call("train", "hf:some/reviews", *words)
    assert done.code == 0, done.err
    assert Path(done.json["run"]).name == "reviews-classify-bag-1"
    done = call("evaluate", done.json["run"], "--json")
    assert done.code == 0, done.err
    assert done.json["samples"] == 40


def test_what_is_not_there_is_told(
    server: Server,
    reviews: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Problem, match=r"no data set hf:some/none .*\(HTTP 404\).*HF_TOKEN"):
        read("hf:some/none", server.transport)
    with pytest.raises(Problem, match=r"was not reached for hf:some/none .*give a folder that holds its files"):
        read("hf:some/none", offline)
    with pytest.raises(Misuse, match="expected hf:owner/name"):
        read("hf:reviews", server.transport)
    pictures = reviews.parent / "pictures"
    pictures.mkdir()
    (pictures / "train.zip").write_bytes(b"PK")
    publish(server, pictures, "some/pictures")
    with pytest.raises(Problem, match=r"no file to train on that can be read.*it holds \.zip"):
        read("hf:some/pictures", server.transport)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Problem, match="HF_HUB_OFFLINE is set"):
        read("hf:some/other", server.transport)


def test_a_changed_file_is_refused(server: Server, reviews: Path) -> None:
    publish(server, reviews)
    server.pages[f"/datasets/some/reviews/resolve/{COMMIT}/data/test.jsonl"] += b" "
    with pytest.raises(Problem, match="could not be downloaded"):
        read("hf:some/reviews", server.transport)


def test_the_cache_of_the_hubs_library_is_read_if_it_is_whole(
    server: Server,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    folder = hub.home(tmp_path / "hf/hub", hub.DATASETS, "some/reviews")
    snapshot = folder / "snapshots" / ("c" * 40)
    shutil.copytree(reviews, snapshot)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("c" * 40)
    assert len(read("hf:some/reviews").train) == 80
    (snapshot / "data/test.jsonl").unlink()
    with pytest.raises(Problem, match="was not reached"):
        read("hf:some/reviews")


def test_parts_that_others_count_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    folder = hub.home(tmp_path / "hf/hub", hub.DATASETS, "some/sizes")
    snapshot = folder / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("c" * 40)
    for part in range(2):
        lines = [f"{number},{number % 7},{'yes' if number % 3 else 'no'}" for number in range(40)]
        (snapshot / f"train-0000{part}-of-00002.csv").write_text("\n".join(["size,weight,label", *lines]))
    read("hf:some/sizes")
    (folder / "blobs").mkdir()
    (folder / "blobs/abc.incomplete").write_bytes(b"")
    with pytest.raises(Problem, match="was not reached"):
        read("hf:some/sizes")
    (folder / "blobs/abc.incomplete").unlink()
    (snapshot / "train-00001-of-00002.csv").unlink()
    with pytest.raises(Problem, match="was not reached"):
        read("hf:some/sizes")
    with pytest.raises(Problem, match=r"lacks 'train-00001-of-00002\.csv', which the names of the other parts count"):
        read(snapshot)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["train-00000-of-00002.csv"], ["train-00001-of-00002.csv"]),
        (["train-00001-of-00002.csv", "train-00002-of-00002.csv"], []),
        (["train-00002-of-00002.csv"], ["train-00001-of-00002.csv"]),
        ([f"train-{part}-of-12.csv" for part in range(12) if part != 10], ["train-10-of-12.csv"]),
        (["train-00000-of-1.csv"], []),
        (["train-00000-of-00002-0a1b.csv", "train-00001-of-00002-c2d3.csv"], []),
        (["train-00000-of-00002-0a1b.csv"], ["train-00001-of-00002.csv"]),
    ],
)
def test_parts_are_counted_in_several_ways(names: list[str], missing: list[str]) -> None:
    chosen = file_splits.choose(names, {}, None)
    assert list(chosen.missing) == missing
    assert chosen.whole == (not missing)


def test_a_readme_may_name_one_part_of_several() -> None:
    part = "data/train-00000-of-00002.csv"
    for path, missing in ((part, []), ("data/train-*", ["data/train-00001-of-00002.csv"])):
        about = {"configs": [{"config_name": "a", "data_files": [{"split": "train", "path": path}]}]}
        chosen = file_splits.choose([part], about, None)
        assert (list(chosen.missing), chosen.whole) == (missing, not missing)


def test_the_mirror_and_the_token_are_heeded(
    server: Server,
    reviews: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(server, reviews)
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    monkeypatch.setenv("HF_TOKEN", "secret")
    read("hf:some/reviews", server.transport)
    assert {token for _, token in server.asked} == {"Bearer secret"}
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example")
    with pytest.raises(Misuse, match="not an https address"):
        read("hf:some/other", server.transport)


def test_a_folder_without_a_readme_says_its_splits_by_names(tmp_path: Path) -> None:
    for part, first in (("train", 0), ("valid", 60), ("test", 80)):
        lines = [f"{number},{number % 7},{'yes' if number % 3 else 'no'}" for number in range(first, first + 20)]
        (tmp_path / f"{part}.csv").write_text("\n".join(["size,weight,label", *lines]), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("who measured", encoding="utf-8")
    assert find_source(str(tmp_path))[0].name == "table-folder"
    found = read(tmp_path)
    assert isinstance(found.spec.input, Table)
    assert found.test is not None
    assert (len(found.train), len(found.validation), len(found.test)) == (20, 20, 20)
    assert isinstance(read(tmp_path, target="size", answer="number").spec.output, Quantity)
    with pytest.raises(Misuse, match=r"data\.test cannot be set"):
        read(tmp_path, test="x.csv")
    with pytest.raises(Misuse, match=r"data\.subset=a names nothing"):
        read(tmp_path, subset="a")


def test_parquet_files_of_several_sets_are_chosen_by_name(tmp_path: Path) -> None:
    for name, words in (("plain", "a film that is"), ("other", "a book that was")):
        for part in ("train", "test"):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            texts = [f"{words} number {number} {part}" for number in range(30)]
            table = pyarrow.table({"text": texts, "label": [number % 2 for number in range(30)]})
            pyarrow.parquet.write_table(table, folder / f"{part}-00000-of-00001.parquet")
    with pytest.raises(Misuse, match=r"There are 2 sets here: choose one with data\.subset=NAME, of other, plain"):
        read(tmp_path)
    with pytest.raises(Misuse, match="Did you mean 'plain'"):
        read(tmp_path, subset="plane")
    found = read(tmp_path, subset="plain")
    assert found.train.origin(0).startswith("plain/train-00000-of-00001.parquet:")
    assert isinstance(found.spec.input, Text)


def test_answers_that_are_kept_back_are_no_test_split(reviews: Path) -> None:
    test = reviews / "data/test.jsonl"
    test.write_text(test.read_text().replace('"label": 0', '"label": -1').replace('"label": 1', '"label": -1'))
    found = read(reviews)
    assert found.test is None
    assert "The test split has no values in 'label': it is left out." in found.facts


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.csv", "train"),
        ("data/validation-00000-of-00002.parquet", "validation"),
        ("dev/part-1.jsonl", "validation"),
        ("eval.tsv.gz", "test"),
        ("my_training_set.csv", "train"),
        ("data/contest.csv", None),
    ],
)
def test_splits_by_name(name: str, split: str | None) -> None:
    assert file_splits.split_of(name) == split


def test_what_a_readme_says_of_its_files() -> None:
    names = ["a/train.csv", "a/test.csv", "b/deep/x.csv", "b/y.csv", "extra.csv"]
    files = [{"split": "train", "path": ["b/**"]}, {"split": "unsupervised", "path": "extra.csv"}]
    about = {"configs": [{"config_name": "a", "data_files": "a/*.csv"}, {"config_name": "b", "data_files": files}]}
    found = file_splits.choose(names, about, "b")
    assert found.files == {"train": ["b/deep/x.csv", "b/y.csv"]}
    assert found.left_out == ["unsupervised"]
    assert file_splits.choose(names, about, "a").files == {"train": ["a/test.csv", "a/train.csv"]}
    about["configs"][0]["default"] = "true"
    assert file_splits.choose(names, about, None).files == file_splits.choose(names, about, "a").files
    gone = {"configs": [{"config_name": "a", "data_files": [{"split": "train", "path": "c/*.csv"}]}]}
    assert not file_splits.choose(names, gone, None).whole


def test_what_does_not_lie_here_yet_is_fetched(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another set of a repository, and a split that was not reached when the network failed."""
    there = tmp_path / "there"
    for name in ("one", "two"):
        for part in ("train", "test"):
            lines = [f"{number},{name}{part},{'yes' if number % 3 else 'no'}" for number in range(20)]
            file = there / name / f"{part}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(["size,weight,label", *lines]), encoding="utf-8")
    (there / "README.md").write_text("no head")
    publish(server, there)
    assert len(read("hf:some/reviews", server.transport, subset="one").train) > 0
    with monkeypatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(Problem, match="HF_HUB_OFFLINE is set"):
            read("hf:some/reviews", subset="two")
    with monkeypatch.context() as patch:
        page = f"/datasets/some/reviews/resolve/{COMMIT}/two/test.csv"
        content = server.pages.pop(page)
        with pytest.raises(Problem, match="could not be downloaded"):
            read("hf:some/reviews", server.transport, subset="two")
        server.pages[page] = content
    found = read("hf:some/reviews", server.transport, subset="two")
    assert found.test is not None
    assert len(found.test) == 20
    again = read("hf:some/reviews", subset="two")
    assert again.test is not None


NINE = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True))
NAMED = "features: [{name: label, dtype: {class_label: {names: *j}}}]"
BOMB = f"a: &a [x]\n{NINE}configs: [{{config_name: *j, data_files: x}}]\ndataset_info: {{{NAMED}}}"
"""Each list is nine times the one before it: written out, it would fill the memory."""


@pytest.mark.parametrize(
    "head",
    [BOMB, "dataset_info: {features: 3}\nconfigs: [{data_files: [{split: train, path: 7}]}, 4]", "configs: 2020-99-99"],
)
def test_a_head_of_any_form_ends(head: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"---\n{head}\n---\n", encoding="utf-8")
    about = file_splits.about(tmp_path / "README.md")
    assert file_splits.class_names(about, "label", None) == []
    assert file_splits.choose(["train.csv"], about, None).files.get("train", ["train.csv"]) == ["train.csv"]


def test_a_head_of_brackets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"---\nconfigs: {'[' * 5000}\n---\n", encoding="utf-8")
    with pytest.raises(Problem, match="is no YAML"):
        file_splits.about(tmp_path / "README.md")


def test_a_class_may_be_called_no(tmp_path: Path) -> None:
    kind = "class_label:\n        names:\n          '0': no\n          '1': 1.50"
    head = f"dataset_info:\n  features:\n  - name: label\n    dtype:\n      {kind}"
    (tmp_path / "README.md").write_text(f"---\n{head}\n---\n", encoding="utf-8")
    assert file_splits.class_names(file_splits.about(tmp_path / "README.md"), "label", None) == ["no", "1.50"]

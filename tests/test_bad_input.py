"""What cannot be used, end to end: a sentence, an exit code, no traceback, nothing lost."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Trained = dict[str, Path]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(done: Any, code: int, *words: str) -> None:
    """One sentence on stderr, no run left behind."""
    assert done.code == code, done.err
    (sentence,) = done.err.strip().splitlines()
    assert sentence.startswith("deepen: ")
    assert len(sentence) > 30
    for word in words:
        assert word in sentence
    assert not Path("runs").exists()


# -- the command itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("trian digits", "Did you mean 'train'"),
        ("train", "requires an argument"),
        ("train digits --modle mlp", "Unknown option"),
        ("evaluate runs/latest split=validation", "takes no further word, and received 'split=validation'"),
        ("train digits --model", "requires an argument"),
        ("train digist", "Did you mean 'digits'"),
        ("train digits --model quickcn", "Did you mean 'quickcnn'"),
        ("train digits --as clasify", "Did you mean 'classify'"),
        ("train digits epoch=2", "Did you mean 'epochs'"),
        ("train digits fit.epoch=2", "Did you mean 'fit.epochs'"),
        ("train digits patience=2", "schedule.patience or fit.patience"),
        ("train digits epochs=two", "expected a number"),
        ("train digits epochs=-1", "expected 0 or more"),
        ("train digits epochs=nan", "expected a number"),
        ("train digits batch_size=1.5", "expected a whole number"),
        ("train digits skip_bad=maybe", "expected true or false"),
        ("train digits channels=2", "expected one of 1, 3"),
        ("train digits betas=1", "2 numbers separated by commas"),
        ("train digits epochs=1 epochs=2", "given twice"),
        ("train digits more", "expected key=value"),
        ("train digits =3", "expected key=value"),
        ("train digits model=mlp", "--model mlp"),
        ("train digits runs=here", "--runs here"),
        ("train digits optim=adm", "Did you mean 'adam'"),
        ("train digits schedule=cosin", "Did you mean 'cosine'"),
        ("train digits model.activation=relux", "Did you mean 'relu'"),
        ("train digits plan=fp12", "plan=fp12 is not known"),
        ("train digits device=gpu", "device=gpu is not known"),
        ("train digits limit=0", "expected 1 or more"),
        ("train digits validation_fraction=2", "above 0 and below 1"),
        ("train digits augment.erase=7", "from 0 to 1"),
        ("train digits --target colour", "column of a table"),
        ("train CartPole-v1 accumulate=2", "Leave it at 1"),
        ("train CartPole-v1 find_lr=true", "optim.lr"),
        ("train CartPole-v1 limit=5", "comes from acting"),
        ("train CartPole-v7", "Did you mean 'CartPole-v1'"),
        ("train xor size=3", "is for pictures"),
        ("evaluate runs/latest --split tset", "Did you mean 'test'"),
        ("predict runs/latest", "nothing to predict"),
        ("show digist", "Did you mean 'digits'"),
        ("show schedule cosin", "Did you mean 'cosine'"),
        ("show schedule cosine warmup=5", "from 0 to below 1"),
        ("show mlp more", "one word too many"),
        ("doctor digist", "Did you mean 'digits'"),
        ("--modle", "Unknown command"),
    ],
)
def test_misuse(call: Any, words: str, told: str) -> None:
    refused(call(*words.split()), 2, told)


def test_an_empty_word(call: Any) -> None:
    refused(call("train", ""), 2, "empty")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("train iris --model cnn", "works on pictures"),
        ("train digits --as control", "acts in an environment"),
        ("train digits --as regress", "a number, not category"),
        ("train iris --as gan", "gan draws pictures"),
        ("train iris augment.shift=2", "augment.*"),
        ("train iris --as regress --model mlp", "a number, not category"),
        ("train diabetes --as classify --model mlp", "answer=class"),
        ("train digits --as gan --model mlp", "generator"),
        ("train digits --as classify --model dcgan", "does not"),
        ("train digits --as classify --model actor-critic", "acts in an environment"),
        ("train iris --as gan --model dcgan", "pictures"),
        ("train CartPole-v1 --model mlp", "act_and_value"),
        ("train CartPole-v1 --as classify --model mlp", "a class, not action"),
        ("train Pendulum-v1", "CartPole-v1"),
        ("train missing.csv", "There is no file missing.csv"),
        ("resume missing", "There is no run at missing"),
        ("evaluate missing", "There is no run at missing"),
        ("predict missing x.png", "neither a run nor a bundle"),
        ("generate missing", "neither a run nor a bundle"),
        ("resume .", "not a run folder"),
        ("evaluate .", "not a run folder"),
    ],
)
def test_what_does_not_fit_together(call: Any, words: str, told: str) -> None:
    refused(call(*words.split()), 1, told)


def test_json_tells_the_same(call: Any) -> None:
    done = call("train", "digist", "--json")
    assert done.code == done.json["exit"] == 2
    assert done.err == f"deepen: {done.json['error']}\n"


# -- folders of pictures ----------------------------------------------------------------------------------------------


def picture(path: Path, size: tuple[int, int] = (16, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(len(list(path.parent.iterdir())))
    Image.fromarray(draws.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(path)
    return path


def test_a_missing_path(call: Any, tmp_path: Path) -> None:
    refused(call("train", str(tmp_path / "missing")), 2, str(tmp_path / "missing"))


def test_an_empty_folder(call: Any) -> None:
    Path("empty").mkdir()
    refused(call("train", "empty"), 1, "a folder of pictures per class")


def test_a_folder_without_classes(call: Any) -> None:
    picture(Path("flat/1.png"))
    refused(call("train", "flat"), 1, "<class>/<picture>")


def test_one_class(call: Any) -> None:
    picture(Path("one/only/1.png"))
    refused(call("train", "one"), 1, "one class only")


def test_a_class_with_one_picture(call: Any, pictures: Path) -> None:
    picture(pictures / "alone" / "1.png")
    done = call("train", str(pictures), "epochs=1", "plan=fp32")
    assert done.code == 0, done.err
    assert "'alone'" in done.out


def cut(path: Path) -> None:
    picture(path)
    path.write_bytes(path.read_bytes()[:200])


def bomb(path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(path)


BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "0 bytes": ("bad.png", lambda path: path.write_bytes(b""), "0 bytes"),
    "truncated": ("bad.png", cut, "cut short"),
    "wrong ending": ("bad.jpg", lambda path: path.write_text("hello"), "not a picture"),
    "bomb": ("bad.png", bomb, "limit of 80 million"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_pictures(call: Any, pictures: Path, trained: Trained, kind: str) -> None:
    name, make, reason = BAD[kind]
    path = pictures / "red" / name
    make(path)
    done = call("train", str(pictures), "epochs=1", "plan=fp32")
    assert done.code == 1
    assert all(word in done.err for word in (str(path), reason, "skip_bad"))
    assert not Path("runs").exists()
    done = call("train", str(pictures), "epochs=1", "plan=fp32", "--skip-bad", "--json")
    assert done.code == 0, done.err
    assert name in (Path(done.json["run"]) / "report.html").read_text(encoding="utf-8")
    done = call("predict", str(trained["pictures"]), str(path))
    assert done.code == 1
    assert reason in done.err


def test_odd_pictures_are_taken(call: Any, pictures: Path) -> None:
    draws = np.random.default_rng(0)
    Image.fromarray(draws.integers(0, 255, (16, 16, 4), dtype=np.uint8), mode=None).convert("CMYK").save(
        pictures / "red" / "print.jpg"
    )
    Image.fromarray(draws.integers(0, 60_000, (16, 16)).astype(np.uint16)).save(pictures / "red" / "deep.png")
    turned = Image.Exif()
    turned[0x112] = 6
    Image.fromarray(draws.integers(0, 255, (16, 20, 3), dtype=np.uint8)).save(
        pictures / "red" / "turned.jpg", exif=turned
    )
    done = call("train", str(pictures), "epochs=1", "plan=fp32", "--json")
    assert done.code == 0, done.err
    done = call("predict", done.json["run"], str(pictures / "red"), "--json")
    assert len(done.json["predictions"]) == 15


def test_names_with_meaning_elsewhere(call: Any, tmp_path: Path) -> None:
    names = ("[red]猫", "a\nb", "😀 dog", "\u202eevil", "--json", "NA", "10")
    folder = tmp_path / "näme's [bold]x"
    for name in names:
        for number in range(4):
            picture(folder / name / f"{number}.png")
    done = call("train", str(folder), "epochs=1", "plan=fp32")
    assert done.code == 0, done.err
    assert "[red]猫" in done.out
    assert "[bold]x" in done.out
    assert not {"\u202e", "\x1b"} & set(done.out)
    found = call("predict", "runs/latest", str(folder), "--json").json["predictions"]
    assert {name for prediction in found for name, _ in prediction["top"]} <= set(names)
    assert len(call("predict", "runs/latest", str(folder)).out.splitlines()) == 4 * len(names)


# -- tables -----------------------------------------------------------------------------------------------------------


def changed(*pairs: tuple[str, str], more: str = "") -> Callable[[str], bytes]:
    def change(text: str) -> bytes:
        for old, new in pairs:
            text = text.replace(old, new)
        return (text + more).encode()

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda _: b"", "0 bytes"),
        (lambda _: b"x1,x2,kind\n", "no rows"),
        (changed(more="1,2\n"), "line 82"),
        (changed(more="1,\0 2,yes\n"), "NUL"),
        (changed((",yes", ","), (",no", ",")), "no value"),
        (changed(("yes", "no")), "only one class"),
        (changed((",no", ",NA")), "only one class"),
        (changed(("x2", "x1")), "both named 'x1'"),
        (lambda _: bytes(range(256)) * 40, "data.encoding"),
    ],
    ids=["empty", "header alone", "ragged", "NUL", "target missing", "one class", "NA", "same name", "binary"],
)
def test_tables_that_cannot_be_learnt(call: Any, table: Path, change: Callable[[str], bytes], told: str) -> None:
    table.write_bytes(change(table.read_text(encoding="utf-8")))
    refused(call("train", str(table), "epochs=1"), 1, told)


@pytest.mark.parametrize(
    ("change", "classes"),
    [
        (lambda text: b"\xef\xbb\xbf" + text.encode(), {"yes", "no"}),
        (lambda text: text.replace("yes", "是的").replace("no", "不是").encode("gbk"), {"是的", "不是"}),
        (lambda text: text.encode("utf-16"), {"yes", "no"}),
        (changed(more="inf,2,yes\n,1,no\n"), {"yes", "no"}),
        (changed(("yes", "[red]猫"), ("no", "\u202e😀")), {"[red]猫", "\u202e😀"}),
    ],
    ids=["BOM", "GBK", "UTF-16", "inf", "markup"],
)
def test_tables_that_can(call: Any, table: Path, change: Callable[[str], bytes], classes: set[str]) -> None:
    table.write_bytes(change(table.read_text(encoding="utf-8")))
    done = call("train", str(table), "epochs=1", "plan=fp32")
    assert done.code == 0, done.err
    assert "\u202e" not in done.out
    found = call("predict", "runs/latest", str(table), "--json").json["predictions"]
    assert {name for prediction in found for name, _ in prediction["top"]} == classes


def test_no_such_column(call: Any, table: Path) -> None:
    refused(call("train", str(table), "--target", "knd"), 2, "Did you mean 'kind'")


def test_a_line_of_a_gigabyte(tmp_path: Path) -> None:
    """Sparse on the disk; the child may not take as much memory as the line is long."""
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.write(b"a,b,c\n")
        file.truncate(1 << 30)
        file.seek(0, 2)
        file.write(b"\n")
    measure = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run([sys.executable, '-m', 'deepen', 'train', sys.argv[1]], capture_output=True, text=True)\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "print(json.dumps([done.returncode, done.stderr, peak]))"
    )
    measured = subprocess.run([sys.executable, "-c", measure, str(path)], capture_output=True, check=True, timeout=120)
    code, told, kilobytes = json.loads(measured.stdout)
    assert code == 1, told
    assert "line 2: longer than" in told
    assert "Traceback" not in told
    assert kilobytes < 700_000  # torch alone is some 250,000


# -- what is asked of a run -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "words", "code", "told"),
    [
        ("pictures", ["missing.png"], 1, "There is no file 'missing.png'"),
        ("pictures", ["*.png"], 1, "No file fits"),
        ("pictures", ["."], 1, "no picture in the folder"),
        ("pictures", ["--jsn"], 2, "Unknown option"),
        ("pictures", ["-", "-"], 2, "twice"),
        ("table", ["missing.csv"], 1, "There is no file missing.csv"),
        ("table", ["more.csv"], 1, "no column 'x2'"),
        ("table", ["text.csv"], 1, "where a number is expected"),
        ("table", ["picture.png"], 1, "no table"),
        ("gan", ["picture.png"], 1, "deepen generate"),
    ],
)
def test_predict_what_cannot_be(call: Any, trained: Trained, run: str, words: list[str], code: int, told: str) -> None:
    Path("more.csv").write_text("x1,y\n1,2\n3,4\n", encoding="utf-8")
    Path("text.csv").write_text("x1,x2\n1,2\n3,four\n", encoding="utf-8")
    Path("empty").mkdir()
    if words != ["."]:
        picture(Path("sub/picture.png"))
        shutil.move("sub/picture.png", "picture.png")
    if words == ["*.png"]:
        Path("picture.png").unlink()
    refused(call("predict", str(trained[run]), *words), code, told)


def test_predict_nothing_by_standard_input(call: Any, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    refused(call("predict", str(trained["table"]), "-"), 1, "standard input")


def test_errors_do_not_name_a_temporary_file(call: Any, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x1,x2\n1,2,3\n")))
    refused(call("predict", str(trained["table"]), "-"), 1, "deepen: standard-input.csv, line 2")


def test_generate_what_cannot_be(call: Any, trained: Trained) -> None:
    refused(call("generate", str(trained["digits"])), 1, "deepen predict")
    refused(call("generate", str(trained["gan"]), "--count", "0"), 2, "1 or more")
    Path("file").write_text("", encoding="utf-8")
    refused(call("generate", str(trained["gan"]), "--out", "file"), 2, "--out file")


@pytest.mark.parametrize("verb", ["evaluate", "predict", "generate"])
def test_a_run_without_a_best_model(call: Any, trained: Trained, tmp_path: Path, verb: str) -> None:
    run = shutil.copytree(trained["digits"], tmp_path / "run")
    shutil.rmtree(run / "model")
    words = {"evaluate": [], "predict": ["x.png"], "generate": []}[verb]
    refused(call(verb, str(run), *words), 1, "no best model yet", f"deepen resume {run}")
    assert call("doctor", str(run)).code == 0


def test_a_damaged_bundle(call: Any, trained: Trained, tmp_path: Path) -> None:
    run = shutil.copytree(trained["table"], tmp_path / "run")
    path = run / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    refused(call("predict", str(run), str(trained["source table"])), 1, "damaged")


def test_a_doctor_of_a_run_takes_no_settings(call: Any, trained: Trained) -> None:
    refused(call("doctor", str(trained["digits"]), "epochs=3"), 2, "leave out epochs")


@pytest.mark.parametrize("split", ["test_fraction=0", "val"])
@pytest.mark.parametrize("kind", ["classes", "masks"])
def test_only_what_gives_a_test_split_is_advised(call: Any, pictures: Path, kind: str, split: str) -> None:
    root = Path("data")
    for part in ("train", "val") if split == "val" else ("",):
        if kind == "classes":
            shutil.copytree(pictures, root / part, dirs_exist_ok=True)
            continue
        for folder, form in (("images", (16, 16, 3)), ("masks", (16, 16))):
            (root / part / folder).mkdir(parents=True)
            for number in range(8):
                drawn = np.random.default_rng(number).integers(0, 2, form, dtype=np.uint8)
                Image.fromarray(drawn).save(root / part / folder / f"{number}.png")
    settings = ["epochs=0", "plan=fp32", *([split] if split != "val" else [])]
    model = ("--model", "perceptron") if kind == "classes" else ()
    assert call("train", str(root), *model, *settings).code == 0
    done = call("evaluate", "runs/latest")
    assert done.code == 1
    assert ("leave out data.test_fraction=0" in done.err) == (split != "val")
    assert ("name one with data.test=PATH" in done.err) == (kind == "classes")
    assert ("put test pictures and masks into folders named test" in done.err) == (kind == "masks")
    if kind == "masks":
        asked = call("train", str(root), "data.test=other")
        assert asked.code == 2
        assert "data.test=other is not read for 'data': put test pictures and masks" in asked.err


def labelled(root: Path, **files: str) -> Path:
    """Pictures in one folder, with further files beside it."""
    for number in range(4):
        picture(root / "images" / f"{number}.png")
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_json", ".json").replace("_yaml", ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"annotations_json": ""}, "'annotations.json' is empty"),
        ({"annotations__instances_train_json": '{"images": ['}, "train.json' is no well-formed JSON"),
        ({"data_yaml": "[a"}, "'data.yaml' is no well-formed YAML"),
        ({"masks": "folder"}, "the folder 'masks' is empty"),
        ({"masks__notes_json": "{}"}, "the folder 'masks' holds no picture"),
    ],
)
def test_labels_that_hold_nothing_are_named(call: Any, files: dict[str, str], told: str) -> None:
    if files == {"masks": "folder"}:
        labelled(Path("data"))
        Path("data/masks").mkdir()
    else:
        labelled(Path("data"), **files)
    refused(call("train", "data"), 1, "no labels that can be read", told)
    if "annotations_json" in files or "data_yaml" in files:
        for path in Path("data/images").iterdir():
            path.rename(Path("data") / path.name)
        Path("data/images").rmdir()
        refused(call("train", "data"), 1, "nothing to be answered", told)
        assert told in call("doctor", "data").out


def test_parts_whose_labels_hold_nothing_are_no_classes(call: Any) -> None:
    for part in ("train", "valid"):
        for number in range(3):
            picture(Path("data") / part / f"{number}.png")
        (Path("data") / part / "_annotations.coco.json").write_text("", encoding="utf-8")
    refused(call("train", "data"), 1, "'train/_annotations.coco.json' is empty")


def test_labels_without_their_pictures(call: Any) -> None:
    labelled(Path("data"), Annotations__0="", boxes_json="")
    Path("data/Annotations/0").rename("data/Annotations/0.xml")
    refused(
        call("train", "data/Annotations"), 1, "holds .xml files and no picture: if these are labels, give the folder"
    )
    refused(call("train", "data/boxes.json"), 1, "data/boxes.json is empty", "Pascal VOC, COCO, YOLO", "masks")


def test_boxes_of_what_has_none(call: Any) -> None:
    for number in range(4):
        picture(Path("flat") / f"{number}.png")
    for source in ("flat", "flat/0.png"):
        refused(call("train", source, "--as", "detect"), 1, "lay label files beside them (Pascal VOC, COCO or YOLO)")


def test_settings_are_checked_before_data_is_read(call: Any, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: Any, **__: Any) -> Any:
        raise AssertionError("read")

    monkeypatch.setattr("deepen.data.folder.decode", decoded)
    Path("file").write_text("", encoding="utf-8")
    source = str(pictures)
    for words, code, told in (
        ("fit.epoch=1", 2, "Did you mean 'fit.epochs'"),
        ("epochs=two", 2, "expected a number"),
        ("epochs=-1", 2, "expected 0 or more"),
        ("optim=adm", 2, "Did you mean 'adam'"),
        ("device=gpu", 2, "device=gpu is not known"),
        ("nothing_like_it=1", 2, "There is no setting 'nothing_like_it'"),
        ("--model mlp model.widht=3", 2, "Did you mean 'model.widths'"),
        ("--runs file/runs", 1, "could not be made under file/runs"),
    ):
        refused(call("train", source, *words.split()), code, told)
    refused(call("doctor", source, "fit.epochs=1"), 2, "says nothing about the data")


def test_settings_of_a_model_that_the_data_decides_on_are_named_as_before(call: Any) -> None:
    refused(call("train", "iris", "widht=3"), 2, "Did you mean 'widths'")
    refused(call("train", "iris", "modle.width=3"), 2, "There is no setting 'modle.width'")


@pytest.mark.parametrize("words", ["", "--as classify", "--model resnet18", "--as classify --model resnet18"])
@pytest.mark.parametrize("source", ["iris", "xor", "table.csv", "CartPole-v1"])
def test_no_weights_are_fetched_for_what_has_no_pictures(
    call: Any, table: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    def fetched(*_: Any, **__: Any) -> Any:
        raise AssertionError("network")

    monkeypatch.setattr("urllib.request.OpenerDirector.open", fetched)
    source = str(table) if source == "table.csv" else source
    refused(call("train", source, "--pretrained", "imagenet", *words.split()), 2, "leave --pretrained out")


def test_a_bundle_as_data(call: Any, trained: Trained, tmp_path: Path) -> None:
    bundle = shutil.copytree(trained["table"] / "model", tmp_path / "bundle")
    done = call("doctor", "bundle", "--json")
    assert (done.code, done.json["findings"]) == (0, [])
    assert "answers as it did" in call("doctor", "bundle").out
    refused(call("doctor", "bundle", "size=3"), 2, "is a bundle", "leave out size")
    refused(call("train", "bundle"), 1, "is a trained model, for `deepen predict`")
    path = bundle / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    done = call("doctor", "bundle")
    assert done.code == 1
    assert "damaged" in done.out


# -- the machine ------------------------------------------------------------------------------------------------------


def test_no_network(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreached(*_: Any, **__: Any) -> Any:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setenv("DEEPEN_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("urllib.request.OpenerDirector.open", unreached)
    done = call("train", "mnist")
    assert done.code == 1
    assert all(
        word in done.err
        for word in ("https://", "not reached", "put the file at", str(tmp_path / "data"), "DEEPEN_DATA")
    )
    assert "Traceback" not in done.err


def test_a_runs_folder_that_cannot_be_made(call: Any, tmp_path: Path) -> None:
    Path("file").write_text("", encoding="utf-8")
    done = call("train", "iris", "epochs=1", "plan=fp32", "--runs", "file/runs")
    assert done.code == 1
    assert "could not be made under file/runs" in done.err


def test_a_save_that_fails_at_the_end(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: the sentence says where, how much, and how to go on; with room, resuming ends the training."""
    from deepen.engine import checkpoint

    real = checkpoint.write_folder

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        for place in ("deepen.engine.checkpoint.write_folder", "deepen.deploy.bundle.write_folder"):
            patched.setattr(place, full)
        done = call("train", "iris", "epochs=2", "plan=fp32", "--json")
    assert (done.code, done.json["exit"]) == (1, 1)
    assert done.json["saved"] is False
    run = "runs/iris-classify-mlp-1"
    assert done.json["error"].endswith(f"deepen resume {run}")
    assert "No space left on device" in done.err
    assert checkpoint.write_folder is real
    resumed = call("resume", run, "--json")
    assert (resumed.code, resumed.json["stopped"]) == (0, "finished")


def test_nothing_is_written_where_reading_fails(call: Any, table: Path) -> None:
    before = sorted(Path().rglob("*"))
    table.write_bytes(b"")
    assert call("train", str(table)).code == 1
    assert sorted(Path().rglob("*")) == before

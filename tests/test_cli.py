"""The command line as a user meets it: what each verb prints, its JSON, its exit code."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import deepen
from deepen import registry
from deepen.cli import app, as_text
from deepen.known import known_good
from deepen.recipe import SECTIONS

TRAINED = {
    "run",
    "data",
    "task",
    "model",
    "parameters",
    "plan",
    "steps",
    "epochs",
    "seconds",
    "samples_per_second",
    "best",
    "stopped",
}
EVALUATED = {"run", "split", "samples", "metrics", "intervals", "baseline", "looks", "rival"}
Trained = dict[str, Path]


def process(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deepen", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **more)


# -- help -------------------------------------------------------------------------------------------------------------


def test_help_names_the_verbs_in_the_order_of_use(call: Any) -> None:
    done = call("--help")
    assert done.code == 0
    verbs = re.findall(r"^│ ([a-z]+) ", done.out, re.M)
    assert verbs == ["train", "resume", "evaluate", "predict", "generate", "convert", "doctor", "list", "show"]


def test_nothing_said_is_help(call: Any) -> None:
    assert call() == call("--help")


@pytest.mark.parametrize("verb", [name for name in app if not name.startswith("-")])
def test_every_verb_has_help_and_json(call: Any, verb: str) -> None:
    done = call(verb, "--help")
    assert done.code == 0
    assert "--json" in done.out


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"], ["list"], ["show", "recipe"], []])
def test_no_torch_is_waited_for(words: list[str]) -> None:
    code = (
        "import sys\nfrom deepen import cli\n"
        f"try: cli.main({words!r})\nexcept SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'sklearn', 'PIL'} & set(sys.modules), 'something heavy was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_version(call: Any) -> None:
    assert call("--version").out.strip() == deepen.__version__


# -- training ---------------------------------------------------------------------------------------------------------


def test_train_prints_one_json_object_and_progress_beside_it(call: Any, tmp_path: Path) -> None:
    done = call("train", "iris", "epochs=1", "plan=fp32", "--runs", str(tmp_path), "--json")
    assert done.code == 0
    assert done.json.keys() >= TRAINED
    assert done.json["best"].keys() == {"metric", "value", "step"}
    assert done.json["stopped"] == "finished"
    assert "validation log_loss" in done.err


def test_train_prints_lines_when_piped(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("train", "iris", "epochs=1", "plan=fp32")
    assert done.code == 0
    assert done.err == ""
    assert "\x1b" not in done.out
    labels = [line[:8].strip() for line in done.out.splitlines() if line[:8].strip()]
    wanted = ["data", "audit", "model", "plan", "recipe", "run", "best", "time", "report", "next"]
    assert [label for label in labels if label in wanted] == wanted
    assert "deepen evaluate runs/iris-classify-mlp-1" in done.out
    assert (tmp_path / "runs" / "latest" / "report.html").is_file()


def test_settings_reach_the_run(call: Any, table: Path, tmp_path: Path) -> None:
    words = (
        "epochs=1",
        "plan=fp32",
        "optim=sgd",
        "optim.lr=0.5",
        "seed=7",
        "--model",
        "perceptron",
        "--target",
        "kind",
    )
    done = call("train", str(table), *words, "--as", "classify", "--runs", str(tmp_path / "here"), "--json")
    recipe = deepen.Run(done.json["run"]).recipe
    assert (recipe.optim.name, recipe.optim.lr, recipe.seed) == ("sgd", 0.5, 7)
    assert (recipe.task_name, recipe.model_name, recipe.data.target) == ("classify", "perceptron", "kind")
    assert Path(done.json["run"]).parent == tmp_path / "here"


def test_a_finished_run_is_not_gone_on_with(call: Any, trained: Trained) -> None:
    before = (trained["digits"] / "metrics.jsonl").read_bytes()
    plain, done = call("resume", str(trained["digits"])), call("resume", str(trained["digits"]), "--json")
    assert (plain.code, done.code) == (0, 0)
    assert "had ended already" in plain.out
    assert done.json.keys() >= TRAINED
    assert (trained["digits"] / "metrics.jsonl").read_bytes() == before


def test_control_c_saves_and_says_how_to_go_on(call: Any, tmp_path: Path) -> None:
    words = [sys.executable, "-u", "-m", "deepen", "train", "iris", "epochs=100000", "plan=fp32", "--json"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert running.stdout is not None
        for line in running.stderr:
            if line.startswith("epoch"):
                running.send_signal(signal.SIGINT)
                break
        told, printed = running.stderr.read(), running.stdout.read()
    assert running.returncode == 130, told
    assert "Traceback" not in told
    run = tmp_path / "runs" / "iris-classify-mlp-1"
    assert f"deepen resume {run}" in told
    found = json.loads(printed)
    assert (found["stopped"], found["exit"]) == ("interrupted", 130)
    assert "unfinished" in str(call("doctor", str(run), "--json").json["findings"])


def test_control_c_while_data_is_read(call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("deepen.training.prepare", interrupted)
    done = call("train", "digits", "--runs", str(tmp_path / "runs"), "--json")
    assert (done.code, done.json) == (130, {"error": "Stopped.", "exit": 130})
    assert not (tmp_path / "runs").exists()


# -- evaluating, generating -------------------------------------------------------------------------------------------


def test_evaluate_counts_its_looks(call: Any, trained: Trained, tmp_path: Path) -> None:
    run = shutil.copytree(trained["digits"], tmp_path / "run")
    first, second = call("evaluate", str(run)), call("evaluate", str(run), "--json")
    assert (first.code, second.code) == (0, 0)
    assert "the first look" in first.out
    assert second.json.keys() == EVALUATED
    assert (second.json["split"], second.json["samples"], second.json["looks"]) == ("test", 359, 2)
    assert second.json["metrics"].keys() == second.json["intervals"].keys()
    assert "accuracy" in second.err
    validation = call("evaluate", str(run), "--split", "validation", "--json").json
    assert (validation["samples"], validation["looks"]) == (180, 2)


def test_generate_saves_pictures(call: Any, trained: Trained, tmp_path: Path) -> None:
    words = ("generate", str(trained["gan"]), "--count", "3", "--out", str(tmp_path / "new"))
    done = call(*words, "--json")
    assert (done.code, done.json) == (0, {"path": str(tmp_path / "new"), "count": 3, "seed": 0})
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "0000.png",
        "0001.png",
        "0002.png",
        "grid.png",
    ]
    before = (tmp_path / "new" / "grid.png").read_bytes()
    assert call(*words, "--json").json["path"] == str(tmp_path / "new-2")  # what is there is kept
    assert (tmp_path / "new-2" / "grid.png").read_bytes() == before
    assert "new-3, since" in call(*words, "--seed", "1").out.replace("\n", "")
    assert (tmp_path / "new-3" / "grid.png").read_bytes() != before
    assert (tmp_path / "new" / "grid.png").read_bytes() == before


# -- predicting -------------------------------------------------------------------------------------------------------


def given(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_predict_takes_files_folders_and_patterns(call: Any, trained: Trained) -> None:
    run, folder = str(trained["pictures"]), trained["source pictures"]
    one = call("predict", run, str(folder / "red" / "00.png"), "--json").json["predictions"]
    assert [prediction.keys() >= {"input", "category", "probability", "top"} for prediction in one] == [True]
    whole = call("predict", run, str(folder), "--json").json["predictions"]
    assert len(whole) == 24
    pattern = call("predict", run, str(folder / "*" / "0[0-3].png"), "--json").json["predictions"]
    assert [Path(p["input"]).relative_to(folder).as_posix() for p in pattern] == [
        f"{name}/0{number}.png" for name in ("green", "red") for number in range(4)
    ]
    several = call("predict", run, str(folder / "red" / "00.png"), str(folder / "green"), "--json").json["predictions"]
    assert len(several) == 13
    assert several[0]["input"] == one[0]["input"]
    assert several[0]["probability"] == pytest.approx(one[0]["probability"], abs=1e-5)


def test_predict_prints_columns_between_tabs(call: Any, trained: Trained) -> None:
    done = call("predict", str(trained["table"]), str(trained["source table"]))
    assert (done.code, done.err) == (0, "")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert len(rows) == 80
    for name, answer, probability, other in rows:
        assert name.startswith(f"{trained['source table']}:")
        assert answer in ("yes", "no")
        assert 0.5 <= float(probability) <= 1
        assert other.split()[0] in {"yes", "no"} - {answer}


def test_predict_tells_a_number(call: Any, trained: Trained) -> None:
    done = call("predict", str(trained["number"]), str(trained["source table"]), "--json")
    assert isinstance(done.json["predictions"][0]["quantity"], float)
    lines = call("predict", str(trained["number"]), str(trained["source table"])).out.splitlines()
    assert float(lines[0].split("\t")[1]) == pytest.approx(done.json["predictions"][0]["quantity"], rel=1e-4)


def test_a_picture_by_standard_input(call: Any, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    path = trained["source pictures"] / "red" / "00.png"
    given(monkeypatch, path.read_bytes())
    by_pipe = call("predict", str(trained["pictures"]), "-", "--json").json["predictions"][0]
    by_name = call("predict", str(trained["pictures"]), str(path), "--json").json["predictions"][0]
    assert by_pipe == {**by_name, "input": "standard-input"}


@pytest.mark.parametrize(
    "content",
    [b"x1,x2\n0.5,-1\n", b"x1\tx2\n0.5\t-1\n", b'{"x1": 0.5, "x2": -1}\n', b"\xef\xbb\xbfx1,x2\n0.5,-1\n"],
    ids=["csv", "tsv", "jsonl", "bom"],
)
def test_rows_by_standard_input(call: Any, trained: Trained, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    given(monkeypatch, content)
    done = call("predict", str(trained["table"]), "-", "--json")
    assert done.code == 0, done.err
    (prediction,) = done.json["predictions"]
    assert prediction["input"].startswith("standard-input.")
    expected = deepen.load(trained["table"]).predict([{"x1": 0.5, "x2": -1}])[0]
    assert prediction["probability"] == pytest.approx(expected["probability"], abs=1e-6)
    assert prediction["category"] == expected["category"]


def test_names_cannot_break_a_line(call: Any, trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "[red]a\tb\x1b[2J\n\u202e猫.png"
    shutil.copy(trained["source pictures"] / "red" / "00.png", path)
    done = call("predict", str(trained["pictures"]), str(path))
    assert done.out.count("\n") == 1
    assert done.out.split("\t")[0].endswith(r"[red]a\tb\x1b[2J\n\u202e猫.png")
    assert call("predict", str(trained["pictures"]), str(path), "--json").json["predictions"][0]["input"] == str(path)


# -- doctor -----------------------------------------------------------------------------------------------------------


def test_doctor_of_data(call: Any) -> None:
    done = call("doctor", "iris", "--json")
    assert done.code == 0
    assert done.json.keys() == {"data", "samples", "findings", "bad", "exit"}
    assert done.json["samples"] == 150
    assert all(finding.keys() >= {"level", "subject", "text", "mend"} for finding in done.json["findings"])
    assert "audit" in call("doctor", "iris").out


def test_doctor_lists_every_bad_file(call: Any, pictures: Path) -> None:
    (pictures / "red" / "empty.png").write_bytes(b"")
    (pictures / "green" / "text.jpg").write_text("no picture", encoding="utf-8")
    done = call("doctor", str(pictures), "--json")
    assert done.code == 1
    assert {Path(bad["path"]).name for bad in done.json["bad"]} == {"empty.png", "text.jpg"}
    assert "0 bytes" in call("doctor", str(pictures)).out


def test_doctor_of_a_run(call: Any, trained: Trained) -> None:
    done = call("doctor", str(trained["digits"]), "--json")
    assert (done.code, done.json["samples"]) == (0, 1797)


@pytest.mark.parametrize(
    ("pattern", "subject", "code"),
    [("checkpoints/*/state.safetensors", "damaged-checkpoint", 1), ("model/model.safetensors", "bundle", 1)],
)
def test_doctor_finds_damage(
    call: Any, trained: Trained, tmp_path: Path, pattern: str, subject: str, code: int
) -> None:
    run = shutil.copytree(trained["digits"], tmp_path / "run")
    for path in run.glob(pattern):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    done = call("doctor", str(run), "--json")
    assert done.code == code
    assert subject in {finding["subject"] for finding in done.json["findings"] if finding["level"] == "error"}


def test_doctor_notices_other_data(call: Any, table: Path, tmp_path: Path) -> None:
    run = call("train", str(table), "epochs=1", "plan=fp32", "--runs", str(tmp_path / "runs"), "--json").json["run"]
    table.write_text(table.read_text(encoding="utf-8") + "0,1,yes\n", encoding="utf-8")
    done = call("doctor", run, "--json")
    assert done.code == 1
    assert "data-changed" in {finding["subject"] for finding in done.json["findings"]}


# -- list, show -------------------------------------------------------------------------------------------------------

NAMES = [name for kind in registry.ROOMS for name in registry.entries(kind)]


def test_list_has_every_name(call: Any) -> None:
    done = call("list", "--json")
    assert (done.code, done.err) == (0, "")
    assert {name for names in done.json.values() for name in names} == {*NAMES, *(known.name for known in known_good())}
    printed = call("list").out
    assert all(name in printed for name in NAMES)


@pytest.mark.parametrize("name", sorted({*NAMES, *(known.name for known in known_good())}))
def test_every_name_can_be_shown(call: Any, name: str) -> None:
    done = call("show", name, "--json")
    assert (done.code, done.err) == (0, "")
    assert name in done.json.values()
    assert name in call("show", name).out


def test_show_recipe_has_every_setting(call: Any) -> None:
    done = call("show", "recipe", "--json")
    assert done.json.keys() == {*SECTIONS, "also"} - {"task", "model"}
    for keys in done.json.values():
        assert all(meaning.strip() for meaning in keys.values()), keys
    assert call("show", "optim", "--json").json == {"optim": done.json["optim"]}


def test_show_tells_where_known_data_comes_from(call: Any) -> None:
    assert call("show", "mnist", "--json").json.keys() >= {"licence", "citation", "homepage"}


def test_show_draws(call: Any, tmp_path: Path) -> None:
    for words in (["schedule", "cosine", "warmup=0.1"], ["activations"]):
        out = tmp_path / f"{words[0]}.svg"
        done = call("show", *words, "--out", str(out), "--json")
        assert (done.code, done.json["picture"]) == (0, str(out))
        assert out.read_text(encoding="utf-8").startswith("<svg")


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_reader_that_has_seen_enough(tmp_path: Path, trained: Trained) -> None:
    for words in (["list"], ["predict", str(trained["table"]), str(trained["source table"])]):
        command = [sys.executable, "-m", "deepen", *words]
        read, write = os.pipe()
        os.close(read)
        try:
            done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
        finally:
            os.close(write)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_training_goes_on_when_nobody_reads(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deepen", "train", "xor", "epochs=1", "plan=fp32"]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=120
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "runs" / "latest" / "report.html").is_file()


def test_a_terminal_that_knows_only_ascii(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "猫.png"
    shutil.copy(trained["source pictures"] / "red" / "00.png", path)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for json_option in ([], ["--json"]):
        done = process("predict", str(trained["pictures"]), str(path), *json_option, env=environment)
        assert done.returncode == 0, done.stderr
        assert r"\u732b.png" in done.stdout
    missing = process("train", "猫", env=environment)
    assert (missing.returncode, "Traceback" in missing.stderr) == (2, False)


def test_json_has_no_nan_and_no_half_characters() -> None:
    text = as_text({"a": float("nan"), "b": [1.5, float("inf")], "c": "\udcff", "d": (1, 2)})
    assert json.loads(text) == {"a": None, "b": [1.5, None], "c": "\udcff", "d": [1, 2]}
    assert text.isascii()


# -- the report -------------------------------------------------------------------------------------------------------


def told(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


def test_the_report_says_how_to_make_the_run_again(call: Any, tmp_path: Path) -> None:
    words = ("optim.lr=0.02", "seed=3", "epochs=2", "plan=fp32")
    run = Path(call("train", "iris", *words, "--runs", str(tmp_path / "a"), "--json").json["run"])
    (command,) = re.findall(r"deepen train iris [^<]*", told(run))
    expected = "--as classify --model mlp fit.epochs=2 plan=fp32 optim.lr=0.02 seed=3"
    assert sorted(command.split()[3:]) == sorted(expected.split())
    again = call(*command.split()[1:], "--runs", str(tmp_path / "b"), "--json").json
    assert (Path(again["run"]) / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()


def test_next_commands_suit_the_task(trained: Trained) -> None:
    assert "deepen predict" in told(trained["digits"])
    assert "deepen generate" not in told(trained["digits"])
    assert "deepen generate" in told(trained["gan"])
    assert "deepen predict" not in told(trained["gan"])


def test_the_report_shows_cells_as_the_user_wrote_them(trained: Trained) -> None:
    rows = trained["source table"].read_text(encoding="utf-8").split()[1:]
    cells = {f"{float(cell):.4g}" for row in rows for cell in row.split(",")[:2]}
    picture = (trained["number"] / "pictures" / "samples.svg").read_text(encoding="utf-8")
    shown = re.findall(r">(-?\d+\.\d+)<", picture)
    assert len(shown) >= 9
    features = [cell for cell in shown if cell in cells]
    assert len(features) >= len(shown) - 9  # the answers are told to five digits


def test_why_data_was_read_as_it_was_is_told(call: Any, tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("day,load\n" + "".join(f"2026-01-{day:02},{day % 7}\n" for day in range(1, 32)), encoding="utf-8")
    done = call("doctor", str(path))
    assert "Read as a series, by 'day' whose times are 1 day apart; `--as regress`" in " ".join(done.out.split()), (
        done.out
    )

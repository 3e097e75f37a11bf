from __future__ import annotations

import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import deepen
from deepen.engine import checkpoint
from deepen.insight import written
from deepen.insight.ink import text_width, wrapped
from deepen.insight.pictures import wrapped_table
from deepen.training import Interrupted
from tests.samples import prose

SHORT: dict[str, Any] = prose.SETTINGS | {
    "model.dropout": 0.1,
    "fit.epochs": 1,
    "fit.batch_size": 8,
    "fit.evaluate_epochs": 0.25,
    "plan": "fp32",
}


def kept(run: deepen.Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.folder.samples.iterdir()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, deepen.Run]:
    folder = tmp_path_factory.mktemp("written")
    source = prose.make(folder)
    return source, deepen.train(source, runs=folder / "runs", **SHORT)


def test_what_is_written_is_kept_and_told(trained: tuple[str, deepen.Run]) -> None:
    _, run = trained
    steps = [row["step"] for row in run.folder.rows() if "validation/loss" in row]
    assert sorted(kept(run)) == [f"text-{step:07d}.txt" for step in steps]
    assert all(0 < len(text.decode()) <= written.LENGTH for text in kept(run).values())
    report = run.folder.report.read_text(encoding="utf-8")
    begun = written.beginning(run.data())
    assert "How it goes on with" in report
    assert begun.split()[0] in report
    assert (run.folder.pictures / "written.svg").is_file()
    assert "what it writes" in report


def test_writing_changes_nothing_of_the_training(trained: tuple[str, deepen.Run], tmp_path: Path) -> None:
    source, run = trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(written, "continuation", lambda *_: "")
        silent = deepen.train(source, runs=tmp_path, **SHORT)
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert (silent.path / name).read_bytes() == (run.path / name).read_bytes()


def test_resumed_it_writes_the_same(trained: tuple[str, deepen.Run], tmp_path: Path) -> None:
    source, run = trained
    real, left = checkpoint.save_file, [3]

    def save(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save_file", save)
        with pytest.raises(Interrupted) as caught:
            deepen.train(source, runs=tmp_path, **SHORT)
    stopped = caught.value.run
    assert set(kept(stopped)) < set(kept(run))
    assert kept(deepen.resume(stopped.path)) == kept(run)


def test_lines_are_broken_between_words() -> None:
    assert wrapped("To be or not to be, that is", 85) == ["To be or not", "to be, that", "is"]


@pytest.mark.parametrize(
    "text", ["", "   ", "a", "好" * 50, "x" * 90 + " y", "    if x:  return", "a\tb", "好" * 20_000]
)
def test_lines_hold_everything_and_fit(text: str) -> None:
    lines = wrapped(text, 100)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(text_width(line) <= 100 for line in lines)


def test_where_there_is_no_room_each_letter_has_its_line() -> None:
    assert wrapped("abc", -50) == ["a", "b", "c"]


def test_a_table_of_texts_is_safe_and_keeps_lines() -> None:
    drawn = wrapped_table(
        "<b>", ("step", "text"), [("1", "one\ntwo & <three>\n"), ("2", ""), ("3", "\u202e \0" + "好" * 200)]
    )
    found = ElementTree.fromstring(drawn)
    texts = [node.text for node in found.iter("{http://www.w3.org/2000/svg}text")]
    assert {"one", "two & <three>"} <= set(texts)
    assert "好" * 40 in "".join(filter(None, texts))

"""What texts from anywhere may hold: read, learnt from and asked about, or named in one sentence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import deepen
from deepen.data import prose, running, text_folder, text_table, texts
from deepen.data.text_file import encoding_of
from deepen.errors import Misuse, Problem
from deepen.tasks.base import Writes, Writing

STRANGE = (
    "",
    " \t  ",
    "fine",
    "😀👩\u200d👩\u200d👧 great 🇩🇪",
    "so good \ud83d really",
    "\u202eevol si siht\u202c and more",
    "first\x85second\u2028third\u2029fourth\x0bfifth\x0csixth",
    "no\u00a0break\u200bof\ufeffit",
    "e\u0301" * 50,
    "word " * 2000,
    "x" * 5000,
    "这家店的外卖很好吃，速度也快！",
    "هذا الفيلم رائع جدا",
    "<pad> <unk> </s> <mask>",
    "<script>alert(1)</script> & \"quoted\" 'text'",
)
MEGABYTE = "x" * 1_000_000
ASKED = [*STRANGE, "zzzz qqqq", "\x00", "\n", "a/b " * 100, "a?" * 200, MEGABYTE]
SHORT: dict[str, Any] = {"epochs": 1, "plan": "fp32", "fit.batch_size": 16}


def rows(given: Sequence[str]) -> list[tuple[str, str]]:
    """Each text alone, and with words that tell its class."""
    found = []
    for number, text in enumerate(given):
        label = "yes" if number % 2 else "no"
        found += [(text, label), (f"{text[:9999]} {'fine film' if number % 2 else 'poor show'} {number}", label)]
    return found


def jsonl(path: Path, given: Sequence[tuple[str, str]]) -> Path:
    path.write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in given), encoding="utf-8"
    )
    return path


def csv(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def plain(count: int = 40, ending: str = "\n") -> str:
    """A table of plain texts."""
    lines = [f'"a film that is number {number}, é",{"yes" if number % 2 else "no"}' for number in range(count)]
    return ending.join(["text,label", *lines]) + ending


def folder(path: Path, given: Sequence[tuple[str, str]]) -> Path:
    for number, (text, label) in enumerate(given):
        (path / label).mkdir(parents=True, exist_ok=True)
        (path / label / f"{number}.txt").write_text(text.replace("\ud83d", ""), encoding="utf-8")
    return path


def learn(source: Path, root: Path, **settings: Any) -> deepen.Run:
    return deepen.train(source, runs=root / "runs", **SHORT | settings)


@pytest.mark.parametrize("model", ["bag", "lstm"])
def test_strange_texts_are_learnt_from_and_answered(model: str, tmp_path: Path) -> None:
    run = learn(
        jsonl(tmp_path / "strange.jsonl", rows([*STRANGE, MEGABYTE])), tmp_path, model=model, **{"data.length": 32}
    )
    report = run.folder.report.read_text(encoding="utf-8")
    assert not [sign for sign in ("\u202e", "\u2028", "<script>") if sign in report]
    assert len(report) < 400_000
    answers = run.load().predict(ASKED)
    assert len(answers) == len(ASKED)
    assert {answer["category"] for answer in answers} <= {"yes", "no"}


@pytest.mark.parametrize("tokens", ["characters", "bpe"])
def test_every_way_of_cutting_takes_them(tokens: str, tmp_path: Path) -> None:
    source = jsonl(tmp_path / "strange.jsonl", rows(STRANGE))
    settings = {"data.tokens": tokens, "data.vocabulary": 300, "data.length": 16}
    run = learn(source, tmp_path, model="bag", **settings)
    assert len(run.load().predict(ASKED[:-1])) == len(ASKED) - 1


def test_strange_texts_in_class_folders(tmp_path: Path) -> None:
    source = folder(tmp_path / "strange", rows(STRANGE))
    run = learn(source, tmp_path, model="bag", **{"data.length": 32})
    assert [answer["category"] in ("yes", "no") for answer in run.load().predict([str(source / "no/0.txt"), ""])] == [
        True,
        True,
    ]


def test_strange_running_text_and_prompts(tmp_path: Path) -> None:
    (tmp_path / "strange.txt").write_text("\n".join(STRANGE[:4] + STRANGE[5:]), encoding="utf-8")
    settings = {"data.length": 16, "model.width": 16, "model.layers": 1, "model.heads": 1}
    model = learn(tmp_path / "strange.txt", tmp_path, model="gpt", **settings).load()
    assert isinstance(model.task, Writes)
    for prompt in ("", "\ud83d", "unknown Ж", "x" * 5000, "\u202e"):
        written = "".join(model.task.write(model.module, model.preprocess, prompt, Writing(tokens=20, seed=1)))
        assert len(written) <= 20


def test_the_command_line_answers_any_text(tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = learn(csv(tmp_path / "plain.csv", plain().encode()), tmp_path, model="bag")
    monkeypatch.chdir(tmp_path)
    done = call("predict", str(run.path), "")
    assert done.code == 2
    assert "is empty" in done.err
    for text in ("zzzz qqqq", "a long text " * 100, "is it [good]?", "half \ud83d"):
        done = call("predict", str(run.path), text, "--json")
        assert done.code == 0, (text[:20], done.err)
        assert done.json["predictions"][0]["category"] in ("yes", "no")
    for text in ("half \ud83d", "\u202etxet"):
        done = call("predict", str(run.path), text)
        assert done.code == 0, done.err
        assert "\u202e" not in done.out


def test_texts_that_are_all_equal(tmp_path: Path) -> None:
    given = [("the same again", "yes" if number % 2 else "no") for number in range(40)]
    found = texts_of(jsonl(tmp_path / "equal.jsonl", given))
    assert found.spec.input.length == 3
    run = learn(folder(tmp_path / "set", given), tmp_path, model="bag")
    assert run.best["value"] == 0.5


def texts_of(path: Path, **settings: Any) -> Any:
    return text_table.load(str(path), texts.Config(text="text", **settings), seed=0)


def test_a_corpus_of_one_word(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no characters to learn from"):
        texts_of(jsonl(tmp_path / "none.jsonl", [(" ", "yes" if number % 2 else "no") for number in range(20)]))
    (tmp_path / "one.txt").write_text("word", encoding="utf-8")
    with pytest.raises(Problem, match="too short"):
        prose.load(str(tmp_path / "one.txt"), running.Config(), seed=0)
    (tmp_path / "none.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(Problem, match="holds no text"):
        prose.load(str(tmp_path / "none.txt"), running.Config(), seed=0)


def test_windows_are_not_longer_than_all_that_is_learnt_from(tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text("once upon a time " * 30, encoding="utf-8")
    with pytest.raises(Misuse, match=r"data\.length=100000 .*only 357 tokens of story train.* at most 357\."):
        prose.load(str(tmp_path / "story.txt"), running.Config(length=100_000), seed=0)
    assert len(prose.load(str(tmp_path / "story.txt"), running.Config(length=357), seed=0).train) == 1


def test_validation_texts_without_tokens_are_one_unknown_token(tmp_path: Path) -> None:
    given = [(f"a fine film {number}", "yes" if number % 2 else "no") for number in range(40)]
    (tmp_path / "set/train").mkdir(parents=True)
    folder(tmp_path / "set/train", given)
    folder(tmp_path / "set/val", [("", "yes"), (" ", "no"), ("", "no")])
    run = learn(tmp_path / "set", tmp_path, model="lstm")
    assert run.folder.read("data.json")["samples"]["validation"] == 3
    assert run.best["value"] is not None


def test_only_line_feeds_end_lines_of_prose(tmp_path: Path) -> None:
    path = tmp_path / "ends.txt"
    path.write_bytes("one\r\ntwo\x85three\u2028four\rfive\n".encode() * 20)
    documents, _ = prose._read(path, running.Config())
    assert documents[0][1] == "one\r\ntwo\x85three\u2028four\rfive\n" * 20


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (plain().encode(), "Read as UTF-8, which all its bytes are."),
        (plain(ending="\r\n").encode("utf-8-sig"), "Read as UTF-8, by the mark at its start."),
        (plain().encode("utf-16"), "Read as UTF-16, by the mark at its start."),
        (plain().replace("a film that is", "这部电影很好看").replace("é", "的").encode("gbk"), "Read as GBK"),
    ],
    ids=["utf-8", "mark", "utf-16", "gbk"],
)
def test_the_encoding_that_was_found_is_told(content: bytes, told: str, tmp_path: Path) -> None:
    for name, packed in (("plain.csv", content), ("packed.csv.gz", gzip.compress(content))):
        dataset = texts_of(csv(tmp_path / name, packed))
        assert any(told in fact for fact in dataset.facts), dataset.facts
        assert len(dataset.train) == 28
    for label in ("yes", "no"):
        for number in range(10):
            (tmp_path / "set" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / label / f"{number}.txt").write_bytes(content)
    in_folder = text_folder.load(str(tmp_path / "set"), texts.Config(), seed=0)
    assert any(told.rstrip(".") in fact and "20 files" in fact for fact in in_folder.facts), in_folder.facts
    (tmp_path / "prose.txt").write_bytes(content)
    assert any(told in fact for fact in prose.load(str(tmp_path / "prose.txt"), running.Config(), seed=0).facts)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_western_encodings_are_asked_for(encoding: str, tmp_path: Path) -> None:
    content = plain().encode(encoding)
    source = csv(tmp_path / "western.csv", content)
    (tmp_path / "western.txt").write_bytes(content)
    (tmp_path / "set/a").mkdir(parents=True)
    (tmp_path / "set/b").mkdir()
    (tmp_path / "set/a/1.txt").write_bytes(content)
    (tmp_path / "set/b/1.txt").write_bytes(b"plain")
    sentence = r"is not UTF-8 text: name its encoding, e\.g\. data\.encoding=latin-1"
    with pytest.raises(Problem, match=sentence):
        texts_of(source)
    with pytest.raises(Problem, match=sentence):
        prose.load(str(tmp_path / "western.txt"), running.Config(), seed=0)
    with pytest.raises(Problem, match=sentence):
        text_folder.load(str(tmp_path / "set"), texts.Config(), seed=0)
    found = texts_of(source, encoding=encoding)
    assert f"Read as {encoding}, as asked." in found.facts
    assert found.train.texts[0].endswith("é")


def test_the_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    content = ("é" * 700_000 + "\n" + plain()).encode()
    source = csv(tmp_path / "half.csv", content + b"lone \xed\xa0\x80,yes\n")
    with pytest.raises(Problem, match=r"half\.csv is not UTF-8 text: .* or mend line 43, the first"):
        texts_of(source)


def test_what_is_no_text_at_all_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    with pytest.raises(Problem, match=r"picture\.txt holds a NUL byte, which no text has"):
        prose.load(str(tmp_path / "picture.txt"), running.Config(), seed=0)


def test_a_text_that_cannot_be_read_may_be_left_out_of_a_folder(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"set/{'ab'[number % 2]}/{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text number {number}")
    (tmp_path / "set/a/broken.txt").write_bytes(b"caf\xe9 \x81")
    with pytest.raises(
        Problem, match=r"broken\.txt is not UTF-8 text: .*data\.skip_bad=true goes on without such files\."
    ):
        text_folder.load(str(tmp_path / "set"), texts.Config(), seed=0)
    with pytest.raises(Misuse, match=r"data\.encoding=klingon is not known"):
        text_folder.load(str(tmp_path / "set"), texts.Config(encoding="klingon", skip_bad=True), seed=0)
    (bad,) = text_folder.load(str(tmp_path / "set"), texts.Config(skip_bad=True), seed=0).bad
    assert bad.path.endswith("broken.txt")
    assert bad.reason.startswith("it is not UTF-8 text: ")
    assert not bad.reason.endswith(".")


def test_a_nul_is_named_with_its_line(tmp_path: Path) -> None:
    source = csv(tmp_path / "nul.csv", plain().replace("number 7", "number\0 7").encode())
    with pytest.raises(Problem, match=r"nul\.csv, line 9: holds a NUL byte"):
        texts_of(source)
    (tmp_path / "nul.txt").write_bytes(b"some text\0 and more" * 50)
    with pytest.raises(Problem, match=r"nul\.txt.*NUL"):
        prose.load(str(tmp_path / "nul.txt"), running.Config(), seed=0)


def test_halves_of_characters_in_names_of_classes_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "half.jsonl"
    lines = [
        {"te\ud83dxt": f"a fine film {number}", "label": "y\udc00" if number % 2 else "😀"} for number in range(40)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    run = learn(path, tmp_path, model="bag")
    assert run.load().predict(["a fine film"])[0]["category"] in ("y\ufffd", "😀")


def test_the_first_four_bytes_tell_of_an_encoding_as_well(tmp_path: Path) -> None:
    """Beside being what marks are looked for in: a character may lie across their end, and a NUL in them."""
    path = tmp_path / "a.txt"
    for before in ("", "a", "ab", "abc"):
        path.write_bytes(f"{before}你好世界今天天气很好".encode("gbk"))
        assert encoding_of(str(path), None)[0] == "gb18030", before
    path.write_bytes(b"a\0b\0\xe9\0")
    with pytest.raises(Problem, match="holds a NUL byte"):
        encoding_of(str(path), None)
    path.write_bytes(b"a\0bc\xe9")
    with pytest.raises(Problem, match="holds a NUL byte"):
        encoding_of(str(path), None)

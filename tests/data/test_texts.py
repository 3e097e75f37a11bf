from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from deepen.data import prose, python_library, sentences, sms_spam, sst2, text_folder, text_table, texts, tokenizer
from deepen.errors import Misuse, Problem
from deepen.registry import find
from deepen.sources import find_source, without_pictures
from deepen.spec import PAD, Category, Quantity, Text, Tokens

ROWS = [f"a film that is {word} number {number}" for number in range(40) for word in ("good", "bad")]


def table(folder: Path, head: str = "review,verdict", rows: list[str] | None = None, name: str = "reviews.csv") -> str:
    lines = rows if rows is not None else [f"{row},{'yes' if 'good' in row else 'no'}" for row in ROWS]
    path = folder / name
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return str(path)


def test_a_table_of_texts_is_told_from_others(tmp_path: Path) -> None:
    assert find_source(table(tmp_path))[0].name == "text-table"
    numbers = table(tmp_path, "a,b,c", [f"{n},{n * 2},{'x' if n % 2 else 'y'}" for n in range(40)], "numbers.csv")
    assert find_source(numbers)[0].name == "tables"
    people = [f"{n},{n % 3},Braund Mr. Owen Harris {n},male,{n}" for n in range(40)]
    assert find_source(table(tmp_path, "id,class,name,sex,age", people, "people.csv"))[0].name == "tables"


def test_texts_that_repeat_themselves_are_a_table_until_they_are_named(tmp_path: Path, call: Any) -> None:
    rows = [f"{('great fun for all of us', 'not my kind of film')[n % 2]},{n % 7},{'ny'[1 - n % 2]}" for n in range(60)]
    source = table(tmp_path, "what is said,day,verdict", rows)
    entry, reason = find_source(source)
    assert entry.name == "tables"
    assert "if what stands in 'what is said' is to be read as texts, 'data.text=what is said' says so" in reason
    for key in ("text", "data.text"):
        assert find_source(source, None, {key: "what is said"})[0].name == "text-table"
    assert find_source(source, "regress", {"data.text": "what is said"})[0].name == "text-table"
    assert find_source(source, None, {"data.target": "verdict", "data.text": None})[0].name == "tables"
    done = call("train", source, "data.text=what is said", "epochs=1", "plan=fp32", "--runs", str(tmp_path / "runs"))
    assert done.code == 0, done.err
    assert "Read as a table of texts, since data.text names their column" in done.out
    done = call("train", source, "data.text=said", "--runs", str(tmp_path / "runs"))
    assert done.code == 2
    assert "data.text=said names no column" in done.err


def test_columns_of_long_texts_are_named_in_tables_of_much_else(tmp_path: Path) -> None:
    long = [f"{n},{n % 5},{n % 3},this is what was said of it by number {n},{'ny'[n % 2]}" for n in range(40)]
    reason = find_source(table(tmp_path, "a,b,c,said,verdict", long))[1]
    assert "data.text=said says so" in reason
    short = [f"{n},{n % 5},{n % 3},Owen Harris of {n},{'ny'[n % 2]}" for n in range(40)]
    assert find_source(table(tmp_path, "a,b,c,name,verdict", short))[1] == "a table by its ending .csv"


def test_it_becomes_tokens_and_classes(tmp_path: Path) -> None:
    dataset = text_table.load(table(tmp_path), texts.Config(length=6), seed=0)
    assert dataset.spec.output == Category(("no", "yes"))
    assert isinstance(dataset.spec.input, Text)
    assert dataset.spec.input.length == 6
    assert "cut-texts" in {finding.subject for finding in dataset.findings}
    assert dataset.train.take(dataset.train["target"].new_tensor([0]))["input"].shape[1] <= 6
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (56, 8, 16)
    assert dataset.train.origin(0).startswith("reviews.csv:")


def test_the_vocabulary_is_that_of_the_training_texts(tmp_path: Path) -> None:
    """What stands in held-out texts only is unknown."""
    rows = [f"the word only{number} stands alone here,{'yes' if number % 2 else 'no'}" for number in range(60)]
    dataset = text_table.load(table(tmp_path, rows=rows), texts.Config(tokens="characters"), seed=0)
    words = text_table.load(table(tmp_path, rows=rows), texts.Config(), seed=0)
    assert words.spec.input.vocabulary == len(tokenizer.SPECIAL) + 5  # type: ignore[union-attr]
    assert dataset.spec.input.vocabulary > 20  # type: ignore[union-attr]


def test_numbers_can_be_learnt_from_texts(tmp_path: Path) -> None:
    rows = [f"a text with {number} words,{number * 1.5}" for number in range(60)]
    dataset = text_table.load(table(tmp_path, "text,stars", rows), texts.Config(), seed=0)
    assert isinstance(dataset.spec.output, Quantity)


def test_settings_that_name_nothing(tmp_path: Path) -> None:
    source = table(tmp_path)
    for config, said in ((texts.Config(text="revue"), "review"), (texts.Config(target="verdit"), "verdict")):
        with pytest.raises(Misuse, match=said):
            text_table.load(source, config, seed=0)
    for config in (texts.Config(length=0), texts.Config(vocabulary=2), texts.Config(vocabulary=0)):
        with pytest.raises(Misuse, match="not usable"):
            text_table.load(source, config, seed=0)


def test_strange_texts_are_read_or_named(tmp_path: Path) -> None:
    strange = [
        "",
        "one",
        "😀😀😀",
        "x" * 1_000_000,
        "a\x85b and more words here",
        "\u202eright to left\u202c words",
        "é" * 300,
    ]
    rows = [f'"{text}",{"yes" if number % 2 else "no"}' for number, text in enumerate(strange * 6)]
    dataset = text_table.load(table(tmp_path, rows=rows), texts.Config(text="review"), seed=0)
    assert {"empty-texts"} <= {finding.subject for finding in dataset.findings}
    assert (
        dataset.train.take(dataset.train["target"].new_tensor(range(len(dataset.train))))["input"][:, 0] != PAD
    ).all()


def preprocess() -> sentences.TextPreprocess:
    return sentences.TextPreprocess(tokenizer.fit("words", ["a b c a b c"], 50), 5, "review")


def test_what_is_asked(tmp_path: Path) -> None:
    own = preprocess()
    lines = tmp_path / "more.txt"
    lines.write_text("a b\n\n c a \r\n", encoding="utf-8")
    assert [item for _, item in own.read([str(lines)])] == ["a b", " c a "]
    assert [name for name, _ in own.read([str(lines)])] == [f"{lines}:1", f"{lines}:3"]
    assert own.read(["a fine film"]) == [("a fine film", "a fine film")]
    source = table(tmp_path, "review,other", ["a b,1", "c,2"])
    assert [item for _, item in own.read([source])] == ["a b", "c"]
    with pytest.raises(Problem, match="There is no file"):
        own.read(["revues.csv"])
    with pytest.raises(Problem, match="no column 'review'"):
        own.read([table(tmp_path, "text,other", ["a b,1", "c,2"], "other.csv")])
    with pytest.raises(Problem, match="expected a text"):
        own.encode([3])
    assert own.encode(["", "a b c a b c"]).shape == (2, 5)


def test_texts_in_class_folders(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("pos", "neg"):
            (tmp_path / "reviews" / part / name).mkdir(parents=True)
            for number in range(12):
                (tmp_path / "reviews" / part / name / f"{number}.txt").write_text(
                    f"a {name} text\nin two lines {number}"
                )
    source = str(tmp_path / "reviews")
    assert find_source(source)[0].name == "text-folder"
    dataset = text_folder.load(source, texts.Config(), seed=0)
    assert dataset.test is not None
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == (24, 24)
    assert [item for _, item in dataset.preprocess.read([f"{source}/test/pos/0.txt"])] == ["a pos text\nin two lines 0"]
    (tmp_path / "reviews/train/pos/3.txt").write_bytes("caf\xe9 ".encode("latin-1") * 9)
    with pytest.raises(Problem, match="encoding"):
        text_folder.load(source, texts.Config(), seed=0)
    assert len(text_folder.load(source, texts.Config(skip_bad=True), seed=0).bad) == 1


def test_running_text_is_split_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text("".join(f"{number:04d}\n" for number in range(2000)), encoding="utf-8")
    assert find_source(str(path))[0].name == "prose"
    dataset = prose.load(str(path), prose.Config(length=10), seed=0)
    assert isinstance(dataset.spec.output, Tokens)
    first = dataset.preprocess.shown(dataset.validation.take(dataset.validation["input"].new_tensor([0]))["input"][0])  # type: ignore[attr-defined]
    assert first == "1400\n1401\n"
    assert dataset.test is not None
    other = tmp_path / "sealed.txt"
    other.write_text("9\n" * 300)
    sealed = prose.load(str(path), prose.Config(length=10, test=str(other)), seed=0)
    assert sealed.test is not None
    assert len(sealed.test) == 60
    path.write_text("x")
    with pytest.raises(Problem, match="too short"):
        prose.load(str(path), prose.Config(), seed=0)


def test_label_files_are_no_prose(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    assert prose.recognise(str(tmp_path)) is None


@pytest.mark.parametrize("name", ["text-table", "text-folder", "prose", "sst2", "python-library"])
def test_weights_for_pictures_are_not_looked_for(name: str) -> None:
    assert without_pictures(find("data", name))


def test_every_install_has_a_text() -> None:
    dataset = python_library.load("python-library", python_library.Config(tokens="characters"), seed=0)
    assert len(dataset.train) > 1000


@pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set")
def test_published_texts_are_as_published() -> None:
    sizes = {"mr": 10_662, "sst2": 9_613, "sms-spam": 5_574}
    for name, size in sizes.items():
        dataset = find("data", name).load().load(name, texts.Config(), 0)
        assert dataset.test is not None
        assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == size
    stanford = find("data", "sst2").load().load("sst2", texts.Config(), 0)
    assert (len(stanford.train), len(stanford.validation), len(stanford.test)) == (6920, 872, 1821)
    plays = find("data", "shakespeare").load().load("shakespeare", prose.Config(), 0)
    assert plays.spec.input.vocabulary - len(tokenizer.SPECIAL) == 65
    assert len(plays.train.flat) + len(plays.validation.flat) == 1_115_394
    assert find_source(f"{os.environ['DEEPEN_DATA']}/text/zh_waimai/waimai_10k.csv")[0].name == "text-table"
    for other in ("titanic.csv", "iris.csv", "california_housing.csv", "adult-train.csv.gz"):
        assert find_source(f"{os.environ['DEEPEN_DATA']}/tabular/{other}")[0].name == "tables", other


@pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set")
@pytest.mark.parametrize("name", ["mr", "sst2", "sms-spam", "etth1"])
@pytest.mark.parametrize(("option", "value"), [("encoding", "latin-1"), ("missing", ("?",)), ("delimiter", ";")])
def test_how_a_published_set_is_written_cannot_be_set(name: str, option: str, value: Any) -> None:
    module = find("data", name).load()
    with pytest.raises(Misuse, match=rf"data\.{option} cannot be set for {name}"):
        module.load(name, module.Config(**{option: value}), 0)


@pytest.mark.parametrize(
    ("module", "told"), [(sst2, "a sentence, a tab, and 0 or 1"), (sms_spam, "ham or spam, a tab")]
)
def test_a_set_that_is_not_here_says_where_it_is_had_from(
    module: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPEN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Problem, match=rf"\.tsv is not here: .* or get it from https://github\.com/.*{told}"):
        module.load("", module.Config(), seed=0)


@pytest.mark.parametrize("extra", ["author", "day"])
def test_texts_of_a_table_are_split_by_the_column_that_is_named(tmp_path: Path, extra: str) -> None:
    """Else what one author wrote would stand on both sides of a split that was asked to keep it together."""
    path = tmp_path / "reviews.csv"
    rows = [f"what a film number {n} was for all of us,{'good' if n % 3 else 'bad'},{n % 13}" for n in range(130)]
    path.write_text("\n".join([f"text,label,{extra}", *rows]) + "\n", encoding="utf-8")
    setting = "group" if extra == "author" else "time"
    dataset = text_table.load(str(path), texts.Config(**{setting: extra}), seed=0)
    assert dataset.spec.output == Category(("bad", "good"))
    assert dataset.test is not None
    held = []
    for part in (dataset.train, dataset.validation, dataset.test.open(lambda: 1)):
        lines = [int(part.origin(row).rpartition(":")[2]) - 2 for row in range(len(part))]
        held.append({line % 13 for line in lines})
    assert not (held[0] & held[1] | held[0] & held[2] | held[1] & held[2])
    assert setting == "group" or max(held[0]) < min(held[1]) <= max(held[1]) < min(held[2])
    with pytest.raises(Misuse, match=f"data.{setting}=nobody names no column"):
        text_table.load(str(path), texts.Config(**{setting: "nobody"}), seed=0)


@pytest.mark.parametrize("key", ["group", "time"])
def test_a_column_to_split_by_is_not_asked_of_what_has_none_in_silence(tmp_path: Path, key: str) -> None:
    for number in range(20):
        path = tmp_path / f"set/{'ab'[number % 2]}/{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text number {number}")
    with pytest.raises(Misuse, match=f"data.{key} names a column to split by, and this data has none"):
        text_folder.load(str(tmp_path / "set"), texts.Config(**{key: "author"}), seed=0)
    (tmp_path / "book.txt").write_text("a long story. " * 200)
    with pytest.raises(Misuse, match=f"data.{key} names a column and running text has none"):
        prose.load(str(tmp_path / "book.txt"), find("data", "prose").load().Config(**{key: "author"}), seed=0)

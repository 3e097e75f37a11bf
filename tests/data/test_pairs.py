from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
import torch

from deepen.data import multi30k, paired, pairs, preprocess
from deepen.data.tokenizer import END
from deepen.errors import Misuse, Problem
from deepen.sources import find_source
from deepen.spec import PAD, Sentence, Text
from tests.samples import pairs as sample


def lay(folder: Path, **files: str) -> str:
    """Files by name, `_` read as a full stop."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return str(folder)


def lines(word: str, count: int = 40) -> str:
    return "".join(f"{word} line number {number} of them\n" for number in range(count))


def config(**named: object) -> paired.Config:
    return paired.Config(vocabulary=300, **named)


@pytest.mark.parametrize(
    "names",
    [("de_txt", "en_txt"), ("train_de", "train_en"), ("corpus_src", "corpus_tgt"), ("c_zh-CN_txt", "c_en_txt")],
)
def test_files_whose_lines_belong_together_are_known(names: tuple[str, str], tmp_path: Path) -> None:
    source = lay(tmp_path / "texts", **dict.fromkeys(names, lines("a")))
    entry, reason = find_source(source)
    assert entry.name == "pairs"
    assert "belong together" in reason
    dataset = pairs.load(source, config(), 0)
    assert (len(dataset.train), len(dataset.validation)) == (28, 4)
    assert dataset.test is not None
    assert len(dataset.test) == 8


def test_other_folders_of_texts_are_not(tmp_path: Path) -> None:
    assert find_source(lay(tmp_path / "book", chapter1_txt=lines("a"), chapter2_txt=lines("b")))[0].name == "prose"
    assert find_source(lay(tmp_path / "one", notes_txt=lines("a"), de_txt=lines("b")))[0].name == "prose"


def test_weights_whose_ending_is_a_language_are_no_texts(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04\0\0weights")
    assert pairs.recognise(str(tmp_path)) is None
    (tmp_path / "model.pt").write_text("um texto\n", encoding="utf-8")
    assert pairs.recognise(str(tmp_path)) is not None


def test_packed_files_and_their_parts(tmp_path: Path) -> None:
    for part, count in (("train", 60), ("dev", 9), ("test_2016", 7), ("test_2017", 8)):
        for side in ("de", "en", "fr"):
            (tmp_path / f"{part}.{side}.gz").write_bytes(gzip.compress(lines(f"{part} {side}", count).encode()))
    with pytest.raises(Misuse, match=r"data\.source"):
        pairs.load(str(tmp_path), config(target="de"), 0)
    dataset = pairs.load(str(tmp_path), config(source="fr", target="de", test="test_2017"), 0)
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (60, 9, 8)
    assert dataset.validation.origin(3) == "dev.fr.gz:4"
    assert any("test_2016" in fact for fact in dataset.facts)
    assert "dev fr" in dataset.preprocess.shown(dataset.validation["input"][0])
    assert paired.read_back(dataset.validation["reference"][0]) == "dev de line number 0 of them"
    with pytest.raises(Misuse, match="Did you mean 'test_201"):
        pairs.load(str(tmp_path), config(source="fr", target="de", test="test_2015"), 0)
    with pytest.raises(Misuse, match=r"data\.target=es"):
        pairs.load(str(tmp_path), config(source="fr", target="es"), 0)


def test_english_is_translated_into_where_nothing_is_asked(tmp_path: Path) -> None:
    source = lay(tmp_path / "texts", train_en=lines("a"), train_uk=lines("b"))
    assert pairs.load(source, config(), 0).preprocess.languages == ("uk", "en")
    assert pairs.load(source, config(target="uk"), 0).preprocess.languages == ("en", "uk")
    assert pairs.load(source, config(source="en"), 0).preprocess.languages == ("en", "uk")
    with pytest.raises(Misuse, match="the same"):
        pairs.load(source, config(source="en", target="en"), 0)


def test_files_of_unequal_length_are_told(tmp_path: Path) -> None:
    source = lay(tmp_path / "texts", train_de=lines("a", 40), train_en=lines("b", 41))
    with pytest.raises(Problem, match=r"train\.de has 40 lines and train\.en 41"):
        pairs.load(source, config(), 0)


def test_pairs_with_an_empty_side_are_left_out(tmp_path: Path) -> None:
    source = lay(tmp_path / "texts", train_de="\n" + lines("a", 40), train_en="x\n" + lines("b", 40))
    dataset = pairs.load(source, config(), 0)
    assert dataset.findings[0].subject == "empty-texts"
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test or ()) == 40
    assert dataset.train.origin(0) == "train.de:2"
    assert "(train.de:1)" in dataset.findings[0].text


def test_pairs_with_an_endless_side_are_left_out_and_named(tmp_path: Path) -> None:
    """A line of a megabyte without a blank: learning pieces from it, or filling a batch up to it, would never end."""
    endless = "我" * 350_000 + "\n"
    source = lay(tmp_path / "texts", train_zh=lines("a", 20) + endless + lines("a", 20), train_en=lines("b", 41))
    dataset = pairs.load(source, config(), 0)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test or ()) == 40
    assert [finding.subject for finding in dataset.findings] == ["endless-texts"]
    assert "10,000 characters: it is left out (train.zh:21)" in dataset.findings[0].text


@pytest.mark.parametrize(("de", "en", "why"), [("", "", "no line"), ("\n\n", "x\ny\n", "2 with an empty side")])
def test_files_that_hold_nothing_are_told(de: str, en: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=f"nothing to learn from in texts: .*{why}"):
        pairs.load(lay(tmp_path / "texts", train_de=de, train_en=en), config(), 0)


def test_empty_lines_at_the_end_of_one_file_lack_nothing(tmp_path: Path) -> None:
    source = lay(tmp_path / "texts", train_de=lines("a", 40) + "\n\n", train_en=lines("b", 40))
    dataset = pairs.load(source, config(), 0)
    assert not dataset.findings
    assert len(dataset.train) == 28


def test_ends_of_lines_are_those_of_files_and_no_others(tmp_path: Path) -> None:
    """NEL and the separators of Unicode stand within lines; one file was written on Windows, the other begins with a mark."""
    (tmp_path / "train.de").write_bytes("\ufeff".encode() + "ja\x85nein\u2028doch {}\r\n".encode() * 40)
    (tmp_path / "train.en").write_bytes(b"yes no still\n" * 39 + b"yes no last")
    dataset = pairs.load(str(tmp_path), config(), 0)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test or ()) == 40
    assert dataset.preprocess.shown(dataset.train["input"][0]) == "ja\x85nein\u2028doch {}"


def test_a_file_without_its_partner_is_told(tmp_path: Path) -> None:
    parts = dict.fromkeys(("train_de", "train_en", "test_de", "test_en"), lines("a"))
    dataset = pairs.load(lay(tmp_path / "texts", val_de=lines("a"), **parts), config(), 0)
    assert [(one.level, one.subject) for one in dataset.findings] == [("warning", "partner")]
    assert "left out: val.de" in dataset.findings[0].text


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("train.de", "val.de"), "Only the language de is there"),
        (("train.de", "training.en"), r"no two files of one name in de and en.*it holds train\.de, training\.en"),
    ],
)
def test_what_is_wrong_with_files_that_are_called_by_languages_is_told(
    names: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_text(lines(name), encoding="utf-8")
    assert find_source(str(tmp_path))[0].name == "pairs"
    with pytest.raises(Problem, match=why):
        pairs.load(str(tmp_path), config(), 0)


def test_what_was_decided_alike_about_files_is_told_once(tmp_path: Path) -> None:
    dataset = pairs.load(sample.make(tmp_path), config(), 0)
    told = [fact for fact in dataset.facts if "UTF-8" in fact]
    assert told == ["train.de, train.en, val.de, val.en, test.de, test.en: Read as UTF-8, which all its bytes are."]


@pytest.mark.parametrize(("key", "value"), [("header", True), ("delimiter", ","), ("missing", ("NA",))])
def test_what_is_for_tables_is_not_passed_over_in_silence(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=rf"data\.{key} is for tables"):
        pairs.load(sample.make(tmp_path), config(**{key: value}), 0)


def test_a_file_that_is_there_packed_as_well_is_read_once(tmp_path: Path) -> None:
    source = lay(tmp_path / "texts", train_de=lines("a"), train_en=lines("b"))
    (tmp_path / "texts" / "train.de.gz").write_bytes(gzip.compress(b"other\n"))
    dataset = pairs.load(source, config(), 0)
    assert "train.de is read and not train.de.gz, which has the same name." in dataset.facts


def test_files_of_which_no_part_is_known_are_not_learnt_beside_others(tmp_path: Path) -> None:
    """What a data set was made to be tested on may be called newstest2014."""
    files = {f"{part}_{side}": lines(part) for part in ("train", "valid", "newstest2014") for side in ("de", "en")}
    source = lay(tmp_path / "texts", **files)
    with pytest.raises(Problem, match=r"'newstest2014' is, beside 'train'.*data\.test=NAME"):
        pairs.load(source, config(), 0)
    dataset = pairs.load(source, config(test="newstest2014"), 0)
    assert len(dataset.test or ()) == 40
    assert "Pairs of files: train for train; valid for validation; newstest2014 for test." in dataset.facts


def test_stories_whose_names_begin_like_languages_are_no_translations(tmp_path: Path) -> None:
    source = lay(tmp_path / "texts", no_country_txt=lines("a"), my_story_txt=lines("b"))
    for name in ("no_country", "my_story"):
        (tmp_path / "texts" / f"{name.replace('_', '.')}.txt").rename(tmp_path / "texts" / f"{name}.txt")
    assert find_source(source)[0].name == "prose"


@pytest.mark.parametrize(
    ("names", "languages"),
    [
        (("en-GB", "fr"), ("fr", "en-GB")),
        (("EN", "FR"), ("FR", "EN")),
        (("zh_Hans", "en"), ("zh_Hans", "en")),
        (("english", "german"), ("german", "english")),
    ],
)
def test_english_by_any_name_is_translated_into(
    names: tuple[str, str], languages: tuple[str, str], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / f"{name}.txt").write_text(lines(name), encoding="utf-8")
    assert find_source(str(tmp_path))[0].name == "pairs"
    assert pairs.load(str(tmp_path), config(), 0).preprocess.languages == languages


@pytest.mark.parametrize("damage", [slice(0, 40), slice(12, None)])
def test_a_packed_file_that_is_damaged_is_told(damage: slice, tmp_path: Path) -> None:
    packed = gzip.compress("".join(f"line {number * 7919 % 1000}\n" for number in range(500)).encode())
    (tmp_path / "train.de.gz").write_bytes(packed[damage])
    (tmp_path / "train.en").write_text(lines("a", 500), encoding="utf-8")
    with pytest.raises(Problem, match=r"train\.de\.gz cannot be unpacked"):
        pairs.load(str(tmp_path), config(), 0)


def test_a_table_that_holds_something_to_learn_beside_two_texts_is_none_of_translations(tmp_path: Path) -> None:
    rows = [f"a short title number {n},the whole review with number {n}" for n in range(60)]
    stars, numbered = tmp_path / "reviews.csv", tmp_path / "numbered.csv"
    stars.write_text("title,text,stars\n" + "".join(f"{row},{n % 5}\n" for n, row in enumerate(rows)))
    numbered.write_text("id,title,text\n" + "".join(f"{n},{row}\n" for n, row in enumerate(rows)))
    assert find_source(str(stars))[0].name != "pairs"
    assert find_source(str(stars), "translate")[0].name == "pairs"
    assert find_source(str(numbered))[0].name == "pairs"
    assert find_source(str(numbered), "regress")[0].name != "pairs"
    assert pairs.load(str(stars), config(), 0).preprocess.languages == ("title", "text")


def test_a_table_of_words_where_a_translation_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("german,english\n" + "".join(f"wort{n},word{n}\n" for n in range(40)), encoding="utf-8")
    assert find_source(str(path), "translate")[0].name == "pairs"
    assert pairs.load(str(path), config(), 0).preprocess.languages == ("german", "english")
    path.write_text("word\n" + "".join(f"word{n}\n" for n in range(40)), encoding="utf-8")
    with pytest.raises(Problem, match="Only the column word"):
        pairs.load(str(path), config(), 0)


@pytest.mark.parametrize("first", ["Go.\tGeh.", "the dog runs here\tder Hund läuft hier"])
def test_a_table_whose_first_row_is_a_pair_has_no_header(first: str, tmp_path: Path) -> None:
    path = tmp_path / "deu.tsv"
    path.write_text(f"{first}\n" + "".join(f"the dog runs {n}\tder Hund läuft {n}\n" for n in range(39)))
    entry, reason = find_source(str(path))
    assert (entry.name, reason) == ("pairs", "a table of texts and translations")
    dataset = pairs.load(str(path), config(), 0)
    assert dataset.preprocess.languages == ("column_1", "column_2")
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test or ()) == 40
    assert pairs.load(str(path), config(header=True), 0).preprocess.languages == tuple(first.split("\t"))


def test_rows_that_were_passed_over_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "sentences.csv"
    rows = "".join(f"der Satz mit Nummer {n},the sentence with number {n}\n" for n in range(40))
    path.write_text(f"german,english\n{rows}one cell\n", encoding="utf-8")
    assert [Path(one.path).name for one in pairs.load(str(path), config(skip_bad=True), 0).bad] == ["sentences.csv:42"]


def test_answers_have_the_room_that_training_answers_take(tmp_path: Path) -> None:
    """A question of one sign may have a long answer, and a text in Chinese a translation of many more letters."""
    source = lay(tmp_path / "texts", c_zh="好\n" * 40, c_en="that is good indeed, very well\n" * 40)
    own = pairs.load(source, config(tokens="characters"), 0).preprocess
    assert isinstance(own, paired.PairPreprocess)
    longest = len("that is good indeed, very well") + 1
    assert own.room(torch.tensor([[9, 0], [9, 9]])).tolist() == [longest, 2 * (longest - paired.ROOM) + paired.ROOM]
    again = preprocess.restore(preprocess.dump(own))
    assert isinstance(again, paired.PairPreprocess)
    assert again.times == own.times
    older = preprocess.dump(own)
    del older["times"]
    assert preprocess.restore(older).times == 2.0


def test_what_of_a_text_was_not_read_is_told(tmp_path: Path) -> None:
    own = pairs.load(sample.make(tmp_path), config(length=5), 0).preprocess
    many = len(own.source.tokenizer.encode(["der hund läuft und läuft"])[0])
    assert own.beside("der") == {}
    assert own.beside("\udc80") == {}
    assert own.beside("der hund läuft und läuft") == {"cut": f"only the first 5 of {many} tokens were read"}


def test_a_table_of_two_columns_of_texts(tmp_path: Path) -> None:
    rows = "".join(f'"der Satz mit Nummer {n}, ja",the sentence with number {n}\n' for n in range(40))
    path = tmp_path / "sentences.csv"
    path.write_text(f"german,english\n{rows}", encoding="utf-8")
    assert find_source(str(path))[0].name == "pairs"
    dataset = pairs.load(str(path), config(), 0)
    assert dataset.preprocess.languages == ("german", "english")
    turned = pairs.load(str(path), config(target="german"), 0)
    assert turned.preprocess.languages == ("english", "german")
    assert paired.read_back(turned.train["reference"][0]).startswith("der Satz")
    with pytest.raises(Misuse, match="Did you mean 'german'"):
        pairs.load(str(path), config(source="germen"), 0)


def test_both_sides_as_tokens(tmp_path: Path) -> None:
    dataset = pairs.load(sample.make(tmp_path), config(length=5), 0)
    assert isinstance(dataset.spec.input, Text)
    assert isinstance(dataset.spec.output, Sentence)
    assert dataset.spec.output.length == 5
    assert "cut-texts" in {finding.subject for finding in dataset.findings}
    batch = dataset.train.take(torch.arange(60))
    for row, reference in zip(batch["target"], batch["reference"], strict=True):
        tokens = row[row != PAD].tolist()
        assert (tokens[-1] == END) == (len(tokens) < 5 or END in tokens)
        text = paired.read_back(reference)
        assert text.startswith(dataset.preprocess.target.decode([one for one in tokens if one != END]))
    assert not any(dataset.train.fingerprints() == 0)


def test_the_preprocessing_is_kept(tmp_path: Path) -> None:
    own = pairs.load(sample.make(tmp_path), config(), 0).preprocess
    again = preprocess.restore(preprocess.dump(own))
    assert isinstance(again, paired.PairPreprocess)
    assert again.languages == ("de", "en")
    assert torch.equal(again.encode(["der hund läuft."]), own.encode(["der hund läuft."]))
    assert again.target.decode(own.target.encode(["the dog runs 😀."])[0]) == "the dog runs 😀."


@pytest.mark.parametrize(
    ("key", "value"),
    [("vocabulary", 3), ("vocabulary", 0), ("length", 1), ("length", 10**9), ("group", "speaker"), ("time", "day")],
)
def test_settings_that_cannot_be_followed_are_misuse(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=rf"data\.{key}"):
        pairs.load(sample.make(tmp_path), paired.Config(**{key: value}), 0)


@pytest.mark.skipif(
    "DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set: it names the folder with the real data"
)
def test_multi30k() -> None:
    dataset = multi30k.load("multi30k", multi30k.Config(tokens="words", source="en", target="de"), 0)
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (29_000, 1014, 1000)
    assert paired.read_back(dataset.train.take(torch.tensor([0]))["reference"][0]).startswith("Zwei junge weiße Männer")
    with pytest.raises(Misuse, match=r"data\.target=fr"):
        multi30k.load("multi30k", multi30k.Config(target="fr"), 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [("test", "test_2017"), ("encoding", "latin-1"), ("missing", ("NA",)), ("test_fraction", 0.3)],
)
def test_what_multi30k_cannot_follow_is_misuse(key: str, value: object) -> None:
    with pytest.raises(Misuse, match=rf"data\.{key}"):
        multi30k.load("multi30k", multi30k.Config(**{key: value}), 0)


def test_the_folder_that_one_is_in_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = sample.make(tmp_path)
    monkeypatch.chdir(source)
    assert pairs.load(".", config(), 0).name == "corpus"


def test_multi30k_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPEN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Problem, match="DEEPEN_DATA"):
        multi30k.load("multi30k", multi30k.Config(), 0)

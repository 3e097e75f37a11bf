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
    ("key", "value"), [("vocabulary", 3), ("vocabulary", 0), ("length", 1), ("group", "speaker"), ("time", "day")]
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
    with pytest.raises(Misuse, match=r"data\.test"):
        multi30k.load("multi30k", multi30k.Config(test="test_2017"), 0)


def test_multi30k_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPEN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Problem, match="DEEPEN_DATA"):
        multi30k.load("multi30k", multi30k.Config(), 0)

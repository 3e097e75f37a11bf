from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from deepen.data import conll, labelled, preprocess, segmented, tagged
from deepen.data.dataset import Dataset
from deepen.data.tagging import TaggedPreprocess, joining
from deepen.data.tokenizer import Characters
from deepen.errors import Misuse, Problem
from deepen.sources import find_source
from deepen.spec import UNLABELLED, Labels, Text

OLD = "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\nGerman JJ I-NP B-MISC\n. . O O\n\nPeter NNP I-NP B-PER\n"
UNIVERSAL = """# newdoc id = a
# text = I don't know
1\tI\tI\tPRON\tPRP\t_\t4\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\tdo\tAUX\tVBP\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
3.1\tever\tever\tADV\t_\t_\t_\t_\t_\t_
4\tknow\tknow\tVERB\tVB\t_\t0\troot\t_\t_
5\t#\t#\t_\tSYM\t_\t4\tpunct\t_\t_

"""


def write(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return str(path)


def names(count: int = 40) -> str:
    line = "Anna{0} B-PER\nSmith I-PER\nsees O\nOslo B-LOC\n. O\n\n"
    return "".join(line.format(number) for number in range(count))


def load(source: str, **settings: Any) -> Dataset:
    return tagged.load(source, labelled.Config(**settings), 0)


def test_columns_between_blanks(tmp_path: Path) -> None:
    found = conll.read(write(tmp_path, "a.conll", OLD))
    assert [one.words for one in found.sentences] == [("EU", "rejects", "German", "."), ("Peter",)]
    assert [one.labels for one in found.sentences] == [("B-ORG", "O", "B-MISC", "O"), ("B-PER",)]
    assert found.sentences[1].origin.endswith("a.conll:8")
    assert conll.read(write(tmp_path, "b.conll", OLD), column="2").sentences[0].labels == ("NNP", "VBZ", "JJ", ".")


def test_universal_dependencies(tmp_path: Path) -> None:
    path = write(tmp_path, "a.conllu", UNIVERSAL * 2)
    found = conll.read(path)
    assert found.sentences[0].words == ("I", "do", "n't", "know", "#")
    assert found.sentences[0].labels == ("PRON", "AUX", "PART", "VERB", "")
    assert [one.document for one in found.sentences] == [0, 1]
    assert conll.read(path, column="xpos").sentences[0].labels[4] == "SYM"
    with pytest.raises(Misuse, match="Did you mean"):
        conll.read(path, column="xposs")


def test_tabs_keep_blanks_in_words_and_line_ends_may_be_mixed(tmp_path: Path) -> None:
    text = "New York\tLOC\r\nis\tO\n\r\n😀\tO\rbig\u2028\xa0x\tO\n"
    found = conll.read(write(tmp_path, "a.tsv", text))
    assert [one.words for one in found.sentences] == [("New York", "is"), ("😀", "big\u2028\xa0x")]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Bob", "line 3: expected 2 columns between blanks as elsewhere in the file, received 1"),
        ("Bob B-PER x", "line 3: expected 2 columns between blanks as elsewhere in the file, received 3"),
    ],
)
def test_a_line_that_lacks_its_label_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = write(tmp_path, "a.conll", f"x O\n\n{line}\ny O\n\nz O\n")
    with pytest.raises(Problem, match=told):
        conll.read(path)
    found = conll.read(path, skip_bad=True)
    assert [one.words for one in found.sentences] == [("x",), ("z",)]
    assert "line 3" in found.bad[0].reason


def test_an_empty_label_between_tabs_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"line 2: the word 'b' has no label"):
        conll.read(write(tmp_path, "a.tsv", "a\tO\nb\t \n"))
    with pytest.raises(Problem, match=r"line 1: there is no word"):
        conll.read(write(tmp_path, "b.tsv", " \tO\nb\tO\n"))


def test_another_encoding_is_asked_for_and_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.conll", (names() + "caf\xe9 O\n").encode("cp1252"))
    with pytest.raises(Problem, match="encoding"):
        load(path)
    assert load(path, encoding="cp1252").preprocess.to_json()["encoding"] == "cp1252"


@pytest.mark.parametrize(
    ("name", "text", "reader"),
    [
        ("a.conll", OLD, "tagged"),
        ("a.txt", OLD, "tagged"),
        ("a.tsv", names().replace(" ", "\t"), "tagged"),
        ("a.txt", "the DET\ncat NOUN\n\n" * 9, "tagged"),
        ("a.txt", "Once upon a time.\n\nThere was a cat.\n", "prose"),
        ("a.txt", "Hello there\nGeneral Kenobi\n\nWhat now\nNot much\n", "prose"),
        ("a.tsv", "text\tlabel\nso good\tyes\nso bad it hurts me\tno\nall of it is fine\tyes\n", "text-table"),
        ("a.tsv", "a\tb\n1\t2\n3\t4\n", "tables"),
        ("a.txt", "我  喜欢  看  电影\n他  在  图书馆\n", "segmented"),
        ("a.txt", "我喜欢看电影。 他在图书馆里面看书。\n", "prose"),
        ("a.txt", "я так и не дал ей его дом и сад\n" * 3, "prose"),
    ],
)
def test_files_are_known_by_what_they_hold(tmp_path: Path, name: str, text: str, reader: str) -> None:
    assert find_source(write(tmp_path, name, text))[0].name == reader


def test_a_file_that_is_asked_for_need_only_have_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "one X\ntwo Y\n")
    assert find_source(path)[0].name == "prose"
    assert find_source(path, "tag")[0].name == "tagged"
    assert find_source(write(tmp_path, "b.conll", OLD), "tag")[0].name == "tagged"
    with pytest.raises(Problem, match="--as language does not fit it"):
        find_source(str(tmp_path / "b.conll"), "language")


def test_a_folder_of_splits(tmp_path: Path) -> None:
    for name, count in (("eng.train", 30), ("eng.testa", 8), ("eng.testb", 9)):
        write(tmp_path, name, names(count))
    write(tmp_path, "README.txt", "about")
    assert find_source(str(tmp_path))[0].name == "tagged"
    found = load(str(tmp_path))
    assert (len(found.train), len(found.validation), len(found.test or ())) == (30, 8, 9)
    assert [tagged.role(name) for name in ("en_ewt-ud-dev.conllu", "x.conll", "valid.txt")] == [
        "validation",
        "",
        "validation",
    ]


def test_a_test_file_and_documents_that_stay_together(tmp_path: Path) -> None:
    documents = "".join(f"-DOCSTART- O\n\n{names(5)}" for _ in range(20))
    path, test = write(tmp_path, "a.conll", documents), write(tmp_path, "b.conll", names(7))
    found = load(path, test=test)
    assert len(found.test or ()) == 7
    found = load(path)
    lines = {
        part: {int(origin.rpartition(":")[2]) // 32 for origin in columns.origins or ()}
        for part, columns in (("train", found.train), ("validation", found.validation))
    }
    assert not lines["train"] & lines["validation"]
    with pytest.raises(Problem, match="no file"):
        load(path, test=str(tmp_path / "none"))


def test_labels_stand_at_the_first_piece(tmp_path: Path) -> None:
    found = load(write(tmp_path, "a.conll", names()))
    assert found.spec.output == Labels(("O", "B-LOC", "B-PER", "I-PER"))
    assert isinstance(found.spec.input, Text)
    rows = found.train.take(torch.tensor([0]))
    asked = rows["target"][0] != UNLABELLED
    assert [found.spec.output.names[label] for label in rows["target"][0][asked].tolist()] == [
        "B-PER",
        "I-PER",
        "O",
        "B-LOC",
        "O",
    ]
    assert rows["input"].shape == rows["target"].shape
    preprocess = found.preprocess
    assert isinstance(preprocess, TaggedPreprocess)
    assert preprocess.shown(rows["input"][0]).split()[1:] == ["Smith", "sees", "Oslo", "."]


def test_iob1_becomes_iob2(tmp_path: Path) -> None:
    text = "Anna I-PER\nBo B-PER\nin O\nOslo I-LOC\n\n" * 30
    found = load(write(tmp_path, "a.conll", text))
    assert found.spec.output == Labels(("O", "B-LOC", "B-PER"))
    assert any("written as B-" in fact for fact in found.facts)


def test_labels_that_training_lacks_are_told(tmp_path: Path) -> None:
    write(tmp_path, "train.conll", names(9))
    write(tmp_path, "dev.conll", names(9).replace("LOC", "ORG"))
    finding = next(one for one in load(str(tmp_path)).findings if one.subject == "unseen-labels")
    assert "B-ORG" in finding.text


@pytest.mark.parametrize(
    ("text", "told"), [("a O\n\n" * 30, "one label only, 'O'"), ("a O\nb B-x\n", "sample"), ("\n \n", "no words")]
)
def test_too_little_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Problem, match=told):
        load(write(tmp_path, "a.conll", text))


def test_long_sentences_are_cut_between_words(tmp_path: Path) -> None:
    text = "".join("".join(f"w{n} {'B-x' if n % 3 == 0 else 'O'}\n" for n in range(50)) + "\n" for _ in range(12))
    found = load(write(tmp_path, "a.conll", text), length=16, vocabulary=300)
    rows = found.train.take(torch.arange(len(found.train)))
    assert rows["input"].shape[1] <= 16
    assert int((rows["target"] != UNLABELLED).sum()) == 50 * len(set(found.train.origins or ()))
    preprocess = found.preprocess
    assert isinstance(preprocess, TaggedPreprocess)
    stored, passages = next(preprocess.pieces([" ".join(f"w{n}" for n in range(50)), "w1"]))
    assert len(stored) == len(passages)
    words = [one.text[first:last] for one in passages if one.item == 0 for first, last in one.words]
    assert words == [f"w{n}" for n in range(50)]


@pytest.mark.parametrize("tokens", ["bpe", "words", "characters"])
def test_any_text_is_read(tmp_path: Path, tokens: Any) -> None:
    found = load(write(tmp_path, "a.conll", names()), tokens=tokens)
    kept = preprocess.restore(preprocess.dump(found.preprocess))
    assert isinstance(kept, TaggedPreprocess)
    texts = ["", "  \u3000", "Ann\ud800 sees 王小明 😀!", "don't", "x" * 5000, ["a b", ""], []]
    stored, passages = next(kept.pieces(texts))
    assert [one.item for one in passages] == sorted(one.item for one in passages)
    assert {one.item for one in passages} == set(range(len(texts)))
    assert stored.shape[1] <= kept.length
    by_item = [
        [one.text[a:b] for one in passages if one.item == item for a, b in one.words] for item in range(len(texts))
    ]
    assert by_item[:4] == [[], [], ["Ann", "\ud800", "sees", "王", "小", "明", "😀", "!"], ["don", "'", "t"]]
    assert by_item[5:] == [["a b", ""], []]
    assert kept.encode(texts).shape[0] == len(texts)
    with pytest.raises(Problem, match="a text or a list of words"):
        kept.encode([3])


def test_signs_inside_of_words() -> None:
    assert joining(["self", "a_b", "_c_d", "__init__", ".", "x"]) == "_"
    assert joining(["well-known", "so-so", "-", ".", "U.S.", ".", "."]) == "-"
    cut = TaggedPreprocess(Characters("ab"), 9, "-_")
    text, places = cut.split("well-known, so- __init__ a-b-c")
    assert [text[a:b] for a, b in places] == ["well-known", ",", "so", "-", "__init__", "a-b-c"]


def test_words_are_set_apart(tmp_path: Path) -> None:
    text = "我  喜欢  看  电影\r\n他  在  图书馆\n\n" * 20
    found = segmented.load(write(tmp_path, "a.txt", text), segmented.Config(), 0)
    assert found.spec.output == Labels(("B", "E", "I", "S"))
    assert segmented.labels(["我", "喜欢", "图书馆"]) == ["S", "B", "E", "B", "I", "E"]
    assert isinstance(found.preprocess, TaggedPreprocess)
    text, places = found.preprocess.split("我 喜欢a b")
    assert [text[a:b] for a, b in places] == ["我", "喜", "欢", "a", "b"]
    with pytest.raises(Misuse, match="each character is a token"):
        segmented.load(write(tmp_path, "b.txt", "我  喜欢\n"), segmented.Config(tokens="bpe"), 0)


def test_characters_that_have_labels_of_their_own_are_tokens(tmp_path: Path) -> None:
    found = load(write(tmp_path, "a.conll", "王 B-PER\n明 I-PER\n在 O\n\n" * 30)).preprocess
    assert isinstance(found, TaggedPreprocess)
    assert isinstance(found.tokenizer, Characters)
    assert [len(row.tokens) for row in found.rows([["王", "明"]])[0]] == [2]
    assert len(found.split("王明在")[1]) == 3


def test_words_of_files_are_answered_for(tmp_path: Path) -> None:
    found = load(write(tmp_path, "a.conll", names()))
    read = found.preprocess.read
    assert [item for _, item in read([write(tmp_path, "b.conll", OLD)])] == [
        ["EU", "rejects", "German", "."],
        ["Peter"],
    ]
    assert [item for _, item in read([write(tmp_path, "c.conll", "Anna\nsees\n\nBo\n")])] == [["Anna", "sees"], ["Bo"]]
    assert [item for _, item in read([write(tmp_path, "d.txt", "Anna sees Oslo.\nBo too.\n")])] == [
        "Anna sees Oslo.",
        "Bo too.",
    ]
    assert read(["Anna sees Oslo."]) == [("Anna sees Oslo.", "Anna sees Oslo.")]
    assert read(["Anna " * 3000]) == [("Anna " * 3000, "Anna " * 3000)], "what is too long for a path is none"


def test_the_column_of_the_words_travels_with_the_model(tmp_path: Path) -> None:
    text = "".join(
        f"{line.partition(' ')[2]} x {line.partition(' ')[0]}\n" if line else "\n" for line in names().split("\n")
    )
    dataset = load(write(tmp_path, "a.conll", text), words="3", column="1")
    again = preprocess.restore(preprocess.dump(dataset.preprocess))
    ((_, words),) = again.read([write(tmp_path, "b.conll", "O x Anna\nO x sees\n")])
    assert words == ["Anna", "sees"]


@pytest.mark.parametrize("line", ["3 in in ADP _ well-known _ 0.5 root _", "this-line is broken", "a.b"])
def test_a_broken_line_of_universal_dependencies_is_never_left_out_quietly(tmp_path: Path, line: str) -> None:
    lines = UNIVERSAL.split("\n")
    lines.insert(3, line)
    with pytest.raises(Problem, match="line 4: expected 10 columns between tabs"):
        conll.read(write(tmp_path, "a.conllu", "\n".join(lines)))


def test_words_without_empty_lines_between_sentences_are_told(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"All 250 words .* are one sentence: an empty line is expected"):
        load(write(tmp_path, "a.conll", names(50).replace("\n\n", "\n")))


def test_what_came_by_standard_input_is_text_unless_a_column_says_otherwise(tmp_path: Path) -> None:
    read = load(write(tmp_path, "a.conll", names())).preprocess.read
    piped = write(tmp_path, "standard-input.csv", "Anna, Bo, Oslo.\nBo, too\n")
    assert [item for _, item in read([piped])] == ["Anna, Bo, Oslo.", "Bo, too"]
    piped = write(tmp_path, "standard-input.csv", "number,text\n3,Anna in Oslo\n")
    assert [item for _, item in read([piped])] == ["Anna in Oslo"]
    with pytest.raises(Problem, match="no column 'text'"):
        read([write(tmp_path, "b.csv", "a,b\n1,2\n")])

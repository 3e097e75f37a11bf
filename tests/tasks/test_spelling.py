"""What is told token by token is what all tokens say together, whatever a tokenizer makes of blanks and bytes."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from deepen.data import tokenizer
from deepen.data.adopted import adopt
from deepen.data.tokenizer import SPECIAL, Characters, Pieces
from deepen.tasks.spelling import Spelling
from tests.data.test_adopted import TEXTS as HARD
from tests.data.test_adopted import byte_pieces, llama2c, word_pieces

TEXTS = [*HARD[:9], "line\n\n  deeper\\ [bold]\n", "ends in half \ufffd of it", "👨‍👩‍👧‍👦🇨🇭 é e\u0301"]
Known = Characters | Pieces


def saved(inner: Tokenizer, folder: Path) -> Known:
    folder.mkdir(exist_ok=True)
    inner.save(str(folder / "tokenizer.json"))
    return adopt(folder).tokenizer


def llama(folder: Path) -> Known:
    """As Llama 2's: blanks are letters, one stands before each text, and what is in no piece is written in bytes."""
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    names += ["▁", "a", "t", "h", "e", ".", "你", "▁t", "he", "▁the", "▁a"]
    vocabulary = {name: number for number, name in enumerate(names)}
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "a")]
    inner = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    inner.decoder = decoders.Sequence(steps)
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    return saved(inner, folder)


def metaspace(folder: Path) -> Known:
    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    inner.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=200, show_progress=False, special_tokens=["<unk>"]))
    return saved(inner, folder)


def suffixed(folder: Path) -> Known:
    """As the first GPT's: the last piece of a word says that it is one."""
    inner = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.BertPreTokenizer(), decoders.BPEDecoder("</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=200, show_progress=False, special_tokens=["<unk>"], end_of_word_suffix="</w>"
    )
    inner.train_from_iterator(TEXTS, trainer)
    return saved(inner, folder)


def scored(folder: Path) -> Known:
    """As llama2.c's."""
    folder.mkdir(exist_ok=True)
    base = [(b"<unk>", 0.0), (b"\n<s>\n", 0.0), (b"\n</s>\n", 0.0)]
    base += [(f"<0x{byte:02X}>".encode(), 0.0) for byte in range(256)]
    pieces = [" t", "he", " the", " a", *" aehinot.,"]
    llama2c(folder / "tokenizer.bin", [*base, *((piece.encode(), -float(n)) for n, piece in enumerate(pieces))])
    return adopt(folder / "tokenizer.bin").tokenizer


MADE: dict[str, Any] = {
    **{kind: lambda folder, kind=kind: tokenizer.fit(kind, TEXTS, 400) for kind in tokenizer.KINDS},
    "gpt2": lambda folder: saved(byte_pieces(), folder),
    "bert": lambda folder: saved(word_pieces(), folder),
    "llama": llama,
    "metaspace": metaspace,
    "suffixed": suffixed,
    "llama2c": scored,
}


@pytest.fixture(scope="module", params=MADE)
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Known:
    made: Known = MADE[request.param](tmp_path_factory.mktemp(request.param) / "tokenizer")
    return made


def told(known: Known, read: Sequence[int], written: Sequence[int], stop: str | None = None) -> tuple[list[str], bool]:
    spelling = Spelling(known, read, stop)
    pieces = []
    for token in written:
        pieces.append(spelling.add(token))
        if spelling.ended:
            return pieces, True
    return [*pieces, spelling.rest()], spelling.ended


def at_once(known: Known, read: Sequence[int], written: Sequence[int]) -> str:
    return known.decode([*read, *written])[len(known.decode(read)) :]


def test_texts_are_told_as_they_are(known: Known) -> None:
    """Cut anywhere into what was read and what is written."""
    rows = [row.tolist() for row in known.encode([" ".join(TEXTS), *TEXTS])]
    for row in rows:
        for cut in {0, 1, 2, 3, 5, 8, len(row) // 2, len(row)}:
            pieces, _ = told(known, row[:cut], row[cut:])
            assert "".join(pieces) == at_once(known, row[:cut], row[cut:])


def test_so_are_tokens_that_make_no_text(known: Known) -> None:
    """Halves of characters, bytes that are none, pieces of words without the word."""
    rng = random.Random(0)
    some = [row.tolist() for row in known.encode(TEXTS) if len(row)]
    for number in range(300):
        written = rng.choices(range(len(SPECIAL), known.vocabulary), k=rng.randint(0, 40))
        if number % 2:  # a text with a slip in it
            written = list(rng.choice(some))
            written[rng.randrange(len(written))] = rng.randrange(len(SPECIAL), known.vocabulary)
        read = rng.choice([[], [2], [1, 1], rng.choice(some)])
        pieces, _ = told(known, read, written)
        assert "".join(pieces) == at_once(known, read, written), (read, written)


def test_it_ends_before_the_stop_wherever_that_begins(known: Known) -> None:
    rows = known.encode(["the cat", " ".join(TEXTS)])
    read, written = rows[0].tolist(), rows[1].tolist()
    whole = at_once(known, read, written)
    rng = random.Random(0)
    starts = [rng.randrange(len(whole) - 12) for _ in range(60)]
    stops = {whole[at : at + rng.randint(1, 12)] for at in starts} | {"xxy", "xxxxxxy", "never there", "\ufffd"}
    for stop in stops:
        pieces, ended = told(known, read, written, stop)
        assert ("".join(pieces), ended) == (whole.partition(stop)[0], stop in whole), stop


def test_nothing_is_held_back_that_is_sure(known: Known) -> None:
    """At most what may begin the stop, or the bytes of one character."""
    row = known.encode(["the cat sat on the mat and the dog on the cat " * 3])[0].tolist()
    spelling, said = Spelling(known, [], "never there"), ""
    for place, token in enumerate(row):
        said += spelling.add(token)
        whole = known.decode(row[: place + 1])
        assert whole.startswith(said)
        held = len(whole) - len(said)
        assert held <= (place + 1 if known.decode([token]).startswith("\ufffd") else 11)


class Counting:
    """A tokenizer that counts how many tokens it decodes."""

    def __init__(self, known: Known) -> None:
        self.known, self.count = known, 0
        self.inner = getattr(known, "inner", None)

    def decode(self, tokens: Sequence[int]) -> str:
        self.count += len(tokens)
        return self.known.decode(tokens)


def test_the_work_for_a_token_does_not_grow_with_the_text(known: Known) -> None:
    row = known.encode(["the cat sat on the mat. 你好 " * 200])[0].tolist()
    counting = Counting(known)
    spelling = Spelling(counting, row[:50])  # type: ignore[arg-type]
    for token in row[50:]:
        spelling.add(token)
    assert counting.count < 30 * len(row)


@pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set")
def test_the_tokens_of_stories() -> None:
    known = adopt(Path(os.environ["DEEPEN_DATA"]) / "weights/stories260K/tok512.bin").tokenizer
    test_texts_are_told_as_they_are(known)
    test_so_are_tokens_that_make_no_text(known)

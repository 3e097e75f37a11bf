"""Texts to tokens and back: fitted on the training texts, kept in the bundle.

Four ways. `characters`: every character is a token. `words`: words in small letters, characters of scripts that are written
without spaces for themselves. `bpe`: pieces of bytes, the commonest pairs merged again and again (Sennrich, Haddow & Birch,
2016; on bytes: Radford et al., 2019), which can write any text. `wordpiece`: pieces of words as BERT has them (Wu et al.,
2016). The last three are the library `tokenizers`; its JSON is what a bundle holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from deepen.errors import Misuse, Problem
from deepen.spec import BEGIN, PAD

Kind = Literal["characters", "words", "bpe", "wordpiece"]
KINDS: tuple[Kind, ...] = ("characters", "words", "bpe", "wordpiece")
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
"""What every vocabulary of ours begins with: nothing, unknown, beginning, end, hidden."""
UNKNOWN, END, HIDDEN = 1, 3, 4
assert SPECIAL.index("<pad>") == PAD
assert SPECIAL.index("<s>") == BEGIN
REPLACEMENT = "\ufffd"
LONE = dict.fromkeys(range(0xD800, 0xE000), REPLACEMENT)
"""Halves of characters, which some programs write and no encoding knows."""
APART = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[\p{L}\p{M}\p{N}]+(?:['’][\p{L}]+)?|[^\s\p{L}\p{N}]"
"""A word: a character of a script without spaces, a run of letters and digits, or a sign."""


def tidy(text: str) -> str:
    """The text with halves of characters replaced: nothing that comes after could read them."""
    return text.translate(LONE) if any("\ud800" <= character <= "\udfff" for character in text) else text


class Characters:
    """Every character that the training texts have is a token."""

    kind: Kind = "characters"
    begins = ends = False
    marks: tuple[int, ...] = ()

    def __init__(self, characters: str) -> None:
        self.characters = characters
        points = np.array([ord(character) for character in characters], dtype=np.uint32)
        self._order = np.argsort(points)
        self._points = points[self._order]

    @classmethod
    def fit(cls, texts: Iterable[str], size: int) -> Characters:
        counts: dict[int, int] = {}
        for text in texts:
            points, many = np.unique(_points(text), return_counts=True)
            for point, count in zip(points.tolist(), many.tolist(), strict=True):
                counts[point] = counts.get(point, 0) + count
        commonest = sorted(counts, key=lambda point: (-counts[point], point))[: size - len(SPECIAL)]
        return cls("".join(map(chr, sorted(commonest))))

    @property
    def vocabulary(self) -> int:
        return len(SPECIAL) + len(self.characters)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [self._encoded(text) for text in texts]

    def _encoded(self, text: str) -> np.ndarray:
        points = _points(text)
        if not len(self._points):
            return np.full(len(points), UNKNOWN, dtype=np.int32)
        places = np.searchsorted(self._points, points).clip(max=len(self._points) - 1)
        tokens = self._order[places].astype(np.int32) + len(SPECIAL)
        tokens[self._points[places] != points] = UNKNOWN
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        shown = {UNKNOWN: REPLACEMENT}
        first = len(SPECIAL)
        return "".join(
            self.characters[token - first] if token >= first else shown.get(token, "") for token in map(int, tokens)
        )

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": self.characters}


class Pieces:
    """Words or pieces of them, by the library `tokenizers`.

    `marks` are those of `SPECIAL` that a tokenizer of others has, which its weights know; `begins` and `ends` say whether each
    text stands behind its beginning and before its end for them.
    """

    def __init__(
        self, kind: Kind, inner: Tokenizer, marks: Sequence[int] = (), *, begins: bool = False, ends: bool = False
    ) -> None:
        self.kind = kind
        self.inner = inner
        self.marks = tuple(marks)
        if not marks:
            self.inner.encode_special_tokens = True  # a text that reads `<pad>` says so, and is no end of a row
        self.begins, self.ends = begins, ends

    @classmethod
    def fit(cls, kind: Kind, texts: Iterable[str], size: int) -> Pieces:
        inner, trainer = _untrained(kind, size)
        inner.train_from_iterator(map(tidy, texts), trainer)
        return cls(kind, inner)

    @property
    def vocabulary(self) -> int:
        return int(self.inner.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        encoded = self.inner.encode_batch_fast([tidy(text) for text in texts], add_special_tokens=False)
        return [np.array(one.ids, dtype=np.int32) for one in encoded]

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self.inner.decode([int(token) for token in tokens], skip_special_tokens=True))

    def to_json(self) -> dict[str, Any]:
        told = {"kind": self.kind, "tokenizer": self.inner.to_str()}
        return told | ({"marks": list(self.marks), "begins": self.begins, "ends": self.ends} if self.marks else {})


def fit(kind: str, texts: Iterable[str], size: int) -> Characters | Pieces:
    """A tokenizer of at most `size` tokens for texts like these. Raises `Problem` where they hold nothing, `Misuse` where so many
    do not suffice."""
    least = len(SPECIAL) + (256 if kind == "bpe" else 1)  # which begins with every byte
    if size < least:
        raise Misuse(f"data.vocabulary={size} is not usable: expected {least} or more.")
    made = Characters.fit(texts, size) if kind == "characters" else Pieces.fit(_known(kind), texts, size)
    if made.vocabulary == len(SPECIAL):
        raise Problem("The training texts hold no characters to learn from.")
    return made


def restore(data: dict[str, Any]) -> Characters | Pieces:
    """What `to_json` wrote."""
    if data["kind"] == "characters":
        return Characters(data["characters"])
    marks = {name: data[name] for name in ("marks", "begins", "ends") if name in data}
    return Pieces(_known(data["kind"]), Tokenizer.from_str(data["tokenizer"]), **marks)


def _known(kind: str) -> Kind:
    for one in KINDS:
        if one == kind:
            return one
    raise Problem(f"The tokenizer '{kind}' is not known: expected {', '.join(KINDS)}.")


def _points(text: str) -> np.ndarray:
    return np.frombuffer(tidy(text).encode("utf-32-le"), dtype=np.uint32)


def _untrained(kind: Kind, size: int) -> tuple[Tokenizer, Any]:
    common: dict[str, Any] = {"vocab_size": size, "special_tokens": list(SPECIAL), "show_progress": False}
    if kind == "words":
        inner = Tokenizer(models.WordLevel(unk_token=SPECIAL[UNKNOWN]))
        inner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
        inner.pre_tokenizer = pre_tokenizers.Split(Regex(APART), "removed", invert=True)
        return inner, trainers.WordLevelTrainer(min_frequency=2, **common)
    if kind == "wordpiece":
        inner = Tokenizer(models.WordPiece(unk_token=SPECIAL[UNKNOWN]))
        inner.normalizer = normalizers.BertNormalizer(lowercase=True)
        inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        inner.decoder = decoders.WordPiece()
        return inner, trainers.WordPieceTrainer(**common)
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return inner, trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **common)

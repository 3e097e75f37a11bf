"""Words with a label each, as rows of tokens.

A word of the data is cut into pieces, and its label stands at its first piece (Devlin et al., 2019): a name that was never seen
still has an ending, capital letters and neighbours, and any model that answers for every place of a text can do the task. A
list of whole words knows none of that, and networks that read the letters of a word (Ma & Hovy, 2016) want another input.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, pre_tokenizers
from torch import Tensor

from deepen.data import conll
from deepen.data import tokenizer as tokenizers
from deepen.data.preprocess import BATCH, Preprocess
from deepen.data.sentences import TextPreprocess
from deepen.data.text_file import encoding_of, read_lines
from deepen.data.tokenizer import BEGIN, END, UNKNOWN, Characters, Pieces, tidy
from deepen.errors import Problem
from deepen.inputs import lies
from deepen.spec import PAD

COLUMN = "text"
"""Of a table whose texts are to be answered for."""
SEPARATE = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]"


@dataclass(frozen=True)
class Passage:
    """The words of a text that a stored row holds."""

    item: int
    """The number of the text among those that were given. The rows of one follow each other."""
    text: str
    words: tuple[tuple[int, int], ...]
    """First and last + 1 character of each in the text."""
    places: tuple[int, ...]
    """Of the first piece of each in the row."""
    cut: tuple[bool, bool] = (False, False)
    """Whether further words of the text stand in a row before, and in one behind."""


@dataclass(frozen=True)
class Row:
    """What of a sentence is one row: its tokens, the place of the first piece of each word, and which word comes first."""

    tokens: np.ndarray
    places: list[int]
    first: int


@dataclass(frozen=True)
class TaggedPreprocess(Preprocess):
    """Texts, or lists of words, as rows of at most `length` tokens; what is longer is cut between two words into several."""

    tokenizer: Characters | Pieces
    length: int
    inside: str = ""
    """Signs that do not end a word where another letter follows, as they do not in the data: _ in names of programs, - in
    compounds."""
    apart: bool = True
    """Whether a text is cut into words; else every character is one, but for blanks."""
    encoding: str | None = None
    """Of the files that were learnt from, if it was named; others are read in the same."""
    words: str | None = None
    """The column of the words in such files, if it was named."""

    kind = "tagged"

    def read(self, sources: Iterable[str]) -> list[tuple[str, Any]]:
        """As texts are read; of a file of words and labels, the words of each sentence."""
        plain = TextPreprocess(self.tokenizer, self.length, COLUMN, self.encoding)
        found: list[tuple[str, Any]] = []
        for source in sources:
            if not lies(source):
                if conll.ended(source, conll.ENDINGS) and not re.search(r"\s", source):
                    raise Problem(f"There is no file {source}.")
                found += plain.read([source])
            elif conll.recognised(source):
                held = conll.read(source, words=self.words, encoding=self.encoding, labelled=False)
                found += [(one.origin, list(one.words)) for one in held.sentences]
            elif Path(source).suffix.lower() in (".json", ".jsonl"):
                found += self._listed(source)
            else:
                found += plain.read([source])
        return found

    def _listed(self, path: str) -> list[tuple[str, Any]]:
        """A text, a list of words, or an object that holds one of them as `text` or `tokens`, in each line or in one list."""
        known, _ = encoding_of(path, self.encoding)
        lines = [line for line in read_lines(path, known) if line.strip()]
        try:
            whole = path.lower().endswith(".json")
            items = json.loads("".join(lines)) if whole else [json.loads(line) for line in lines]
        except ValueError as error:
            raise Problem(
                f"{path} is no JSON ({error}): expected a list, or in a .jsonl an object in each line."
            ) from None
        items = items if isinstance(items, list) else [items]
        plain = [one.get("tokens", one.get(COLUMN)) if isinstance(one, dict) else one for one in items]
        for number, item in enumerate(plain, 1):
            if not isinstance(item, str) and not _are_words(item):
                raise Problem(
                    f"{path}, item {number}: expected a text or a list of words, as they are or as 'text' or 'tokens'."
                )
        return [(f"{path}:{number}", item) for number, item in enumerate(plain, 1)]

    def split(self, item: Any) -> tuple[str, list[tuple[int, int]]]:
        """A text and where its words stand in it; words that were given are a text with blanks between them."""
        if isinstance(item, str):
            # Character for character, so that places in it are places in what was given.
            return item, [place for _, place in self._cutter.pre_tokenize_str(tidy(item))]
        if not _are_words(item):
            kind = type(item).__name__
            raise Problem(f"An item cannot be used: expected a text or a list of words, received {kind}.")
        ends = np.cumsum([len(word) + 1 for word in item]).tolist()
        return " ".join(item), [(end - 1 - len(word), end - 1) for word, end in zip(item, ends, strict=True)]

    @cached_property
    def _cutter(self) -> Any:
        word = r"[\p{L}\p{M}\p{N}_]" if "_" in self.inside else r"[\p{L}\p{M}\p{N}]"
        signs = "|".join(f"\\x{{{ord(sign):x}}}" for sign in self.inside if sign != "_")
        more = f"(?:(?:{signs}){word}+)*" if signs else ""
        form = rf"{SEPARATE}|{word}+{more}|[^\s]" if self.apart else r"[^\s]"
        return pre_tokenizers.Split(Regex(form), "removed", invert=True)

    def rows(self, sentences: Sequence[Sequence[str]]) -> list[list[Row]]:
        """The rows of each list of words, at least one."""
        known = list(dict.fromkeys(word for words in sentences for word in words))
        # A blank before a word tells its beginning from the inside of another.
        blank = " " if self.apart and self.tokenizer.kind in ("bpe", "characters") else ""
        cut = self.tokenizer.encode([blank + word for word in known])
        room = self.length - self.tokenizer.begins - self.tokenizer.ends
        pieces = {word: one[:room].tolist() or [UNKNOWN] for word, one in zip(known, cut, strict=True)}
        return [self._rows([pieces[word] for word in words], room) for words in sentences]

    def _rows(self, words: Sequence[list[int]], room: int) -> list[Row]:
        found: list[Row] = []
        held: list[int] = []
        places: list[int] = []
        for number, pieces in enumerate(words):
            if len(held) + len(pieces) > room:
                found.append(self._row(held, places, number - len(places)))
                held, places = [], []
            places.append(len(held))
            held = held + pieces
        return [*found, self._row(held, places, len(words) - len(places))]

    def _row(self, pieces: list[int], places: list[int], first: int) -> Row:
        """Pieces with the tokens around them that a tokenizer of others has."""
        before, behind = [BEGIN] * self.tokenizer.begins, [END] * self.tokenizer.ends
        tokens = [*before, *pieces, *behind] or [UNKNOWN]
        return Row(np.array(tokens, dtype=np.int32), [len(before) + place for place in places], first)

    def encode(self, items: Sequence[Any]) -> Tensor:
        """The first row of each, int32 [N, longest]."""
        return _padded([rows[0] for rows in self.rows([_words(*self.split(item)) for item in items])])

    def pieces(self, items: Sequence[Any]) -> Iterator[tuple[Tensor, list[Any]]]:
        """Rows of all items with a `Passage` each."""
        for start in range(0, len(items), BATCH):
            texts = [self.split(item) for item in items[start : start + BATCH]]
            rows, passages = [], []
            for number, cut in enumerate(self.rows([_words(*text) for text in texts])):
                text, words = texts[number]
                for part, row in enumerate(cut):
                    held = tuple(words[row.first : row.first + len(row.places)])
                    rows.append(row)
                    around = part > 0, part < len(cut) - 1
                    passages.append(Passage(start + number, text, held, tuple(row.places), around))
            yield _padded(rows), passages

    def tensor(self, stored: Tensor) -> Tensor:
        return stored.long()

    def shown(self, tokens: Tensor) -> str:
        """Some tokens of a row for people: a word, or several."""
        return self.tokenizer.decode(tokens[tokens != PAD].tolist()).strip()

    def to_json(self) -> dict[str, Any]:
        rest = {"length": self.length, "inside": self.inside, "apart": self.apart, "encoding": self.encoding}
        return {"tokenizer": self.tokenizer.to_json(), **rest, "words": self.words}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TaggedPreprocess:
        rest = {name: value for name, value in data.items() if name != "tokenizer"}
        return cls(tokenizers.restore(data["tokenizer"]), **rest)


KIND = TaggedPreprocess


def joining(words: Iterable[str]) -> str:
    """Signs that stand inside of words at least as often as alone or at their beginning: those are not cut off in a raw text."""
    inside: Counter[str] = Counter()
    apart: Counter[str] = Counter()
    for word in words:
        apart.update(set(re.findall(r"^[^\w\s]|^_", word)))
        inside.update(set(re.findall(r"(?<=[^\W_])(?:[^\w\s]|_)(?=[^\W_])", word)))
    return "".join(sorted(sign for sign, count in inside.items() if count >= max(2, apart[sign])))


def _are_words(item: Any) -> bool:
    return isinstance(item, list | tuple) and all(isinstance(word, str) for word in item)


def _words(text: str, places: Sequence[tuple[int, int]]) -> list[str]:
    return [text[first:last] for first, last in places]


def _padded(rows: Sequence[Row]) -> Tensor:
    padded = np.full((len(rows), max((len(row.tokens) for row in rows), default=1)), PAD, dtype=np.int32)
    for number, row in enumerate(rows):
        padded[number, : len(row.tokens)] = row.tokens
    return torch.from_numpy(padded)

"""Texts as rows of tokens: the preprocessing of everything that is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepen.data import tokenizer as tokenizers
from deepen.data.preprocess import Preprocess
from deepen.data.reading import ENDINGS, ending, read_table
from deepen.data.text_file import encoding_of, read_lines
from deepen.data.tokenizer import BEGIN, END, UNKNOWN, Characters, Pieces
from deepen.errors import Problem, did_you_mean
from deepen.inputs import RECEIVED, lies
from deepen.spec import PAD

PLAIN = (".txt", ".text")
"""Endings of files that hold a text in each line."""


@dataclass(frozen=True)
class TextPreprocess(Preprocess):
    """Texts cut into tokens, of which the first `length` are kept. A text that holds none is one unknown token."""

    tokenizer: Characters | Pieces
    length: int
    column: str = ""
    """What the texts were called in the table that they came from, and are looked for in others."""
    encoding: str | None = None
    """Of the files that were learnt from, if it was named; others are read in the same."""

    whole: bool = False
    """Whether a text file holds one text, as those did that were learnt from, or one in each line."""

    kind = "text"

    def read(self, sources: Iterable[str]) -> list[tuple[str, Any]]:
        """Texts: the content of a text file, or each of its lines; each row of a table; all text files of a folder; and what is
        no file's name is a text itself."""
        found: list[tuple[str, Any]] = []
        sources = list(sources)
        for source in sources:
            path = Path(source)
            if not lies(source):
                found.append((source, _itself(source)))
            elif path.is_dir():
                inside = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in PLAIN)
                if not inside:
                    raise Problem(f"{source} holds no text file: expected files that end in {' or '.join(PLAIN)}.")
                found += self.read(inside)
            elif ending(source) in ENDINGS and not self._piped(source):
                found += self._rows(source)
            elif self.whole:
                found.append((source, "".join(line for _, line in self._lines(source, keep=True))))
            else:
                found += [(f"{source}:{number}", line) for number, line in self._lines(source)]
        if sources and not found:
            raise Problem(f"{sources[0]} holds no text: expected one in each line.")
        return found

    def _lines(self, path: str, *, keep: bool = False) -> list[tuple[int, str]]:
        encoding, _ = encoding_of(path, self.encoding)
        lines = list(enumerate(read_lines(path, encoding), 1))
        return lines if keep else [(number, line.rstrip("\r\n")) for number, line in lines if line.strip()]

    def _piped(self, path: str) -> bool:
        """Whether a file is texts that came by standard input and are called a table for the commas that they hold."""
        if Path(path).stem != RECEIVED or ending(path) not in (".csv", ".tsv"):
            return False
        _, first = next(iter(self._lines(path)), (0, ""))
        return self.column not in [cell.strip(' "') for cell in re.split(r"[,;\t|]", first)] or not self.column

    def _rows(self, path: str) -> list[tuple[str, Any]]:
        table = read_table(path, encoding=self.encoding, known=[self.column])
        if self.column in table.columns:
            cells = table.columns[self.column]
        elif len(table.columns) == 1:
            cells = next(iter(table.columns.values()))
        else:
            hint = did_you_mean(self.column, list(table.columns))
            columns = ", ".join(table.columns)
            raise Problem(f"{path} has no column '{self.column}', which holds the texts.{hint} Columns: {columns}.")
        return [(table.origin(row), cell or "") for row, cell in enumerate(cells)]

    @property
    def frame(self) -> tuple[list[int], list[int]]:
        """The tokens that stand before and behind every text: none, but with a tokenizer of others that has them."""
        return [BEGIN] * self.tokenizer.begins, [END] * self.tokenizer.ends

    def tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The tokens of each text, int32, at least one and at most `length`."""
        before, behind = self.frame
        room = self.length - len(before) - len(behind)
        rows = ([*before, *row[:room].tolist(), *behind] or [UNKNOWN] for row in self.tokenizer.encode(texts))
        return [np.array(row, dtype=np.int32) for row in rows]

    def encode(self, items: Sequence[Any]) -> Tensor:
        """Texts as rows of tokens, int32 [N, longest]."""
        for number, item in enumerate(items):
            if not isinstance(item, str):
                kind = type(item).__name__
                raise Problem(f"Item {number} cannot be used: expected a text, received {kind}.")
        rows = self.tokens(items)
        padded = np.full((len(rows), max(map(len, rows), default=1)), PAD, dtype=np.int32)
        for number, row in enumerate(rows):
            padded[number, : len(row)] = row
        return torch.from_numpy(padded)

    def tensor(self, stored: Tensor) -> Tensor:
        return stored.long()

    def shown(self, stored: Tensor) -> str:
        """A row of tokens for people: what the model sees of a text."""
        return self.tokenizer.decode(stored[stored != PAD].tolist())

    def to_json(self) -> dict[str, Any]:
        rest = {"length": self.length, "column": self.column, "encoding": self.encoding, "whole": self.whole}
        return {"tokenizer": self.tokenizer.to_json(), **rest}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TextPreprocess:
        rest = {name: value for name, value in data.items() if name != "tokenizer"}
        return cls(tokenizers.restore(data["tokenizer"]), **rest)


KIND = TextPreprocess


def _itself(source: str) -> str:
    """What was named is the text. A single word that ends like a file is rather one that is not there."""
    if not any(map(str.isspace, source)) and (ending(source) in ENDINGS or Path(source).suffix.lower() in PLAIN):
        raise Problem(f"There is no file {source}.")
    return source

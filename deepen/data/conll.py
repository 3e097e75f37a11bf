"""Files of words with labels as CoNLL's shared tasks have them: a word a line, an empty line behind each sentence.

Two forms: columns between blanks or tabs, as many in every line, with -DOCSTART- between documents (CoNLL-2003); and CoNLL-U
(Nivre et al., 2016) with ten columns between tabs, comments, words that are cut further ("1-2") and words that
nobody wrote ("1.1").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from deepen.data import chunks
from deepen.data.dataset import Bad
from deepen.data.text_file import encoding_of, open_bytes, read_lines
from deepen.errors import Misuse, Problem, did_you_mean

ENDINGS = (".conll", ".conllu", ".conllx", ".iob", ".iob2", ".bio", ".bioes", ".iobes")
MAYBE = (".tsv", ".txt", ".text", ".train", ".dev", ".valid", ".test", ".testa", ".testb")
"""Endings of files that are looked into."""
FIELDS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of CoNLL-U."""
NUMBERED = re.compile(r"[0-9]+(?:([-.])[0-9]+)?")
DOCUMENT = "-DOCSTART-"
GLANCE = 32_768
MOST_LABELS = 100
"""Different ones at a glance: a last column that holds more is something else."""


@dataclass(frozen=True)
class Sentence:
    """Words with a label each, empty where there is none."""

    words: tuple[str, ...]
    labels: tuple[str, ...]
    origin: str
    document: int = 0


@dataclass
class Labelled:
    """What a file holds."""

    sentences: list[Sentence] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    documents: int = 1


@dataclass(frozen=True)
class Form:
    """How the lines of a file are read."""

    tabs: bool
    width: int
    universal: bool
    """CoNLL-U."""

    def cut(self, line: str) -> list[str]:
        return line.split("\t") if self.tabs else re.split(r"[ \t]+", line.strip(" \t"))


def ended(path: str, endings: tuple[str, ...]) -> bool:
    return path.lower().removesuffix(".gz").endswith(endings)


def recognised(path: str, *, asked: bool = False) -> str | None:
    """Why a file is one of words and labels, or None. Where that is what was `asked` for, columns are enough."""
    if not Path(path).is_file():
        return None
    if ended(path, ENDINGS):
        return "words with a label each, by its ending"
    if not ended(path, MAYBE):
        return None
    with open_bytes(path) as raw:
        head = raw.read(GLANCE)
    lines = re.split(r"\r\n|\r|\n", head.decode("utf-8", errors="replace"))
    lines = lines[:-1] if len(head) == GLANCE else lines
    return "a word and its label in each line" if _looks(lines, asked) else None


def _looks(lines: list[str], asked: bool) -> bool:
    """Whether lines are words with labels: equally many columns, few labels in the last, empty lines between sentences."""
    form = _form(lines)
    filled = [form.cut(line) for line in lines if line.strip(" \t") and not line.startswith(("#", DOCUMENT))]
    if form.universal:
        return True
    even = sum(len(cells) == form.width for cells in filled)
    if asked:
        return form.width > 1 and even > 0.9 * len(filled)
    gaps = sum(not line.strip(" \t") for line in lines[1:-1])
    if form.width < 2 or not gaps or even < len(filled):
        return False
    labels = {cells[-1] for cells in filled}
    if any(re.search(r"\s", label) or len(label) > 40 for label in labels):
        return False
    return chunks.chunked(sorted(labels)) or (1 < len(labels) <= MOST_LABELS and 3 * len(labels) <= len(filled))


def _form(lines: list[str], universal: bool | None = None) -> Form:
    """The form that most lines have."""
    filled = [line for line in lines if line.strip(" \t") and not line.startswith(DOCUMENT)]
    plain = [line for line in filled if not line.startswith("#")] or filled
    tabs = 2 * sum("\t" in line for line in plain) > len(plain)
    if universal is None:
        rows = [line.split("\t") for line in plain]
        universal = bool(rows) and all(len(row) == len(FIELDS) and NUMBERED.fullmatch(row[0]) for row in rows)
    if universal:
        return Form(tabs=True, width=len(FIELDS), universal=True)
    widths = Counter(len(Form(tabs, 0, universal=False).cut(line)) for line in plain)
    return Form(tabs, widths.most_common(1)[0][0] if widths else 0, universal=False)


def read(
    path: str,
    *,
    column: str | None = None,
    words: str | None = None,
    encoding: str | None = None,
    labelled: bool = True,
    skip_bad: bool = False,
    document: int = 0,
) -> Labelled:
    """The sentences of a file. `column` and `words` name the columns of labels and words, by number from 1 or, in CoNLL-U, by
    name; without `labelled` the labels are not looked at, and a file may have none. Documents count from `document`.

    Raises `Problem` naming the line that cannot be used, or with `skip_bad` leaves its sentence out.
    """
    known, facts = encoding_of(path, encoding)
    lines = read_lines(path, known)
    head = list(islice(lines, 1000))
    form = _form([line.rstrip("\r\n") for line in head], True if ended(path, (".conllu", ".conllx")) else None)
    if not any(line.strip() for line in head):
        raise Problem(f"{path} holds no words: expected a word and its label in each line.")
    if labelled and form.width < 2:
        raise Problem(
            f"{path} has one column: expected a word and its label in each line, with blanks or a tab between."
        )
    at_word = _place(words, form, "words", 1 if form.universal else 0)
    at_label = _place(column, form, "column", 3 if form.universal else form.width - 1) if labelled else None
    reading = _Reading(path, form, at_word, at_label, skip_bad, Labelled(facts=facts), document)
    for number, line in enumerate(_chain(head, lines), 1):
        reading.take(number, line.rstrip("\r\n"))
    reading.end()
    found = reading.found
    if not found.sentences:
        raise Problem(f"{path} holds no words: expected a word and its label in each line.")
    found.documents = reading.document - document + 1
    return found


def _chain(head: list[str], rest: Iterator[str]) -> Iterator[str]:
    yield from head
    yield from rest


def _place(asked: str | None, form: Form, key: str, usual: int) -> int:
    if asked is None:
        return usual
    if asked.isdecimal() and 1 <= int(asked) <= form.width:
        return int(asked) - 1
    if form.universal and asked.lower() in FIELDS:
        return FIELDS.index(asked.lower())
    hint = did_you_mean(asked, FIELDS) if form.universal else ""
    named = f" or one of {', '.join(FIELDS)}" if form.universal else ""
    raise Misuse(f"data.{key}={asked} names no column.{hint} Expected a number from 1 to {form.width}{named}.")


@dataclass
class _Reading:
    path: str
    form: Form
    at_word: int
    at_label: int | None
    skip_bad: bool
    found: Labelled
    document: int
    words: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    begun: int = 0
    spoilt: bool = False
    any_before: bool = False

    def take(self, number: int, line: str) -> None:
        if not line.strip(" \t"):
            self.end()
            return
        cells = self.form.cut(line)
        if cells[0] == DOCUMENT or (self.form.universal and line.startswith("# newdoc")):
            self.end()
            self.document += self.any_before
            return
        comment = line.startswith("#") and (self.form.universal or (not self.words and len(cells) != self.form.width))
        numbered = NUMBERED.fullmatch(cells[0]) if self.form.universal else None
        if comment or (numbered is not None and numbered[1]):
            return
        self.begun = self.begun or number
        problem = self._problem(cells)
        if problem:
            problem = f"line {number}: {problem}"
            if not self.skip_bad:
                raise Problem(f"{self.path}, {problem}")
            self.spoilt = True
            self.found.bad.append(Bad(self.path, f"{problem} Its sentence is left out."))
            return
        self.words.append(cells[self.at_word].strip())
        label = "" if self.at_label is None else cells[self.at_label].strip()
        self.labels.append("" if self.form.universal and label == "_" else label)

    def _problem(self, cells: list[str]) -> str:
        if len(cells) != self.form.width and (self.at_label is not None or self.form.universal):
            between = "tabs" if self.form.tabs else "blanks"
            return (
                f"expected {self.form.width} columns between {between} as elsewhere in the file, received {len(cells)}."
            )
        if len(cells) <= self.at_word or not cells[self.at_word].strip():
            return "there is no word."
        if self.at_label is not None and not cells[self.at_label].strip():
            return f"the word '{cells[self.at_word].strip()}' has no label."
        return ""

    def end(self) -> None:
        if self.words and not self.spoilt:
            origin = f"{self.path}:{self.begun}"
            self.found.sentences.append(Sentence(tuple(self.words), tuple(self.labels), origin, self.document))
        self.any_before = self.any_before or bool(self.words)
        self.words, self.labels, self.begun, self.spoilt = [], [], 0, False

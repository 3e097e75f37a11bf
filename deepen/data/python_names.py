"""What each name in a program is: the sources of Python's own library, which every install has, with the kinds that its own
parser finds. A class, a function or a parameter is often told by its form and its neighbours, and sometimes only by a line far
above.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import io
import keyword
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deepen.data import labelled
from deepen.data.conll import Sentence
from deepen.data.dataset import About, Dataset
from deepen.data.splits import standard
from deepen.errors import Misuse, Problem
from deepen.recipe import Data

SUMMARY = (
    "what each name in a program is: function, class, parameter ...; Python's own library, comes with every install"
)
ABOUT = About(
    title="The Python standard library, its smaller top-level modules, labelled by its own parser",
    licence="PSF License",
    citation="Python Software Foundation.",
    homepage="https://docs.python.org/3/library/",
)
Config = labelled.Config
LARGEST = 30_000
"""Bytes of a module that is used: the larger ones would be half of all words."""
EVERY = 10
"""Of so many modules, in the order of their names, one validates and one tests."""
SHORT, LONG = 12, 100
"""Words from which on a sentence ends where a function or class begins, and with its line."""
BUILTIN = frozenset(dir(builtins))


def load(source: str, options: Data, seed: int) -> Dataset:
    """The modules as sentences of some lines each, split by module."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    for option in ("column", "words", "test", "encoding"):
        if getattr(config, option) is not None:
            raise Misuse(f"data.{option} cannot be set for python-names, whose words, labels and splits are fixed.")
    standard("python-names", config)
    folder = Path(sysconfig.get_path("stdlib"))
    files = [file for file in sorted(folder.glob("*.py")) if file.stat().st_size <= LARGEST]
    if not files:
        raise Problem(
            f"Python's library has no sources in {folder}: name a file with words and labels of your own instead."
        )
    digest = hashlib.sha256()
    sentences: list[Sentence] = []
    given: list[str] = []
    for number, file in enumerate(files):
        content = file.read_bytes()
        digest.update(content)
        part = {EVERY - 2: "validation", EVERY - 1: "test"}.get(number % EVERY, "train")
        found = list(_sentences(content, str(file)))
        sentences += found
        given += [part] * len(found)
    return labelled.build(
        "python-names",
        sentences,
        config,
        seed,
        digest=digest.hexdigest(),
        given=np.array(given),
        facts=[f"{len(files)} modules from {folder}; of ten, one validates and one tests."],
    )


def _sentences(content: bytes, path: str) -> Iterator[Sentence]:
    words: list[str] = []
    labels: list[str] = []
    begun = 1
    for number, line in _lines(content):
        opens = line[0][0] in ("def", "class", "async", "@") and len(words) >= SHORT
        if opens or len(words) >= LONG:
            yield Sentence(tuple(words), tuple(labels), f"{path}:{begun}")
            words, labels = [], []
        begun = begun if words else number
        words += [word for word, _ in line]
        labels += [label for _, label in line]
    if words:
        yield Sentence(tuple(words), tuple(labels), f"{path}:{begun}")


def _lines(content: bytes) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """The number of each logical line, and its words with their kinds."""
    kinds = _Kinds(content)
    line: list[tuple[str, str]] = []
    number = 0
    for token in tokenize.tokenize(io.BytesIO(content).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "NEWLINE":
            if line:
                yield number, line
            line = []
        elif kind in ("NAME", "OP", "NUMBER", "STRING", "FSTRING_START"):
            number = number if line else token.start[0]
            line.append(_word(token, kind, kinds, line))


def _word(token: tokenize.TokenInfo, kind: str, kinds: _Kinds, line: list[tuple[str, str]]) -> tuple[str, str]:
    if kind == "NAME":
        if keyword.iskeyword(token.string):
            return token.string, "keyword"
        return token.string, kinds.of(token, line)
    if kind in ("STRING", "FSTRING_START"):
        return '"', "string"  # what it says is no part of the program
    return token.string, {"OP": "sign", "NUMBER": "number"}[kind]


class _Kinds:
    """What the parser knows of names: by place where it says so, else by what the name is bound to around it."""

    def __init__(self, content: bytes) -> None:
        tree = ast.parse(content)
        self.lines = content.decode(tokenize.detect_encoding(io.BytesIO(content).readline)[0]).splitlines(keepends=True)
        self.at: dict[tuple[int, int], str] = {}
        self.bound: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self.bound |= {(name.asname or name.name).partition(".")[0]: "module" for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                self.bound |= {name.asname or name.name: "imported" for name in node.names}
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                self.bound[node.name] = "class"
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.bound[node.name] = "function"
        self._visit(tree, {})

    def _visit(self, node: ast.AST, local: dict[str, str]) -> None:
        """Note the kinds of names below a node; `local` are those that functions around it bind."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            local = {**local, **_bound_in(node)}
        if isinstance(node, ast.arg):
            self._note(node.lineno, node.col_offset, "parameter")
        elif isinstance(node, ast.Name):
            kind = local.get(node.id) or self.bound.get(node.id) or ("builtin" if node.id in BUILTIN else "variable")
            self._note(node.lineno, node.col_offset, kind)
        elif isinstance(node, ast.keyword) and node.arg is not None:
            self._note(node.lineno, node.col_offset, "argument")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            self._attribute(node.func, "method")
        elif isinstance(node, ast.Attribute):
            self._attribute(node, "attribute")
        for child in ast.iter_child_nodes(node):
            self._visit(child, local)

    def _attribute(self, node: ast.Attribute, kind: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        self._note(node.end_lineno, node.end_col_offset - len(node.attr.encode()), kind)

    def _note(self, line: int, column: int, kind: str) -> None:
        self.at.setdefault((line, column), kind)

    def of(self, token: tokenize.TokenInfo, line: list[tuple[str, str]]) -> str:
        """The kind of a name, `line` being the words before it in its logical line."""
        before = [word for word, _ in line]
        if before[-1:] == ["def"]:
            return "function"
        if before[-1:] == ["class"]:
            return "class"
        if before[:1] == ["import"] or (before[:1] == ["from"] and "import" not in before):
            return "module"
        if before[:1] == ["from"]:
            return "imported"
        row, column = token.start
        inside = len(self.lines[row - 1][:column].encode())  # the parser counts bytes
        return self.at.get((row, inside), "variable")


def _bound_in(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> dict[str, str]:
    """The names that a function binds, with what they are: its parameters and its variables."""
    found: dict[str, str] = {}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            found[inner.id] = "variable"
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return found | {one.arg: "parameter" for one in every if one is not None}

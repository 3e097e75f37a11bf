"""The inputs that a command line names: files, folders, patterns of them, and standard input."""

from __future__ import annotations

import errno
import glob
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from deepen.errors import Misuse, Problem

PEEKED = 4096
RECEIVED = "standard-input"
"""What is called so came by standard input; its ending is a guess."""


def lies(word: str) -> bool:
    """Whether a file or folder lies at the path `word`. A text of any length may be asked about, and none of it is a path."""
    try:
        return word != "" and Path(word).exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


class Refused:
    """Inputs that cannot be used: the reason of each is said at once, while the others are answered. `folder` is what stands
    before the name of what came by standard input."""

    def __init__(self, folder: str, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._inputs: list[dict[str, str]] = []

    def __call__(self, name: str, problem: Problem) -> None:
        reason = str(problem).replace(self._folder, "")
        self._inputs.append({"input": self.called(name), "reason": reason})
        self._say(reason)

    def called(self, name: str) -> str:
        """An input as a person knows it."""
        return name.removeprefix(self._folder)

    def told(self) -> dict[str, Any]:
        """What a command ends with: nothing, or `bad`, the first reason as `error`, and exit code 1."""
        if not self._inputs:
            return {}
        return {"bad": self._inputs, "error": self._inputs[0]["reason"], "exit": 1}


@contextmanager
def given(
    words: Sequence[str], say: Callable[[str], None], *, texts: bool = False
) -> Iterator[tuple[list[str], Refused]]:
    """What `words` name, as paths, and what is told of those that cannot be used, which `say` says.

    `-` is standard input: the bytes of one picture, or the rows of a table. A pattern such as `new/*.png` is expanded if
    no file is called so. Raises `Misuse` for what looks like an option, `Problem` for a pattern that nothing fits; with `texts`,
    what reads like a question rather than a pattern is a text itself.
    """
    for word in words:
        if word.startswith("-") and word != "-":
            raise Misuse(f"Unknown option: {word}. See `deepen predict --help`; a file of that name is ./{word}.")
    if list(words).count("-") > 1:
        raise Misuse("- was given twice: standard input can be read only once.")
    with tempfile.TemporaryDirectory(prefix="deepen-") as folder:
        found: list[str] = []
        for word in words:
            if word == "-":
                found.append(str(_received(sys.stdin.buffer, Path(folder))))
            elif not lies(word) and glob.has_magic(word):
                fitting = sorted(glob.glob(_pattern(word), recursive=True))  # noqa: PTH207  (a Path does not take a whole path as pattern)
                if not fitting and texts and (" " in word or not set("*/") & set(word)):
                    fitting = [word]
                if not fitting:
                    raise Problem(f"No file fits the pattern {word}.")
                found += fitting
            else:
                found.append(word)
        try:
            yield found, Refused(f"{folder}/", say)
        except Problem as problem:
            raise type(problem)(str(problem).replace(f"{folder}/", "")) from None


def _pattern(word: str) -> str:
    """A pattern whose first parts, as far as they are there as they are spelt, are taken literally."""
    path, parts = Path(), list(Path(word).parts)
    while parts and lies(str(path / parts[0])):
        path /= parts.pop(0)
    return str(Path(glob.escape(str(path)), *parts))


def _received(stream: BinaryIO, folder: Path) -> Path:
    """Standard input as a file whose ending says what it holds."""
    start = stream.read(PEEKED)
    if not start:
        raise Problem("Nothing came by standard input: expected the bytes of a picture, or the rows of a table.")
    path = folder / f"{RECEIVED}{_ending(start)}"
    with path.open("wb") as file:
        file.write(start)
        shutil.copyfileobj(stream, file)
    return path


def _ending(start: bytes) -> str:
    """By the first bytes: gzip, Parquet, NumPy, a picture (no ending), JSON lines, or text with commas or tabs."""
    if start.startswith(b"\x1f\x8b"):
        return ".csv.gz"
    for mark, ending in ((b"PAR1", ".parquet"), (b"\x93NUMPY", ".npy")):
        if start.startswith(mark):
            return ending
    if b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):  # the marks of UTF-16
        return ""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"{"):
        return ".jsonl"
    if text.startswith(b"["):
        return ".json"
    first = start.split(b"\n", 1)[0]
    return ".tsv" if first.count(b"\t") > first.count(b",") else ".csv"

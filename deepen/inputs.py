"""The inputs that a command line names: files, folders, patterns of them, and standard input."""

from __future__ import annotations

import glob
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from deepen.errors import Misuse, Problem

PEEKED = 4096


@contextmanager
def given(words: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """What `words` name, as paths, with the folder (or "") that stands before what came by standard input.

    `-` is standard input: the bytes of one picture, or the rows of a table. A pattern such as `new/*.png` is expanded if
    no file is called so. Raises `Misuse` for what looks like an option, `Problem` for a pattern that nothing fits.
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
            elif not Path(word).exists() and glob.has_magic(word):
                fitting = sorted(glob.glob(_pattern(word), recursive=True))  # noqa: PTH207  (a Path does not take a whole path as pattern)
                if not fitting:
                    raise Problem(f"No file fits the pattern {word}.")
                found += fitting
            else:
                found.append(word)
        try:
            yield found, f"{folder}/"
        except Problem as problem:
            raise type(problem)(str(problem).replace(f"{folder}/", "")) from None


def _pattern(word: str) -> str:
    """A pattern whose first parts, as far as they are there as they are spelt, are taken literally."""
    path, parts = Path(), list(Path(word).parts)
    while parts and (path / parts[0]).exists():
        path /= parts.pop(0)
    return str(Path(glob.escape(str(path)), *parts))


def _received(stream: BinaryIO, folder: Path) -> Path:
    """Standard input as a file whose ending says what it holds."""
    start = stream.read(PEEKED)
    if not start:
        raise Problem("Nothing came by standard input: expected the bytes of a picture, or the rows of a table.")
    path = folder / f"standard-input{_ending(start)}"
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

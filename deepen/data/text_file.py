"""Text files from anywhere: packed or not, in an encoding that is found rather than guessed, line by line.

No line is read beyond a limit, so that a file without line ends cannot fill the memory.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from deepen.errors import Misuse, Problem

LONGEST_LINE = 8 * 1024 * 1024
"""Characters. A longer line is refused while it is read."""
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@contextmanager
def open_bytes(path: str) -> Iterator[IO[bytes]]:
    """The content of a file, unpacked where it is gzip, by its first bytes or its ending. Raises `Problem` where it turns out to
    be damaged while it is read."""
    with Path(path).open("rb") as raw:
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        if not packed and not path.lower().endswith(".gz"):
            yield raw
            return
        try:
            with gzip.open(raw, "rb") as unpacked:
                yield unpacked  # type: ignore[misc]
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise Problem(f"{path} cannot be unpacked ({error}): it is damaged, cut short or no gzip file.") from None


def encoding_of(path: str, asked: str | None) -> tuple[str, list[str]]:
    """The encoding of a text file: as asked, by its mark, UTF-8, or GBK where the bytes plainly are Chinese."""
    with open_bytes(path) as raw:
        head = raw.read(4)
        if head.startswith((b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF")):
            raise Problem(f"{path} is no text file but a spreadsheet, archive or binary file: save it as CSV.")
        if asked is not None:
            try:
                "".encode(asked)  # unlike codecs.lookup this refuses encodings of bytes, such as base64
            except LookupError:
                raise Misuse(
                    f"data.encoding={asked} is not known: expected e.g. utf-8, utf-16, gbk, latin-1."
                ) from None
            return asked, [f"Read as {asked}, as asked."]
        for mark, name in MARKS.items():
            if head.startswith(mark):
                return name, [f"Read as {name.removesuffix('-sig').upper()}, by the mark at its start."]
        decoder = codecs.getincrementaldecoder("utf-8")()
        chunk, sample, plain, line = head + raw.read(1 << 20), b"", True, 1
        try:
            while chunk:
                sample, plain = chunk, plain and chunk.isascii()
                line += decoder.decode(chunk).count("\n")
                chunk = raw.read(1 << 20)
            decoder.decode(b"", final=True)
            return "utf-8", [] if plain else ["Read as UTF-8, which all its bytes are."]
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            sample += raw.read(1 << 20)
    if _is_chinese(sample):
        return "gb18030", [
            "Read as GBK: it is not UTF-8, and its bytes spell Chinese (data.encoding=... names another)."
        ]
    if b"\0" in sample:
        raise holds_nul(path)
    raise Problem(
        f"{path} is not UTF-8 text: name its encoding, e.g. data.encoding=latin-1 or data.encoding=gbk, or mend line {line:,}, "
        "the first that is not UTF-8."
    )


def _is_chinese(sample: bytes) -> bool:
    """Whether the bytes beyond ASCII are pairs of the common characters of GB 2312.

    In Western encodings such bytes stand alone between ASCII letters, so that hardly any pair looks like that. In UTF-8 that is
    damaged somewhere they do look like that, as the two bytes of é, but nearly all of them are characters of UTF-8.
    """
    read = sample.decode("utf-8", errors="replace")
    if 2 * read.count("\ufffd") < sum(not one.isascii() for one in read):
        return False
    common = pairs = place = 0
    while place < len(sample) - 1:
        if sample[place] < 0x80:
            place += 1
            continue
        pairs += 1
        first, second = sample[place], sample[place + 1]
        if second >= 0xA1:
            common += 0xB0 <= first <= 0xD7 or 0xA1 <= first <= 0xA3
        place += 2
    return common >= 0.8 * pairs > 0


def holds_nul(path: str, line: int | None = None) -> Problem:
    """What is said of a file that holds what no text has."""
    where = path if line is None else f"{path}, line {line}:"
    return Problem(
        f"{where} holds a NUL byte, which no text has. The file is damaged, binary, or UTF-16 without its mark "
        "(data.encoding=utf-16-le)."
    )


def read_lines(path: str, encoding: str) -> Iterator[str]:
    """The lines of a text file with their ends, each read to the limit and no further."""
    with open_bytes(path) as raw:
        text = io.TextIOWrapper(raw, encoding=encoding, newline="")
        number = 0
        try:
            while line := text.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise Problem(
                        f"{path}, line {number}: longer than {LONGEST_LINE:,} characters, which is no row of a table. "
                        "Are its line ends missing?"
                    )
                if "\0" in line:
                    raise holds_nul(path, number)
                yield line
        except UnicodeError as error:
            reason = getattr(error, "reason", str(error))
            where = f"after line {number}" if number else "near its beginning"
            raise Problem(f"{path}, {where}: not {encoding} text ({reason}).") from None
        finally:
            text.detach()

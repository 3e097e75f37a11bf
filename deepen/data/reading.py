"""Table files as columns of cells, read strictly: what is decided about a file is said, what is wrong has its line."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from deepen.data.cells import NOTATIONS, is_missing
from deepen.data.dataset import Bad
from deepen.data.text_file import LONGEST_LINE, encoding_of, open_bytes, read_lines
from deepen.errors import Misuse, Problem
from deepen.inputs import lies

PLAIN_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
ENDINGS = (*PLAIN_ENDINGS, *(plain + ".gz" for plain in PLAIN_ENDINGS))
DELIMITERS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
SAMPLE = 200
"""Rows by which the delimiter and the header are decided."""
MOST_LINES = 1000
"""Of one row: more are a quotation mark that was never closed."""


@dataclass
class RawTable:
    """A table as it stands in its file."""

    columns: dict[str, list[Any]]
    """Cells by column name: texts, or None where a format knows no value."""
    lines: list[int]
    """The line of the file, from 1, in which each row begins."""
    header: bool
    """Whether the file names its columns; otherwise they are called column_1, column_2 ..."""
    files: list[str] = field(default_factory=list)
    """The file of each row, by its name."""
    facts: list[str] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)

    def origin(self, row: int) -> str:
        """What a person would call this row."""
        return f"{self.files[row]}:{self.lines[row]}"


def ending(path: str) -> str:
    """The ending of a file name that says its format, with .gz where it is packed: ".csv.gz"."""
    name = Path(path).name.lower()
    packed = ".gz" if name.endswith(".gz") else ""
    return Path(name.removesuffix(".gz")).suffix + packed


def read_table(
    path: str | Path,
    *,
    header: bool | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    skip_bad: bool = False,
    known: Sequence[str] | None = None,
) -> RawTable:
    """Read .csv, .tsv, .jsonl or .parquet, also packed with gzip.

    None means: decided from the file and told in `facts`. A header is then looked for by the `known` column names, or
    where there are none by what stands under it. With `skip_bad`, rows of the wrong length are left out and
    listed in `bad`. Raises `Problem` naming file and line for what cannot be read.
    """
    path = str(path)
    kind = ending(path).removesuffix(".gz")
    if kind not in PLAIN_ENDINGS:
        what = f"{path} is no table that can be read" if lies(path) else f"There is no table {path}"
        raise Problem(f"{what}: expected {', '.join(ENDINGS)}.")
    try:
        if Path(path).stat().st_size == 0:
            raise Problem(f"{path} is empty (0 bytes): expected a table.")
        if kind == ".parquet":
            columns = _parquet(path)
            return _finish(path, columns, list(range(1, 1 + len(next(iter(columns.values()), [])))), header=True)
        encoding, facts = encoding_of(path, encoding)
        if kind == ".jsonl":
            columns, lines = _jsonl(path, encoding)
            return _finish(path, columns, lines, header=True, facts=facts)
        return _separated(path, encoding, facts, header, delimiter, skip_bad, known)
    except FileNotFoundError:
        raise Problem(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise Problem(f"{path} is a folder: expected a table file ({', '.join(ENDINGS)}).") from None
    except PermissionError:
        raise Problem(f"{path} may not be read by this user: change its permissions.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Problem(f"{path} cannot be unpacked ({error}): it is damaged, cut short or no gzip file.") from None


def peek_table(path: str | Path, rows: int = SAMPLE) -> RawTable:
    """About the first `rows` rows of a table, for seeing what it holds. Raises `Problem` as `read_table` does."""
    path = str(path)
    kind = ending(path).removesuffix(".gz")
    if kind == ".parquet":
        return read_table(path)
    try:
        encoding, facts = encoding_of(path, None)
        if kind == ".jsonl":
            columns, lines = _jsonl(path, encoding, most=rows)
            return _finish(path, columns, lines, header=True, facts=facts)
        return _separated(path, encoding, facts, None, None, True, None, most=rows)
    except (OSError, EOFError, zlib.error) as error:
        raise Problem(f"{path} cannot be read ({error}).") from None


def _finish(
    path: str,
    columns: dict[str, list[Any]],
    lines: list[int],
    *,
    header: bool,
    facts: Sequence[str] = (),
    bad: Sequence[Bad] = (),
) -> RawTable:
    if not columns or not lines:
        raise Problem(f"{path} has no rows: expected a table with at least one row of data.")
    return RawTable(columns, lines, header, [Path(path).name] * len(lines), list(facts), list(bad))


class _Rows:
    """Records of a delimited file with the line on which each began."""

    def __init__(self, path: str, encoding: str, delimiter: str) -> None:
        self.path = path
        csv.field_size_limit(LONGEST_LINE)  # a cell may hold a text; the usual limit is 128 KiB
        tabs = delimiter == "\t"
        lines = read_lines(path, encoding)
        if tabs and not _quoted(path, encoding):
            self._reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        else:
            self._reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=not tabs)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        begin = 1
        try:
            for record in self._reader:
                if self._reader.line_num - begin > MOST_LINES:
                    raise csv.Error(f"a row of {self._reader.line_num - begin + 1:,} lines")
                if record and (len(record) > 1 or record[0].strip()):
                    yield begin, record
                begin = self._reader.line_num + 1
        except csv.Error as error:
            raise Problem(
                f"{self.path}, line {begin}: cannot be read ({error}). Is a quotation mark opened and not closed?"
            ) from None


def _quoted(path: str, encoding: str) -> bool:
    """Whether quotation marks enclose cells of a file separated by tabs; in most such files they are plain text."""
    found = False
    for line in read_lines(path, encoding):
        if '"' in line:
            for cell in line.rstrip("\r\n").split("\t"):
                if cell.startswith('"'):
                    found = True
                    if len(cell) < 2 or not cell.endswith('"') or cell.count('"') % 2:
                        return False
    return found


def _separated(
    path: str,
    encoding: str,
    facts: list[str],
    header: bool | None,
    delimiter: str | None,
    skip_bad: bool,
    known: Sequence[str] | None,
    most: int | None = None,
) -> RawTable:
    name = Path(path).name
    if delimiter is None:
        delimiter, width = _delimiter(path, encoding)
        if delimiter != ("\t" if ".tsv" in name.lower() else ","):
            facts = [*facts, f"{name} is separated by {DELIMITERS[delimiter]}."]
    else:
        delimiter = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|"}.get(delimiter, delimiter)
        if len(delimiter) != 1:
            raise Misuse(f"data.delimiter={delimiter} is not usable: expected one character, or tab.")
        width = _usual_width([record for _, record in islice(_Rows(path, encoding, delimiter), SAMPLE)])
    head = [record for _, record in islice(_Rows(path, encoding, delimiter), SAMPLE)]
    if not head:
        raise Problem(f"{path} has no rows: expected a table with at least one row of data.")
    if header is None and known is not None:
        header = 2 * len({cell.strip() for cell in head[0]} & set(known)) >= len(known)
    elif header is None:
        header, why = _has_header(head)
        facts = [*facts, f"The first row of {name} {'names the columns' if header else 'is data'}: {why}."]
    names, width = _names(path, head[0], width) if header else ([f"column_{i + 1}" for i in range(width)], width)
    lines, records, bad = [], [], []
    for number, (line, record) in enumerate(islice(_Rows(path, encoding, delimiter), most)):
        if number == 0 and header:
            continue
        if len(record) != width:
            reason = f"{len(record)} cells where {width} are expected"
            if not skip_bad:
                raise Problem(
                    f"{path}, line {line}: has {reason}. Correct the line, or leave such lines out with "
                    "data.skip_bad=true."
                )
            bad.append(Bad(f"{path}:{line}", reason))
            continue
        lines.append(line)
        records.append(record)
    columns = dict(zip(names, map(list, zip(*records, strict=True)), strict=False))
    if bad:
        facts = [*facts, f"{len(bad):,} lines of {name} have the wrong number of cells: they are left out."]
    return _finish(path, columns, lines, header=header, facts=facts, bad=bad)


def _usual_width(records: Sequence[Sequence[str]]) -> int:
    return Counter(map(len, records)).most_common(1)[0][0] if records else 0


def _delimiter(path: str, encoding: str) -> tuple[str, int]:
    """The delimiter that gives all of the first rows the same number of cells, or else most of them.

    A comma also stands inside numbers and sentences, the others hardly do: they are tried before it.
    """
    best: tuple[float, str, int] = (0.0, ",", 1)
    for delimiter in DELIMITERS:
        try:
            records = [record for _, record in islice(_Rows(path, encoding, delimiter), SAMPLE)]
        except Problem:
            if delimiter == ",":
                raise
            continue
        width = _usual_width(records)
        share = sum(len(record) == width for record in records) / len(records) if records else 0.0
        if width > 1 and share > best[0]:
            best = (share, delimiter, width)
    return best[1], best[2]


def _has_header(records: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Whether the first record names columns: it holds no number, and reads unlike what stands under it."""
    first, rest = [cell.strip() for cell in records[0]], records[1:]
    if any(_is_number(cell) for cell in first):
        return False, "it holds a number"
    columns = list(zip(*(record for record in rest if len(record) == len(first)), strict=True))
    for name, column in zip(first, columns, strict=False):
        filled = [cell for cell in column if not is_missing(cell)]
        if name and filled and sum(map(_is_number, filled)) >= 0.8 * len(filled):
            return True, f"numbers stand under '{name}'"
    for name, column in zip(first, columns, strict=False):
        if any(cell.strip() == name for cell in column):
            return False, f"'{name}' stands in the rows below as well"
    if len(set(first)) < len(first) or not all(first):
        return False, "its cells are not all different names"
    return True, "its cells occur nowhere below"


def _is_number(cell: str) -> bool:
    text = cell.strip()
    return any(text and NOTATIONS[notation].fullmatch(text) for notation in ("point", "comma"))


def _names(path: str, first: Sequence[str], width: int) -> tuple[list[str], int]:
    """Column names from a header, those without one named by their place. Raises `Problem` for a name used twice."""
    names = [cell.strip() or f"column_{number + 1}" for number, cell in enumerate(first)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = [str(number + 1) for number, name in enumerate(names) if name == twice[0]]
        raise Problem(f"{path}: columns {' and '.join(places)} are both named '{twice[0]}': rename one of them.")
    return names, len(names)


def _jsonl(path: str, encoding: str, most: int | None = None) -> tuple[dict[str, list[Any]], list[int]]:
    rows: list[dict[str, Any]] = []
    lines = []
    for number, line in enumerate(islice(read_lines(path, encoding), most), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Problem(f"{path}, line {number}: is no JSON ({error}).") from None
        if not isinstance(row, dict):
            raise Problem(f"{path}, line {number}: is no JSON object {{...}}, but {type(row).__name__}.")
        rows.append(_whole(row) if "\\u" in line else row)
        lines.append(number)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [_cell(row.get(name)) for row in rows] for name in names}, lines


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    """A row without halves of characters, which JSON can spell ("\\ud83d") and nothing can write: U+FFFD stands for them."""

    def whole(value: Any) -> Any:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value

    return {whole(name): whole(value) for name, value in row.items()}


def _parquet(path: str) -> dict[str, list[Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise Problem(f"{path}: reading Parquet needs pyarrow: pip install 'deepen[data]'.") from None
    try:
        with open_bytes(path) as raw:
            table = pyarrow.parquet.read_table(pyarrow.BufferReader(raw.read()))
    except pyarrow.ArrowInvalid as error:
        raise Problem(f"{path} is damaged or no Parquet file ({str(error).splitlines()[0]}).") from None
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise Problem(f"{path}: two columns are named '{twice[0]}': rename one of them.")
    return {name: [_cell(value) for value in table.column(name).to_pylist()] for name in table.column_names}


def _cell(value: Any) -> str | None:
    """A typed value as the text that a CSV file would hold."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)

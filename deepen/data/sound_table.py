"""Recordings beside a table that says what each is: what is said in it (`file,text`), or its class (`file,label`).

    clips/metadata.csv       file_name,transcription,split
    clips/0001.wav           or in folders below, as the table says

as audio data sets lie on the Hugging Face hub. A column `split` says which recordings train, validate and test.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np

from deepen.data import answers, hearing, sound_file, sounds
from deepen.data.cells import is_missing
from deepen.data.dataset import Bad, Dataset, Finding
from deepen.data.detect import notation_of
from deepen.data.faults import LISTED, refused
from deepen.data.layout import SPLITS
from deepen.data.reading import ENDINGS, RawTable, ending, read_table
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.recipe import Data

SUMMARY = "your recordings with a table of what is said in each, or of its class (metadata.csv: file,text)"
Config = hearing.Config
TEXTS = ("text", "transcript", "transcription", "sentence")
CLASSES = ("label", "class", "category", "target")
SPLIT = "split"


def recognise(source: str) -> str | None:
    """Why `source` is recordings with a table, or None: a folder with such a table at its top, or the table itself."""
    table = _table(source)
    return None if table is None else f"recordings, listed in {table[0].name}"


def load(source: str, options: Data, seed: int) -> Dataset:
    """The recordings that a table lists. Raises `Problem` for files that are missing or cannot be read, unless `skip_bad`, and
    `Misuse` for an unknown column."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    for option in ("test", "group", "time"):
        if getattr(config, option) is not None:
            raise Misuse(
                f"data.{option} cannot be set for recordings with a table: a column '{SPLIT}' says which test."
            )
    found = _table(source)
    if found is None:
        raise Problem(f"{source} holds no table that lists recordings any more.")
    path, files = found
    table = read_table(path, skip_bad=config.skip_bad)
    column, is_text = _answer_column(table, files, config)
    cells = table.columns[column]
    kept, items, missing = [], [], []
    for row, cell in enumerate(table.columns[files]):
        place = _place(path.parent, str(cell or "").strip())
        if place is None:
            missing.append(Bad(table.origin(row), f"there is no file '{cell}' beside the table"))
        elif not is_missing(cells[row]):
            kept.append(row)
            items.append((place.relative_to(path.parent).as_posix(), place))
    if missing and (not items or not config.skip_bad):
        head = f"{len(missing):,} of {len(table.lines):,} recordings are not there"
        raise refused(head, missing, left=len(items))
    heard = hearing.hear(items, config, whole=is_text)
    rows = [kept[number] for number in heard.kept]
    digest = hashlib.sha256(f"{heard.digest} {column}\0".encode() + path.read_bytes())
    heard.digest, heard.bad = digest.hexdigest(), [*missing, *heard.bad]
    heard.facts = [*table.facts, f"'{files}' of {path.name} names the recordings, '{column}' is learnt.", *heard.facts]
    if unsaid := len(table.lines) - len(missing) - len(kept):
        heard.findings.append(answers.left_out(column, unsaid))
    _repeated(heard, [name for name, _ in items])
    name = path.parent.resolve().name if Path(source).is_dir() else path.name.partition(".")[0]
    origins = [str(path.parent / items[number][0]) for number in heard.kept]
    given = _splits(table, rows)
    testing = f"name one with a column '{SPLIT}'"
    chosen = [cells[row] for row in rows]
    if is_text:
        texts = [str(cell) for cell in chosen]
        return sounds.transcripts(name, heard, texts, config, seed, origins=origins, given=given, testing=testing)
    answer = answers.read(column, chosen, "class", (), notation_of(chosen, ()))
    assert answer.names is not None
    if answer.missing.any():
        raise Problem(f"'{column}' of {path} names no class in some rows: fill them, or remove the rows.")
    heard.facts, heard.findings = [*heard.facts, *answer.facts], [*heard.findings, *answer.findings]
    return sounds.classes(
        name, heard, answer.values, answer.names, config, seed, origins=origins, given=given, testing=testing
    )


def _table(source: str) -> tuple[Path, str] | None:
    """The table and its column of file names."""
    path = Path(source).expanduser()
    if path.is_dir():
        return hearing.table_of(path)
    if not path.is_file() or ending(source) not in ENDINGS:
        return None
    files = hearing.files_in(path)
    return None if files is None else (path, files)


def _place(folder: Path, name: str) -> Path | None:
    """The recording that a cell names, below the folder of the table."""
    path = folder / name
    inside = name and not Path(name).is_absolute() and ".." not in Path(name).parts
    return path if inside and path.is_file() and sound_file.is_recording(name) else None


def _answer_column(table: RawTable, files: str, config: hearing.Config) -> tuple[str, bool]:
    """What is learnt, and whether it is what is said: by the setting, else by its name, else by what stands in it."""
    others = [name for name in table.columns if name not in (files, SPLIT)]
    for key, name in (("text", config.text), ("target", config.target)):
        if name is not None:
            if name not in others:
                hint = did_you_mean(name, others)
                raise Misuse(f"data.{key}={name} names no column.{hint} Columns: {', '.join(table.columns)}.")
            return name, key == "text"
    for names, is_text in ((TEXTS, True), (CLASSES, False)):
        for name in others:
            if name.strip().lower() in names:
                return name, is_text
    if len(others) != 1:
        raise Problem(
            f"It is not clear what to learn of these recordings: name the column of what is said with data.text=COLUMN, or of "
            f"their classes with data.target=COLUMN. Columns: {', '.join(table.columns)}."
        )
    cells = [str(cell) for cell in table.columns[others[0]] if cell]
    return others[0], 2 * len(set(cells)) > len(cells)


def _splits(table: RawTable, rows: list[int]) -> np.ndarray | None:
    if SPLIT not in table.columns:
        return None
    cells = [str(table.columns[SPLIT][row] or "").strip() for row in rows]
    for row, cell in zip(rows, cells, strict=True):
        if cell.lower() not in SPLITS:
            raise Problem(f"{table.origin(row)}: '{cell}' is no split: expected train, validation or test.")
    return np.array([SPLITS[cell.lower()] for cell in cells])


def _repeated(heard: hearing.Heard, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        text = f"{len(twice):,} recordings are listed more than once (first: '{twice[0]}')."
        heard.findings.append(
            Finding("warning", "listed-twice", text, "Keep one row for each.", {"files": twice[:LISTED]})
        )

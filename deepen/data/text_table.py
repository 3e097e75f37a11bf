"""A table whose rows are texts with an answer each: reviews and stars, messages and spam or not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepen.data import answers, texts
from deepen.data.dataset import Dataset
from deepen.data.detect import notation_of
from deepen.data.reading import ENDINGS, SAMPLE, RawTable, ending, peek_table
from deepen.data.splits import BY_SETTING
from deepen.data.tables import column_of, joined, open_table, times_of
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.recipe import Data

SUMMARY = "your texts: a table with a column of texts and, but for masked, one to learn (.csv .tsv .jsonl .parquet)"
Config = texts.Config
ASKED_BY = "text"
"""The setting of data that asks for this reader."""
MOST_OTHERS = 2
"""Columns beside the text that a table of texts may have: what is to be learnt, and a number of the row."""


def recognise(source: str) -> str | None:
    """Why `source` is a table of texts, or None: one column of prose and next to nothing else."""
    if ending(source) not in ENDINGS or not Path(source).is_file():
        return None
    try:
        table = peek_table(source)
    except Problem:
        return None  # what is wrong with it is said by who reads all of it
    column = prose_of(table)
    return None if column is None else f"a table of texts, by what stands in '{column}'"


def asked(source: str) -> str | None:
    """Why a table that was not recognised can be read for its texts where their column was named, or None."""
    return "a table of texts, since data.text names their column" if ending(source) in ENDINGS else None


def prose_of(table: RawTable) -> str | None:
    """The one column of texts in a table that has next to nothing else, if anything, or None."""
    prose = [name for name, cells in table.columns.items() if texts.is_prose(cells[:SAMPLE])]
    return prose[0] if len(prose) == 1 and len(table.columns) - 1 <= MOST_OTHERS else None


def load(source: str, options: Data, seed: int) -> Dataset:
    """Read the texts of the table at the path `source`.

    Raises `Problem` for a file that cannot be read or learnt from, `Misuse` for an unknown column.
    """
    config = options if isinstance(options, Config) else Config(**vars(options))
    table = open_table(source, config)
    given: np.ndarray | None = None
    paths = [Path(source)]
    if config.test is not None:
        table, given = joined(table, open_table(config.test, config, header=table.header), source, config.test)
        paths.append(Path(config.test))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    name = paths[0].name.removesuffix(".gz").rsplit(".", 1)[0]
    return from_table(source, name, table, config, seed, digest=digest.hexdigest(), given=given, testing=BY_SETTING)


def from_table(
    source: str,
    name: str,
    table: RawTable,
    config: Any,
    seed: int,
    *,
    digest: str,
    given: np.ndarray | None = None,
    facts: Sequence[str] = (),
    testing: str = "",
) -> Dataset:
    """A data set from a table that was read at `source`. `given` is the split of each row, where the data brings one."""
    column = _texts_of(table, config)
    others = [name for name in table.columns if name not in (column, config.group, config.time)]
    answer, target, why, findings = None, "", ["No other column says anything of them."], []
    kept = np.arange(len(table.lines))
    if config.target is not None and not others:
        raise Misuse(
            f"data.target={config.target} cannot be learnt: {source} has only the column '{column}', its texts."
        )
    if others:
        target, why = answers.choose(others, config.target)
        cells = table.columns[target]
        answer = answers.read(target, cells, config.answer, config.missing, notation_of(cells, config.missing))
        kept = np.flatnonzero(~answer.missing)
        if dropped := len(cells) - len(kept):
            findings.append(answers.left_out(target, dropped))
        answer.values = answer.values[kept]
    columns = {name: [cells[row] for row in kept.tolist()] for name, cells in table.columns.items()}
    dataset = texts.build(
        name,
        [text or "" for text in columns[column]],
        answer,
        target,
        config,
        seed,
        digest=digest,
        origins=[table.origin(row) for row in kept.tolist()],
        column=column,
        given=None if given is None else given[kept],
        groups=column_of(columns, config.group, "group"),
        times=times_of(columns, config.time),
        facts=[*facts, *table.facts, f"The texts stand in '{column}'.", *why],
        bad=table.bad,
        testing=testing,
    )
    dataset.findings = [*findings, *dataset.findings]
    return dataset


def _texts_of(table: RawTable, config: Any) -> str:
    """The column of texts: the one that is named, else the one with most characters."""
    if config.text is not None:
        if config.text not in table.columns:
            hint = did_you_mean(config.text, list(table.columns))
            raise Misuse(f"data.text={config.text} names no column.{hint} Columns: {', '.join(table.columns)}.")
        return str(config.text)
    sizes = {
        name: sum(len(cell or "") for cell in cells)
        for name, cells in table.columns.items()
        if name != config.target or len(table.columns) == 1
    }
    return max(sizes, key=lambda name: sizes[name])

"""The user's own tables: .csv, .tsv, .jsonl or .parquet, also .gz, with a column to learn."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from deepen.data import answers, texts
from deepen.data.cells import days, is_missing, numbers
from deepen.data.columns import TablePreprocess
from deepen.data.dataset import Columns, Dataset, Sealed
from deepen.data.detect import detect, notation_of
from deepen.data.reading import ENDINGS, SAMPLE, RawTable, ending, peek_table, read_table
from deepen.data.splits import BY_SETTING, split
from deepen.data.text_settings import TableData
from deepen.data.timed import noticed
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.recipe import Data
from deepen.spec import Category, Quantity, Spec, Table

SUMMARY = "your own table: .csv .tsv .jsonl .parquet (also .gz), with data.target=COLUMN"
GENERAL = True


@dataclass
class Config(TableData):
    """How a table is read and split."""

    answer: Literal["class", "number"] | None = None
    """Whether the target names a class or is a number to estimate. Default: decided from the column."""
    bins: int | None = None
    """Pieces that the range of a number is cut into at the quantiles of the training rows; 0 gives the number alone.
    Default: by the number of training rows and columns, up to 64."""
    categories: int = 64
    """Most categories of a column that get a place of their own; rarer ones share one."""


def recognise(source: str) -> str | None:
    """Why `source` is a table, or None."""
    kind = ending(source)
    if kind not in ENDINGS:
        return None
    told = f"a table by its ending {kind}"
    try:
        column = texts.likely({name: cells[:SAMPLE] for name, cells in peek_table(source).columns.items()})
    except Problem:
        return told  # what is wrong with it is said by who reads all of it
    named = shlex.quote(f"data.text={column}")
    return told if column is None else f"{told}; if what stands in '{column}' is to be read as texts, {named} says so"


def load(source: str, options: Data, seed: int) -> Dataset:
    """Read the table at the path `source`.

    Raises `Problem` for a file that cannot be read or learnt from, `Misuse` for an unknown column.
    """
    table = open_table(source, options)
    given: np.ndarray | None = None
    paths = [Path(source)]
    if options.test is not None:
        test = open_table(options.test, options, header=table.header)
        table, given = joined(table, test, source, options.test)
        paths.append(Path(options.test))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    target, facts = answers.choose(list(table.columns), options.target)
    name = paths[0].name.removesuffix(".gz").rsplit(".", 1)[0]
    dataset = build(name, table, target, options, seed, given=given, digest=digest.hexdigest(), facts=facts)
    dataset.testing = BY_SETTING
    return dataset


def open_table(path: str, options: Data, *, header: bool | None = None) -> RawTable:
    """The file at `path`, read as `options` say."""
    found = Path(path)
    if not found.is_file():
        if found.is_dir():
            raise Problem(f"{path} is a folder: expected a table file ({', '.join(ENDINGS)}).")
        beside = [item.name for item in found.parent.iterdir()] if found.parent.is_dir() else []
        raise Problem(f"There is no file {path}.{did_you_mean(found.name, beside)}")
    return read_table(
        path,
        header=header if header is not None else getattr(options, "header", None),
        delimiter=getattr(options, "delimiter", None),
        encoding=getattr(options, "encoding", None),
        skip_bad=options.skip_bad,
    )


def build(
    name: str,
    table: RawTable,
    target: str,
    options: Data,
    seed: int,
    *,
    digest: str,
    given: np.ndarray | None = None,
    facts: Sequence[str] = (),
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """A data set from columns of cells. `given` is the split of each row, `class_names` fixes the order of classes."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    features = [column for column in table.columns if column != target]
    if not features:
        raise Problem(f"The table has only the column '{target}': there is nothing to learn it from.")
    cells = table.columns[target]
    answer = answers.read(target, cells, config.answer, config.missing, notation_of(cells, config.missing))
    told = [*table.facts, *facts, *answer.facts]
    findings = list(answer.findings)
    kept = np.flatnonzero(~answer.missing)
    if dropped := len(cells) - len(kept):
        findings.append(answers.left_out(target, dropped))
        told.append(findings[-1].text)
    columns = {column: _pick(table.columns[column], kept) for column in features}
    origins = [table.origin(row) for row in kept.tolist()]
    values, names = answer.values[kept], answer.names
    if names is not None and class_names is not None:
        place = np.array([list(class_names).index(old) for old in names])
        values, names = place[values], tuple(class_names)
    parts, why = split(
        len(kept),
        config,
        seed,
        given=None if given is None else given[kept],
        labels=values if names is not None else None,
        groups=column_of(columns, config.group, "group"),
        times=times_of(columns, config.time),
        names=names,
    )
    bins = _bins(len(parts["train"]), len(features)) if config.bins is None else config.bins
    plans = []
    for column in features:
        if column == config.group:
            told.append(f"Column '{column}' only says what belongs together: it is not learnt from.")
            continue
        plan, odd = detect(
            column,
            columns[column],
            parts["train"],
            bins=bins,
            most=config.categories,
            missing=config.missing,
            splits_by=column == config.time,
            alone=len(features) == 1,
        )
        findings += odd
        plans += [plan] if plan else []
    if not plans:
        reasons = " ".join(finding.text for finding in findings if finding.subject.endswith("column"))
        raise Problem(f"No column of the table is left to learn '{target}' from. {reasons}")
    preprocess = TablePreprocess(
        plans,
        names=list(table.columns),
        target=target,
        header=table.header,
        encoding=config.encoding,
        delimiter=config.delimiter,
    )
    output: Category | Quantity
    if names is not None:
        output, goal = Category(names), torch.from_numpy(values)
    else:
        train_values = values[parts["train"]]
        scale = float(train_values.std())
        output = Quantity((target,), (float(train_values.mean()),), (scale if scale > 0 else 1.0,))
        goal = torch.from_numpy(values.astype(np.float32))[:, None]
    made = {}
    for part, index in parts.items():
        encoded = preprocess.encode_columns({plan.name: _pick(columns[plan.name], index) for plan in plans})
        arrays = {"input": encoded, "target": goal[torch.from_numpy(index)]}
        made[part] = Columns(arrays, _pick(origins, index))
    left_out = [column for column in features if column not in {plan.name for plan in plans} | {config.group}]
    told.append(_columns_fact(plans, left_out, len(preprocess.labels)))
    if given is None and config.time is None and config.group is None:
        findings += noticed(table)
    return Dataset(
        name=name,
        spec=Spec(Table(preprocess.labels), output),
        preprocess=preprocess,
        train=made["train"],
        validation=made["validation"],
        test=Sealed(made["test"]) if len(made["test"]) else None,
        digest=digest,
        facts=[*told, *why],
        bad=list(table.bad),
        findings=findings,
    )


def joined(table: RawTable, test: RawTable, source: str, test_source: str) -> tuple[RawTable, np.ndarray]:
    """Two files as one table, with the split of each row."""
    first, second = list(table.columns), list(test.columns)
    if set(first) != set(second):
        lacks = [column for column in first if column not in second]
        more = [column for column in second if column not in first]
        what = f"has no column '{lacks[0]}'" if lacks else f"has a column '{more[0]}' that {source} has not"
        raise Problem(f"{test_source} {what}: data.test must name a file with the same columns as {source}.")
    both = RawTable(
        columns={column: [*table.columns[column], *test.columns[column]] for column in first},
        lines=[*table.lines, *test.lines],
        header=table.header,
        files=[*table.files, *test.files],
        facts=[*table.facts, *test.facts],
        bad=[*table.bad, *test.bad],
    )
    return both, np.array(["train"] * len(table.lines) + ["test"] * len(test.lines))


def _bins(rows: int, features: int) -> int:
    """Pieces for a number: each with rows enough that its height is no accident, all together no wider than a network."""
    return min(64, rows // 64, 1024 // features)


def _pick(cells: Sequence[Any], rows: np.ndarray) -> list[Any]:
    return [cells[row] for row in rows.tolist()]


def column_of(columns: dict[str, list[Any]], name: str | None, option: str) -> np.ndarray | None:
    """The cells of the column that an option names, as texts."""
    if name is None:
        return None
    if name not in columns:
        raise Misuse(
            f"data.{option}={name} names no column that could be learnt from.{did_you_mean(name, columns)} "
            f"Columns: {', '.join(columns)}."
        )
    empty = sum(is_missing(cell) for cell in columns[name])
    if empty:
        raise Problem(f"Column '{name}' is empty in {empty:,} rows, which then cannot be split by data.{option}.")
    return np.array([str(cell).strip() for cell in columns[name]])


def times_of(columns: dict[str, list[Any]], name: str | None) -> np.ndarray | None:
    """The moments of the column that data.time names."""
    if column_of(columns, name, "time") is None:
        return None
    assert name is not None
    values, wrong = numbers(columns[name])
    if not wrong:
        return values
    read = {order: days(columns[name], order) for order in ("ymd", "mdy", "dmy")}
    order = min(read, key=lambda order: len(read[order][1]))
    moments, wrong = read[order]
    if wrong:
        raise Problem(
            f"data.time={name}: {columns[name][wrong[0]]!r} is neither a number nor a date such as 2024-01-31."
        )
    return moments[:, 0]


def _columns_fact(plans: Sequence[Any], left_out: Sequence[str], width: int) -> str:
    kinds = {"number": "number", "category": "category", "date": "date", "presence": "filled-or-not"}
    parts = []
    for kind, word in kinds.items():
        names = [plan.name for plan in plans if plan.kind == kind]
        if names:
            shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
            parts.append(f"{word}: {shown}")
    out = f"; left out: {', '.join(left_out)}" if left_out else ""
    return f"Columns: {'; '.join(parts)}{out} ({width} numbers a row)."


def refuse_file_options(name: str, options: Data) -> None:
    """Raise `Misuse` for settings that have no meaning for the known table `name`."""
    for option in ("target", "test"):
        if getattr(options, option) is not None:
            raise Misuse(f"data.{option} cannot be set for {name}, whose columns and splits are fixed.")

"""Tables whose splits are files of their own: a folder with train.csv and test.csv, or a data set of the Hugging Face hub.

`hf:owner/name` is such a folder that lies elsewhere. Its README may say which files belong to which split and what classes
are called, in a head of YAML as the hub's own library reads it; else the names of files and folders say it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from deepen.data import answers, file_splits, hub, places, tables, text_table, texts
from deepen.data.dataset import Dataset
from deepen.data.download import Transport, over_https
from deepen.data.reading import ENDINGS, PLAIN_ENDINGS, RawTable, ending, read_table
from deepen.errors import Misuse, Problem
from deepen.recipe import Data

SUMMARY = "a folder of tables, train.csv test.csv ..., or a data set of the Hugging Face hub: hf:owner/name"
README = "README.md"
MOST_README, MOST_FILE = 2**22, 2**36
BESIDE = (".md", ".txt", ".json", ".yaml", ".yml", ".py", "")
"""Endings of what may lie beside tables and says something of them."""
UNTOLD = "-1"
"""What the hub's data sets write for a class that is kept back."""


@dataclass
class Config(texts.Config, tables.Config):
    """How tables in several files are read."""

    subset: str | None = None
    """Which of several sets of a repository. Default: the one that it calls its default, or the only one."""


def recognise(source: str) -> str | None:
    """Why `source` is such a folder or repository, or None."""
    if source.startswith(hub.PREFIX):
        return "a data set of the Hugging Face hub"
    path = Path(source).expanduser()
    if not path.is_dir():
        return None
    splits = set()
    for file in path.rglob("*"):
        name = file.relative_to(path).as_posix()
        if any(part.startswith(".") for part in name.split("/")) or file.is_dir():
            continue
        if ending(name) in ENDINGS:
            splits.add(file_splits.split_of(name))
        elif file.suffix.lower() not in BESIDE:
            return None
    return "a folder of tables, by the splits that their names say" if "train" in splits else None


def load(source: str, options: Data, seed: int, *, transport: Transport = over_https) -> Dataset:
    """The tables of a folder or of `hf:owner/name` as one data set with the splits that they bring.

    What lies in the hub's cache or in ours is not fetched; HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN are
    heeded. Raises `Problem` for what cannot be found or read, `Misuse` for a name that there is none of.
    """
    config = options if isinstance(options, Config) else Config(**vars(options))
    if config.test is not None:
        raise Misuse(f"data.test cannot be set for {source}, whose files say what is tested on: leave it out.")
    if source.startswith(hub.PREFIX):
        folder, chosen, facts = _of_hub(source, config.subset, transport)
    else:
        folder, facts = Path(source).expanduser(), []
        chosen = file_splits.choose(list(_inside(folder)), file_splits.about(folder / README), config.subset)
        if chosen.missing:
            more = " ..." if len(chosen.missing) > 3 else ""
            raise Problem(
                f"{folder} lacks {', '.join(map(repr, chosen.missing[:3]))}{more}, which the names of the other parts count: "
                "put all of them there, or give what is there other names."
            )
    about = file_splits.about(folder / README)
    table, given, digest = _read(source, folder, chosen, config)
    if chosen.left_out:
        facts.append(f"Left out, being neither train, validation nor test: {', '.join(chosen.left_out)}.")
    many = sum(map(len, chosen.files.values()))
    facts.append(f"Read {many} file{'s' if many != 1 else ''}: {'; '.join(map(', '.join, chosen.files.values()))}.")
    column = config.text or text_table.prose_of(table)
    others = [name for name in table.columns if name != column]
    target, _ = answers.choose(others or list(table.columns), config.target)
    table, told = _named(table, target, about, config.subset)
    splits = given if set(chosen.files) != {"train"} else None
    if splits is not None and (hidden := _without_answers(table.columns[target], splits)):
        facts.append(f"The {' and '.join(hidden)} split has no values in '{target}': it is left out.")
    name = source.removeprefix(hub.PREFIX) if source.startswith(hub.PREFIX) else folder.name
    facts += told
    if column is not None:
        return text_table.from_table(
            source, name, table, replace(config, text=column), seed, digest=digest, given=splits, facts=facts
        )
    target, why = answers.choose(list(table.columns), config.target)
    return tables.build(name, table, target, config, seed, digest=digest, given=splits, facts=[*facts, *why])


def _inside(folder: Path) -> Iterable[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and _shown([name]):
            yield name


def _shown(names: Iterable[str]) -> list[str]:
    """Those of them that are not hidden, nor in a hidden folder."""
    return [name for name in names if not any(part.startswith(".") for part in name.split("/"))]


def _of_hub(source: str, subset: str | None, transport: Transport) -> tuple[Path, file_splits.Chosen, list[str]]:
    """Where the files of `hf:owner/name` lie, now at the latest."""
    form = hub.NAME.fullmatch(source.removeprefix(hub.PREFIX))
    if form is None or ".." in source or form[2]:
        raise Misuse(f"'{source}' is not understood: expected hf:owner/name.")
    own = places.cache_folder() / "hub"
    for root in (hub.hub_cache(), own):
        snapshot = hub.lying(root, hub.DATASETS, form[1])
        if snapshot is None:
            continue
        names = hub.listed_in(snapshot)
        if not names and (root == own or any((snapshot.parent.parent / "blobs").glob("*.incomplete"))):
            continue  # what is lacking could not be told
        try:
            chosen = file_splits.choose(
                _shown(names) or list(_inside(snapshot)), file_splits.about(snapshot / README), subset
            )
        except Misuse:
            if hub.offline():
                raise
            continue  # the hub may have more sets than lie here
        files = [snapshot / name for split in chosen.files.values() for name in split]
        if files and chosen.whole and all(file.is_file() and not hub.is_damaged(file) for file in files):
            return snapshot, chosen, [f"{source} at {snapshot.name[:12]}, as it lies in {root}."]
    if hub.offline():
        raise Problem(
            f"{source} does not lie on this machine and HF_HUB_OFFLINE is set: looked in {hub.hub_cache()} and {own}."
        )
    listing = hub.list_files(hub.DATASETS, form[1], transport)
    about: dict[str, Any] = {}
    if README in listing.files:
        about = file_splits.about(listing.bring([README], own, lambda _: MOST_README) / README)
    names = _shown(listing.files)
    chosen = file_splits.choose(names, about, subset)
    if "train" not in chosen.files:
        endings = sorted({PurePosixPath(name).suffix for name in names} - {""})
        raise Problem(
            f"{source} has no file to train on that can be read: expected {', '.join(PLAIN_ENDINGS)}, and it holds "
            f"{', '.join(endings) or 'nothing'}."
        )
    wanted = [name for split in chosen.files.values() for name in split]
    snapshot = listing.bring(wanted, own, lambda _: MOST_FILE)
    return snapshot, chosen, [f"{source} at {listing.commit[:12]}, fetched from {listing.endpoint}."]


def _read(source: str, folder: Path, chosen: file_splits.Chosen, config: Config) -> tuple[RawTable, np.ndarray, str]:
    """The files one under the other, the split of each row, and the sum of what they hold."""
    if "train" not in chosen.files:
        raise Problem(
            f"{source} has no file to train on: expected one with train in its name, or that {README} says it is."
        )
    digest, whole, given = hashlib.sha256(), None, []
    for split, names in chosen.files.items():
        for name in names:
            digest.update(f"{split}\0{hub.sha256(folder / name)}\0".encode())
            table = read_table(
                folder / name,
                header=config.header if whole is None else whole.header,
                delimiter=config.delimiter,
                encoding=config.encoding,
                skip_bad=config.skip_bad,
            )
            table.files = [name] * len(table.lines)
            given += [split] * len(table.lines)
            whole = table if whole is None else tables.joined(whole, table, source, name)[0]
    assert whole is not None
    return whole, np.array(given), digest.hexdigest()


def _named(table: RawTable, target: str, about: Mapping[str, Any], subset: str | None) -> tuple[RawTable, list[str]]:
    """The table with classes by name, where the README says what their numbers mean."""
    names = file_splits.class_names(about, target, subset)
    cells = table.columns[target]
    numbers = {str(number): name for number, name in enumerate(names)} | {UNTOLD: None}
    if not names or any(cell is not None and cell not in numbers for cell in cells):
        return table, []
    named = [None if cell is None else numbers[cell] for cell in cells]
    return replace(table, columns={**table.columns, target: named}), [
        f"README.md says what the numbers in '{target}' mean."
    ]


def _without_answers(cells: Sequence[Any], given: np.ndarray) -> list[str]:
    """Splits of which all answers are kept back."""
    there = np.array([cell is not None for cell in cells])
    return [split for split in dict.fromkeys(given.tolist()) if not there[given == split].any()]

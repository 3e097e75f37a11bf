"""Texts and their translations: two files of which the lines belong together, or a table with a column of each.

    corpus/train.de  corpus/train.en  corpus/val.de  corpus/val.en  corpus/test.de  corpus/test.en
    corpus/de.txt    corpus/en.txt

Any of them may end in .txt or .gz.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepen.data import paired, texts
from deepen.data.dataset import Dataset
from deepen.data.documents import part_in
from deepen.data.reading import ENDINGS, ending, peek_table
from deepen.data.tables import open_table
from deepen.data.text_file import encoding_of, read_lines
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.recipe import Data

SUMMARY = "your translations: two files with a line of each (train.de, train.en), or a table with two columns of texts"
Config = paired.Config
CODES = """
aa ab af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cv cy da de dv dz ee el en eo es et eu fa
ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn
ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or
os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts
tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu deu ger eng fra fre spa ita por rus zho chi jpn kor ara hin tur nld
dut pol ces cze swe dan fin nor ell gre heb hun ron rum ukr vie tha ind src tgt source target
"""
"""What languages are called in names of files (ISO 639), and the two sides where they are not named."""
INTO = ("en", "eng", "tgt", "target")
"""Sides that are translated into where nothing else is asked."""
BY_NAME = "add files called test, as in test.de and test.en"


def recognise(source: str) -> str | None:
    """Why `source` is translations, or None."""
    path = Path(source).expanduser()
    if path.is_dir():
        sides = sorted({side for files in _piles(path).values() for side in files})
        return f"files in {' and '.join(sides)} whose lines belong together" if sides else None
    if ending(source) not in ENDINGS or not path.is_file():
        return None
    try:
        table = peek_table(source)
    except Problem:
        return None  # what is wrong with it is said by who reads all of it
    prose = [name for name, cells in table.columns.items() if texts.is_prose(cells)]
    if len(prose) != 2 or len(table.columns) > 3:
        return None
    return f"a table of texts and translations, by what stands in '{prose[0]}' and '{prose[1]}'"


def load(source: str, options: Data, seed: int) -> Dataset:
    """The pairs of a folder or a table. Raises `Problem` for files that do not fit together, `Misuse` for unknown sides."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    if Path(source).expanduser().is_dir():
        return _from_folder(source, config, seed)
    return _from_table(source, config, seed)


def _from_folder(source: str, config: Config, seed: int) -> Dataset:
    folder = Path(source).expanduser()
    piles = _piles(folder)
    languages = sides(sorted({side for files in piles.values() for side in files}), config, "language")
    usable = {stem: files for stem, files in piles.items() if set(languages) <= set(files)}
    if not usable:
        raise Problem(f"{source} has no two files of one name in {languages[0]} and {languages[1]}.")
    chosen, facts = _parts(sorted(usable), config)
    digest = hashlib.sha256()
    pairs: list[tuple[str, str]] = []
    origins: list[str] = []
    given: list[str] = []
    for stem, part in chosen.items():
        files = [usable[stem][language] for language in languages]
        both, told = read(files, config.encoding)
        facts += told
        pairs += both
        origins += [f"{files[0].name}:{number}" for number in range(1, len(both) + 1)]
        given += [part] * len(both)
        for file in files:
            digest.update(f"{file.name}\0".encode())
            digest.update(file.read_bytes())
    return paired.build(
        folder.name,
        pairs,
        languages,
        config,
        seed,
        digest=digest.hexdigest(),
        origins=origins,
        given=np.array(given),
        facts=[f"{len(pairs):,} pairs, from {languages[0]} into {languages[1]}.", *facts],
        testing=BY_NAME,
    )


def _from_table(source: str, config: Config, seed: int) -> Dataset:
    if config.test is not None:
        raise Misuse("data.test names a pair of files, and this is a table: leave it out, or lay the pairs into files.")
    table = open_table(source, config)
    names = [name for name, cells in table.columns.items() if texts.is_prose(cells)]
    named = [name for name in (config.source, config.target) if name in table.columns]
    languages = sides([*names, *(name for name in named if name not in names)], config, "column")
    if missing := [name for name in languages if name not in table.columns]:
        hint = did_you_mean(missing[0], list(table.columns))
        raise Misuse(f"There is no column '{missing[0]}'.{hint} Columns: {', '.join(table.columns)}.")
    columns = [table.columns[name] for name in languages]
    empty = {None, *config.missing}
    pairs = [tuple("" if cell in empty else str(cell) for cell in row) for row in zip(*columns, strict=True)]
    return paired.build(
        Path(source).name.removesuffix(".gz").rsplit(".", 1)[0],
        [(first, second) for first, second in pairs],
        languages,
        config,
        seed,
        digest=hashlib.sha256(Path(source).read_bytes()).hexdigest(),
        origins=[table.origin(row) for row in range(len(pairs))],
        facts=[*table.facts, f"{len(pairs):,} pairs, from '{languages[0]}' into '{languages[1]}'."],
    )


def read(files: Sequence[Path], encoding: str | None) -> tuple[list[tuple[str, str]], list[str]]:
    """The lines of two files side by side. Raises `Problem` where one has more of them: from where on they belong together no
    longer cannot be told."""
    found, facts = [], []
    for file in files:
        known, told = encoding_of(str(file), encoding)
        lines = [line.rstrip("\r\n").strip() for line in read_lines(str(file), known)]
        facts += [f"{file.name}: {fact}" for fact in told]
        found.append(lines)
    first, second = found
    if len(first) != len(second):
        raise Problem(
            f"{files[0].name} has {len(first):,} lines and {files[1].name} {len(second):,}: each line of one must be the "
            "translation of the same line of the other. Look for a missing, doubled or broken line."
        )
    return list(zip(first, second, strict=True)), facts


def sides(there: Sequence[str], config: Config, what: str) -> tuple[str, str]:
    """From which into which of the languages that are there, as asked or as is usual."""
    for key in ("source", "target"):
        asked = getattr(config, key)
        if asked is not None and asked not in there:
            hint = did_you_mean(asked, there)
            raise Misuse(f"data.{key}={asked} names no {what}.{hint} There are: {', '.join(there)}.")
    if config.source is not None and config.source == config.target:
        raise Misuse(f"data.source={config.source} and data.target={config.target} are the same: name two.")
    rest = [one for one in there if one not in (config.source, config.target)]
    if len(rest) + sum(one is not None for one in (config.source, config.target)) > 2 and not (
        config.source is not None and config.target is not None
    ):
        raise Misuse(f"There are {', '.join(there)}: name two of them with data.source=... and data.target=...")
    into = config.target or next((one for one in INTO if one in rest), rest[-1] if rest else "")
    rest = [one for one in rest if one != into]
    if not into or not (config.source or rest):
        raise Problem(f"Only the {what} {', '.join(there)} is there: two are needed, a text and its translation.")
    return config.source or rest[0], into


def _piles(folder: Path) -> dict[str, dict[str, Path]]:
    """Files by the name that they share and by their language: only names that two languages or more share."""
    piles: dict[str, dict[str, Path]] = defaultdict(dict)
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith(".") and (named := _named(file.name)):
            piles[named[0]].setdefault(named[1], file)
    return {stem: files for stem, files in piles.items() if len(files) > 1}


def _named(name: str) -> tuple[str, str] | None:
    """The shared name and the language of a file: `train.de.gz` is train in de, `de.txt` nothing in de."""
    plain = re.sub(r"\.gz$", "", name)
    bare = re.sub(r"\.(txt|text)$", "", plain)
    stem, _, side = bare.rpartition(".")
    if not stem and bare == plain:  # a file that is called de and nothing more tells too little
        return None
    return (stem, side) if re.split("[-_]", side.lower())[0] in CODES.split() else None


def _parts(stems: Sequence[str], config: Config) -> tuple[dict[str, str], list[str]]:
    """The part of each name that is used, and what was decided."""
    found = {stem: part_in(stem) if len(stems) > 1 else "train" for stem in stems}
    tests = [stem for stem in stems if found[stem] == "test"]
    test = tests[0] if tests else None
    if config.test is not None:
        test = Path(config.test).name
        if test not in found or len(stems) == 1:
            hint = did_you_mean(test, stems)
            raise Misuse(
                f"data.test={config.test} names no pair of files to test on.{hint} There are: {', '.join(stems)}."
            )
    parts = {stem: part or "train" for stem, part in found.items() if part != "test" and stem != test}
    if test is not None:
        parts[test] = "test"
    facts = []
    if left := [stem for stem in tests if stem != test]:
        facts.append(f"'{test}' is the test split; {', '.join(left)} are left alone (data.test=NAME takes another).")
    return parts, facts

"""Texts and their translations: two files of which the lines belong together, or a table with a column of each.

    corpus/train.de  corpus/train.en  corpus/val.de  corpus/val.en  corpus/test.de  corpus/test.en
    corpus/de.txt    corpus/en.txt

Any of them may end in .txt or .gz.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepen.data import paired, texts
from deepen.data.dataset import Dataset, Finding
from deepen.data.documents import part_in
from deepen.data.reading import ENDINGS, ending, peek_table
from deepen.data.splits import NAMES
from deepen.data.tables import open_table
from deepen.data.text_file import encoding_of, read_lines
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.recipe import Data

SUMMARY = "your translations: two files with a line of each (train.de, train.en), or a table with two columns of texts"
TASK = "translate"
Config = paired.Config
CODES = """
aa ab af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cv cy da de dv dz ee el en eo es et eu fa
ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn
ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or
os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts
tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu deu ger eng fra fre spa ita por rus zho chi jpn kor ara hin tur nld
dut pol ces cze swe dan fin nor ell gre heb hun ron rum ukr vie tha ind src tgt source target
german english french spanish italian portuguese russian chinese japanese korean arabic hindi turkish dutch polish czech swedish
danish finnish norwegian greek hebrew hungarian romanian ukrainian vietnamese thai indonesian
"""
"""What languages are called in names of files (ISO 639), and the two sides where they are not named."""
SIDE = re.compile(rf"({'|'.join(CODES.split())})([-_]([a-z]{{2}}|hans|hant|latn|cyrl|arab))?", re.IGNORECASE)
"""A language, as in zh, zh-CN or zh_Hans."""
INTO = ("en", "eng", "english", "tgt", "target")
"""Sides that are translated into where nothing else is asked."""
BY_NAME = "add files called test, as in test.de and test.en"


def recognise(source: str) -> str | None:
    """Why `source` is translations, or None."""
    path = Path(source).expanduser()
    if path.is_dir():
        sides = sorted({side for files in _files(path)[0].values() if len(files) > 1 for side in files})
        if not sides and _alone(path):
            return "texts in a language each, by the ends of their names"
        return f"files in {' and '.join(sides)} whose lines belong together" if sides else None
    if ending(source) not in ENDINGS or not path.is_file():
        return None
    try:
        table = peek_table(source)
    except Problem:
        return None  # what is wrong with it is said by who reads all of it
    prose = [name for name, cells in table.columns.items() if texts.is_prose(cells)]
    others = [name for name in table.columns if name not in prose]
    if len(prose) != 2 or len(others) > 1 or not all(_counts(table.columns[name]) for name in others):
        return None
    if _are_sentences(table.columns):
        return "a table of texts and translations"
    return f"a table of texts and translations, by what stands in '{prose[0]}' and '{prose[1]}'"


def asked(source: str) -> str | None:
    """Why a table is read as translations where that was asked for, or None where `source` is none."""
    return "a table of texts and translations, since that was asked for" if ending(source) in ENDINGS else None


def _alone(folder: Path) -> bool:
    """Whether a folder holds nothing but files that are named by a language, as train.de is: then what is wrong with them is
    told, and not that nothing can be read."""
    files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    named = bool(files) and all(_named(file.name) and file.is_file() and file.suffix != ".txt" for file in files)
    return named and not any(_is_binary(file) for file in files)


def _is_binary(file: Path) -> bool:
    """Whether a file that is not packed is no text by its first bytes: weights may end in .pt, libraries in .so."""
    with file.open("rb") as raw:
        return file.suffix != ".gz" and b"\0" in raw.read(1024)


def _are_sentences(names: Iterable[str]) -> bool:
    """Whether what a table seems to call its columns are sentences: then it has no header."""
    return all(len(name.split()) >= 4 or name.rstrip().endswith(tuple(".!?。！？…")) for name in names)


def _counts(cells: Sequence[Any]) -> bool:
    """Whether a column numbers the rows, and so is nothing to learn."""
    numbers = [str(cell) for cell in cells]
    return all(map(str.isdecimal, numbers)) and all(int(a) < int(b) for a, b in itertools.pairwise(numbers))


def load(source: str, options: Data, seed: int) -> Dataset:
    """The pairs of a folder or a table. Raises `Problem` for files that do not fit together, `Misuse` for unknown sides."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    if Path(source).expanduser().is_dir():
        return _from_folder(source, config, seed)
    return _from_table(source, config, seed)


def _from_folder(source: str, config: Config, seed: int) -> Dataset:
    for key in ("header", "delimiter", "missing"):
        if getattr(config, key) not in (None, ()):
            raise Misuse(f"data.{key} is for tables, and {source} is a folder of texts: leave it out.")
    folder = Path(source).expanduser()
    piles, doubled = _files(folder)
    every = {side for files in piles.values() for side in files}
    there = {side for files in piles.values() if len(files) > 1 for side in files} or every
    languages = sides(sorted(there), config, "language")
    usable = {stem: files for stem, files in piles.items() if set(languages) <= set(files)}
    if not usable:
        names = ", ".join(sorted(file.name for files in piles.values() for file in files.values()))
        raise Problem(
            f"{source} has no two files of one name in {languages[0]} and {languages[1]}, such as train.{languages[0]} and "
            f"train.{languages[1]}: it holds {names}."
        )
    alone = [
        files[side].name for stem, files in piles.items() if stem not in usable for side in languages if side in files
    ]
    findings = []
    if alone:
        text = f"Without a partner in the other language, and left out: {', '.join(alone)}."
        mend = f"Lay the translation beside it, under the same name, or take the file{'s' * (len(alone) > 1)} away."
        findings.append(Finding("warning", "partner", text, mend))
    chosen, facts = _parts(sorted(usable), config)
    facts += [f"{taken} is read and not {left}, which has the same name." for taken, left in doubled]
    digest = hashlib.sha256()
    pairs: list[tuple[str, str]] = []
    origins: list[str] = []
    given: list[str] = []
    decoded: dict[str, list[str]] = defaultdict(list)
    for stem, part in chosen.items():
        files = [usable[stem][language] for language in languages]
        both, told = read(files, config.encoding)
        for name, fact in told:
            decoded[fact].append(name)
        pairs += both
        origins += [f"{files[0].name}:{number}" for number in range(1, len(both) + 1)]
        given += [part] * len(both)
        for file in files:
            digest.update(f"{file.name}\0".encode())
            digest.update(file.read_bytes())
    facts += [f"{', '.join(names)}: {fact}" for fact, names in decoded.items()]
    return paired.build(
        folder.resolve().name,
        pairs,
        languages,
        config,
        seed,
        digest=digest.hexdigest(),
        origins=origins,
        given=np.array(given),
        facts=[f"{len(pairs):,} pairs, from {languages[0]} into {languages[1]}.", *facts],
        findings=findings,
        testing=BY_NAME,
    )


def _from_table(source: str, config: Config, seed: int) -> Dataset:
    if config.test is not None:
        raise Misuse("data.test names a pair of files, and this is a table: leave it out, or lay the pairs into files.")
    table = open_table(source, config)
    if config.header is None and ending(source).startswith((".csv", ".tsv")) and _are_sentences(table.columns):
        table = open_table(source, config, header=False)
        table.facts.append("The first row is a pair like the others and names no columns (data.header=true: it does).")
    names = [name for name, cells in table.columns.items() if texts.is_prose(cells)]
    names = names if len(names) > 1 else list(table.columns)
    named = [name for name in (config.source, config.target) if name in table.columns]
    languages = sides([*names, *(name for name in named if name not in names)], config, "column")
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
        bad=table.bad,
    )


def read(files: Sequence[Path], encoding: str | None) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The lines of two files side by side, and what was decided about each file. Raises `Problem` where one has more of them:
    from where on they belong together no longer cannot be told."""
    found, facts = [], []
    for file in files:
        known, told = encoding_of(str(file), encoding)
        lines = [line.strip() for line in read_lines(str(file), known)]
        facts += [(file.name, fact) for fact in told]
        found.append(lines)
    first, second = found
    for longer, shorter in ((first, second), (second, first)):
        while len(longer) > len(shorter) and not longer[-1]:  # empty lines at the end of a file lack nothing
            longer.pop()
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
    usual = [one for name in INTO for one in rest if re.split("[-_]", one.lower())[0] == name]
    into = config.target or (usual[0] if usual else rest[-1] if rest else "")
    rest = [one for one in rest if one != into]
    if not into or not (config.source or rest):
        raise Problem(f"Only the {what} {', '.join(there)} is there: two are needed, a text and its translation.")
    return config.source or rest[0], into


def _files(folder: Path) -> tuple[dict[str, dict[str, Path]], list[tuple[str, str]]]:
    """Files by the name that they share and by their language; and of those that are there packed as well, say, which is taken
    and which is not."""
    piles: dict[str, dict[str, Path]] = defaultdict(dict)
    doubled = []
    for file in sorted(folder.iterdir()):
        if (named := _named(file.name)) and not file.name.startswith(".") and file.is_file():  # folders may be large
            taken = piles[named[0]].setdefault(named[1], file)
            if taken is not file:
                doubled.append((taken.name, file.name))
    return piles, doubled


def _named(name: str) -> tuple[str, str] | None:
    """The shared name and the language of a file: `train.de.gz` is train in de, `de.txt` nothing in de."""
    plain = re.sub(r"\.gz$", "", name)
    bare = re.sub(r"\.(txt|text)$", "", plain)
    stem, _, side = bare.rpartition(".")
    if not stem and bare == plain:  # a file that is called de and nothing more tells too little
        return None
    return (stem, side) if SIDE.fullmatch(side) else None


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
    unclear = [stem for stem, part in found.items() if part is None and stem != test]
    known = [stem for stem, part in found.items() if part is not None and stem != config.test]
    if unclear and known:
        raise Problem(
            f"It is not clear what part of the data '{unclear[0]}' is, beside '{known[0]}': expected train, val or test in its "
            "name (data.test=NAME seals a pair of files as the test split)."
        )
    parts = {stem: part or "train" for stem, part in found.items() if part != "test" and stem != test}
    if test is not None:
        parts[test] = "test"
    facts = []
    if len(stems) > 1:
        listed = [
            f"{', '.join(stem for stem in parts if parts[stem] == part)} for {part}"
            for part in NAMES
            if part in parts.values()
        ]
        facts.append(f"Pairs of files: {'; '.join(listed)}.")
    if left := [stem for stem in tests if stem != test]:
        facts.append(f"'{test}' is the test split; {', '.join(left)} are left alone (data.test=NAME takes another).")
    return parts, facts

"""Texts in class folders: <folder>/<class>/<text>.txt, or with train, val and test above the classes, as IMDB's reviews lie."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np

from deepen.data import answers, running, texts
from deepen.data.dataset import Bad, Dataset
from deepen.data.layout import lay_out
from deepen.errors import Misuse, Problem
from deepen.recipe import Data

SUMMARY = "your texts: a folder with one folder of .txt files per class"
Config = texts.Config
ENDINGS = (".txt", ".text")
GLANCE = 10_000


def recognise(source: str) -> str | None:
    """Why `source` holds texts in class folders, or None."""
    path = Path(source).expanduser()
    if not path.is_dir():
        return None
    folders, others = set(), 0
    for number, file in enumerate(path.rglob("*")):
        inside = file.relative_to(path).parts
        if any(part.startswith(".") for part in inside) or not file.is_file():
            continue
        if file.suffix.lower() in ENDINGS and len(inside) > 1:
            folders.add(inside[:-1])
        else:
            others += 1
        if number > GLANCE:
            break
    return "texts in class folders" if len(folders) > 1 and not others else None


def load(source: str, options: Data, seed: int) -> Dataset:
    """The texts of a folder, their class folders as targets. Raises `Problem` for what cannot be read, unless `skip_bad`."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    path = Path(source).expanduser()
    files = sorted(
        (file.relative_to(path).as_posix(), file)
        for file in path.rglob("*")
        if file.suffix.lower() in ENDINGS and file.is_file()
    )
    layout = lay_out([name for name, _ in files])
    names = tuple(layout.names)
    if len(names) < 2:
        raise Problem(f"{source} has one class only, '{names[0] if names else ''}': at least two are needed.")
    digest = hashlib.sha256()
    found, bad = [], []
    told: Counter[str] = Counter()
    for (name, file), label, part in zip(files, layout.classes, layout.splits, strict=True):
        if label is None or not part:
            continue
        try:
            text, facts = running.read(file, config.encoding)
        except Misuse:
            raise
        except Problem as problem:
            if not config.skip_bad:
                raise Problem(f"{problem} data.skip_bad=true goes on without such files.") from None
            bad.append(Bad(str(file), str(problem).replace(f"{file} ", "it ", 1).removesuffix(".")))
            continue
        told.update(fact.removeprefix(f"{file.name}: ") for fact in facts)
        digest.update(f"{name}\0".encode(errors="surrogateescape"))
        digest.update(text.encode())
        found.append((text, names.index(label), part, f"{source.rstrip('/')}/{name}"))
    given = np.array([part for _, _, part, _ in found])
    return texts.build(
        path.name,
        [text for text, _, _, _ in found],
        answers.Answer(np.array([label for _, label, _, _ in found], dtype=np.int64), names),
        "class",
        config,
        seed,
        digest=digest.hexdigest(),
        origins=[origin for _, _, _, origin in found],
        whole=True,
        given=given if layout.split_folders else None,
        facts=[
            f"{len(found):,} texts in {len(names)} class folders.",
            *(f"{fact} ({many:,} file{'' if many == 1 else 's'})" for fact, many in told.items()),
        ],
        bad=bad,
    )

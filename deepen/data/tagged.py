"""Words with a label each: names in texts, parts of speech, in the files of CoNLL and Universal Dependencies."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np

from deepen.data import conll, labelled
from deepen.data.dataset import Dataset
from deepen.data.layout import SPLITS
from deepen.data.splits import BY_SETTING
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = (
    "your words with a label each: names, parts of speech (.conll .conllu .iob .bio .tsv .txt, or a folder of splits)"
)
Config = labelled.Config
TASK = "tag"
ROLES = {**SPLITS, "testa": "validation", "testb": "test"}
"""What a word in the name of a file says of it; the last two are CoNLL-2003's."""
LONG = 200
"""Words that hardly one sentence has."""


def recognise(source: str) -> str | None:
    """Why `source` holds words with labels, or None: such a file, or a folder of them."""
    path = Path(source).expanduser()
    if path.is_file():
        return conll.recognised(str(path))
    files = _inside(path) if path.is_dir() else []
    return "a folder of words with labels" if files and all(conll.recognised(str(file)) for file in files) else None


def asked(source: str) -> str | None:
    """Why a file that was not recognised can be read for this task, or None: words in columns, whatever the labels."""
    return conll.recognised(source, asked=True)


def role(name: str) -> str:
    """The split that the name of a file tells, or nothing: en_ewt-ud-train.conllu, eng.testa, dev.txt."""
    told = [ROLES[word] for word in re.split(r"[^a-z]+", name.lower()) if word in ROLES]
    return told[0] if len(set(told)) == 1 else ""


def _inside(folder: Path) -> list[Path]:
    """The files of a folder that are splits of one set, or plainly hold words with labels."""
    named = (file for file in folder.iterdir() if conll.ended(file.name, conll.ENDINGS + conll.MAYBE))
    able = sorted(file for file in named if file.is_file() and not file.name.startswith("."))
    split = [file for file in able if role(file.name)]
    if any(role(file.name) == "train" for file in split):
        return split
    return [file for file in able if conll.ended(file.name, conll.ENDINGS)]


def load(source: str, options: Data, seed: int) -> Dataset:
    """The sentences at a path. Raises `Problem` for a file that cannot be read, `Misuse` for an unknown column."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    path = Path(source).expanduser()
    files = _inside(path) if path.is_dir() else [path]
    roles = [role(file.name) if path.is_dir() else "" for file in files]
    if "train" not in roles:
        roles = ["train"] * len(files)
    if config.test is not None:
        test = Path(config.test).expanduser()
        if not test.is_file():
            raise Problem(f"There is no file {config.test}, which data.test names.")
        files, roles = [*files, test], [*roles, "test"]
    digest = hashlib.sha256()
    every = conll.Labelled(documents=0)
    given: list[str] = []
    for file, part in zip(files, roles, strict=True):
        digest.update(f"{file.name}\0".encode(errors="replace"))
        digest.update(file.read_bytes())
        found = conll.read(
            str(file),
            column=config.column,
            words=config.words,
            encoding=config.encoding,
            skip_bad=config.skip_bad,
            document=every.documents,
        )
        every.sentences += found.sentences
        every.facts += [f"{file.name}: {fact}" for fact in found.facts]
        every.bad += found.bad
        every.documents += found.documents
        given += [part] * len(found.sentences)
    if len(every.sentences) == 1 and len(every.sentences[0].words) > LONG:
        raise Problem(
            f"All {len(every.sentences[0].words):,} words of {source} are one sentence: an empty line is expected behind each."
        )
    return labelled.build(
        path.name.removesuffix(".gz").rsplit(".", 1)[0] if path.is_file() else path.name,
        every.sentences,
        config,
        seed,
        digest=digest.hexdigest(),
        given=None if set(given) == {"train"} else np.array(given),
        facts=every.facts,
        bad=every.bad,
        testing=BY_SETTING,
    )

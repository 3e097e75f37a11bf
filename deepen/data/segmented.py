"""Texts whose words are set apart by blanks, of scripts that have none: learnt is where words end (Xue, 2003). Each character has
a label: it begins a word, is inside of one, ends one, or is one by itself (B, I, E, S).
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepen.data import labelled
from deepen.data.conll import Sentence
from deepen.data.dataset import Dataset
from deepen.data.splits import BY_SETTING
from deepen.data.tagged import role
from deepen.data.text_file import encoding_of, open_bytes, read_lines
from deepen.data.texts import SPACELESS
from deepen.errors import Misuse, Problem
from deepen.recipe import Data

SUMMARY = "your texts with blanks between words, of a script without them: learns where words end (.txt, or a folder of splits)"
Config = labelled.Config
TASK = "tag"
ENDINGS = (".txt", ".text", ".utf8", ".seg")
GLANCE = 32_768
LONG = 4.0
"""Characters of a word, on average, from which on blanks stand between sentences rather than words."""


def recognise(source: str) -> str | None:
    """Why `source` holds words set apart, or None."""
    path = Path(source).expanduser()
    files = _files(path) if path.is_file() or path.is_dir() else []
    if not files or not all(map(_apart, files)):
        return None
    return "words set apart in a script without blanks"


def asked(source: str) -> str | None:
    """Why what was not recognised can be read for this task, or None."""
    return None


def _files(path: Path) -> list[Path]:
    """The file, or the files of a folder whose names tell a split."""
    if path.is_file():
        return [path] if path.name.lower().removesuffix(".gz").endswith(ENDINGS) else []
    able = sorted(file for file in path.iterdir() if file.name.lower().endswith(ENDINGS) and file.is_file())
    split = [file for file in able if role(file.name)]
    return split if any(role(file.name) == "train" for file in split) else []


def _apart(file: Path) -> bool:
    """Whether most characters are of scripts without blanks, and blanks stand between words that are as short as theirs."""
    with open_bytes(str(file)) as raw:
        head = raw.read(GLANCE)
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # the end may be half of a character
    except UnicodeDecodeError:
        text = head.decode("gb18030", errors="ignore")
    words, lines = text.split(), [line for line in text.split("\n") if line.strip()]
    letters = sum(map(len, words))
    spaceless = len(SPACELESS.findall(text))
    return spaceless > 0.5 * letters and letters < LONG * len(words) and len(words) > 2 * len(lines)


def labels(words: list[str]) -> list[str]:
    """A label for each character."""
    return [label for word in words for label in ("S" if len(word) == 1 else "B" + "I" * (len(word) - 2) + "E")]


def load(source: str, options: Data, seed: int) -> Dataset:
    """The lines of the text as sentences. Raises `Problem` for a file that cannot be read."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    for option in ("column", "words"):
        if getattr(config, option) is not None:
            raise Misuse(f"data.{option} is for files of words and labels, and {source} is a text: leave it out.")
    if config.tokens not in ("auto", "characters"):
        raise Misuse(f"data.tokens={config.tokens} is not usable: here each character is a token. Leave it out.")
    path = Path(source).expanduser()
    files = _files(path)
    roles = ["train"] if path.is_file() else [role(file.name) for file in files]
    if config.test is not None:
        test = Path(config.test).expanduser()
        if not test.is_file():
            raise Problem(f"There is no file {config.test}, which data.test names.")
        files, roles = [*files, test], [*roles, "test"]
    digest = hashlib.sha256()
    sentences: list[Sentence] = []
    given: list[str] = []
    facts: list[str] = []
    for file, part in zip(files, roles, strict=True):
        digest.update(file.read_bytes())
        encoding, told = encoding_of(str(file), config.encoding)
        facts += [f"{file.name}: {one}" for one in told]
        for number, line in enumerate(read_lines(str(file), encoding), 1):
            if words := line.split():
                sentences.append(Sentence(tuple("".join(words)), tuple(labels(words)), f"{file}:{number}"))
                given.append(part)
    if not sentences:
        raise Problem(f"{source} holds no words: expected lines of words with blanks between them.")
    return labelled.build(
        path.name.removesuffix(".gz").rsplit(".", 1)[0] if path.is_file() else path.name,
        sentences,
        replace(config, tokens="characters"),
        seed,
        digest=digest.hexdigest(),
        apart=False,
        given=None if set(given) == {"train"} else np.array(given),
        facts=["Blanks stand between words: each character is labelled by its place in its word.", *facts],
        testing=BY_SETTING,
    )

"""Running text: a .txt file, or a folder of them, learnt as it stands."""

from __future__ import annotations

from pathlib import Path

from deepen.data import running
from deepen.data.dataset import Dataset
from deepen.data.splits import BY_SETTING
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = "your running text: a .txt file, or a folder of them"
Config = running.Config
GENERAL = True
ENDINGS = (".txt", ".text", ".md", ".txt.gz")


def recognise(source: str) -> str | None:
    """Why `source` is running text, or None: a text file, or a folder in which next to nothing else lies."""
    path = Path(source).expanduser()
    if path.is_file():
        return "a text file by its ending" if path.name.lower().endswith(ENDINGS) else None
    if not path.is_dir():
        return None
    files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    texts = [file for file in files if file.name.lower().endswith(ENDINGS)]
    if not texts or len(texts) <= len(files) / 2 or _has_folders(path):
        return None
    return "a folder of text files" if _reads(sorted(texts)[0]) else None


def _reads(file: Path) -> bool:
    """Whether a file holds words rather than numbers, as label files of pictures do."""
    head = file.read_bytes()[:4000].decode("utf-8", errors="replace")
    return sum(map(str.isalpha, head)) > 0.3 * len(head)


def _has_folders(path: Path) -> bool:
    """Whether folders lie beside the texts: then these are labels or lists of something else."""
    return any(child.is_dir() and not child.name.startswith(".") for child in path.iterdir())


def load(source: str, options: Data, seed: int) -> Dataset:
    """The text at a path, files of a folder in the order of their names. Raises `Problem` where there is none."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    path = Path(source).expanduser()
    documents, facts = _read(path, config)
    sealed, more = _read(Path(config.test).expanduser(), config) if config.test is not None else ([], [])
    name = path.name.partition(".")[0] or "text"
    return running.build(name, documents, config, sealed=sealed, facts=[*facts, *more], testing=BY_SETTING)


def _read(path: Path, config: running.Config) -> tuple[list[tuple[str, str]], list[str]]:
    if not path.exists():
        raise Problem(f"There is no file {path}.")
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.name.lower().endswith(ENDINGS))
    documents, facts = [], []
    for file in files:
        text, told = running.read(file, config.encoding)
        documents.append((str(file), text))
        facts += told
    if not any(text.strip() for _, text in documents):
        raise Problem(f"{path} holds no text: expected some characters to learn from.")
    return documents, facts

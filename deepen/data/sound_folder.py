"""Recordings in class folders: <folder>/<class>/<recording>.wav, or with train, val and test above the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepen.data import archives, hearing, image_files, sound_file, sounds
from deepen.data.dataset import Dataset, Finding
from deepen.data.layout import lay_out, typos
from deepen.data.piles import is_hidden
from deepen.errors import Misuse, Problem
from deepen.recipe import Data

SUMMARY = "your recordings: a folder or archive with one folder of .wav or .flac files per class"
Config = hearing.Config
GLANCE = 10_000
EXPECTED = (
    "expected <folder>/<class>/<recording>, <folder>/train/<class>/<recording> with val and test beside train, or a table "
    "metadata.csv of files and what is said in them beside the recordings"
)


def recognise(source: str) -> str | None:
    """The reason to read a path as recordings, None where it holds none, or pictures as well, or a table says what they are."""
    path = Path(source).expanduser()
    if path.is_dir():
        names = (file.relative_to(path).as_posix() for file in path.rglob("*"))
        if hearing.table_of(path) is not None:
            return None
    elif path.is_file() and archives.is_archive(path):
        names = (member.name for member in archives.walk(path))
    else:
        return None
    count = 0
    for number, name in enumerate(names):
        if any(is_hidden(part) for part in name.split("/")):
            continue
        if name.lower().endswith(image_files.ENDINGS):
            return None
        count += sound_file.is_recording(name)
        if number > GLANCE:
            break
    what = "a folder" if path.is_dir() else "an archive"
    return f"{what} of recordings" if count else None


def load(source: str, options: Data, seed: int) -> Dataset:
    """The recordings of a folder or archive, their class folders as targets. Raises `Problem` for a layout without classes and,
    unless `skip_bad`, for recordings that cannot be read."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    for option in ("target", "test", "group", "time", "text"):
        if getattr(config, option) is not None:
            raise Misuse(
                f"data.{option} cannot be set for recordings in class folders: lay them into {source}/train/<class> and "
                f"{source}/test/<class> to say which are which."
            )
    path = Path(source).expanduser()
    items = hearing.find(source)
    layout = lay_out([name for name, _ in items])
    names = tuple(layout.names)
    if len(names) < 2:
        found = f"one class only, '{names[0]}'" if names else "no class folders"
        raise Problem(f"'{source}' holds {len(items):,} recordings and {found}: {EXPECTED}.")
    used = [number for number, name in enumerate(layout.classes) if name is not None and layout.splits[number]]
    heard = hearing.hear([items[number] for number in used], config, whole=False)
    kept = [used[number] for number in heard.kept]
    heard.facts.insert(0, f"{len(names)} class folders ({', '.join(names[:6])}{', ...' if len(names) > 6 else ''}).")
    heard.findings += typos(names)
    if left := len(items) - len(used):
        text = f"{left:,} recordings lie in no class folder and are not used."
        heard.findings.append(Finding("warning", "no-class", text, "Move each into the folder of its class."))
    return sounds.classes(
        archives.stem(path.resolve()),
        heard,
        np.array([names.index(str(layout.classes[number])) for number in kept], dtype=np.int64),
        names,
        config,
        seed,
        origins=[f"{source.rstrip('/')}/{items[number][0]}" for number in kept],
        given=np.array([layout.splits[number] for number in kept]) if layout.split_folders else None,
        testing="lay one into test/<class> beside train/<class>",
    )

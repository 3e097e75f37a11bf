"""Checkpoints: a save is all or nothing.

A temporary folder is written and flushed file by file, a manifest with the SHA-256 of each file comes last, then the folder
takes its name in one rename. An older checkpoint is deleted only after the new one has been read back. A damaged or
half-written one is noticed when it is opened, and the one before it is used.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from deepen.errors import Problem

KEPT = 2
MANIFEST = "manifest.json"
PREFIX = "step-"
UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Checkpoint:
    """What a training goes on from."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


class DamageError(Exception):
    """A folder whose files are not what its manifest says."""


def write_folder(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], texts: Mapping[str, str]) -> None:
    """Write files (`name.safetensors` from tensors, others as text) as `folder`, all or nothing, replacing what is there.

    Raises `OSError` as the system gives it; nothing under the final name has changed then.
    """
    temporary = folder.with_name(f"{UNFINISHED}{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for name, group in tensors.items():
            _write(_plain(group), temporary / name)
            flush(temporary / name)
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
            flush(temporary / name)
        sums = {name: _digest(temporary / name) for name in (*tensors, *texts)}
        (temporary / MANIFEST).write_text(json.dumps(sums, indent=1), encoding="utf-8")
        flush(temporary / MANIFEST)
        _take_place(temporary, folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _take_place(temporary: Path, folder: Path) -> None:
    replaced = folder.with_name(f"{UNFINISHED}old-{folder.name}")
    while True:
        if folder.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            folder.rename(replaced)
        try:
            temporary.rename(folder)
            break
        except OSError as error:  # a reader found the name free, and healed it
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    flush(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU and in plain order: a file says nothing of the device and memory format it came from.

    Tensors that share memory (tied weights) become copies, each under its name.
    """
    plain, seen = {}, set()
    for name, value in tensors.items():
        moved = value.detach().cpu().contiguous()
        memory = moved.untyped_storage().data_ptr()
        plain[name] = moved.clone() if memory in seen else moved
        seen.add(memory)
    return plain


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as error:  # the system's error, if it was one, stands in its text only
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def heal(folder: Path) -> None:
    """Put back a folder whose replacement was cut off between its two renames."""
    replaced = folder.with_name(f"{UNFINISHED}old-{folder.name}")
    if replaced.exists() and not folder.exists():
        replaced.rename(folder)


def verify(folder: Path) -> None:
    """Raise `DamageError` unless every file has the SHA-256 that the manifest says."""
    try:
        sums = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, expected in sums.items():
            if _digest(folder / name) != expected:
                raise DamageError(f"{folder / name} is not what was written (its SHA-256 differs)")
        for path in folder.iterdir():
            if path.suffix in (".safetensors", ".json") and path.name not in (MANIFEST, *sums):
                raise DamageError(f"{path} is not listed in {MANIFEST}")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DamageError(f"{folder} is incomplete or unreadable ({error})") from error


def save(root: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write the checkpoint of `step` under `root`, read it back, then delete all but the newest two."""
    folder = root / f"{PREFIX}{step:09d}"
    write_folder(folder, {"state.safetensors": tensors}, {"state.json": json.dumps(state, indent=1)})
    try:
        verify(folder)
    except DamageError as error:
        raise OSError(f"the checkpoint was written but does not read back: {error}") from error
    for old in folders(root)[KEPT:]:
        going = root / f"{UNFINISHED}gone-{old.name}"  # half deleted, it must not look like a checkpoint
        with contextlib.suppress(OSError):  # one too many does no harm
            old.rename(going)
            shutil.rmtree(going)


def folders(root: Path) -> list[Path]:
    """The checkpoints of a run, newest first."""
    return sorted((path for path in root.glob(f"{PREFIX}*") if path.is_dir()), reverse=True)


def latest(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest undamaged checkpoint (None before the first), and a warning for each that had to be passed over."""
    warnings: list[str] = []
    for unfinished in root.glob(f"{UNFINISHED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    found = folders(root)
    for folder in found:
        try:
            verify(folder)
        except DamageError as error:
            warnings.append(f"Checkpoint {folder.name} is damaged and was passed over: {error}.")
            continue
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return Checkpoint(state["step"], load_file(folder / "state.safetensors"), state), warnings
    if found:
        raise Problem(
            f"None of the {len(found)} checkpoints in {root} can be read ({warnings[0]}) "
            "Start again with `deepen train`, or restore the folder from a backup."
        )
    return None, warnings


def write_text(path: Path, text: str) -> None:
    """Replace a file's content, all or nothing."""
    temporary = path.with_name(f"{UNFINISHED}{path.name}")
    temporary.write_text(text, encoding="utf-8")
    flush(temporary)
    temporary.replace(path)
    flush(path.parent)


def no_room(error: OSError, path: Path, needed: int) -> str:
    """A failed save in one sentence: path, needed and free bytes."""
    try:
        free = f"{shutil.disk_usage(path if path.exists() else path.parent).free:,}"
    except OSError:
        free = "unknown"
    reason = error.strerror or str(error)
    return f"Could not save to {path}: {reason} (about {needed:,} bytes needed, {free} free)."


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

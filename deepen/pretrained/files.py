"""Files of weights as named tensors: safetensors, numpy's npz, and torch's own files through `weights_only`.

A file of torch is a pickle. It is read by torch's restricted reader, which builds tensors and plain containers and runs
nothing; a file that asks for more is refused, and there is no other way in.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from deepen.errors import Problem

TORCH_ENDINGS = (".pt", ".pth", ".th", ".bin", ".ckpt")
ENDINGS = (".safetensors", ".npz", *TORCH_ENDINGS)
FACTS = "deepen"
"""Key of a safetensors header under which the facts stand, as JSON."""
WITHIN = ("state_dict", "model", "model_state", "model_state_dict", "model_ema", "net")
"""What a training script calls the weights among the other things that it saves, in the order in which they are looked for."""
DEEPEST = 4
NO_TORCH = "{} cannot be read as a file of torch: it is damaged, cut short or of another kind."
EXPECTED = f"expected a file of weights ({' '.join(ENDINGS)})"
MOST_UNFOLDED = 2**36
HEADER_BYTES = 100_000_000
"""The most that the safetensors format allows its header to have."""
PICKLE, PROTOCOLS = 0x80, range(2, 6)
"""The bytes with which a pickle begins, and with it torch's files before 2020; the newer ones are zip archives of one."""
REFUSED = torch.serialization.pickle.UnpicklingError  # the class alone; no pickle is opened here
UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, IndexError, struct.error)


@dataclass(frozen=True)
class Content:
    """What a file of weights holds."""

    tensors: dict[str, Tensor]
    digest: str
    """SHA-256 of the file."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What our own conversion wrote into it: origin, size, mean, ..."""
    within: str = ""
    """The dotted name of the container that the tensors were in, empty where they were at the top."""


def read(path: Path) -> Content:
    """The tensors of a file, on the CPU, whatever its kind. Raises `Problem` for anything else than a whole file of weights."""
    if path.is_dir():
        raise Problem(f"{path} is a folder and neither a run nor a bundle: {EXPECTED}.")
    if not path.is_file():
        raise Problem(f"There is no file at {path}: {EXPECTED}.")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise Problem(f"'{path}' is not known by its ending to hold weights: {EXPECTED}.")
    if path.stat().st_size == 0:
        raise Problem(f"{path} is empty (0 bytes): {EXPECTED}.")
    facts: dict[str, Any] = {}
    if ending == ".safetensors":
        content, facts = _safetensors(path)
    elif ending == ".npz":
        content = _npz(path)
    else:
        content = _torch(path)
    tensors, within = unwrapped(content)
    if not tensors:
        raise Problem(f"{path} holds no tensors under names: {EXPECTED}.")
    return Content(tensors, sha256(path), facts, within)


def sha256(path: Path) -> str:
    """The sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """A safetensors file with facts in its header, all or nothing. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    # Tensors that share memory are written once each.
    plain = {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    try:
        save_file(plain, partial, {"format": "pt", FACTS: json.dumps(facts, ensure_ascii=False)})
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except SafetensorError as error:  # the system's error, if it was one, stands in its text only
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def unwrapped(content: Any, depth: int = DEEPEST) -> tuple[dict[str, Tensor], str]:
    """The named tensors in a container, and where in it they were found. Empty where there are none."""
    if not isinstance(content, Mapping) or depth == 0:
        return {}, ""
    tensors = {str(name): value for name, value in content.items() if _holds_numbers(value)}
    for name in WITHIN:
        inner, deeper = unwrapped(content.get(name), depth - 1)
        if len(inner) > len(tensors):  # beside the weights a script may keep a tensor or two, such as its best score
            return inner, f"{name}.{deeper}" if deeper else name
    return tensors, ""


def _holds_numbers(value: Any) -> bool:
    """Whether it can be a parameter; whole numbers, such as how many batches a normalisation has seen, cannot."""
    return isinstance(value, Tensor) and value.layout == torch.strided and value.is_floating_point()


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        return load_file(path), _header(path)
    except (SafetensorError, *UNREADABLE) as error:
        raise Problem(f"{path} cannot be read as safetensors, it is damaged or cut short ({_first(error)}).") from error


def _header(path: Path) -> dict[str, Any]:
    """The facts in the header of a safetensors file that has been read whole before."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        metadata = json.loads(file.read(min(length, HEADER_BYTES))).get("__metadata__") or {}
    facts = json.loads(metadata.get(FACTS, "{}"))
    return facts if isinstance(facts, dict) else {}


def _npz(path: Path) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            unfolded = sum(member.file_size for member in archive.infolist())
        if unfolded > MOST_UNFOLDED:
            raise ValueError(f"it unfolds to {unfolded:,} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
        return {
            name: torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
            for name, array in held.items()
            if array.dtype.kind == "f"
        }
    except (zipfile.BadZipFile, zlib.error, *UNREADABLE) as error:
        raise Problem(f"{path} cannot be read as an npz file of plain arrays ({_first(error)}).") from error


def _torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the number of the format, which decides nothing here
            return torch.load(path, map_location="cpu", weights_only=True)
    except REFUSED as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked is None and not _is_pickle(path):  # the reader took what stands there for one
            raise Problem(NO_TORCH.format(path)) from error
        wants = f"asks for {asked[1]} to be called" if asked else "holds more than tensors"
        raise Problem(
            f"{path} is refused: it {wants} when it is read, and such a file can run any program. Where you trust it, save its "
            "weights alone with torch.save(model.state_dict(), FILE), or as safetensors, and give that file."
        ) from error
    except (RuntimeError, zipfile.BadZipFile, *UNREADABLE) as error:
        raise Problem(NO_TORCH.format(path)) from error


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        beginning = file.read(2)
    return zipfile.is_zipfile(path) or (len(beginning) == 2 and beginning[0] == PICKLE and beginning[1] in PROTOCOLS)


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")

"""IDX files, the format of MNIST (LeCun, Cortes, Burges 1998), and data sets that come as four of them.

A file is two zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit number, then the
values. It lies about plain or gzipped; the pinned digest is that of the plain content, for gzip wrappers differ.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from deepen.data import places
from deepen.data.dataset import Dataset
from deepen.data.download import fetch
from deepen.data.pictures import Numbered, assemble
from deepen.errors import Problem
from deepen.recipe import Data

UNSIGNED_BYTE = 8
CHUNK = 1 << 16


@dataclass(frozen=True)
class IdxFile:
    """One pinned file: its name without `.gz`, the SHA-256 of its plain content, and the shape of its array."""

    name: str
    sha256: str
    shape: tuple[int, ...]

    @property
    def length(self) -> int:
        """Bytes of the plain content."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


def read(path: Path, out: np.ndarray | None = None, *, sha256: str | None = None) -> np.ndarray:
    """The array of an IDX file of unsigned bytes, plain or gzipped by content.

    It is unpacked straight into `out` where that is given (its shape must be the file's). Raises `Problem` where the
    file is no IDX file, cut short, too long, or its content is not the one that `sha256` names.
    """
    pieces = _pieces(path)
    digest = hashlib.sha256()
    head = b""
    needed = 4
    while len(head) < needed:
        piece = next(pieces, None)
        if piece is None:
            raise Problem(f"'{path}' is cut short: it ends inside its IDX header.")
        digest.update(piece)
        head += piece
        if len(head) >= 4:
            if head[:2] != b"\0\0" or head[2] != UNSIGNED_BYTE or not 1 <= head[3] <= 4:
                raise Problem(f"'{path}' is not an IDX file of unsigned bytes: it starts with {head[:4].hex(' ')}.")
            needed = 4 + 4 * head[3]
    shape = tuple(int(side) for side in np.frombuffer(head[4:needed], dtype=">u4"))
    if out is None:
        out = np.empty(shape, dtype=np.uint8)
    elif out.shape != shape:
        raise Problem(f"'{path}' holds an array of {_times(shape)}, expected {_times(out.shape)}.")
    flat = out.reshape(-1).data
    position = 0
    piece = head[needed:]
    while piece is not None:
        if position + len(piece) > len(flat):
            raise Problem(f"'{path}' is longer than its header says ({_times(shape)}).")
        flat[position : position + len(piece)] = piece
        position += len(piece)
        piece = next(pieces, None)
        if piece is not None:
            digest.update(piece)
    if position < len(flat):
        raise Problem(f"'{path}' is cut short: {position:,} of {len(flat):,} values.")
    if sha256 is not None and digest.hexdigest() != sha256:
        raise Problem(
            f"'{path}' is not the published file: its content has SHA-256 {digest.hexdigest()}, expected {sha256}. "
            "Delete it to have it downloaded again."
        )
    return out


def load_four(
    name: str, files: tuple[IdxFile, ...], mirrors: tuple[str, ...], names: tuple[str, ...], options: Data, seed: int
) -> Dataset:
    """A set of four pinned files: train images, train labels, test images, test labels.

    They are looked for in the folder of the data set, plain or as `.gz`, and downloaded from `mirrors` where missing.
    """
    paths = [_find(name, file, mirrors) for file in files]
    train, test = files[0].shape[0], files[2].shape[0]
    images = np.empty((train + test, *files[0].shape[1:]), dtype=np.uint8)
    labels = np.empty(train + test, dtype=np.uint8)
    places_for = (images[:train], labels[:train], images[train:], labels[train:])
    # zlib and SHA-256 let go of the interpreter lock: the test images unpack beside the train images.
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(
            lambda job: read(job[0], job[1], sha256=job[2].sha256), zip(paths, places_for, files, strict=True)
        ):
            pass
    height, width = images.shape[1:]
    given = np.repeat(["train", "test"], [train, test])
    digest = hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()
    return assemble(
        name,
        torch.from_numpy(images[..., None]),
        labels.astype(np.int64),
        names,
        options,
        seed,
        digest=digest,
        given=given,
        origins=Numbered(name, train, range(train + test)),
        facts=[
            f"{train + test:,} grey pictures of {height}x{width} pixels in {len(names)} classes, "
            f"from '{paths[0].parent}'."
        ],
    )


def _find(name: str, file: IdxFile, mirrors: tuple[str, ...]) -> Path:
    dotted = file.name.replace("-idx", ".idx")
    candidates = [
        folder + spelling + ending
        for folder in ("", "raw/", "MNIST/raw/", "FashionMNIST/raw/")
        for spelling in (file.name, dotted)
        for ending in ("", ".gz")
    ]
    found = places.find(name, candidates)
    if found is not None:
        return found
    target = places.homes(name)[0] / f"{file.name}.gz"

    def check(path: Path) -> str | None:
        """The SHA-256 of the unpacked content, compared before anything is parsed."""
        digest, length = hashlib.sha256(), 0
        try:
            for piece in _pieces(path):
                digest.update(piece)
                length += len(piece)
                if length > file.length:
                    return f"it unpacks to more than {file.length:,} bytes"
        except Problem as error:
            return str(error)
        return (
            None
            if digest.hexdigest() == file.sha256
            else f"its content has SHA-256 {digest.hexdigest()}, expected {file.sha256}"
        )

    return fetch([mirror + file.name + ".gz" for mirror in mirrors], target, check=check, most=2 * file.length + 2**16)


def _pieces(path: Path) -> Iterator[bytes]:
    """The plain content of a file that may be gzipped, some of it at a time."""
    with path.open("rb") as file:
        start = file.read(CHUNK)
        if start[:2] != b"\x1f\x8b":
            while start:
                yield start
                start = file.read(CHUNK)
            return
        unpacker = zlib.decompressobj(wbits=31)
        while start:
            try:
                piece = unpacker.decompress(start)
            except zlib.error as error:
                raise Problem(f"'{path}' is damaged: {error}.") from None
            if piece:
                yield piece
            start = file.read(CHUNK)
        if not unpacker.eof:
            raise Problem(f"'{path}' is cut short: its gzip stream does not end.")


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape)

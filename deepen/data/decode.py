"""Decoding many picture files once: in threads, checked, and kept on disk under the digest of their content.

A kept entry is a folder of two files, `rows` (uint8 [N, H, W, C]) and `manifest.json` (shape, names, bad files,
checksums of both). It is written under another name and renamed when whole; one that does not agree with its checksums
is made again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import statistics
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from torch import Tensor

from deepen.data import framed, places
from deepen.data.dataset import Bad
from deepen.data.framed import FramedPreprocess, Letterbox
from deepen.data.image_files import MAX_PIXELS, Header, UnreadableError, header, quiet
from deepen.data.piles import Listing, Pile
from deepen.data.pixels import ImagePreprocess, PicturePreprocess
from deepen.data.progress import report
from deepen.errors import Problem

# Raise it with every change of what a picture is decoded to.
VERSION = 2
BATCH = 32
LARGE = 2**29
BLOCK = 2**24
ABANDONED_SECONDS = 86_400
BLOCKS_CHECKED_WHEN_MAPPED = 16
SIDES = (32, 48, 64, 96, 128)
DEFAULT_SIDE = 64


@dataclass(frozen=True)
class Shape:
    """What pictures are brought to. None leaves it to be decided from them."""

    height: int | None = None
    width: int | None = None
    channels: int | None = None
    resize: int | None = None
    """What the shorter side is scaled to before the centre is cut out, where more than its own size is."""


@dataclass(frozen=True)
class Decoded:
    """The pictures of a pile that could be read, and what is known of the rest."""

    rows: Tensor
    """uint8 [N, H, W, C]; mapped from disk where they are large."""
    names: list[str]
    """The relative name of each row."""
    bad: list[Bad]
    listing: Listing
    facts: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """Height and width of each picture before it was brought to a row."""
    folder: Path | None = None
    """Where large rows are mapped from, and where parts of them may be laid down; None for rows in memory."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What else was seen, as JSON."""


def decode(pile: Pile, shape: Shape | Letterbox, *, threads: int | None = None) -> Decoded:
    """All pictures of a pile, from the cache where they have been decoded before: the centre of each, or with a letterbox
    the whole."""
    wanted = [pile.digest(), type(shape).__name__, *astuple(shape)]
    return remembered(wanted, lambda partial: _decode(pile, shape, threads, partial))


def remembered(wanted: list[Any], make: Callable[[Path], Decoded]) -> Decoded:
    """What `make` gives, from the cache where `wanted` has been made before. It is given a folder for large rows."""
    wanted = [VERSION, PIL.__version__, *wanted]
    entry = places.cache_folder() / "decoded" / hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:32]
    kept = _kept(entry)
    if kept is not None:
        return kept
    partial = entry.with_name(f".{entry.name}.{os.getpid()}")
    _sweep(entry)
    try:
        made = make(partial)
        if not len(made.rows):
            return made
        try:
            _keep(entry, partial, made)
        except OSError as error:
            if made.folder is not None:
                raise _no_room(math.prod(made.rows.shape), partial, error) from None
            made.facts.append(
                f"The decoded pictures could not be kept in '{entry.parent}' ({error.strerror}): the next start "
                "decodes them again (XDG_CACHE_HOME names another place)."
            )
            return made
        return made if made.folder is None else replace(made, folder=entry)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def decode_items(
    items: Iterable[tuple[int, Any]],
    preprocess: PicturePreprocess,
    out: np.ndarray,
    *,
    threads: int | None = None,
) -> dict[int, str]:
    """Write each numbered item as row `out[number]`, uint8 [N, H, W, C]; the reasons for those that cannot be read."""

    def write(number: int, item: Any) -> None:
        out[number] = preprocess.row(item)

    return each(items, write, len(out), "decoding pictures", threads)


def survey(
    pile: Pile, *, threads: int | None = None, most: int = MAX_PIXELS
) -> tuple[dict[int, Header], dict[int, str]]:
    """The headers of all pictures by number, and the reasons for those that have none or more than `most` pixels."""
    headers: dict[int, Header] = {}

    def look(number: int, item: Any) -> None:
        headers[number] = header(item, most)

    return headers, each(pile.items(), look, 0, "looking at pictures", threads)


def choose(headers: Iterable[Header], shape: Shape) -> tuple[int, int, int, list[str]]:
    """Height, width and channels for pictures of these headers, and why, in sentences."""
    sizes = Counter((one.height, one.width) for one in headers)
    facts = []
    height, width = sizes.most_common(1)[0][0]
    if shape.height and shape.width:
        if len(sizes) > 1 or (height, width) != (shape.height, shape.width) or shape.resize:
            scaled = f"scaled to {shape.resize}" if shape.resize else "scaled"
            facts.append(
                f"Pictures are brought to {shape.height}x{shape.width}: shorter side {scaled}, centre cropped."
            )
        height, width = shape.height, shape.width
    elif len(sizes) == 1 and max(height, width) <= SIDES[-1]:
        facts.append(f"All pictures are {height}x{width} pixels and stay so.")
    else:
        shorter = statistics.median(min(one.height, one.width) for one in headers)
        fitting = [side for side in SIDES if side <= shorter]
        side = min(max(fitting, default=SIDES[0]), DEFAULT_SIDE)
        what = f"All pictures are {height}x{width}" if len(sizes) == 1 else f"Pictures come in {len(sizes):,} sizes"
        facts.append(
            f"{what} (median shorter side {shorter:g}): they are brought to {side}x{side}, shorter side scaled, "
            "centre cropped (data.size=... for another)."
        )
        height = width = side
    grey = sum(one.channels == 1 for one in headers)
    total = sum(sizes.values())
    channels = shape.channels or (1 if grey == total else 3)
    if channels == 3 and grey:
        facts.append(f"{grey:,} of {total:,} pictures are grey and are kept in three equal channels.")
    return height, width, channels, facts


def _decode(pile: Pile, shape: Shape | Letterbox, threads: int | None, partial: Path) -> Decoded:
    headers, reasons = survey(pile, threads=threads)
    listing = pile.listing()
    if not headers:
        bad = [Bad(listing.pictures[number], reason) for number, reason in sorted(reasons.items())]
        return Decoded(torch.empty((0, 1, 1, 1), dtype=torch.uint8), [], bad, listing)
    unfitted: PicturePreprocess
    if isinstance(shape, Letterbox):
        height, width, channels, facts = framed.choose(list(headers.values()), shape)
        unfitted = FramedPreprocess(channels, height, width, (0.0,) * channels, (1.0,) * channels)
    else:
        height, width, channels, facts = choose(list(headers.values()), shape)
        unfitted = ImagePreprocess(channels, height, width, (0.0,) * channels, (1.0,) * channels, shape.resize)
    rows = room((len(listing.pictures), height, width, channels), partial)
    items = ((number, item) for number, item in pile.items() if number not in reasons)
    reasons |= decode_items(items, unfitted, rows, threads=threads)
    good = [number for number in range(len(rows)) if number not in reasons]
    if reasons:
        for place, number in enumerate(good):
            rows[place] = rows[number]
        rows = rows[: len(good)]
    return Decoded(
        torch.from_numpy(rows),
        [listing.pictures[number] for number in good],
        [Bad(listing.pictures[number], reason) for number, reason in sorted(reasons.items())],
        listing,
        facts,
        [(headers[number].height, headers[number].width) for number in good],
        partial if isinstance(rows, np.memmap) else None,
    )


def each(
    items: Iterable[tuple[int, Any]],
    work: Callable[[int, Any], None],
    total: int,
    what: str,
    threads: int | None,
) -> dict[int, str]:
    """Do `work` on every item in threads, few of them held at a time; the reasons of those that are unreadable."""
    count = threads or _cores()
    reasons: dict[int, str] = {}
    done = 0

    def batch(several: list[tuple[int, Any]]) -> list[tuple[int, str]]:
        failed = []
        for number, item in several:
            try:
                work(number, item)
            except UnreadableError as error:
                failed.append((number, str(error)))
        return failed

    with quiet(), ThreadPoolExecutor(count) as pool:
        waiting: deque[tuple[int, Future[list[tuple[int, str]]]]] = deque()
        for several in _batches(items):
            waiting.append((len(several), pool.submit(batch, several)))
            while len(waiting) > 4 * count:
                size, future = waiting.popleft()
                reasons |= dict(future.result())
                done += size
                report(what, done, total)
        for size, future in waiting:
            reasons |= dict(future.result())
            done += size
            report(what, done, total)
    return reasons


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _batches(items: Iterable[tuple[int, Any]]) -> Iterator[list[tuple[int, Any]]]:
    iterator = iter(items)
    while several := list(islice(iterator, BATCH)):
        yield several


def is_large(shape: Sequence[int]) -> bool:
    return math.prod(shape) > LARGE


def room(shape: tuple[int, ...], partial: Path) -> np.ndarray:
    """Empty rows, in memory or, where they are large, on disk in the entry that is being made."""
    if not is_large(shape):
        return np.empty(shape, dtype=np.uint8)
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with (partial / "rows").open("wb") as file:
            # Taken up front: a full disk met through a mapping would end the process without a word.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, math.prod(shape))
            else:
                file.truncate(math.prod(shape))
        return np.memmap(partial / "rows", dtype=np.uint8, mode="r+", shape=shape)
    except OSError as error:
        raise _no_room(math.prod(shape), partial, error) from None


def _no_room(needed: int, partial: Path, error: OSError) -> Problem:
    return Problem(
        f"The decoded pictures need {needed:,} bytes in '{partial.parent}' ({error.strerror}): make room, name another "
        "place with XDG_CACHE_HOME, or use a smaller data.size."
    )


def _keep(entry: Path, partial: Path, made: Decoded) -> None:
    """Write an entry whole or not at all. Raises `OSError`."""
    partial.mkdir(parents=True, exist_ok=True)
    flat = made.rows.reshape(-1).numpy()
    blocks = [flat[start : start + BLOCK] for start in range(0, len(flat), BLOCK)]
    with (partial / "rows").open("wb" if made.folder is None else "r+b") as file:
        if made.folder is None:
            for block in blocks:
                file.write(block.data)
        else:
            # Rows of bad pictures have left room behind the good ones.
            file.truncate(len(flat))
        file.flush()
        os.fsync(file.fileno())
    body = json.dumps(
        {
            "shape": list(made.rows.shape),
            "blocks": [zlib.crc32(block.data) for block in blocks],
            "names": made.names,
            "bad": [[bad.path, bad.reason] for bad in made.bad],
            "others": made.listing.others,
            "empty": made.listing.empty,
            "facts": made.facts,
            "sizes": made.sizes,
            "notes": made.notes,
        }
    )
    (partial / "manifest.json").write_text(hashlib.sha256(body.encode()).hexdigest() + "\n" + body)
    # A damaged entry of that name has been found wanting before; it makes room.
    shutil.rmtree(entry, ignore_errors=True)
    partial.rename(entry)


def _kept(entry: Path) -> Decoded | None:
    """An entry of the cache; None where there is none or where it is damaged."""
    try:
        checksum, _, body = (entry / "manifest.json").read_text().partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if hashlib.sha256(body.encode()).hexdigest() != checksum:
        return None
    manifest = json.loads(body)
    rows = _rows(entry / "rows", tuple(manifest["shape"]), manifest["blocks"])
    if rows is None:
        return None
    bad = [Bad(path, reason) for path, reason in manifest["bad"]]
    # The order of pictures within a listing only mattered while they were decoded.
    listing = Listing(tuple(manifest["names"]), manifest["others"], tuple(manifest["empty"]))
    folder = entry if is_large(rows.shape) else None
    sizes = [(height, width) for height, width in manifest["sizes"]]
    return Decoded(rows, manifest["names"], bad, listing, manifest["facts"], sizes, folder, manifest["notes"])


def _sweep(entry: Path) -> None:
    """Remove what processes that were killed have left of this entry."""
    for left in entry.parent.glob(f".{entry.name}.*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _rows(path: Path, shape: tuple[int, ...], checksums: list[int]) -> Tensor | None:
    """The rows of an entry, None where they are not what was written. Of mapped rows a spread of blocks is checked."""
    try:
        if path.stat().st_size != math.prod(shape):
            return None
        # Mode c: pages may be written to in memory and never on disk; torch asks for writable arrays.
        rows = np.memmap(path, np.uint8, "c", shape=shape) if is_large(shape) else np.empty(shape, dtype=np.uint8)
        numbers = np.arange(len(checksums))
        if is_large(shape):
            numbers = np.unique(np.linspace(0, len(checksums) - 1, BLOCKS_CHECKED_WHEN_MAPPED).astype(int))
        flat = rows.reshape(-1).data

        def right(number: int) -> bool:
            block = flat[number * BLOCK : (number + 1) * BLOCK]
            if not is_large(shape):
                with path.open("rb", buffering=0) as file:
                    file.seek(number * BLOCK)
                    if file.readinto(block) != len(block):
                        return False
            return zlib.crc32(block) == checksums[number]

        # Reading and checksums let go of the interpreter lock.
        with ThreadPoolExecutor(_cores()) as pool:
            return torch.from_numpy(rows) if all(pool.map(right, numbers.tolist())) else None
    except OSError:
        return None

"""Where picture files lie: a folder or an archive, with a digest of the content that a second start need not compute.

A digest is SHA-256 over the content. It is remembered under the size, time and inode of each file, so that unchanged
files are not read again (the idea of git's index).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deepen.data import archives, places
from deepen.data.archives import is_archive
from deepen.data.image_files import ENDINGS
from deepen.data.progress import report
from deepen.errors import Problem

# A file changed this shortly ago may change once more within the same clock tick: its digest is not remembered.
SETTLED_NS = 2 * 10**9
IN_MEMORY = 2**28
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Listing:
    """What lies in a pile, as relative names with `/`: pictures, other files by ending, folders without pictures."""

    pictures: tuple[str, ...]
    others: dict[str, int]
    empty: tuple[str, ...]


class Pile(ABC):
    """Picture files under relative names."""

    path: Path

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 over names and content."""

    @abstractmethod
    def listing(self) -> Listing:
        """What is in it."""

    @abstractmethod
    def items(self) -> Iterator[tuple[int, Path | bytes]]:
        """The pictures, each as its number in `listing().pictures` and its path or bytes, in any order."""


class FolderPile(Pile):
    """A folder, its files found below it at any depth. Links to files are followed, links to folders are not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamps: dict[str, Stamp] = {}
        others: dict[str, int] = {}
        empty: list[str] = []
        self._scan(path, "", others, empty)
        self._listing = Listing(tuple(self._stamps), others, tuple(empty))

    def digest(self) -> str:
        return _remembered(self.path, self._stamps)

    def listing(self) -> Listing:
        return self._listing

    def items(self) -> Iterator[tuple[int, Path | bytes]]:
        for number, name in enumerate(self._listing.pictures):
            yield number, self.path / name

    def _scan(self, folder: Path, prefix: str, others: dict[str, int], empty: list[str]) -> bool:
        """Collect what is below `folder`; whether there is a picture."""
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise Problem(f"The folder '{folder}' cannot be read: {error.strerror}.") from None
        filled = False
        for entry in inside:
            if is_hidden(entry.name):
                continue
            if not entry.name.isascii():
                _check_name(folder, entry.name)
            if entry.is_dir(follow_symlinks=False):
                filled |= self._scan(folder / entry.name, f"{prefix}{entry.name}/", others, empty)
            elif not entry.name.lower().endswith(ENDINGS):
                _count(others, entry.name)
            else:
                filled = True
                self._stamps[prefix + entry.name] = _stamp(entry)
        if not filled and prefix:
            empty.append(prefix.rstrip("/"))
        return filled


class ArchivePile(Pile):
    """An archive. Pictures of a small one stay in memory between two walks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listing: Listing | None = None
        self._kept: dict[int, bytes] | None = {}

    def digest(self) -> str:
        status = self.path.stat()
        return _remembered(
            self.path.parent, {self.path.name: (status.st_size, status.st_mtime_ns, status.st_ino)}, self.path.name
        )

    def listing(self) -> Listing:
        if self._listing is None:
            for _ in self._walk():
                pass
        assert self._listing is not None
        return self._listing

    def items(self) -> Iterator[tuple[int, Path | bytes]]:
        if self._listing is not None and self._kept is not None:
            yield from self._kept.items()
        else:
            yield from self._walk()

    def _walk(self) -> Iterator[tuple[int, bytes]]:
        pictures: list[str] = []
        others: dict[str, int] = {}
        folders: set[str] = set()
        filled: set[str] = set()
        kept: dict[int, bytes] | None = {}
        kept_bytes = 0
        for member in archives.walk(self.path):
            name = member.name.rstrip("/")
            if not name or any(is_hidden(part) for part in name.split("/")):
                continue
            parents = _parents(name)
            folders.update(parents)
            if member.is_folder:
                folders.add(name)
            elif not name.lower().endswith(ENDINGS):
                _count(others, name)
            else:
                content = member.read()
                kept_bytes += len(content)
                if kept_bytes > IN_MEMORY:
                    kept = None
                if kept is not None:
                    kept[len(pictures)] = content
                filled.update(parents)
                pictures.append(name)
                yield len(pictures) - 1, content
        twice, times = max(Counter(pictures).items(), key=lambda pair: pair[1], default=("", 0))
        if times > 1:
            raise Problem(f"The archive '{self.path}' holds '{twice}' twice: it is not clear which is meant.")
        self._listing = Listing(tuple(pictures), others, tuple(sorted(folders - filled)))
        self._kept = kept


class PartOfPile(Pile):
    """Some pictures of a pile, in the order of its listing."""

    def __init__(self, pile: Pile, names: Collection[str]) -> None:
        self.path = pile.path
        self._pile = pile
        wanted = frozenset(names)
        self._names = tuple(name for name in pile.listing().pictures if name in wanted)

    def digest(self) -> str:
        return hashlib.sha256("\0".join((self._pile.digest(), *self._names)).encode()).hexdigest()

    def listing(self) -> Listing:
        return Listing(self._names, {}, ())

    def items(self) -> Iterator[tuple[int, Path | bytes]]:
        number_of = {name: number for number, name in enumerate(self._names)}
        pictures = self._pile.listing().pictures
        for number, item in self._pile.items():
            if pictures[number] in number_of:
                yield number_of[pictures[number]], item


def pile_at(source: str) -> Pile:
    """The pile of a folder or archive. Raises `Problem` where it is neither."""
    path = Path(source).expanduser()
    if path.is_dir():
        return FolderPile(path)
    if path.is_file() and is_archive(path):
        return ArchivePile(path)
    if not path.exists():
        raise Problem(f"There is no folder or archive '{source}': expected one with pictures.")
    raise Problem(f"'{source}' is neither a folder nor an archive ({', '.join(archives.ENDINGS)}).")


def is_hidden(name: str) -> bool:
    """Names that systems leave behind and that nobody means."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir")


def _check_name(folder: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Problem(f"'{folder}' holds the name {os.fsencode(name)!r}, which is not UTF-8: rename it.") from None


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _count(others: dict[str, int], name: str) -> None:
    ending = Path(name).suffix.lower() or "no ending"
    others[ending] = others.get(ending, 0) + 1


def _stamp(entry: os.DirEntry[str]) -> Stamp:
    try:
        status = entry.stat()
    except OSError:
        # A link to nothing: it is listed, and found unreadable with its name when it is decoded.
        return (-1, 0, 0)
    return (status.st_size, status.st_mtime_ns, status.st_ino)


def _remembered(folder: Path, stamps: dict[str, Stamp], *alone: str) -> str:
    """The digest of files below `folder`, from memory where their stamps are unchanged.

    `alone` sets single files of one folder apart from each other and from the folder.
    """
    folder = folder.resolve()
    place = hashlib.sha256("\0".join((str(folder), *alone)).encode("utf-8", "surrogateescape")).hexdigest()
    whole = places.cache_folder() / "digests" / f"{place}.json"
    parts = places.cache_folder() / "digests" / f"{place}.files.json"
    seen = hashlib.sha256(json.dumps(sorted(stamps.items()), ensure_ascii=True).encode()).hexdigest()
    known = _load(whole)
    if known.get("stamps") == seen:
        return str(known["digest"])
    before = _load(parts)
    now = time.time_ns()
    after: dict[str, list[int | str]] = {}
    digest = hashlib.sha256()
    settled = True
    for number, (name, stamp) in enumerate(sorted(stamps.items())):
        entry = before.get(name)
        content = str(entry[3]) if entry is not None and tuple(entry[:3]) == stamp else _sha256(folder / name)
        if now - stamp[1] > SETTLED_NS:
            after[name] = [*stamp, content]
        else:
            settled = False
        digest.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
        if number % 256 == 0:
            report("reading files", number, len(stamps))
    if after != before:
        _save(parts, after)
    if settled:
        _save(whole, {"stamps": seen, "digest": digest.hexdigest()})
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        # It goes into the digest like content; decoding lists the file as bad.
        return f"unreadable: {error.strerror}"


def _load(path: Path) -> dict[str, list[int | str] | str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _save(path: Path, content: object) -> None:
    """Write what can be computed again; where that is not possible, it will be."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()

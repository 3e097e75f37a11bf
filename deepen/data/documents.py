"""Files beside the pictures of a folder or archive: what they are called, and what stands in those that are wanted."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path, PurePosixPath

from deepen.data import archives
from deepen.data.dataset import Bad
from deepen.data.layout import SPLITS
from deepen.data.piles import is_hidden
from deepen.errors import Problem

GLANCED_FILES = 200
"""Of each ending in each folder, that are looked at to see what a source is."""
GLANCED_ENTRIES = 50_000
"""Of a folder and those below it, the highest first; several readers glance one after the other."""
GLANCED_MEMBERS = 20_000
"""Of an archive, whose names stand all through it."""
MOST_BYTES = 2**31
"""Of all wanted documents together."""


class BrokenError(Exception):
    """A document that cannot be used; the message is the reason, in one line. Who knows its name makes a `Bad` of it."""

    def __init__(self, reason: str) -> None:
        super().__init__(plain(reason))


def plain(text: str) -> str:
    """A text out of a document in one line that can be printed everywhere."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def class_name(text: str) -> str:
    """The name of a class, its lines made one. Raises `BrokenError` where it has no letter or some that cannot be shown."""
    name = " ".join(line.strip() for line in text.splitlines()).strip()
    if not name or not name.isprintable():
        raise BrokenError(f"has the name '{name}', expected letters")
    return name


Documents = dict[str, bytes]
"""Content by relative name with `/`."""


def glance(source: str) -> tuple[str, ...]:
    """Relative names of files in a folder or archive, some of them where there are very many; empty for anything else and
    for an archive that is damaged, which whoever reads it says."""
    path = Path(source).expanduser()
    if path.is_dir():
        return tuple(_some(path))
    if path.is_file() and archives.is_archive(path):
        status = path.stat()
        return _members(path, status.st_size, status.st_mtime_ns)
    return ()


def listed(path: Path) -> frozenset[str]:
    """The names of all files of an archive."""
    return frozenset(member.name for member in archives.walk(path) if not member.is_folder and not _hidden(member.name))


def peek(source: str, names: list[str], most: int) -> Iterator[tuple[str, bytes]]:
    """What stands in documents of these names, without those that are larger than `most` or cannot be read."""
    path = Path(source).expanduser()
    if path.is_dir():
        for name in names:
            try:
                if (path / name).stat().st_size <= most:
                    yield name, (path / name).read_bytes()
            except OSError:
                continue
    wanted = set() if path.is_dir() else set(names)
    for member in archives.walk(path) if wanted else ():
        if member.name in wanted and not member.is_folder:
            content = member.read()
            if len(content) <= most:
                yield member.name, content
            wanted.discard(member.name)
            if not wanted:
                return


def collect(path: Path, wanted: Callable[[str], bool], most: int) -> tuple[Documents, list[Bad]]:
    """The documents whose relative names are wanted, in sorted order, and those that cannot be read or are larger than
    `most` bytes. Raises `Problem` for a damaged archive and where all together are too large."""
    found: Documents = {}
    bad: list[Bad] = []
    total = 0
    for name, read in _each(path, wanted, most):
        try:
            content = read()
        except OSError as error:
            bad.append(Bad(name, f"{error.strerror}"))
            continue
        total += len(content)
        if len(content) > most:
            bad.append(Bad(name, f"it has more bytes than the limit of {most:,}"))
        elif total > MOST_BYTES:
            raise Problem(f"The label files of '{path}' have over {MOST_BYTES:,} bytes together: they are not read.")
        elif name in found:
            raise Problem(f"The archive '{path}' holds '{name}' twice: it is not clear which is meant.")
        else:
            found[name] = content
    return dict(sorted(found.items())), sorted(bad, key=lambda one: one.path)


def digest(documents: Documents, *more: str) -> str:
    """SHA-256 over names and content, and over `more`."""
    found = hashlib.sha256("\0".join(more).encode())
    for name, content in sorted(documents.items()):
        found.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def _each(path: Path, wanted: Callable[[str], bool], most: int) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names that are wanted, and what reads a little more than `most` bytes of each where it has them."""
    if path.is_dir():
        for folder, inside, files in os.walk(path):
            inside[:] = sorted(name for name in inside if not is_hidden(name))
            prefix = Path(folder).relative_to(path).as_posix()
            for file in sorted(files):
                name = file if prefix == "." else f"{prefix}/{file}"
                if not is_hidden(file) and wanted(name):
                    yield name, partial(_beginning, Path(folder) / file, most + 1)
        return
    for member in archives.walk(path):
        if not member.is_folder and not _hidden(member.name) and wanted(member.name):
            yield member.name, member.read


def _beginning(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def _some(path: Path) -> Iterator[str]:
    """Breadth first, so that what lies high up is met however much lies below."""
    waiting = deque([(path, "")])
    seen = 0
    while waiting and seen < GLANCED_ENTRIES:
        folder, prefix = waiting.popleft()
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        seen += len(inside)
        files: Counter[str] = Counter()
        for entry in inside:
            if is_hidden(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append((folder / entry.name, f"{prefix}{entry.name}/"))
            else:
                ending = Path(entry.name).suffix.lower()
                files[ending] += 1
                if files[ending] <= GLANCED_FILES:
                    yield prefix + entry.name


@lru_cache(maxsize=8)
def _members(path: Path, size: int, changed: int) -> tuple[str, ...]:
    """Names in an archive, which several readers ask for one after the other. `size` and `changed` tell its versions."""
    try:
        members = islice(archives.walk(path), GLANCED_MEMBERS)
        return tuple(member.name for member in members if not member.is_folder and not _hidden(member.name))
    except Problem:
        return ()


def _hidden(name: str) -> bool:
    return any(is_hidden(part) for part in name.split("/"))


def parts_of(names: Sequence[str]) -> dict[str, str]:
    """The part of each file by the words in its name and folders: `instances_val2017.json`, `valid/_annotations.coco.json`.

    All of them "train" where that tells nothing. Raises `Problem` where it tells something of some files only.
    """
    found = {name: part_in(name) for name in names}
    if len(set(found.values())) <= 1:
        return dict.fromkeys(names, "train")
    unclear = [name for name, part in found.items() if part is None]
    if unclear:
        raise Problem(
            f"It is not clear what part of the data '{unclear[0]}' is: expected train, val or test in its name, as in "
            f"'{next(name for name, part in found.items() if part)}'."
        )
    return {name: part or "train" for name, part in found.items()}


def part_in(name: str) -> str | None:
    """The part that a path tells: by a word of its last name, else of its folders from the innermost out."""
    for piece in reversed(PurePosixPath(name.lower()).parts):
        for word in re.findall(r"[a-z]+", piece):
            if word in SPLITS:
                return SPLITS[word]
    return None


class Pictures:
    """The pictures of a pile, found by what label files call them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._by_last: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._by_last[PurePosixPath(name).name].append(name)

    def find(self, wanted: str, folder: PurePosixPath, part: str) -> str:
        """The picture `wanted`, a path that may lack folders: beside the label file in `folder`, in the pile itself, below
        it, or by its last name. Raises `BrokenError` with what is the matter."""
        parts = [piece for piece in PurePosixPath(wanted).parts if piece not in ("/", "..", ".")]
        wanted = "/".join(parts)
        for exact in (str(folder / wanted), wanted):
            if exact in self._names:
                return exact
        same = self._by_last.get(parts[-1], []) if parts else []
        below = [name for name in same if name.endswith(f"/{wanted}")] or same
        below = [name for name in below if part_in(str(PurePosixPath(name).parent)) == part] or below
        if not below:
            raise BrokenError("is not there")
        if len(below) > 1:
            raise BrokenError(f"may be '{below[0]}' or '{below[1]}'")
        return below[0]

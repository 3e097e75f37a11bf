"""Reading .tar, .tar.gz and .zip archives member by member, nothing unpacked to disk.

Archives come from anywhere, so that only regular files under plain relative names are read, within limits on their
number and unpacked size. A gzipped archive can only be walked from its beginning; every archive is treated that way.
"""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from deepen.errors import Problem

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz")
ENDINGS = (*TAR_ENDINGS, ".zip")
MAX_MEMBERS = 5_000_000
MAX_MEMBER_BYTES = 2**29
# Pictures hardly compress; what unfolds a hundredfold is no archive of pictures.
MAX_RATIO = 100
FREE_BYTES = 2**30
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, OSError)


@dataclass(frozen=True)
class Member:
    """A file of an archive, or a folder (its name then ends in `/`), and how to read it while the walk stands at it."""

    name: str
    read: Callable[[], bytes]

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


def is_archive(path: Path) -> bool:
    """Whether the name ends like an archive that is read here."""
    return path.name.lower().endswith(ENDINGS)


def stem(path: Path) -> str:
    """The name without an archive's ending."""
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), "")
    return path.name[: len(path.name) - len(ending)]


def walk(path: Path) -> Iterator[Member]:
    """The files and folders of an archive in its own order.

    Raises `Problem` where it is damaged, encrypted, over the limits, or holds a link, a device, or a name that leads
    out of it.
    """
    budget = _Budget(path, FREE_BYTES + MAX_RATIO * path.stat().st_size)
    tar = path.name.lower().endswith(TAR_ENDINGS)
    try:
        yield from _walk_tar(path, budget) if tar else _walk_zip(path, budget)
    except DAMAGE as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: BaseException) -> Problem:
    return Problem(f"The archive '{path}' is damaged or cut short ({error or type(error).__name__}).")


class _Budget:
    """What is left of the limits of one walk."""

    def __init__(self, path: Path, most: int) -> None:
        self.path = path
        self.most = most
        self.left = most
        self.members = 0

    def spend(self, name: str, size: int) -> None:
        """Count a member of `size` unpacked bytes. Raises `Problem` over a limit."""
        self.members += 1
        self.left -= size
        if size > MAX_MEMBER_BYTES:
            raise Problem(
                f"'{name}' in the archive '{self.path}' unpacks to {size:,} bytes, over the limit of "
                f"{MAX_MEMBER_BYTES:,} for one file."
            )
        if self.left < 0:
            raise Problem(
                f"The archive '{self.path}' unpacks to over {self.most:,} bytes, {MAX_RATIO} times its own size and "
                "more than pictures can: it is not read."
            )
        if self.members > MAX_MEMBERS:
            raise Problem(f"The archive '{self.path}' has over {MAX_MEMBERS:,} members: it is not read.")


def _walk_tar(path: Path, budget: _Budget) -> Iterator[Member]:
    with path.open("rb") as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        # Through GzipFile, members one after the other: a quarter of the time of tarfile's own stream mode.
        file = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if gzipped else raw
        with tarfile.open(fileobj=file, mode="r:") as archive:
            yield from _tar_members(path, archive, budget)
            # tarfile takes the end of the file for the end of the archive; a cut between two members shows here.
            # In a gzipped one the cut has been met already, and going back would unpack it all again.
            if not gzipped:
                raw.seek(archive.offset)
                if raw.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise EOFError("its end is missing")


def _tar_members(path: Path, archive: tarfile.TarFile, budget: _Budget) -> Iterator[Member]:
    while (entry := archive.next()) is not None:
        # tarfile keeps every entry that it has met; of a walk over millions none is needed again.
        archive.members = []  # type: ignore[attr-defined]
        name = _checked(path, entry.name)
        if entry.isdir():
            budget.spend(name, 0)
            yield Member(name.rstrip("/") + "/", bytes)
        elif entry.isreg() and not entry.issparse():
            budget.spend(name, entry.size)
            yield Member(name, _tar_reader(path, archive, entry))
        else:
            kind = "link" if entry.issym() or entry.islnk() else "special file"
            raise Problem(f"'{name}' in the archive '{path}' is a {kind}: only regular files are read.")


def _tar_reader(path: Path, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            file = archive.extractfile(entry)
            assert file is not None
            content = file.read()
        except DAMAGE as error:
            raise _damaged(path, error) from None
        if len(content) != entry.size:
            raise Problem(f"The archive '{path}' is damaged or cut short ('{entry.name}' ends early).")
        return content

    return read


def _walk_zip(path: Path, budget: _Budget) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = _checked(path, _zip_name(entry))
            if entry.is_dir():
                budget.spend(name, 0)
                yield Member(name.rstrip("/") + "/", bytes)
                continue
            if entry.flag_bits & 1:
                raise Problem(f"The archive '{path}' is encrypted: unpack it with its password first.")
            # The upper half of the attributes is the Unix mode, 0 where the maker knew none.
            file_type = (entry.external_attr >> 16) & 0o170000
            if file_type not in (0, 0o100000):
                kind = "link" if file_type == 0o120000 else "special file"
                raise Problem(f"'{name}' in the archive '{path}' is a {kind}: only regular files are read.")
            budget.spend(name, entry.file_size)
            yield Member(name, _zip_reader(path, archive, entry))


def _zip_reader(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with archive.open(entry) as file:
                # One byte more than declared, so that a lying size is met before it has filled the memory.
                content = file.read(entry.file_size + 1)
        except NotImplementedError:
            raise Problem(
                f"The archive '{path}' is packed in a way that is not supported: pack it again as a plain .zip."
            ) from None
        except DAMAGE as error:
            raise _damaged(path, error) from None
        if len(content) != entry.file_size:
            raise Problem(f"The archive '{path}' is damaged ('{entry.filename}' has another size than declared).")
        return content

    return read


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The name of a zip member. Old packers write the bytes of their own system without saying so."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        raw = entry.filename.encode("cp437")
    except UnicodeEncodeError:
        return entry.filename
    # GB 2312 only uses bytes from 0xA1 on, where accented letters of cp437 hardly lie.
    for encoding in ("utf-8", "gb2312"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return entry.filename


def _checked(path: Path, name: str) -> str:
    """The name with `./` taken off. Raises `Problem` where it leads out of the archive."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    absolute = name.startswith(("/", "\\")) or (bool(parts) and len(parts[0]) == 2 and parts[0][1] == ":")
    if absolute or ".." in parts or "\0" in name:
        raise Problem(f"The archive '{path}' holds the name '{name!r:.200}', which leads out of it: it is not read.")
    return "/".join(parts)

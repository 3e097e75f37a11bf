"""Files over https, checked in full before anything is parsed, continued where they were cut.

Only what a user asked for by name is fetched. A partial file stays as `<name>.part` and is continued with a Range
request; the finished file is checked and then renamed, so that a file under its own name is always whole.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, Protocol

from deepen.data.progress import report
from deepen.errors import Problem

CHUNK = 1 << 18
TIMEOUT = 30
ATTEMPTS = 4
NETWORK = (urllib.error.URLError, http.client.HTTPException, OSError)


class Response(Protocol):
    """What `urlopen` gives, as far as it is used."""

    status: int
    headers: Any

    def read(self, amount: int = ..., /) -> bytes: ...


Transport = Callable[[urllib.request.Request], AbstractContextManager[Any]]


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith("https://"):
            raise urllib.error.URLError(f"redirected away from https, to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def over_https(request: urllib.request.Request) -> AbstractContextManager[Any]:
    """The transport in use: https, certificates verified, redirects only to https."""
    opened: AbstractContextManager[Any] = urllib.request.build_opener(_OnlyHttps).open(request, timeout=TIMEOUT)
    return opened


def sha256_is(expected: str) -> Callable[[Path], str | None]:
    """A check for `fetch`: the file itself has this SHA-256."""

    def check(path: Path) -> str | None:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        return None if actual == expected else f"it has SHA-256 {actual}, expected {expected}"

    return check


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    check: Callable[[Path], str | None],
    most: int,
    transport: Transport = over_https,
) -> Path:
    """Download `target` from the first of `urls` that gives the right content.

    `check` says what is wrong with a finished file, None for nothing; `most` bounds its size in bytes. Raises
    `Problem` with what was tried and where the file may be put by hand.
    """
    for url in urls:
        if not url.startswith("https://"):
            raise Problem(f"'{url}' is not an https address: files are only downloaded over https.")
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(
            f"'{target.parent}' cannot be made for the download: {error.strerror}. Set DEEPEN_DATA."
        ) from None
    tried: list[str] = []
    for url in urls:
        # A partial file from before may be of other content: a failed check is given one more start from nothing.
        for fresh in (False, True):
            resumed = part.exists() and part.stat().st_size > 0
            reason = _complete(url, part, most, transport) or check(part)
            if reason is None:
                _keep(part, target)
                return target
            if not reason.startswith(UNREACHED):
                part.unlink(missing_ok=True)
            if fresh or not resumed or reason.startswith(UNREACHED):
                break
        tried.append(f"{url} ({reason})")
    raise Problem(
        f"'{target.name}' could not be downloaded. Tried: {'; '.join(tried)}. "
        f"Without a network, put the file at '{target}' by hand, or set DEEPEN_DATA to the folder that has it."
    )


UNREACHED = "not reached: "


def _complete(url: str, part: Path, most: int, transport: Transport) -> str | None:
    """Bring `part` to its full length; the reason where that fails."""
    reason = ""
    for _ in range(ATTEMPTS):
        have = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(url, headers={"User-Agent": "deepen", "Accept-Encoding": "identity"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            with transport(request) as response:
                whole = _append(response, part, have, most)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and have:
                # Nothing after what is there: either it is whole already or it belongs to another file.
                return None
            return f"{UNREACHED}HTTP {error.code} {error.reason}"
        except TooLongError:
            return f"it is longer than {most:,} bytes"
        except NETWORK as error:
            grown = part.exists() and part.stat().st_size > have
            reason = f"{UNREACHED}{getattr(error, 'reason', None) or error or type(error).__name__}"
            if not grown:
                return reason
            continue
        if whole:
            return None
        reason = f"{UNREACHED}the connection was cut {ATTEMPTS} times"
    return reason


class TooLongError(Exception):
    """The server sends more than the file can have."""


def _append(response: Response, part: Path, have: int, most: int) -> bool:
    """Write what comes; whether it is all."""
    begins = (response.headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    continues = response.status == 206 and begins == str(have)
    if response.status == 206 and not continues:
        raise urllib.error.URLError("the server continued the file at another place than asked")
    done = have if continues else 0
    length = response.headers.get("Content-Length")
    total = done + int(length) if length is not None and length.isdigit() else None
    if total is not None and total > most:
        raise TooLongError
    with part.open("ab" if continues else "wb") as file:
        while piece := response.read(CHUNK):
            done += len(piece)
            if done > most:
                raise TooLongError
            file.write(piece)
            report(f"downloading {part.name.removesuffix('.part')}", done, total or 0)
    return total is None or done == total


def _keep(part: Path, target: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)

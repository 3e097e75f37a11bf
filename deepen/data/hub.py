"""Files of repositories of the Hugging Face hub: one request lists them with the sum of each, then they come over https.

The hub's own library is not needed for that. It would bring an HTTP stack and a cache with locks for what is one listing and
one download, which `download.py` does with full sums; its cache is read, so that nothing is fetched that lies there, and ours
is laid out in the same way: refs/main names a snapshot, a folder of links to blobs that are called by their sum.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepen.data import places
from deepen.data.download import Transport, fetch
from deepen.errors import Misuse, Problem

PREFIX = "hf:"
NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:/(.+))?")
ENDPOINT = "https://huggingface.co"
REVISION = "main"
MOST_LISTING = 2**24
TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Kind:
    """A sort of repository: how the hub's addresses and caches call it, and people."""

    plural: str
    address: str
    word: str
    instead: str
    """What helps where there is no network."""


MODELS = Kind("models", "", "model", "give a file of weights")
DATASETS = Kind("datasets", "datasets/", "data set", "give a folder that holds its files")


@dataclass(frozen=True)
class Listed:
    """What the hub says of a file."""

    size: int
    sha256: str | None
    """Of a large file (LFS); None for a small one, of which git's own sum is known."""
    git: str

    @property
    def sum(self) -> str:
        return self.sha256 or self.git


@dataclass(frozen=True)
class Listing:
    """A repository as the hub has it."""

    kind: Kind
    name: str
    endpoint: str
    commit: str
    files: Mapping[str, Listed]
    transport: Transport

    def bring(self, wanted: Sequence[str], root: Path, most: Callable[[str], int]) -> Path:
        """The snapshot under the cache `root` with the wanted files in it; those that lie there are not fetched again. `most`
        bounds the bytes of a file, whatever the hub says of it."""
        folder = home(root, self.kind, self.name)
        snapshot = folder / "snapshots" / self.commit
        for path in wanted:
            facts = self.files[path]
            blob = folder / "blobs" / facts.sum
            if not blob.is_file() or checks(facts)(blob) is not None:
                address = (
                    f"{self.endpoint}/{self.kind.address}{self.name}/resolve/{self.commit}/{urllib.parse.quote(path)}"
                )
                fetch(
                    [address],
                    blob,
                    check=checks(facts),
                    most=min(facts.size, most(path)),
                    transport=self.transport,
                )
            link = snapshot / path
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(os.path.relpath(blob, link.parent))
        # All names beside those that were fetched: who comes later can tell what does not lie here yet.
        _write(_names_of(snapshot), "\n".join(sorted(self.files)))
        _write(folder / "refs" / REVISION, self.commit)
        return snapshot


def hub_cache() -> Path:
    """Where the hub's own library keeps what it has fetched."""
    if os.environ.get("HF_HUB_CACHE"):
        return Path(os.environ["HF_HUB_CACHE"]).expanduser()
    home = os.environ.get("HF_HOME")
    return (Path(home).expanduser() if home else places.cache_folder().parent / "huggingface") / "hub"


def offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in TRUE


def home(root: Path, kind: Kind, name: str) -> Path:
    """The folder of a repository in a cache."""
    return root / f"{kind.plural}--{name.replace('/', '--')}"


def lying(root: Path, kind: Kind, name: str) -> Path | None:
    """The snapshot of a repository in a cache, or None."""
    folder = home(root, kind, name)
    try:
        commit = (folder / "refs" / REVISION).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    snapshot = folder / "snapshots" / commit
    return snapshot if re.fullmatch(r"[0-9a-f]{7,64}", commit) and snapshot.is_dir() else None


def listed_in(snapshot: Path) -> list[str]:
    """The names of all files of the repository that a snapshot in our cache is of, fetched or not; empty where that is not
    known, as in the cache of the hub's own library."""
    try:
        return _names_of(snapshot).read_text(encoding="utf-8").split("\n")
    except OSError:
        return []


def _names_of(snapshot: Path) -> Path:
    return snapshot.parent.parent / "names" / snapshot.name


def _write(file: Path, content: str) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(content, encoding="utf-8")
    part.replace(file)


def is_damaged(file: Path) -> bool:
    """Whether a large file of a snapshot is not what its blob's name says."""
    expected = file.resolve().name
    return re.fullmatch(r"[0-9a-f]{64}", expected) is not None and sha256(file) != expected


def list_files(kind: Kind, name: str, transport: Transport) -> Listing:
    """The commit that `main` stands for, and its files.

    HF_ENDPOINT and HF_TOKEN are heeded. Raises `Problem` where there is no such repository or no answer.
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    if not endpoint.startswith("https://"):
        raise Misuse(f"HF_ENDPOINT={endpoint} is not an https address: files are only downloaded over https.")
    asking = _with_token(transport, endpoint)
    address = f"{endpoint}/api/{kind.plural}/{name}/revision/{REVISION}?blobs=true"
    request = urllib.request.Request(address, headers={"User-Agent": "deepen"})
    try:
        with asking(request) as response:
            content = json.loads(response.read(MOST_LISTING))
        listed = {one["rfilename"]: _listed(one) for one in content["siblings"]}
        commit = content["sha"]
        if not re.fullmatch(r"[0-9a-f]{7,64}", commit) or not all(_is_plain(path) for path in listed):
            raise ValueError(commit)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403, 404):
            hint = (
                "The token in HF_TOKEN does not open it."
                if os.environ.get("HF_TOKEN")
                else "A private one needs HF_TOKEN."
            )
            raise Problem(
                f"There is no {kind.word} hf:{name} on {endpoint} for everyone to read (HTTP {error.code}). {hint}"
            ) from None
        raise Problem(f"{endpoint} does not answer for hf:{name}: HTTP {error.code} {error.reason}.") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise Problem(
            f"{endpoint} was not reached for hf:{name} ({reason}). Without a network, {kind.instead}, or copy the "
            f"repository into {hub_cache()} from a machine that has fetched it."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Problem(f"{endpoint} answers for hf:{name} with something else than a list of files.") from error
    return Listing(kind, name, endpoint, commit, listed, asking)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checks(facts: Listed) -> Callable[[Path], str | None]:
    """What is wrong with a fetched file, None for nothing."""

    def check(path: Path) -> str | None:
        if facts.sha256 is not None:
            actual, kind = sha256(path), "SHA-256"
        else:
            content = path.read_bytes()
            actual = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            kind = "git sum"
        return None if actual == facts.sum else f"it has {kind} {actual}, expected {facts.sum}"

    return check


def _listed(one: dict[str, Any]) -> Listed:
    """A file of the hub's answer. Raises `ValueError`, for its sums become names of files."""
    large = one.get("lfs") or {}
    sha256, git = large.get("sha256"), one["blobId"]
    if not re.fullmatch(r"[0-9a-f]{40}", git) or not (sha256 is None or re.fullmatch(r"[0-9a-f]{64}", sha256)):
        raise ValueError(git)
    return Listed(int(one["size"]), sha256, git)


def _is_plain(path: str) -> bool:
    """Whether a name stays inside the folder that it is put into."""
    return path.isprintable() and not path.startswith("/") and ".." not in path.split("/") and "\\" not in path


def _with_token(transport: Transport, endpoint: str) -> Transport:
    """The transport, with HF_TOKEN for the hub itself: where it redirects to, the token is not sent."""
    token = os.environ.get("HF_TOKEN", "")

    def asking(request: urllib.request.Request) -> Any:
        if token and request.full_url.startswith(f"{endpoint}/"):
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        return transport(request)

    return asking

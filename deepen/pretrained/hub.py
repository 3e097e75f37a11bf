"""Weights from the Hugging Face hub: one request lists a repository with the sum of each file, then files come over https.

The hub's own library is not needed for that. It would bring an HTTP stack and a cache with locks for what is one listing and
one download, which `data/download.py` does with full sums; its cache is read, so that nothing is fetched that lies there.
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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepen.data import places
from deepen.data.download import Transport, fetch, over_https
from deepen.errors import Misuse, Problem
from deepen.pretrained import files

PREFIX = "hf:"
NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:/(.+))?")
ENDPOINT = "https://huggingface.co"
REVISION = "main"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""What timm and transformers call them."""
FACTS = ("config.json", "preprocessor_config.json")
MOST_LISTING, MOST_FACTS, MOST_WEIGHTS = 2**24, 2**22, 2**36
PLACEHOLDER = "LABEL_0"
"""What transformers calls a class that nobody has named."""
TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Repository:
    """Files of a repository that lie on this machine."""

    weights: Path
    config: dict[str, Any]
    """`config.json` and `preprocessor_config.json` together; empty where it has neither."""


@dataclass(frozen=True)
class Listed:
    """What the hub says of a file."""

    size: int
    sha256: str | None
    """Of a large file (LFS); None for a small one, of which git's own sum is known."""
    git: str


def find(text: str, *, named: bool, transport: Transport = over_https) -> Repository:
    """What `hf:owner/name` or `hf:owner/name/file` stands for: what lies here, else what the hub has.

    HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN are heeded. Raises `Problem`.
    """
    form = NAME.fullmatch(text.removeprefix(PREFIX))
    if form is None or ".." in text:
        raise Misuse(f"'{text}' is not understood: expected hf:owner/name, or hf:owner/name/file for one of its files.")
    name, file = form.groups()
    for root in (hub_cache(), own_cache()):
        here = _lying(root / f"models--{name.replace('/', '--')}", file)
        if here is not None:
            return here
    if not named or offline():
        reason = "HF_HUB_OFFLINE is set" if offline() else "nothing is downloaded that was not asked for"
        raise Problem(f"{text} does not lie on this machine and {reason}: looked in {hub_cache()} and {own_cache()}.")
    return _fetched(name, file, transport)


def shown(config: dict[str, Any]) -> dict[str, Any]:
    """What pictures must look like (size, resize, mean, std) and the names of the classes, from timm's or transformers' form."""
    own = config.get("pretrained_cfg")
    timm = own if isinstance(own, dict) else config
    size, share = config.get("size"), timm.get("crop_pct")
    size = size.get("shortest_edge", size.get("height")) if isinstance(size, dict) else size
    resize, cut = None, config.get("crop_size")
    if isinstance(timm.get("input_size"), list) and timm["input_size"]:
        size = timm["input_size"][-1]
    if config.get("do_center_crop", True) and cut is not None:
        size, resize = cut.get("height") if isinstance(cut, dict) else cut, size
    elif isinstance(size, int) and isinstance(share, int | float) and 0 < share < 1:
        resize = int(size / share)
    names = config.get("label_names")
    labels, described = config.get("id2label"), config.get("label_descriptions")
    if isinstance(names, list) and isinstance(described, dict):
        names = [described.get(name, name) for name in names]
    elif isinstance(labels, dict) and sorted(labels, key=str) == sorted(map(str, range(len(labels)))):
        names = [str(labels[str(number)]) for number in range(len(labels))]
        names = None if names[0] == PLACEHOLDER else names
    return {
        "size": size,
        "resize": resize if isinstance(resize, int) and isinstance(size, int) and resize > size else None,
        "mean": timm.get("mean", config.get("image_mean")),
        "std": timm.get("std", config.get("image_std")),
        "names": names,
    }


def hub_cache() -> Path:
    """Where the hub's own library keeps what it has fetched."""
    if os.environ.get("HF_HUB_CACHE"):
        return Path(os.environ["HF_HUB_CACHE"]).expanduser()
    home = os.environ.get("HF_HOME")
    return (Path(home).expanduser() if home else places.cache_folder().parent / "huggingface") / "hub"


def own_cache() -> Path:
    return places.cache_folder() / "weights" / "hub"


def offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in TRUE


def _lying(folder: Path, file: str | None) -> Repository | None:
    """The files in a cache as the hub's library lays it out: refs/main names a snapshot, a folder of links to blobs that are
    called by their sum. None where the weights are not there or not whole."""
    try:
        commit = (folder / "refs" / REVISION).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    snapshot = folder / "snapshots" / commit
    names = [file] if file else _best(p.name for p in snapshot.glob("*"))
    if not commit or not names or not (snapshot / names[0]).is_file():
        return None
    weights = snapshot / names[0]
    expected = weights.resolve().name
    if len(expected) == 64 and files.sha256(weights) != expected:
        return None
    return Repository(weights, _config(snapshot))


def _fetched(name: str, file: str | None, transport: Transport) -> Repository:
    endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    if not endpoint.startswith("https://"):
        raise Misuse(f"HF_ENDPOINT={endpoint} is not an https address: files are only downloaded over https.")
    asking = _with_token(transport, endpoint)
    commit, listed = _listing(endpoint, name, asking)
    wanted = [file] if file in listed else _best(listed) if file is None else []
    if not wanted:
        weights = [each for each in listed if each.endswith((".safetensors", ".bin", ".pth", ".pt", ".npz"))]
        said = (
            f"it has {', '.join(weights[:6])}: give one as hf:{name}/FILE" if weights else "it has no file of weights"
        )
        raise Misuse(f"hf:{name} has no {file or ' and no '.join(WEIGHTS)}; {said}.")
    folder = own_cache() / f"models--{name.replace('/', '--')}"
    for each in (*(one for one in FACTS if one in listed), *wanted):
        facts = listed[each]
        blob = folder / "blobs" / (facts.sha256 or facts.git)
        if not blob.is_file() or _checks(facts)(blob) is not None:
            address = f"{endpoint}/{name}/resolve/{commit}/{urllib.parse.quote(each)}"
            most = min(facts.size, MOST_FACTS if each in FACTS else MOST_WEIGHTS)
            fetch([address], blob, check=_checks(facts), most=most, transport=asking)
        link = folder / "snapshots" / commit / each
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
    reference = folder / "refs" / REVISION
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit, encoding="utf-8")
    snapshot = folder / "snapshots" / commit
    return Repository(snapshot / wanted[0], _config(snapshot))


def _best(names: Iterable[str]) -> list[str]:
    """The file of weights among those of a repository; empty where there is none, or more than one to choose from."""
    names = list(names)
    for usual in WEIGHTS:
        if usual in names:
            return [usual]
    safe = [name for name in names if name.endswith(".safetensors")]
    return safe if len(safe) == 1 else []


def _listing(endpoint: str, name: str, transport: Transport) -> tuple[str, dict[str, Listed]]:
    """The commit that `main` stands for, and its files."""
    address = f"{endpoint}/api/models/{name}/revision/{REVISION}?blobs=true"
    request = urllib.request.Request(address, headers={"User-Agent": "deepen"})
    try:
        with transport(request) as response:
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
                f"There is no model hf:{name} on {endpoint} for everyone to read (HTTP {error.code}). {hint}"
            ) from None
        raise Problem(f"{endpoint} does not answer for hf:{name}: HTTP {error.code} {error.reason}.") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise Problem(
            f"{endpoint} was not reached for hf:{name} ({reason}). Without a network, give a file of weights, or copy the "
            f"repository into {hub_cache()} from a machine that has fetched it."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(f"{endpoint} answers for hf:{name} with something else than a list of files.") from error
    return commit, listed


def _listed(one: dict[str, Any]) -> Listed:
    """A file of the hub's answer. Raises `ValueError`, for its sums become names of files."""
    large = one.get("lfs") or {}
    sha256, git = large.get("sha256"), one["blobId"]
    if not re.fullmatch(r"[0-9a-f]{40}", git) or not (sha256 is None or re.fullmatch(r"[0-9a-f]{64}", sha256)):
        raise ValueError(git)
    return Listed(int(one["size"]), sha256, git)


def _is_plain(path: str) -> bool:
    """Whether a name stays inside the folder that it is put into."""
    return not path.startswith("/") and ".." not in path.split("/") and "\\" not in path


def _checks(facts: Listed) -> Callable[[Path], str | None]:
    def check(path: Path) -> str | None:
        if facts.sha256 is not None:
            expected, actual, kind = facts.sha256, files.sha256(path), "SHA-256"
        else:
            content = path.read_bytes()
            actual = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            expected, kind = facts.git, "git sum"
        return None if actual == expected else f"it has {kind} {actual}, expected {expected}"

    return check


def _with_token(transport: Transport, endpoint: str) -> Transport:
    """The transport, with HF_TOKEN for the hub itself: where it redirects to, the token is not sent."""
    token = os.environ.get("HF_TOKEN", "")

    def asking(request: urllib.request.Request) -> Any:
        if token and request.full_url.startswith(f"{endpoint}/"):
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        return transport(request)

    return asking


def _config(snapshot: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in FACTS:
        if (snapshot / name).is_file():
            try:
                content = json.loads((snapshot / name).read_text(encoding="utf-8"))
            except ValueError as error:
                raise Problem(
                    f"{snapshot / name} is not JSON: it is damaged. Delete it to have it downloaded again."
                ) from error
            found |= content if isinstance(content, dict) else {}
    return found

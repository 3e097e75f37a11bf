"""Weights from the Hugging Face hub: which files of a repository they are, and what the files beside them say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepen.data import places
from deepen.data.adopted import FILES as TOKENIZER
from deepen.data.download import Transport, over_https
from deepen.data.hub import MODELS, NAME, PREFIX, hub_cache, is_damaged, list_files, listed_in, lying, offline
from deepen.errors import Misuse, Problem

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""What timm and transformers call them."""
FACTS = ("config.json", "preprocessor_config.json")
CUTTING = ({"tokenizer.json"}, {"vocab.txt"}, {"vocab.json", "merges.txt"})
"""Files of which one set is enough to cut texts into tokens."""
SHARD = re.compile(r"-\d+-of-(?!0*1\.)\d+\.")
"""In the name of a file that holds a part of the weights."""
MOST_FACTS, MOST_WEIGHTS = 2**26, 2**36
PLACEHOLDER = "LABEL_0"
"""What transformers calls a class that nobody has named."""


@dataclass(frozen=True)
class Repository:
    """Files of a repository that lie on this machine."""

    folder: Path
    """Where all of them are."""
    weights: Path
    config: dict[str, Any]
    """`config.json` and `preprocessor_config.json` together; empty where it has neither."""


def find(text: str, *, named: bool, transport: Transport = over_https) -> Repository:
    """What `hf:owner/name` or `hf:owner/name/file` stands for: what lies here, else what the hub has.

    HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN are heeded. Raises `Problem`.
    """
    form = NAME.fullmatch(text.removeprefix(PREFIX))
    if form is None or ".." in text:
        raise Misuse(f"'{text}' is not understood: expected hf:owner/name, or hf:owner/name/file for one of its files.")
    name, file = form.groups()
    partial = []
    for root in (hub_cache(), own_cache()):
        snapshot = lying(root, MODELS, name)
        if snapshot is None:
            continue
        weights, lacking = _whole(snapshot, file)
        if weights is not None and not lacking:
            return Repository(snapshot, weights, _config(snapshot))
        partial.append(f"{snapshot} lacks {lacking}")
    if not named or offline():
        reason = "HF_HUB_OFFLINE is set" if offline() else "nothing is downloaded that was not asked for"
        if partial:
            raise Problem(f"{text} does not lie whole on this machine and {reason}: {'; '.join(partial)}.")
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


def own_cache() -> Path:
    return places.cache_folder() / "weights" / "hub"


def _whole(snapshot: Path, file: str | None) -> tuple[Path | None, str]:
    """The weights in a snapshot, and what it lacks: a download that broke off leaves the rest as it is. Which files a repository
    has is known of our own cache; in that of the hub's own library, what those that are there cannot do without."""
    listed = listed_in(snapshot)
    names = [file] if file else _best(listed or [path.name for path in snapshot.glob("*")])
    weights = snapshot / names[0] if names else None
    if weights is None or not weights.is_file():
        return None, names[0] if names else "a file of weights"
    if is_damaged(weights):
        return None, f"{names[0]} as it was published"
    beside = [snapshot / name for name in (*FACTS, *TOKENIZER)]
    gone = [path.name for path in beside if not path.is_file() and (path.name in listed or path.is_symlink())]
    if gone or listed:
        return weights, " and ".join(gone)
    there = {path.name for path in beside if path.is_file()}
    config, reads_texts = _config(snapshot), any(there >= files for files in CUTTING)
    if reads_texts and "config.json" not in there:
        return weights, "config.json"
    if not reads_texts and isinstance(config.get("vocab_size"), int):
        return weights, "its tokenizer"
    home = snapshot.parent.parent
    if reads_texts or shown(config)["mean"] is not None or not any((home / "blobs").glob("*.incomplete")):
        return weights, ""
    # What is not there may be what broke off, unless the library has noted that the repository has no such file.
    unknown = [name for name in FACTS if name not in there and not (home / ".no_exist" / snapshot.name / name).exists()]
    return weights, " and ".join(unknown)


def _fetched(name: str, file: str | None, transport: Transport) -> Repository:
    listing = list_files(MODELS, name, transport)
    listed = listing.files
    wanted = _best(listed) if file is None else [file] if file in listed else []
    if not wanted:
        weights = [each for each in listed if each.endswith((".safetensors", ".bin", ".pth", ".pt", ".npz"))]
        said = (
            f"it has {', '.join(weights[:6])}: give one as hf:{name}/FILE" if weights else "it has no file of weights"
        )
        raise Misuse(f"hf:{name} has no {file or ' and no '.join(WEIGHTS)}; {said}.")
    facts = [one for one in (*FACTS, *TOKENIZER) if one in listed]
    snapshot = listing.bring([*facts, *wanted], own_cache(), lambda path: MOST_FACTS if path in facts else MOST_WEIGHTS)
    return Repository(snapshot, snapshot / wanted[0], _config(snapshot))


def _best(names: Iterable[str]) -> list[str]:
    """The file of weights among those of a repository; empty where there is none, or more than one to choose from."""
    names = list(names)
    for usual in WEIGHTS:
        if usual in names:
            return [usual]
    safe = [name for name in names if name.endswith(".safetensors") and not SHARD.search(name)]
    return safe if len(safe) == 1 else []


def _config(snapshot: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in FACTS:
        if (snapshot / name).is_file():
            try:
                content = json.loads((snapshot / name).read_text(encoding="utf-8"))
            except (ValueError, RecursionError) as error:
                raise Problem(
                    f"{snapshot / name} is not JSON: it is damaged. Delete it to have it downloaded again."
                ) from error
            found |= content if isinstance(content, dict) else {}
    return found

"""Weights by what a user calls them: published ones, a repository of the Hugging Face hub, a file, a run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepen.data import places
from deepen.data.download import Transport, fetch, over_https
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.pretrained import files, hub, llama2c, published, texts
from deepen.pretrained.packages import PACKAGES
from deepen.pretrained.published import File
from deepen.pretrained.weights import Reader, Weights

IMAGENET = "imagenet"
NAMES = (IMAGENET, *PACKAGES)
"""What has a name of its own."""
MOST = 2**30
"""Bytes of a published file; the largest, vgg19-bn, has 575 million."""
CHOICES = (
    f"expected {', '.join(NAMES)}, hf:owner/name, a file of weights ({' '.join(files.ENDINGS)}), a run or a bundle"
)


def find(text: str, model_name: str, *, named: bool = True, transport: Transport = over_https) -> Weights:
    """The weights that `text` names, for the network `model_name`.

    `text` is `imagenet`, a package of `PACKAGES`, `hf:owner/name[/file]`, a file of weights, a folder as Hugging Face's library
    saves one, a run or a bundle. `named` says that a person asked for
    them; otherwise nothing is downloaded. Raises `Problem`.
    """
    if text == IMAGENET:
        return _imagenet(model_name, named, transport)
    if text in PACKAGES:
        return texts.of_package(text)
    if text.startswith(hub.PREFIX):
        return _from_hub(text, named, transport)
    path = Path(text).expanduser()
    if not path.exists():
        hint = did_you_mean(text, NAMES) or (f" Did you mean 'hf:{text}'?" if hub.NAME.fullmatch(text) else "")
        raise Misuse(f"There are no weights at '{text}'.{hint} {CHOICES[0].upper()}{CHOICES[1:]}.")
    if path.is_dir():
        return texts.of_folder(path) if texts.is_saved(path) else _from_bundle(path)
    if llama2c.is_one(path):
        return texts.of_llama2c(path)
    if texts.is_saved(path.parent):
        return texts.of_folder(path.parent, path)
    return from_file(path)


def from_file(path: Path) -> Weights:
    """The weights of a file, with what its own header tells of them, or its SHA-256 where it is a published one."""
    content = files.read(path)
    known = published.known(content.digest)
    if known is not None:
        return _published(known, content)
    facts = content.facts
    origin = str(facts.get("origin", path))
    return Weights(content.tensors, origin, content.digest, **facts_of(facts))


def _published(file: File, content: files.Content) -> Weights:
    return Weights(
        content.tensors, file.said, content.digest, size=file.size, resize=file.resize, mean=file.mean, std=file.std
    )


def _imagenet(model_name: str, named: bool, transport: Transport) -> Weights:
    """Where they already lie, else fetched and converted once: a published file is a pickle, which is then no longer met."""
    candidates = published.for_imagenet(model_name)
    fetched = candidates[0]
    home = places.cache_folder() / "weights"
    converted = home / f"{Path(fetched.name).stem}.safetensors"
    if converted.is_file() and _recorded(converted) == files.sha256(converted):
        content = files.read(converted)
        if content.facts.get("sha256", "").startswith(fetched.sha256):
            return _published(fetched, replace(content, digest=content.facts["sha256"]))
    wrong = []
    for file in candidates:
        for path in _lying(file.name):
            reason = file.wrong(files.sha256(path))
            if reason is None:
                return _published(file, files.read(path))
            wrong.append(f"{path} is not the published file: {reason}")
    if not named or fetched.address is None:
        looked = ", ".join(str(folder) for folder in _homes())
        raise Problem(
            f"The weights of {model_name} from ImageNet ({fetched.name}) do not lie on this machine and are only downloaded "
            f"where they are asked for by name (--pretrained imagenet); looked in {looked}."
            + "".join(f" {one}." for one in wrong)
        )
    path = fetch(
        [fetched.address],
        home / fetched.name,
        check=lambda part: fetched.wrong(files.sha256(part)),
        most=MOST,
        transport=transport,
    )
    content = files.read(path)
    files.write(converted, content.tensors, {"origin": fetched.origin, "sha256": content.digest, **_shown(fetched)})
    _record(converted)
    path.unlink()
    return _published(fetched, content)


def _homes() -> list[Path]:
    """Where published files may lie: those of the user, torch's cache, our own."""
    cache = places.cache_folder()
    torch_home = os.environ.get("TORCH_HOME")
    hub_folder = (Path(torch_home).expanduser() if torch_home else cache.parent / "torch") / "hub" / "checkpoints"
    return [places.data_folder() / "weights", hub_folder, cache / "weights"]


def _lying(name: str) -> Iterator[Path]:
    if (places.data_folder() / name).is_file():
        yield places.data_folder() / name
    for folder in _homes():
        yield from sorted(path for path in folder.rglob(name) if path.is_file())


def _shown(file: File) -> dict[str, Any]:
    return {"size": file.size, "resize": file.resize, "mean": file.mean, "std": file.std}


def _record(path: Path) -> None:
    """Lay the sum of what was converted beside it, for a disk can fail after that."""
    path.with_suffix(".sha256").write_text(files.sha256(path), encoding="ascii")


def _recorded(path: Path) -> str | None:
    beside = path.with_suffix(".sha256")
    return beside.read_text(encoding="ascii", errors="replace").strip() if beside.is_file() else None


def _from_hub(text: str, named: bool, transport: Transport) -> Weights:
    repository = hub.find(text, named=named, transport=transport)
    if texts.describes_texts(repository.config):
        return texts.of_folder(repository.folder, repository.weights, text)
    content = files.read(repository.weights)
    return Weights(content.tensors, text, content.digest, **facts_of(hub.shown(repository.config)))


def _from_bundle(path: Path) -> Weights:
    """The best weights of a run, or those of a bundle, checked against its manifest."""
    folder = path / "model" if (path / "recipe.yaml").is_file() else path
    try:
        facts: dict[str, Any] = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        sums: dict[str, str] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        shown, output = facts["preprocess"], facts["spec"]["output"]
        expected = sums["model.safetensors"]
    except FileNotFoundError:
        raise Problem(f"{path} is a folder and no run with a best model, nor a bundle: {CHOICES}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(f"{path} is a damaged run or bundle: its bundle.json or manifest.json cannot be read.") from error
    held = folder / "model.safetensors"
    if not held.is_file() or files.sha256(held) != expected:
        raise Problem(f"{held} is not what was written (it is gone or its SHA-256 differs): it is damaged.")
    content = files.read(held)
    size = shown.get("height") if shown.get("height") == shown.get("width") else None
    told = {**shown, "size": size, "names": output.get("names")}
    reader = None
    if "tokenizer" in shown:
        network = facts["model"]
        reader = Reader(str(folder), facts["spec"]["input"]["length"], network["name"], network["fields"])
    return Weights(content.tensors, str(path), content.digest, reader=reader, **facts_of(told))


def facts_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Weights` that a description has, None for what it lacks or has in another form."""
    mean, std = _numbers(told.get("mean")), _numbers(told.get("std"))
    names = told.get("names")
    whole = mean is not None and std is not None and len(mean) == len(std) and min(std) > 0
    return {
        "size": _side(told.get("size")),
        "resize": _side(told.get("resize")),
        "mean": mean if whole else None,
        "std": std if whole else None,
        "names": tuple(map(str, names))
        if isinstance(names, Sequence) and names and not isinstance(names, str)
        else None,
    }


def _side(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _numbers(values: Any) -> tuple[float, ...] | None:
    if not isinstance(values, Sequence) or not values or not all(isinstance(value, int | float) for value in values):
        return None
    return tuple(float(value) for value in values)

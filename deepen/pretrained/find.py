"""Weights by what a user calls them: a file, a run, a published set, a repository of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from deepen.pretrained import files, published
from deepen.pretrained.weights import Weights


def find(text: str, model_name: str, *, named: bool = True) -> Weights:
    """The weights that `text` names, for the network `model_name`.

    `named` says that the user asked for them: only then is anything downloaded. Raises `Problem`.
    """
    return from_file(Path(text).expanduser())


def from_file(path: Path) -> Weights:
    """The weights of a file, with the facts that its header or its SHA-256 tells."""
    content = files.read(path)
    facts = {**published.KNOWN.get(content.digest, {}), **content.facts}
    return Weights(
        content.tensors,
        facts.get("origin", str(path)),
        content.digest,
        size=facts.get("size"),
        resize=facts.get("resize"),
        mean=_numbers(facts.get("mean")),
        std=_numbers(facts.get("std")),
        names=tuple(facts["names"]) if facts.get("names") else None,
    )


def _numbers(values: list[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(float(value) for value in values)

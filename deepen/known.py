"""Known-good recipes, the files of `recipes/`: settings that work, with their command, time and expected score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Seen:
    """What of the data decides which known-good recipe is nearest."""

    kind: str
    """Of the input: image, table, observation."""
    samples: int
    """Of the training split."""
    side: int | None = None
    """The longer one of pictures, in pixels."""
    channels: int | None = None
    """Of pictures."""


@dataclass(frozen=True)
class KnownGood:
    """One of them."""

    name: str
    task: str
    model: str | None
    """None, in a recipe for weights that are taken over, for every network."""
    data: str | None
    kind: str | None
    settings: dict[str, Any]
    command: str
    time: str
    expect: str
    max_side: int | None = None
    channels: int | None = None
    """1 for grey pictures, 3 for colour: a mirrored photograph is one still, a mirrored digit is not."""
    max_samples: int | None = None
    """Largest training split that this is for: a hundred rows need other batches than a hundred thousand."""
    transfer: Sequence[str] = ("none",)
    """What may be done with weights that are taken over, as in `Transfer.name`; none is a start at random."""
    default: bool = True

    def fits(self, source: str, seen: Seen, task: str, model: str | None, transfer: str = "none") -> int:
        """How closely this answers what was asked, 0 for not at all."""
        if task != self.task or transfer not in self.transfer:
            return 0
        if self.model is not None and (model != self.model if model else not self.default):
            return 0
        if self.data is not None:
            return 9 if self.data == source else 0
        if self.kind != seen.kind or self.channels not in (None, seen.channels):
            return 0
        if self.max_side is not None and (seen.side is None or seen.side > self.max_side):
            return 0
        if self.max_samples is not None and seen.samples > self.max_samples:
            return 0
        return 2 + sum(limit is not None for limit in (self.model, self.max_side, self.max_samples, self.channels))


def known_good() -> list[KnownGood]:
    """All files of `recipes/`."""
    found = []
    for path in sorted((Path(__file__).parent / "recipes").glob("*.yaml")):
        content: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        optional: dict[str, Any] = {"model": None, "data": None, "kind": None, "settings": {}}
        found.append(KnownGood(name=path.stem, **{**optional, **content}))
    return found


def choose(source: str, seen: Seen, task: str, model: str | None, transfer: str = "none") -> KnownGood | None:
    """The known-good recipe nearest to (data, task, model); None when there is none for that model. `transfer` is what is
    done with weights that are taken over."""
    ranked = [(recipe.fits(source, seen, task, model, transfer), recipe) for recipe in known_good()]
    rank, best = max(ranked, key=lambda pair: pair[0], default=(0, None))
    return best if rank else None

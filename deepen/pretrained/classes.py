"""Classes that weights know already: a new head begins with what their head says of them.

The rows of a head are directions in the space of features, and those of a class that was learnt before tell it from others at
once (weight imprinting, Qi, Brown & Lowe, 2018, does the same with a mean feature). Rows of names that are not known begin at
zero, and known ones without the mean of all: an unknown class then stands where the average one does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def same(own: Sequence[str], names: Sequence[str]) -> dict[int, int]:
    """Which of `names` each of `own` is, by index. A name may list synonyms with commas between them; capitals, hyphens and a
    plural s make no difference. What could be two of them is none."""
    places: dict[str, set[int]] = {}
    for place, name in enumerate(names):
        for synonym in name.split(","):
            places.setdefault(_plain(synonym), set()).add(place)
    found = {}
    for number, name in enumerate(own):
        for form in _forms(_plain(name)):
            if form in places:
                if len(places[form]) == 1:
                    found[number] = next(iter(places[form]))
                break
    return found


@torch.no_grad()
def begin_rows(own: Tensor, given: Tensor, places: dict[int, int]) -> None:
    """Rows of a new head, weights [K, ...] or biases [K], from those of another [N, ...]."""
    own.zero_()
    middle = given.float().mean(0)
    for number, place in places.items():
        own[number] = given[place] - middle


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _forms(name: str) -> list[str]:
    forms = [name]
    if name.endswith("ies"):
        forms.append(f"{name[:-3]}y")
    if name.endswith("es"):
        forms.append(name[:-2])
    if name.endswith("s"):
        forms.append(name[:-1])
    return [form for form in forms if form]

"""The form of a network's first layers that weights were trained in.

Networks have one for small pictures too, which follows the size of the pictures where nothing is said. Weights must not follow
it: in the other form their first filters would not fit, or see at another scale than they learnt.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from deepen.nn.backbone import SMALL, Stem
from deepen.nn.borrowed import sketched
from deepen.pretrained.load import matched
from deepen.pretrained.weights import Weights

FORMS: tuple[Stem, ...] = ("imagenet", "small")


def has_forms(settings: Any) -> bool:
    """Whether the settings of a network name the form of its first layers."""
    return getattr(settings, "stem", None) in get_args(Stem)


def stem_of(name: str, settings: Any, weights: Weights) -> Stem | None:
    """The form of the network `name` that fits the weights. Where their shapes are those of both it is the one for the size of
    their pictures; None where that is not known either, or the network has one form only."""
    if not has_forms(settings):
        return None
    numbers = {}
    for form in FORMS:
        sketch = sketched(name, replace(settings, stem=form), 1)  # filters for colours fit grey pictures too, summed
        numbers[form] = 0 if sketch is None else matched(sketch, weights)
    if numbers["imagenet"] != numbers["small"]:
        return max(FORMS, key=lambda form: numbers[form])
    if weights.size is None:
        return None
    return "small" if weights.size <= SMALL else "imagenet"

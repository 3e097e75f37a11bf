"""Weights into a network: matched by name and shape, copied in place, and said how much of it they cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Size, Tensor, nn

from deepen.errors import Problem
from deepen.nn.headed import Headed
from deepen.pretrained import names
from deepen.pretrained.classes import begin_rows, same
from deepen.pretrained.weights import Weights

ENOUGH = 0.95
"""Share of a network's numbers under which something is wrong more often than not: another network, another depth."""
SHOWN = 3
FILTERS = 4
"""Dimensions of the weights of a convolution: [out, in, height, width]."""
MODEL, BACKBONE = "--model", "model.backbone"
"""How a network is named that weights are for, itself or under another."""


@dataclass(frozen=True)
class Loaded:
    """What came of it."""

    share: float
    """Of the numbers of the network's body, and of its head where the weights have one that fits, that were taken over."""
    matched: int
    """Numbers that were taken over."""
    missing: tuple[str, ...]
    """Parameters of the body that the weights do not have, by name."""
    unexpected: tuple[str, ...]
    """What the weights have beyond the network."""
    differing: tuple[str, ...]
    """Parameters of the body that have another shape in the weights."""
    new: tuple[str, ...]
    """Parameters of the head, where it was not taken over."""
    head: str
    """What became of the part that answers, a phrase."""
    sentence: str
    """All of it, for people."""

    @property
    def lacking(self) -> tuple[str, ...]:
        """What of the body was not taken over and is as in a network that was never trained, running statistics included."""
        return (*self.differing, *self.missing)


def load(
    model: nn.Module, weights: Weights, *, allow_partial: bool, named_by: str = MODEL, classes: Sequence[str] = ()
) -> Loaded:
    """Copy weights into a network, or into its child `backbone` where they fit that better.

    A head of other classes begins at zero, which prefers none of them; those of its `classes` that the weights know by name
    begin with their rows. Raises `Problem` where less than 95 % of the numbers are found
    (unless `allow_partial`), and for weights that are not finite. `named_by` is the setting that names the network.
    """
    check_finite(weights)
    places = [model]
    below = getattr(model, "backbone", None)
    if isinstance(below, nn.Module):
        places.append(below)
    told_apart = tuple(classes), weights.names or ()
    fitted = max((_Fitted.of(place, weights.tensors, *told_apart) for place in places), key=lambda one: one.matched)
    loaded = fitted.told(weights, "its backbone" if fitted.module is not model else "the network")
    if fitted.matched == 0 or (loaded.share < ENOUGH and not allow_partial):
        raise Problem(_too_little(loaded, weights, fitted.matched, named_by))
    fitted.copy()
    return loaded


def check_finite(weights: Weights) -> None:
    """Raise `Problem` for weights that are not finite."""
    broken = [name for name, value in weights.tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise Problem(
            f"The weights from {weights.origin} hold NaN or infinite numbers (in {few(broken)}): they come from a training that "
            "broke off, or the file is damaged. Take others."
        )


def matched(model: nn.Module, weights: Weights) -> int:
    """How many numbers of a network the weights have; of one on the meta device too."""
    return _Fitted.of(model, weights.tensors).matched


def channels_of(model: nn.Module, weights: Weights) -> int | None:
    """How many channels the first filters in the weights look at, of a network for colours. None where it does not begin with
    filters or the weights have none for it."""
    fitted = _Fitted.of(model, weights.tensors)
    first = fitted.given.get(next(iter(fitted.state), ""))
    return first.shape[1] if first is not None and first.ndim == FILTERS else None


def not_in(weights: Weights, lacking: Sequence[str]) -> str:
    """What the weights do not have of a network, a phrase."""
    what = "1 tensor is" if len(lacking) == 1 else f"{len(lacking)} tensors are"
    return f"{what} not in the weights from {weights.origin} or of another shape ({few(lacking)})"


def classes_of(model: nn.Module, weights: Weights) -> int | None:
    """How many classes the head in the weights tells apart, of a network whose own head may have any number. None where they
    have no head for it."""
    fitted = _Fitted.of(model, weights.tensors)
    given = fitted.given.get(fitted.answering or "")
    return None if given is None else len(given)


@dataclass(frozen=True)
class _Fitted:
    """Weights laid against a module, nothing copied yet."""

    module: nn.Module
    state: dict[str, Tensor]
    """The module's own tensors."""
    given: dict[str, Tensor]
    """The weights under the module's names."""
    steps: tuple[str, ...]
    head: str
    head_fits: bool
    classes: tuple[str, ...]
    """What the module's head tells apart, where known, and what the weights' head does."""
    known: tuple[str, ...]

    @classmethod
    def of(
        cls,
        module: nn.Module,
        tensors: Mapping[str, Tensor],
        classes: tuple[str, ...] = (),
        known: tuple[str, ...] = (),
    ) -> _Fitted:
        state = {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
        head = head_of(module)
        shapes = {name: value.shape for name, value in state.items()}
        renamed = names.fit(tensors, shapes, head)
        given, steps = dict(renamed.tensors), list(renamed.steps)
        first = next(iter(state), "")
        if first in given and _is_coloured(given[first].shape, state[first].shape):
            given[first] = given[first].sum(1, keepdim=True)
            steps.append("the filters of its first layer summed over the three colours, for grey pictures")
        answering = [name for name in state if _is_in(name, head)]
        fits = bool(answering) and all(name in given and given[name].shape == state[name].shape for name in answering)
        if classes and known and classes != known:
            fits = False  # as many, and others
        return cls(module, state, given, tuple(steps), head, fits, classes, known)

    @property
    def answering(self) -> str | None:
        """The name of the head's weights."""
        return next((name for name in self.state if _is_in(name, self.head) and name.endswith("weight")), None)

    @property
    def counted(self) -> list[str]:
        """What should be found in the weights: the body, and the head where it fits."""
        return [name for name in self.state if self.head_fits or not _is_in(name, self.head)]

    @property
    def found(self) -> list[str]:
        return [
            name for name in self.counted if name in self.given and self.given[name].shape == self.state[name].shape
        ]

    @property
    def matched(self) -> int:
        return sum(self.state[name].numel() for name in self.found)

    def copy(self) -> None:
        with torch.no_grad():
            for name in self.found:
                self.state[name].copy_(self.given[name])
        if self.classes and not self.head_fits and self._head():
            for name in self._rows():
                own, given = self.state[name], self.given.get(name)
                if given is None or len(given) != len(self.known):
                    own.zero_()
                else:
                    begin_rows(own, given, self.places)

    @property
    def places(self) -> dict[int, int]:
        """Which class of the weights each of the module's own is, of those that they know by name."""
        weight = self.answering
        if weight is None or weight not in self.given or self.given[weight].shape[1:] != self.state[weight].shape[1:]:
            return {}
        return same(self.classes, self.known) if len(self.given[weight]) == len(self.known) else {}

    def _rows(self) -> list[str]:
        """The parameters of the head that have a row for each class."""
        return [name for name in self.state if _is_in(name, self.head) and len(self.state[name]) == len(self.classes)]

    def told(self, weights: Weights, where: str) -> Loaded:
        counted, found = self.counted, set(self.found)
        total = sum(self.state[name].numel() for name in counted)
        share = self.matched / total if total else 0.0
        missing = tuple(name for name in counted if name not in self.given)
        differing = tuple(name for name in counted if name in self.given and name not in found)
        unexpected = tuple(name for name in self.given if name not in self.state)
        new = () if self.head_fits else tuple(name for name in self.state if _is_in(name, self.head))
        head = self._head()
        what = f"{where}'s body" if head and not self.head_fits else where
        sentence = f"{percent(share)} of the numbers of {what} come from {weights.origin}"
        if self.steps:
            sentence += f" ({'; '.join(self.steps)})"
        sentence += f"; {head}." if head else "."
        if missing or differing:
            sentence += f" {_lacking(missing, differing)}"
        return Loaded(share, self.matched, missing, unexpected, differing, new, head, sentence)

    def _head(self) -> str:
        weight = self.answering
        if weight is None:  # of a backbone that others stand on, the head may be gone
            return ""
        if self.head_fits:
            return f"its head {self.head} with {len(self.state[weight])} answers was taken over"
        if weight in self.given and self.given[weight].shape[1:] == self.state[weight].shape[1:]:
            own, places = len(self.state[weight]), self.places
            before = len(self.given[weight])
            new = f"its head {self.head} is new, for {own} answers instead of {before}"
            if own == before:
                new = f"its head {self.head} is new, for {own} other classes"
            if not places:
                return new
            pairs = [f"{self.classes[number]} as {self.known[place]!r}" for number, place in places.items()]
            begin = "begins" if len(places) == 1 else "begin"
            return f"{new}; {len(places)} of them {begin} with what the weights know of them ({few(pairs)})"
        return f"its head {self.head} is new"


def head_of(module: nn.Module) -> str:
    """The name of the module that answers: a `Headed` network says it, of any other it is the last one with a weight."""
    if isinstance(module, Headed):
        return module.head_name
    own = [name for name, part in module.named_modules() if isinstance(getattr(part, "weight", None), nn.Parameter)]
    return own[-1] if len(own) > 1 else ""


def percent(share: float) -> str:
    """100 % only where nothing is missing."""
    return f"{100 * share:g} %" if share in (0.0, ENOUGH, 1.0) else f"{min(max(100 * share, 0.1), 99.9):.1f} %"


def _is_in(name: str, head: str) -> bool:
    return bool(head) and name.startswith(f"{head}.")


def _is_coloured(given: Size, own: Size) -> bool:
    return (
        len(given) == len(own) == 4 and given[1] == 3 and own[1] == 1 and (given[0], *given[2:]) == (own[0], *own[2:])
    )


def _too_little(loaded: Loaded, weights: Weights, matched: int, named_by: str) -> str:
    lacking = _lacking(loaded.missing, loaded.differing, loaded.unexpected)
    mend = f"Name with {named_by} the network that they were trained for"
    if matched == 0:
        return f"Nothing in the weights from {weights.origin} fits the network. {lacking} {mend}."
    if named_by in (MODEL, BACKBONE):
        mend += ", or go on all the same with --allow-partial"
    return (
        f"Only {percent(loaded.share)} of the network's numbers are found in the weights from {weights.origin}, expected "
        f"{percent(ENOUGH)} or more. {lacking} {mend}."
    )


def _lacking(missing: Sequence[str], differing: Sequence[str], unexpected: Sequence[str] = ()) -> str:
    kinds = {"Not there": missing, "Of another shape": differing, "Beyond the network": unexpected}
    return " ".join(f"{words}: {few(found)}." for words, found in kinds.items() if found)


def few(found: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")

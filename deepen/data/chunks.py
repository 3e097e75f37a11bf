"""Chunks: what labels such as B-PER and I-PER say of runs of words (Ramshaw & Marcus, 1995; Tjong Kim Sang & Buchholz, 2000).

Such a label is a place within a chunk and, behind a dash, the kind of the chunk: B begins it, I is inside, E ends it, S is all of
it, O is in none; M is another letter for I, L for E, U for S. Labels without a kind set words apart. What begins and ends a chunk
is decided by the rules of CoNLL's scorer, which reads any sequence of labels, also one that breaks off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FORM = re.compile(r"(?:O|([BIESMLU])(?:-(.+))?)")
LETTERS = {"M": "I", "L": "E", "U": "S"}
OUTSIDE = ("O", "")


def parse(label: str) -> tuple[str, str] | None:
    """The place in a chunk (B, I, E, S or O) and the kind of a label, or None if it is no such label."""
    found = FORM.fullmatch(label)
    if found is None:
        return None
    letter, kind = found.groups()
    return OUTSIDE if letter is None else (LETTERS.get(letter, letter), kind or "")


def chunked(names: Sequence[str]) -> bool:
    """Whether labels are such that chunks are made of them: all of that form, and more than single letters by chance."""
    found = [parse(name) for name in names]
    inside = [one for one in found if one is not None and one != OUTSIDE]
    places = {place for place, _ in inside}
    return None not in found and bool(places) and (any(kind for _, kind in inside) or {"B"} < places)


def goes_on(before: tuple[str, str], after: tuple[str, str]) -> bool:
    """Whether a label goes on with the chunk of the label before it."""
    return before[0] in "BI" and after[0] in "IE" and before[1] == after[1]


def begun(labels: Sequence[str]) -> list[str]:
    """Labels of a sentence in which whatever begins a chunk is a B: IOB1 and bare I as IOB2. For labels of O, B and I."""
    told, before = [], OUTSIDE
    for label in labels:
        here = parse(label) or OUTSIDE
        begins = here[0] == "I" and not goes_on(before, here)
        told.append(f"B{label[1:]}" if begins else label)
        before = here
    return told


@dataclass(frozen=True)
class Scheme:
    """What labels, by their number, say of chunks. The number after the last is the edge of a sentence."""

    kinds: tuple[str, ...]
    kind: Tensor
    """Of each label, a number of `kinds`, -1 in no chunk: int64 [C + 1]."""
    on: Tensor
    """Whether a label (column) goes on with the chunk of the one before it (row): bool [C + 1, C + 1]."""
    allowed: Tensor
    """Whether a label may follow another where labels are as they should be: bool [C + 1, C + 1]."""

    @property
    def edge(self) -> int:
        return len(self.kind) - 1

    def to(self, device: torch.device) -> Scheme:
        return Scheme(self.kinds, self.kind.to(device), self.on.to(device), self.allowed.to(device))


def scheme(names: Sequence[str]) -> Scheme:
    """The scheme of labels that are `chunked`."""
    parsed = [*(parse(name) or OUTSIDE for name in names), OUTSIDE]
    kinds = tuple(sorted({kind for place, kind in parsed if place != "O"}))
    kind = torch.tensor([-1 if place == "O" else kinds.index(kind) for place, kind in parsed])
    on = torch.tensor([[goes_on(before, after) for after in parsed] for before in parsed])
    ends = any(place == "E" for place, _ in parsed)

    def may(before: tuple[str, str], after: tuple[str, str]) -> bool:
        if goes_on(before, after):
            return True
        loose = after[0] == "I" and ("B", after[1]) not in parsed  # where no B is known, I begins as well
        return not (after[0] in "IE" and not loose) and not (ends and before[0] in "BI")

    return Scheme(kinds, kind, on, torch.tensor([[may(before, after) for after in parsed] for before in parsed]))


def spans(labels: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor, Tensor]:
    """The chunks of rows of labels int64 [B, W], filled up with the edge: whether one begins at each place, bool [B, W], the
    place of its last label and its kind, int64 [B, W], both meaningless elsewhere."""
    edge = labels.new_full((len(labels), 1), scheme.edge)
    before, after = torch.cat([edge, labels[:, :-1]], 1), torch.cat([labels[:, 1:], edge], 1)
    inside = scheme.kind[labels] >= 0
    begins = inside & ~scheme.on[before, labels]
    ends = inside & ~scheme.on[labels, after]
    places = torch.arange(labels.shape[1], device=labels.device).expand_as(labels)
    last = places.masked_fill(~ends, labels.shape[1]).flip(1).cummin(1).values.flip(1)
    return begins, last, scheme.kind[labels]


def listed(labels: Sequence[int], scheme: Scheme) -> list[tuple[int, int, str]]:
    """The chunks of one row of labels: first place, last place, kind."""
    if not labels:
        return []
    begins, last, kind = (part[0].tolist() for part in spans(torch.tensor([list(labels)]), scheme))
    return [(place, last[place], scheme.kinds[kind[place]]) for place, here in enumerate(begins) if here]


def likeliest(scores: Tensor, lengths: Tensor, scheme: Scheme, cut: Tensor | None = None) -> Tensor:
    """The rows of labels, int64 [B, W], with the highest sum of scores [B, W, C] of all that the scheme allows (Viterbi, 1967).

    What lies beyond `lengths` int64 [B] is meaningless. `cut` bool [B, 2] says whether a row goes on with the one before it,
    and whether it is gone on with: there any label may stand at its edge."""
    size = scores.shape[2]
    moves = torch.zeros(size + 1, size + 1, device=scores.device).masked_fill(~scheme.allowed, -1e4)
    begins, ends = (edge.expand(len(scores), size) for edge in (moves[scheme.edge, :size], moves[:size, scheme.edge]))
    if cut is not None:
        begins, ends = begins.masked_fill(cut[:, :1], 0.0), ends.masked_fill(cut[:, 1:], 0.0)
    best = scores[:, 0] + begins
    stay = torch.arange(size, device=scores.device).expand_as(best)
    back = [stay]
    for place in range(1, scores.shape[1]):
        reached, come = (best.unsqueeze(2) + moves[:size, :size]).max(1)
        there = (place < lengths).unsqueeze(1)
        best = torch.where(there, reached + scores[:, place], best)
        back.append(torch.where(there, come, stay))
    label = (best + ends).argmax(1, keepdim=True)
    told = [label]
    for come in reversed(back[1:]):
        label = come.gather(1, label)
        told.append(label)
    return torch.cat(told[::-1], 1)

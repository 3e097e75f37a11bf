"""From pictures and the boxes that label files give them to a `Dataset`: the part that every reader of boxes shares.

`target` is float32 [N, M, 5] in pixels of the letterboxed rows, and `size` int64 [N, 2] the height and width that each
picture has in its file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deepen.data.box_checks import Checked, Labels, check, rank
from deepen.data.dataset import Bad, Columns, Dataset, Finding, Sealed
from deepen.data.decode import Decoded, decode
from deepen.data.faults import refused
from deepen.data.framed import FramedPreprocess, Letterbox
from deepen.data.layout import typos
from deepen.data.pictures import OWN_TEST, check_options, normalised, picked, shared_out
from deepen.data.piles import PartOfPile, Pile
from deepen.data.splits import split
from deepen.errors import Misuse, Problem
from deepen.recipe import Data
from deepen.spec import EMPTY, Boxes, Spec


def assemble(
    name: str,
    pile: Pile,
    labels: Labels,
    options: Data,
    seed: int,
    *,
    kind: str,
    testing: str,
    digest: str,
    facts: Sequence[str] = (),
    bad: Sequence[Bad] = (),
    findings: Sequence[Finding] = (),
) -> Dataset:
    """A data set of the labelled pictures of a pile. `kind` is what people call such label files, `testing` how they tell
    of a test split.

    Raises `Problem` where pictures or label files cannot be read, unless `options.skip_bad`, and where no box is left.
    """
    check_options(options, name, instead=OWN_TEST if "test" in labels.splits else testing)
    if options.resize is not None:
        raise Misuse(
            f"data.resize={options.resize} is for pictures whose centre is cut out: with boxes they stay whole."
        )
    decoded = decode(
        PartOfPile(pile, labels.pictures), Letterbox(options.size, options.channels), threads=options.threads
    )
    bad = [Bad(f"{pile.path}/{one.path}", one.reason) for one in (*bad, *decoded.bad)]
    if bad and not options.skip_bad:
        head = (
            f"{len(bad):,} fault{'s' if len(bad) > 1 else ''} in the label files and {len(labels.pictures):,} pictures"
        )
        raise refused(head, bad, left=len(decoded.names))
    facts = list(facts)
    if bad:
        facts.append(f"{len(bad):,} label files, entries or pictures that cannot be used are left out (data.skip_bad).")
    number_of = {one: number for number, one in enumerate(labels.pictures)}
    kept = np.array([number_of[one] for one in decoded.names], dtype=np.int64)  # of each row, its picture
    checked, found = check(labels, kept, np.array(decoded.sizes).reshape(-1, 2))
    findings = [*findings, *found, *typos(labels.names, "Give one name in the label files to the boxes of")]
    counts = np.bincount(checked.classes[checked.classes >= 0], minlength=len(labels.names))
    if not counts.any():
        raise Problem(
            f"'{pile.path}' has {len(decoded.names):,} pictures and no box that can be used: expected at least one box."
        )
    _, height, width, channels = decoded.rows.shape
    framed = FramedPreprocess(channels, height, width, (0.0,) * channels, (1.0,) * channels)
    target = _targets(checked, decoded, framed)
    given = [labels.splits[number] for number in kept.tolist()]
    parts, split_facts = _split(checked, given, len(kept), options, seed, labels.names, testing)
    inputs = shared_out(decoded.rows, parts, decoded.folder)
    sizes = torch.tensor(decoded.sizes, dtype=torch.int64)
    origins = [f"{pile.path}/{one}" for one in decoded.names]
    columns = {
        part: Columns(
            {
                "input": inputs[part],
                "target": target[torch.from_numpy(index)],
                "size": sizes[torch.from_numpy(index)],
            },
            picked(origins, index),
            mapped=decoded.folder is not None,
        )
        for part, index in parts.items()
    }
    preprocess = normalised(FramedPreprocess, columns["train"]["input"], options)
    told = [_counted(kind, pile, counts, len(kept), labels.names), *_ignored(checked.classes)]
    told += [*decoded.facts, _sizes(target, height, width)]
    return Dataset(
        name=name,
        spec=Spec(preprocess.input, Boxes(tuple(labels.names))),
        preprocess=preprocess,
        train=columns["train"],
        validation=columns["validation"],
        test=Sealed(columns["test"]) if len(columns["test"]) else None,
        digest=digest,
        facts=[*told, *facts, *split_facts],
        bad=bad,
        findings=findings,
        testing=testing,
    )


def _targets(boxes: Checked, decoded: Decoded, framed: FramedPreprocess) -> torch.Tensor:
    """The boxes in pixels of the rows, float32 [N, M, 5], of class `EMPTY` where a row has no further box."""
    place = rank(boxes.rows)
    target = np.zeros((len(decoded.names), int(place.max()) + 1, 5), dtype=np.float32)
    target[..., 4] = EMPTY
    placed: dict[tuple[int, int], Any] = {size: framed.frame(*size) for size in set(decoded.sizes)}
    frames = np.array([(one.left, one.top, one.scale) for one in (placed[size] for size in decoded.sizes)])
    left, top, scale = frames[boxes.rows].T
    shift = np.stack([left, top, left, top], 1)
    target[boxes.rows, place, :4] = (boxes.corners - shift) * scale[:, None]
    target[boxes.rows, place, 4] = boxes.classes
    return torch.from_numpy(target)


def _split(
    boxes: Checked, given: list[str], count: int, options: Data, seed: int, names: Sequence[str], testing: str
) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Given parts, or parts in which pictures with the rarest classes keep their share.

    A picture counts for the rarest class among its boxes, and those without boxes are a class of their own, also where all
    are ignored.
    """
    counts = np.bincount(boxes.classes[boxes.classes >= 0], minlength=len(names))
    rarest = np.full(count, len(names), dtype=np.int64)
    for number in np.argsort(-counts, kind="stable").tolist():
        rarest[boxes.rows[boxes.classes == number]] = number
    whole = set(given) == {"train"}
    return split(count, options, seed, given=None if whole else np.array(given), strata=rarest, testing=testing)


def _counted(kind: str, pile: Pile, counts: NDArray[np.int64], pictures: int, names: Sequence[str]) -> str:
    what = "A folder" if pile.path.is_dir() else "An archive"
    order = np.argsort(-counts, kind="stable")
    shown = ", ".join(f"{counts[number]:,} {names[number]}" for number in order[:6].tolist())
    more = f" and {len(names) - 6:,} more classes" if len(names) > 6 else ""
    return f"{what} of pictures with boxes ({kind}): {pictures:,} pictures, {counts.sum():,} boxes: {shown}{more}."


def _ignored(classes: NDArray[np.int64]) -> list[str]:
    """How many boxes are neither learnt nor measured, in words."""
    kinds = (EMPTY - 1 - classes[classes < EMPTY]) % 2  # see `spec.ignored`
    counts = ((int(kinds.sum()), "of crowds"), (int((1 - kinds).sum()), "of difficult objects"))
    said = ", ".join(f"{count:,} {of}" for count, of in counts if count)
    what = "no scores are learnt where they lie, and who finds one is neither right nor wrong"
    return [f"Ignored boxes: {said}; {what}."] if said else []


def _sizes(target: torch.Tensor, height: int, width: int) -> str:
    """How large boxes are and how many a picture has, in words."""
    used = target[..., 4] >= 0
    corners = target[used][:, :4].numpy()
    side = np.sqrt((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]))
    low, middle, high = np.percentile(side, [25, 50, 75])
    each = used.sum(1)
    return (
        f"Half of the boxes are {low:.0f} to {high:.0f} pixels large in rows of {height}x{width} (middle {middle:.0f}, "
        f"smallest {side.min():.0f}, largest {side.max():.0f}; the root of the area); a picture has {each.float().mean():.1f} on "
        f"average, {int(each.max())} at most."
    )

"""From pictures with a class for every pixel to a `Dataset`: the part that every source of masks shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepen import recipe
from deepen.data import mask_rows
from deepen.data.dataset import Bad, Dataset, Finding, Sealed
from deepen.data.decode import decode
from deepen.data.faults import LISTED, refused
from deepen.data.framed import FramedPreprocess, Letterbox
from deepen.data.mask_rows import Labels, columns_of, framed_as, tiles
from deepen.data.pictures import OWN_TEST, check_options, normalised
from deepen.data.piles import Pile
from deepen.data.splits import split
from deepen.errors import Misuse, Problem
from deepen.spec import IGNORED, Mask, Spec

USUAL_SIDE = 512
FAR_APART = 4
"""Without names, numbers are counted anew where fewer than one in so many is used."""
MANY = 32
"""Without names, so many different numbers are grey levels rather than classes where two of them have nearly all pixels,"""
MANY_SPREAD = 8
"""fewer where they lie far apart, as those of edges do that were drawn smoothly."""
MOSTLY = 0.9
"""Share of the pixels that counts as nearly all."""


@dataclass
class Options(recipe.Data):
    """How pictures and their masks are read."""

    ignore: tuple[int, ...] = ()
    """Class numbers of pixels that are neither learnt nor measured; 255 always is one."""
    tile: bool = False
    """Keep the resolution and cut pictures into rows of data.size pixels (default 256), instead of scaling them."""


@dataclass(frozen=True)
class Classes:
    """What the numbers in masks mean."""

    names: tuple[str, ...]
    table: np.ndarray
    """From numbers to classes, uint8 [256]."""
    unknown: frozenset[int]
    """Numbers that are no class."""
    facts: list[str]


def assemble(
    name: str,
    pictures: Pile,
    labels: Labels,
    splits: Mapping[str, str],
    options: recipe.Data,
    seed: int,
    *,
    digest: str,
    testing: str,
    facts: Sequence[str] = (),
    bad: Sequence[Bad] = (),
    findings: Sequence[Finding] = (),
) -> Dataset:
    """A data set from pictures, their masks and the split of each ("train", "validation" or "test", by name). `testing` is how a
    test split is given.

    Raises `Problem` for pictures and masks that cannot be used (unless `options.skip_bad`) and where fewer than two classes
    occur, `Misuse` for settings that masks cannot follow.
    """
    ignore, tile = _checked(options, name, OWN_TEST if "test" in splits.values() else testing)
    if tile:
        decoded = tiles(pictures, options)
    else:
        decoded = decode(pictures, Letterbox(options.size, options.channels, USUAL_SIDE), threads=options.threads)
    failed = {one.path: one for one in decoded.bad}
    if all(picture in failed for picture in decoded.names):
        raise _unusable(_at(pictures, bad, failed), 0)
    _, height, width, channels = decoded.rows.shape
    framing = framed_as(height, width, channels, tile=tile)
    masks, unusable = mask_rows.read(decoded, framing, labels, pictures.digest(), options.threads)
    failed |= {one.path: one for one in unusable}
    readable = [number for number, picture in enumerate(decoded.names) if picture not in failed]
    if not readable or ((bad or failed) and not options.skip_bad):
        raise _unusable(_at(pictures, bad, failed), len(readable))
    pixels = np.zeros(256, dtype=np.int64)
    for number in readable:
        pixels[list(masks.pixels[number])] += list(masks.pixels[number].values())
    classes = meaning(pixels, labels.names, ignore)
    for number in readable:
        beyond = sorted(classes.unknown.intersection(masks.pixels[number]))
        if beyond:
            expected = f"expected 0 to {len(labels.names) - 1}, 255, or what data.ignore=... names"
            picture = decoded.names[number]
            failed[picture] = Bad(
                picture, f"its mask '{labels.path[picture]}' has the class number {beyond[0]}: {expected}"
            )
    good = np.array([number for number in readable if decoded.names[number] not in failed], dtype=np.int64)
    broken = _at(pictures, bad, failed)
    if broken and (not options.skip_bad or not len(good)):
        raise _unusable(broken, len(good))
    told = [*facts, *decoded.facts, *classes.facts]
    if broken:
        told.append(f"{len(broken):,} pictures or masks that cannot be used are left out (data.skip_bad).")
    given = np.array([splits[decoded.names[number]] for number in good])
    parts, split_facts = split(
        len(good), options, seed, given=None if set(given) == {"train"} else given, testing=testing
    )
    parts = {part: good[index] for part, index in parts.items()}
    columns = columns_of(decoded, masks, labels, classes.table, parts, f"{pictures.path}/", options.threads)
    preprocess = replace(normalised(FramedPreprocess, columns["train"]["input"], options), tile=tile)
    seen = {part: [list(masks.pixels[number]) for number in numbers] for part, numbers in parts.items()}
    path = {part: [labels.path[decoded.names[number]] for number in numbers] for part, numbers in parts.items()}
    colours = labels.colours or _colours(masks.colours, classes)
    return Dataset(
        name=name,
        spec=Spec(preprocess.input, Mask(classes.names, tuple(colours))),
        preprocess=preprocess,
        train=columns["train"],
        validation=columns["validation"],
        test=Sealed(columns["test"]) if len(columns["test"]) else None,
        digest=digest,
        facts=[*told, *split_facts],
        bad=broken,
        findings=[*findings, *_noticed(classes, seen, path)],
        testing=testing,
    )


def meaning(pixels: np.ndarray, names: Sequence[str], ignore: Sequence[int]) -> Classes:
    """What the numbers of masks mean, of which there are so many pixels, int64 [256]: classes as they are, but for 0 and 255
    alone, and for a few numbers far apart.

    Raises `Problem` where fewer than two classes occur, and where most numbers are the soft edges of two.
    """
    numbers = set(np.flatnonzero(pixels).tolist())
    table = np.arange(256, dtype=np.uint8)
    table[list(ignore)] = IGNORED
    facts, found = [], list(names)
    used = sorted(numbers - {IGNORED} - set(ignore))
    spread = len(used) > 1 and used[-1] >= FAR_APART * len(used)
    if not names:
        _check_edges(pixels, ignore, MANY_SPREAD if spread else MANY)
    if numbers == {0, IGNORED} and not {0, IGNORED}.intersection(ignore) and len(names) in (0, 2):
        table[IGNORED] = 1
        found = found or ["background", "foreground"]
        facts.append("Masks hold only 0 and 255: 255 is read as class 1 (data.ignore=255 leaves it out).")
    elif not names and spread:
        # Among numbers such as 128, 255 is white; beside a few small ones it is what masks say of pixels without a class.
        if IGNORED in numbers and IGNORED not in ignore and used[-1] >= MANY:
            used.append(IGNORED)
        table[:] = IGNORED
        table[used] = np.arange(len(used))
        found = [str(value) for value in used]
        white = " (data.ignore=255 leaves 255 out)" if used[-1] == IGNORED else ""
        facts.append(
            f"Masks hold the numbers {', '.join(found)}: they are read as the classes 0 to {len(used) - 1}{white}."
        )
    elif not names:
        found = [str(value) for value in range(used[-1] + 1)] if used else []
    unknown = frozenset(value for value in numbers if len(found) <= table[value] < IGNORED)
    while found and len(found) - 1 in ignore:
        found.pop()
    if len({int(table[value]) for value in numbers - unknown} - {IGNORED}) < 2:
        held = ", ".join(str(value) for value in sorted(numbers)) or "nothing"
        raise Problem(
            f"All masks together hold fewer than two classes (their pixels are {held}): nothing is to be told apart."
        )
    without = [value for value in sorted(numbers) if table[value] == IGNORED]
    if without:
        said = ", ".join(f"{one} ({names[one]})" if one < len(names) else str(one) for one in without)
        share = pixels[without].sum() / pixels.sum()
        why = " (data.ignore)" if ignore else ""
        facts.append(f"Pixels of class {said} are neither learnt nor measured{why}: {100 * share:.2g} % of all.")
    return Classes(tuple(found), table, unknown, facts)


def _check_edges(pixels: np.ndarray, ignore: Sequence[int], many: int) -> None:
    """Raises `Problem` where more numbers than `many` stand in masks, and nearly all pixels have one of two."""
    counts = pixels.copy()
    counts[list(ignore)] = 0
    low, high = sorted(np.argsort(-counts, kind="stable")[:2].tolist())
    share, several = counts[[low, high]].sum() / max(1, counts.sum()), np.count_nonzero(counts)
    if several > many and share > MOSTLY:
        raise Problem(
            f"The masks hold {several} different numbers, and {low} and {high} alone have {share:.1%} of the pixels: these look "
            f"like soft edges of {low}/{high} masks. Threshold them, or name the classes in classes.txt."
        )


def _checked(options: recipe.Data, name: str, instead: str) -> tuple[tuple[int, ...], bool]:
    """The options of masks. Raises `Misuse`."""
    if options.resize is not None:
        raise Misuse(
            f"data.resize={options.resize} is for pictures whose centre is cut out: with masks they stay whole."
        )
    check_options(options, name, instead=instead)
    ignore, tile = getattr(options, "ignore", ()), getattr(options, "tile", False)
    if any(not 0 <= number <= IGNORED for number in ignore):
        raise Misuse(f"data.ignore={','.join(map(str, ignore))} is out of range: expected class numbers from 0 to 255.")
    return ignore, tile


def _at(pictures: Pile, bad: Sequence[Bad], failed: Mapping[str, Bad]) -> list[Bad]:
    """What cannot be used, with whole paths."""
    return [*bad, *(Bad(f"{pictures.path}/{one.path}", one.reason) for one in failed.values())]


def _unusable(broken: Sequence[Bad], good: int) -> Problem:
    head = f"{len(broken):,} of {len(broken) + good:,} pictures or masks cannot be used"
    return refused(head, broken, left=good)


def _colours(palette: Sequence[str], classes: Classes) -> list[str]:
    """Of each class, from the palette of the numbers; none unless the palette tells the classes apart."""
    if not palette:
        return []
    numbers = {int(one): number for number, one in reversed(list(enumerate(classes.table)))}
    colours = [palette[numbers.get(one, one)] for one in range(len(classes.names))]
    return colours if len(set(colours)) == len(colours) else []


def _noticed(
    classes: Classes, seen: Mapping[str, Sequence[Sequence[int]]], path: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """What a person should know of the classes in each part. `path` are the masks."""
    findings = []
    held = {
        part: [{int(classes.table[value]) for value in values} - {IGNORED} for values in one]
        for part, one in seen.items()
    }
    blank = [path[part][number] for part, one in held.items() for number, inside in enumerate(one) if not inside]
    if blank:
        what = "mask holds" if len(blank) == 1 else "masks hold"
        text = f"{len(blank):,} {what} nothing but pixels to be ignored (first: '{blank[0]}'): nothing is learnt from them."
        mend = "Label them, or remove them with their pictures."
        findings.append(Finding("warning", "all-ignored", text, mend, {"files": blank[:LISTED], "count": len(blank)}))
    present = {part: set().union(*one) for part, one in held.items()}
    measured = present["validation"] | present["test"]
    unseen = sorted(measured - present["train"])
    nowhere = sorted(set(range(len(classes.names))) - measured - present["train"])
    if unseen:
        names = ", ".join(f"'{classes.names[one]}'" for one in unseen)
        text = f"No training picture has {names}, which others have: it can never be learnt."
        findings.append(Finding("warning", "class-in-one-split", text, "Move some of their pictures to train."))
    if nowhere:
        names = ", ".join(f"'{classes.names[one]}'" for one in nowhere)
        findings.append(
            Finding("note", "absent-class", f"No mask has {names}.", "Correct the list of names, or ignore it.")
        )
    return findings

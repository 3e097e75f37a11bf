"""A folder or archive of pictures, one folder a class: the user's own data.

    train/<class>/..., val/<class>/..., test/<class>/...      or      <class>/...

as in torchvision's ImageFolder and the sets of the Visual Geometry Group before it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from deepen.data import archives, loose
from deepen.data.dataset import Bad, Dataset, Finding
from deepen.data.decode import Decoded, Shape, decode
from deepen.data.faults import refused
from deepen.data.image_files import ENDINGS
from deepen.data.layout import SPLITS, Layout, lay_out, natural, typos
from deepen.data.pictures import assemble, check_options
from deepen.data.piles import Pile, is_hidden, pile_at
from deepen.data.unread import unread
from deepen.errors import Misuse, Problem
from deepen.recipe import Data

SUMMARY = "your pictures: a folder or archive with one folder per class"
GENERAL = True
EXPECTED = "expected <folder>/<class>/<picture>, or <folder>/train/<class>/<picture> with val and test beside train"
# How many files are looked at to see whether a folder is one of pictures.
GLANCE = 10_000


def recognise(source: str) -> str | None:
    """The reason to read a path as pictures, None where it holds none in class folders or is neither folder nor archive."""
    path = Path(source).expanduser()
    if loose.recognise(source):
        return None
    if path.is_dir():
        for number, file in enumerate(path.rglob("*")):
            inside = file.relative_to(path).parts
            if file.suffix.lower() in ENDINGS and not any(is_hidden(part) for part in inside) and file.is_file():
                return "a folder of pictures"
            if number > GLANCE:
                break
    elif path.is_file() and archives.is_archive(path):
        for number, member in enumerate(archives.walk(path)):
            if member.name.lower().endswith(ENDINGS) and not any(is_hidden(part) for part in member.name.split("/")):
                return "an archive of pictures"
            if number > GLANCE:
                break
    return None


def load(source: str, options: Data, seed: int) -> Dataset:
    """The pictures of a folder or archive as uint8 rows [N, H, W, C], their class folders as targets.

    Raises `Problem` for a missing path, a layout without classes, a single class, and for unreadable pictures unless
    `options.skip_bad`.
    """
    check_options(options, source, second_test=True)
    pile = pile_at(source)
    decoded = decode(pile, Shape(options.size, options.size, options.channels, options.resize), threads=options.threads)
    layout = _classes_of(pile, decoded)
    names = layout.names
    facts, findings = _told(pile, decoded, layout)
    bad = [Bad(f"{pile.path}/{one.path}", one.reason) for one in decoded.bad]
    rows, splits, classes = decoded.rows, layout.splits, layout.classes
    folder = decoded.folder
    origins = [f"{pile.path}/{name}" for name in decoded.names]
    digest = pile.digest()
    if options.test is not None:
        if "test" in layout.split_folders.values():
            raise Misuse(f"data.test={options.test} is a second test split: '{source}' brings one in its test folder.")
        more = pile_at(options.test)
        _, height, width, channels = rows.shape
        sealed = decode(more, Shape(height, width, channels, options.resize), threads=options.threads)
        sealed_layout = _classes_of(more, sealed)
        unknown = [name for name in sealed_layout.names if name not in set(names)]
        if unknown:
            raise Problem(
                f"'{options.test}' has the class '{unknown[0]}', which '{source}' does not have: expected folders "
                f"named {_few(names)}."
            )
        bad += [Bad(f"{more.path}/{one.path}", one.reason) for one in sealed.bad]
        rows = torch.cat([rows, sealed.rows])
        folder = None
        splits = [*splits, *(["test"] * len(sealed.names))]
        classes = [*classes, *sealed_layout.classes]
        origins += [f"{more.path}/{name}" for name in sealed.names]
        digest = hashlib.sha256(f"{digest} {more.digest()}".encode()).hexdigest()
        facts.append(f"The test split is '{options.test}': {len(sealed.names):,} pictures.")
    if bad and not options.skip_bad:
        head = f"{len(bad):,} picture{'s' if len(bad) > 1 else ''} of {len(bad) + len(rows):,} cannot be read"
        raise refused(head, bad, left=len(rows))
    if bad:
        facts.append(f"{len(bad):,} pictures that cannot be read are left out (data.skip_bad).")
    used = np.array([name is not None for name in classes])
    if not used.all():
        rows = rows[torch.from_numpy(np.flatnonzero(used))]
        folder = None
        origins = [origin for origin, one in zip(origins, used, strict=True) if one]
        splits = [split for split, one in zip(splits, used, strict=True) if one]
    number = {name: position for position, name in enumerate(names)}
    labels = np.array([number[name] for name in classes if name is not None], dtype=np.int64)
    given = np.array(splits) if set(splits) != {"train"} else None
    return assemble(
        archives.stem(pile.path.resolve()),
        rows,
        labels,
        names,
        options,
        seed,
        digest=digest,
        given=given,
        origins=origins,
        facts=facts,
        bad=bad,
        findings=findings,
        folder=folder,
        second_test=True,
    )


def _classes_of(pile: Pile, decoded: Decoded) -> Layout:
    """The layout. Raises `Problem` with what was seen where it has fewer than two classes."""
    every = [*decoded.names, *(bad.path for bad in decoded.bad)]
    if not every:
        others = ", ".join(f"{count:,} {ending}" for ending, count in sorted(decoded.listing.others.items())[:5])
        raise Problem(
            f"There is no picture in '{pile.path}' (it holds {others or 'nothing'}): {EXPECTED} ({', '.join(ENDINGS)})."
        )
    layout = lay_out(every)
    parts = all(name.lower() in SPLITS for name in layout.names)  # train and test lie there, and are no classes
    broken = unread(pile) if len(layout.names) < 2 or parts else []
    if broken:
        raise Problem(
            f"'{pile.path}' holds {len(every):,} pictures and no labels that can be read. {broken[0].text} {broken[0].mend} "
            f"Without labels, {EXPECTED}."
        )
    if not layout.names:
        raise Problem(
            f"'{pile.path}' holds {len(every):,} pictures but no class folders (such as '{every[0]}'): {EXPECTED}."
        )
    if len(layout.names) == 1:
        raise Problem(
            f"'{pile.path}' has one class only, '{layout.names[0]}': at least two are needed to tell apart; {EXPECTED}."
        )
    good = len(decoded.names)
    return Layout(layout.wrapping, layout.split_folders, layout.classes[:good], layout.splits[:good])


def _told(pile: Pile, decoded: Decoded, layout: Layout) -> tuple[list[str], list[Finding]]:
    """What was detected, in sentences, and what a person should know."""
    what = "A folder" if pile.path.is_dir() else "An archive"
    names = layout.names
    if layout.split_folders:
        counts = Counter(split for split, name in zip(layout.splits, layout.classes, strict=True) if name is not None)
        where = ", ".join(f"{counts[split]:,} in {folder}/" for folder, split in layout.split_folders.items())
    else:
        where = f"{sum(name is not None for name in layout.classes):,}"
    facts = [f"{what} of pictures: {where}, {len(names)} classes ({_few(names)}).", *decoded.facts]
    others = sum(decoded.listing.others.values())
    if others:
        endings = ", ".join(sorted(decoded.listing.others)[:5])
        facts.append(f"{others:,} other files are not pictures by their ending and are left out ({endings}).")
    findings = [*typos(names), *unread(pile, folders=False)]
    if decoded.listing.empty:
        findings.append(
            Finding(
                "warning",
                "empty-folder",
                f"{len(decoded.listing.empty):,} folders hold no picture and are no class: "
                f"{_few(decoded.listing.empty)}.",
                "Put pictures into them or remove them.",
                {"folders": list(decoded.listing.empty)},
            )
        )
    loose = [name for name, one in zip(decoded.names, layout.classes, strict=True) if one is None]
    if loose:
        findings.append(
            Finding(
                "warning",
                "no-class",
                f"{len(loose):,} pictures lie in no class folder and are not used, such as '{loose[0]}'.",
                "Move each into the folder of its class.",
                {"count": len(loose)},
            )
        )
    findings += _lopsided(layout)
    return facts, findings


def _lopsided(layout: Layout) -> list[Finding]:
    """Classes that are too small, or that one split has and another has not."""
    findings = []
    sizes = Counter(name for name in layout.classes if name is not None)
    single = sorted((name for name, count in sizes.items() if count == 1), key=natural)
    if single:
        findings.append(
            Finding(
                "warning",
                "tiny-class",
                f"{len(single)} class{'es have' if len(single) > 1 else ' has'} one picture only: {_few(single)}. "
                "It cannot be both learnt and measured.",
                "Add pictures or remove the folder.",
                {"names": single},
            )
        )
    pairs = set(zip(layout.classes, layout.splits, strict=True))
    have = {
        split: {name for name, one in pairs if one == split and name is not None}
        for split in set(layout.split_folders.values())
    }
    for split, present in have.items():
        missing = sorted(have["train"] - present, key=natural)
        unseen = sorted(present - have["train"], key=natural)
        if unseen:
            findings.append(
                Finding(
                    "error",
                    "class-in-one-split",
                    f"The {split} split has classes that train has not and that can never be learnt: {_few(unseen)}.",
                    "Move some of their pictures to train, or correct the folder names.",
                    {"split": split, "names": unseen},
                )
            )
        if missing:
            findings.append(
                Finding(
                    "warning",
                    "class-in-one-split",
                    f"The {split} split lacks classes that train has, so that they are not measured: {_few(missing)}.",
                    f"Move some of their pictures to {split}, or correct the folder names.",
                    {"split": split, "names": missing},
                )
            )
    return findings


def _few(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6:,} more" if len(names) > 6 else "")

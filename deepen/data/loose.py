"""Pictures without labels: a folder or archive that has no class folders, or a single picture.

For tasks that learn from pictures alone. They are cut square like those of `folder`, but larger; a single one keeps its form.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepen.data import archives
from deepen.data.dataset import Bad, Columns, Dataset, Sealed
from deepen.data.decode import Decoded, Shape, decode, survey
from deepen.data.faults import refused
from deepen.data.image_files import ENDINGS, Header
from deepen.data.pictures import check_options, normalised, picked, shared_out
from deepen.data.piles import Listing, Pile, is_hidden, pile_at
from deepen.data.pixels import ImagePreprocess
from deepen.data.splits import split
from deepen.data.unread import unread
from deepen.errors import Misuse, Problem
from deepen.recipe import Data
from deepen.spec import Nothing, Spec

SUMMARY = "your pictures without classes: a folder or archive of them, or a single one"
GENERAL = True

SIDES = (32, 48, 64, 96, 128, 192, 256)
"""What the sides of many pictures are brought to unless another size is asked for."""
LONGEST = 384
"""Pixels of the longer side of a single picture, likewise."""
GLANCE = 10_000
"""How many files are looked at to see whether there are class folders."""


def recognise(source: str) -> str | None:
    """The reason to read a path as pictures without classes, None where there are class folders or no pictures."""
    path = Path(source).expanduser()
    if path.is_file() and path.suffix.lower() in ENDINGS:
        return "a picture"
    if path.is_dir() and _without_classes(_in_folder(path), ("",)):
        return "a folder of pictures without classes"
    # What is packed together mostly lies in one folder, which is no class then.
    if path.is_file() and archives.is_archive(path) and _without_classes(_in_archive(path), ("", None)):
        return "an archive of pictures without classes"
    return None


def _in_folder(path: Path) -> Iterator[str]:
    """The files of a folder, a glance of them, each as its name in it with `/`."""
    for number, file in enumerate(path.rglob("*")):
        if file.suffix.lower() in ENDINGS and file.is_file():
            yield file.relative_to(path).as_posix()
        if number > GLANCE:
            return


def _in_archive(path: Path) -> Iterator[str]:
    for number, member in enumerate(archives.walk(path)):
        if not member.is_folder:
            yield member.name
        if number > GLANCE:
            return


def _without_classes(names: Iterable[str], folders: tuple[str | None, ...]) -> bool:
    """Whether there are pictures, all in one of these folders; None is any one that lies in no other."""
    found: str | None = None
    for name in names:
        folder, _, last = name.rpartition("/")
        if not last.lower().endswith(ENDINGS) or any(is_hidden(part) for part in name.split("/")):
            continue
        if folder not in folders and (None not in folders or "/" in folder):
            return False
        if found not in (None, folder):
            return False
        found = folder
    return found is not None


class One(Pile):
    """A single picture."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def digest(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def listing(self) -> Listing:
        return Listing((self.path.name,), {}, ())

    def items(self) -> Iterator[tuple[int, Path | bytes]]:
        yield 0, self.path


def load(source: str, options: Data, seed: int) -> Dataset:
    """Pictures as uint8 rows [N, H, W, C], with no targets. A single one is what is trained and validated on alike.

    Raises `Problem` for a missing path and, unless `options.skip_bad`, for unreadable pictures.
    """
    check_options(options, source, instead="pictures without classes are split from the seed")
    path = Path(source).expanduser()
    pile = One(path) if path.is_file() and path.suffix.lower() in ENDINGS else pile_at(source)
    decoded, facts = _decoded(pile, options)
    if isinstance(pile, One):
        name, origins = path.resolve().stem, [str(path)]
        bad = [Bad(str(path), one.reason) for one in decoded.bad]
    else:
        name, origins = archives.stem(path.resolve()), [f"{pile.path}/{one}" for one in decoded.names]
        bad = [Bad(f"{pile.path}/{one.path}", one.reason) for one in decoded.bad]
    count = len(decoded.rows)
    if bad and (count == 0 or not options.skip_bad):
        head = f"{len(bad):,} picture{'s' if len(bad) > 1 else ''} of {len(bad) + count:,} cannot be read"
        raise refused(head, bad, left=count)
    if bad:
        facts.append(f"{len(bad):,} pictures that cannot be read are left out (data.skip_bad).")
    if count == 1:
        parts = {"train": np.arange(1), "validation": np.arange(1), "test": np.arange(0)}
        facts.append("One picture: what is trained on is what is validated on, and nothing is held out.")
    else:
        # Of two, one has to validate; there is none to seal.
        shares = replace(options, test_fraction=0.0) if count == 2 else options
        parts, told = split(count, shares, seed)
        facts += told
    inputs = shared_out(decoded.rows, {part: index for part, index in parts.items() if len(index)}, decoded.folder)
    columns = {
        part: Columns({"input": rows}, picked(origins, parts[part]), mapped=decoded.folder is not None)
        for part, rows in inputs.items()
    }
    train = columns["train"]
    preprocess = replace(normalised(ImagePreprocess, train["input"], options), resize=options.resize)
    return Dataset(
        name=name,
        spec=Spec(preprocess.input, Nothing()),
        preprocess=preprocess,
        train=train,
        validation=columns["validation"] if count > 1 else train,
        test=Sealed(columns["test"]) if "test" in columns else None,
        digest=pile.digest(),
        facts=facts,
        bad=bad,
        findings=[] if isinstance(pile, One) else unread(pile),
        testing="" if count > 2 else "take three pictures or more",
    )


def _decoded(pile: Pile, options: Data) -> tuple[Decoded, list[str]]:
    """The pictures in a size that suits them, and what was decided, in sentences."""
    single = isinstance(pile, One)
    what = "A picture" if single else "A folder of pictures" if pile.path.is_dir() else "An archive of pictures"
    if single and options.resize is not None:
        raise Misuse(
            f"data.resize={options.resize} cuts out a centre, and a single picture is kept whole: leave it out."
        )
    facts: list[str] = []
    shape = Shape(options.size, options.size, options.channels, options.resize)
    if options.size is None or single:
        headers = list(survey(pile, threads=options.threads)[0].values())
        if headers:
            height, width, why = _whole(headers[0], options.size) if single else _square(headers)
            shape, facts = Shape(height, width, options.channels), [why]
    decoded = decode(pile, shape, threads=options.threads)
    if not decoded.names and not decoded.bad:
        others = ", ".join(f"{count:,} {ending}" for ending, count in sorted(decoded.listing.others.items())[:5])
        raise Problem(
            f"There is no picture in '{pile.path}' (it holds {others or 'nothing'}): expected {', '.join(ENDINGS)}."
        )
    count = len(decoded.names)
    where = what if single else f"{what} without classes: {count:,}"
    _, height, width, channels = decoded.rows.shape
    if not facts:
        facts = [f"Pictures are brought to {height}x{width} (data.size)."]
    if channels == 1:
        facts.append("They are grey (data.channels=3 for three equal channels)." if count > 1 else "It is grey.")
    return decoded, [f"{where}.", *facts]


def _square(headers: list[Header]) -> tuple[int, int, str]:
    """Height and width for pictures of these headers, and why."""
    sizes = {(one.height, one.width) for one in headers}
    height, width = next(iter(sizes))
    if len(sizes) == 1 and max(height, width) <= SIDES[-1]:
        return height, width, f"All pictures are {height}x{width} pixels and stay so."
    shorter = statistics.median(min(one.height, one.width) for one in headers)
    side = max((side for side in SIDES if side <= shorter), default=SIDES[0])
    return (
        side,
        side,
        (
            f"Their median shorter side is {shorter:g}: they are brought to {side}x{side}, shorter side scaled, centre cropped "
            "(data.size=... for another)."
        ),
    )


def _whole(one: Header, longest: int | None) -> tuple[int, int, str]:
    """Height and width for a single picture, which keeps its form, and why."""
    long = max(one.height, one.width)
    wanted = longest or min(long, LONGEST)
    height, width = (max(1, round(side * wanted / long)) for side in (one.height, one.width))
    if (height, width) == (one.height, one.width):
        return height, width, f"It is {height}x{width} pixels and stays so."
    return (
        height,
        width,
        f"It is brought from {one.height}x{one.width} to {height}x{width} (data.size is its longer side).",
    )

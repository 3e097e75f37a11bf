"""A folder or archive of pictures with a mask of the same name for each: the user's own data.

    images/... with masks/...      train/images/... with train/masks/...      train/... with trainannot/...      img/ with ann/

Masks hold a class number for each pixel: 8-bit grey, or a palette. Names of the classes stand in `classes.txt`, a name a line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from deepen.data import archives, documents
from deepen.data.dataset import Bad, Dataset, Finding
from deepen.data.faults import LISTED
from deepen.data.framed import MOST_TILED
from deepen.data.image_files import ENDINGS, UnreadableError, opened
from deepen.data.layout import SPLITS
from deepen.data.mask_rows import Labels
from deepen.data.masks import Options, assemble
from deepen.data.piles import PartOfPile, Pile, is_hidden, pile_at
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = "your pictures with a mask for each: images/ and masks/, or train/ and trainannot/"
Config = Options

PICTURES = {
    *("image", "images", "img", "imgs", "picture", "pictures", "photo", "photos"),
    *("input", "inputs", "rgb", "jpgs", "jpegs", "leftimg8bit"),
}
MASKS = {
    *("mask", "masks", "label", "labels", "annotation", "annotations", "annot", "annots", "ann", "anns"),
    *("gt", "gts", "groundtruth", "ground_truth", "gtfine", "target", "targets"),
    *("seg", "segs", "segmentation", "segmentations"),
}
"""Names of folders, in small letters."""
MASK_FOLDER = re.compile(r"(.+?)[_-]?(masks?|labels?|annot(?:ation)?s?|gts?|segmentations?)")
PICTURE_FOLDER = re.compile(r"(.+?)[_-]?(images?|imgs?)")
"""Folders such as trainannot, train_masks and train_images, which say what they are at the end."""
MASK_STEM = re.compile(
    r"(.+?)(_gtfine)?[_-](masks?|gt|labels?|labelids|labeltrainids|seg|segmentation|annotation|annot|l)$", re.I
)
PICTURE_STEM = re.compile(r"(.+?)[_-](image|img|leftimg8bit|rgb)$", re.I)
NAMES = ("classes.txt", "names.txt", "labels.txt", "classes.json", "names.json", "labels.json")
TESTING = "put test pictures and masks into folders named test"
EXPECTED = "expected images/NAME.jpg and masks/NAME.png"
MOST_NAMES_BYTES = 2**20


@dataclass
class Pairs:
    """Which mask belongs to which picture, by relative names."""

    mask_of: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    """Of each picture."""
    bad: list[Bad] = field(default_factory=list)
    """Pictures without a mask, masks without a picture."""
    loose: list[str] = field(default_factory=list)
    """Pictures that lie beside the folder of pictures."""
    same: list[tuple[str, str]] = field(default_factory=list)
    """Pictures that are left out, each after the one of the same name but for its ending that is used."""

    @property
    def findings(self) -> list[Finding]:
        if not self.same:
            return []
        used, left = self.same[0]
        what = "1 picture has" if len(self.same) == 1 else f"{len(self.same):,} pictures have"
        text = (
            f"{what} the name of another but for the ending, and one mask for both: the first by name is used (first: '{used}' "
            f"is, '{left}' is left out)."
        )
        files = [left for _, left in self.same[:LISTED]]
        mend = "Remove one of the two, or rename it and give it a mask of its own."
        return [Finding("warning", "same-name", text, mend, {"files": files, "count": len(self.same)})]


def recognise(source: str) -> str | None:
    """The reason to read a path as pictures with masks: some pictures have one, and those are not the exception."""
    pictures = [name for name in documents.glance(source) if name.lower().endswith(ENDINGS)]
    pairs = pair(pictures)
    if len(pairs.mask_of) <= len(pairs.bad):
        return None
    return f"{'a folder' if Path(source).expanduser().is_dir() else 'an archive'} of pictures with masks"


def load(source: str, options: Data, seed: int) -> Dataset:
    """Pictures as letterboxed uint8 rows [N, H, W, C] with their masks, uint8 [N, H, W]."""
    pile = pile_at(source)
    pairs = pair(pile.listing().pictures)
    if not pairs.mask_of:
        raise Problem(f"'{source}' has no picture with a mask of the same name: {EXPECTED}.")
    names, where, findings = named(pile)
    kind = "A folder" if pile.path.is_dir() else "An archive"
    facts = [f"{kind} of {len(pairs.mask_of):,} pictures with a mask for each."]
    if names:
        facts.append(f"Names of {len(names)} classes from '{where}'.")
    if pairs.loose:
        facts.append(
            f"{len(pairs.loose):,} pictures lie beside the folder of pictures and are left out ('{pairs.loose[0]}')."
        )
    return from_pairs(
        archives.stem(pile.path.resolve()), pile, pairs, options, seed, names=names, facts=facts, findings=findings
    )


def from_pairs(
    name: str,
    pile: Pile,
    pairs: Pairs,
    options: Data,
    seed: int,
    *,
    names: Sequence[str] = (),
    colours: Sequence[str] = (),
    facts: Sequence[str] = (),
    findings: Sequence[Finding] = (),
) -> Dataset:
    """A data set from the pictures and masks of a pile."""
    picture_of = {mask: picture for picture, mask in pairs.mask_of.items()}
    masks = PartOfPile(pile, picture_of)
    in_order = masks.listing().pictures

    def items() -> Iterator[tuple[str, Any]]:
        return ((picture_of[in_order[number]], item) for number, item in masks.items())

    labels = Labels(masks.digest(), items, read_mask, pairs.mask_of, tuple(names), tuple(colours))
    bad = [Bad(f"{pile.path}/{one.path}", one.reason) for one in pairs.bad]
    digest = hashlib.sha256(f"{pile.digest()} {list(names)}".encode()).hexdigest()
    pictures = PartOfPile(pile, pairs.mask_of)
    return assemble(
        name, pictures, labels, pairs.splits, options, seed,
        digest=digest, testing=TESTING, facts=facts, bad=bad, findings=[*pairs.findings, *findings],
    )  # fmt: skip


def pair(names: Iterable[str]) -> Pairs:
    """Pictures and their masks among relative names with `/`."""
    lying: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        lying[_folder(PurePosixPath(name).parent)].append(name)
    masks = {key: inside for (role, key), inside in lying.items() if role == "mask"}
    pictures: dict[str, dict[str, str]] = {}
    found = Pairs()
    again: list[tuple[str, str, str]] = []
    for role, key in lying:
        if role == "" and ("picture", key) in lying:
            found.loose += lying[role, key]
        elif role != "mask":
            pictures[key] = {}
            for name in sorted(lying[role, key]):
                used = pictures[key].setdefault(PurePosixPath(name).stem, name)
                if used != name:
                    again.append((key, used, name))
    for key, inside in pictures.items():
        if key not in masks:  # pictures and masks in one folder, told apart by NAME_mask
            own = [name for stem, name in inside.items() if (base := MASK_STEM.fullmatch(stem)) and base[1] in inside]
            masks[key] = own
            for name in own:
                del inside[PurePosixPath(name).stem]
    for key, several in masks.items():
        inside = pictures.get(key, {})
        bare = {base[1]: name for stem, name in inside.items() if (base := PICTURE_STEM.fullmatch(stem))}
        for mask in several:
            stem = PurePosixPath(mask).stem
            base = MASK_STEM.fullmatch(stem)
            stems = (stem, base[1]) if base else (stem,)
            picture = next((there[one] for there in (inside, bare) for one in stems if one in there), None)
            if picture is None:
                found.bad.append(Bad(mask, f"there is no picture of that name: {EXPECTED}"))
            elif picture in found.mask_of:
                found.bad.append(Bad(mask, f"'{picture}' has another mask, '{found.mask_of[picture]}': expected one"))
            else:
                found.mask_of[picture] = mask
                found.splits[picture] = next((SPLITS[part] for part in key.split("/") if part in SPLITS), "train")
    lone = [name for key, inside in pictures.items() if masks[key] for name in inside.values()]
    lone += [name for key, used, name in again if masks[key] and used not in found.mask_of]
    found.bad += [Bad(name, f"it has no mask: {EXPECTED}") for name in lone if name not in found.mask_of]
    found.same = [(used, name) for _, used, name in again if used in found.mask_of]
    return found


def read_mask(item: Any) -> tuple[np.ndarray, list[str] | None]:
    """A mask uint8 [h, w] of class numbers and the colours of its palette, if it has one. Raises `UnreadableError`."""
    with opened(item, MOST_TILED) as image:
        if image.format == "JPEG":
            raise UnreadableError("it is a JPEG, whose compression changes class numbers: expected PNG")
        palette = image.getpalette("RGB") if image.mode == "P" else None
        values, mode = np.asarray(image), image.mode
    if values.ndim == 3:
        raise UnreadableError(f"its pixels are colours ({mode}): expected class numbers, as 8-bit grey or a palette")
    if values.dtype == np.uint8:
        return values, _hex(palette)
    low, high = values.min(), values.max()
    if values.dtype.kind == "f" or low < 0 or high > 255:
        raise UnreadableError(f"its pixels go from {low:g} to {high:g}: expected class numbers from 0 to 255")
    return values.astype(np.uint8), None


def named(pile: Pile) -> tuple[list[str], str, list[Finding]]:
    """The names of the classes, the file that says them, and which of its lines are none; nothing where there is no such file.

    A line or a JSON list has a name each; `NUMBER NAME` lines and JSON objects of number and name say the number too.
    """
    for place, text in _texts(pile):
        remarks = [] if place.endswith(".json") else [line for line in _lines(text) if line.startswith("#")]
        return _names(text, place), place, _remarked(remarks, place)
    return [], "", []


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _remarked(lines: Sequence[str], place: str) -> list[Finding]:
    """Lines that are read as remarks, which a name would be too that begins with #: all after it would be of another number."""
    if not lines:
        return []
    what = "1 line" if len(lines) == 1 else f"{len(lines):,} lines"
    text = f"{what} of '{place}' that begin{'s' if len(lines) == 1 else ''} with # count as no class (first: '{lines[0]:.40}')."
    mend = "If that is the name of a class, number all lines: `0 sky`, `1 #road`."
    return [Finding("warning", "remark", text, mend, {"lines": list(lines[:LISTED])})]


def _texts(pile: Pile) -> Iterator[tuple[str, str]]:
    """Files called like one of `NAMES`, the outermost first, as (name, text)."""
    found: list[tuple[str, bytes]] = []
    if pile.path.is_dir():
        tops = {str(parent) for name in pile.listing().pictures for parent in PurePosixPath(name).parents}
        for name in sorted(tops, key=lambda top: (top.count("/") + (top != "."), top)):
            for path in (pile.path / name / one for one in NAMES):
                if path.is_file():
                    found.append((str(path), path.read_bytes()[:MOST_NAMES_BYTES]))
    else:
        for member in archives.walk(pile.path):
            if PurePosixPath(member.name).name.lower() in NAMES and not is_hidden(PurePosixPath(member.name).name):
                found.append((f"{pile.path}/{member.name}", member.read()[:MOST_NAMES_BYTES]))
        found.sort(key=lambda pair: (pair[0].count("/"), pair[0]))
    for place, content in found:
        try:
            yield place, content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Problem(f"'{place}' is not UTF-8 text: expected a class name a line.") from None


def _names(text: str, place: str) -> list[str]:
    numbered: dict[int, str] = {}
    if place.endswith(".json"):
        try:
            content = json.loads(text)
        except ValueError as error:
            raise Problem(f"'{place}' is not JSON ({error}): expected a list of class names.") from None
        if isinstance(content, dict) and all(isinstance(value, int) for value in content.values()):
            content = {str(value): name for name, value in content.items()}
        if isinstance(content, dict) and all(key.isdecimal() for key in content):
            numbered = {int(key): str(value) for key, value in content.items()}
        elif isinstance(content, list):
            numbered = {number: str(value) for number, value in enumerate(content)}
    else:
        lines = [line for line in _lines(text) if not line.startswith("#")]
        matches = [re.fullmatch(r"(\d+)\s*[\s:,;]\s*(\S.*)", line) for line in lines]
        numbered = {int(match[1]): match[2] for match in matches if match}
        if len(numbered) < len(lines):
            numbered = dict(enumerate(lines))
    if not numbered or max(numbered) > 254:
        raise Problem(
            f"'{place}' names no classes from 0 to 254: expected a class name a line, or a JSON list of them."
        )
    names = [numbered.get(number, str(number)) for number in range(max(numbered) + 1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Problem(f"'{place}' has the class name '{twice[0]}' twice: expected each once.")
    return names


def _folder(folder: PurePosixPath) -> tuple[str, str]:
    """Whether a folder is said to hold pictures or masks, and where it lies but for that: `train/masks` -> mask, `train`."""
    role, rest = "", []
    for part in folder.parts:
        low = part.lower()
        if low in PICTURES or low in MASKS:
            role = "mask" if low in MASKS else role or "picture"
        elif (match := MASK_FOLDER.fullmatch(low)) and (match[1] in SPLITS or match[1] in PICTURES):
            role = "mask"
            rest += [match[1]] if match[1] in SPLITS else []
        elif (match := PICTURE_FOLDER.fullmatch(low)) and match[1] in SPLITS:
            rest.append(match[1])
        else:
            rest.append(low if low in SPLITS else part)
    return role, "/".join(rest)


def _hex(palette: Sequence[int] | None) -> list[str] | None:
    """A palette red, green, blue, red ... as #rrggbb, filled up with black to 256."""
    if palette is None:
        return None
    full = [*palette, *([0] * (768 - len(palette)))]
    return [f"#{full[at]:02x}{full[at + 1]:02x}{full[at + 2]:02x}" for at in range(0, 768, 3)]

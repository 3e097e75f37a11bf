"""Pictures with boxes in the format of the Pascal VOC challenges (Everingham et al., 2010): one XML file a picture.

    Annotations/<name>.xml, JPEGImages/<name>.jpg, ImageSets/Main/{train,val,trainval,test}.txt      or
    train/<name>.jpg, train/<name>.xml, valid/..., test/...      or both beside each other without parts

Corners are taken as edges, as labelImg, CVAT and Roboflow write them; the sets of the challenges themselves count pixels
from 1, which puts their left and top edges one pixel too far in. XML comes from anyone: a document type, in which entities
are declared, is refused, and nothing outside of the file is ever read.

Objects marked as difficult are ignored, as by the challenges' own programs: nothing is learnt where they lie, and who finds one
is neither right nor wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from xml.parsers import expat

from deepen.data import archives, documents
from deepen.data.box_checks import Labels
from deepen.data.boxes import assemble
from deepen.data.dataset import Bad, Dataset, Finding
from deepen.data.documents import BrokenError, class_name, plain
from deepen.data.faults import unlabelled
from deepen.data.image_files import ENDINGS
from deepen.data.layout import SPLITS, natural, one_part_each
from deepen.data.piles import pile_at
from deepen.errors import Problem
from deepen.recipe import Data
from deepen.spec import ignored

SUMMARY = "your pictures with boxes as Pascal VOC: a folder or archive with an XML file for each picture"
MOST_BYTES = 2**22
"""Of one XML file; those of the challenges have some thousand."""
ANNOTATIONS = "annotations"
PICTURES = ("jpegimages", "images", "image", "imgs", "img", "pictures", "photos")
"""Folders beside `Annotations`, in any case of letters."""
LEAVES = frozenset(("filename", "height", "width", "name", "difficult", "xmin", "ymin", "xmax", "ymax"))
TESTING = "list its pictures in ImageSets/Main/test.txt, or where there are no lists put them into a folder named test"
LISTS = {"train": "train", "trainval": "train", "val": "validation", "test": "test"}


def recognise(source: str) -> str | None:
    """The reason to read a path as Pascal VOC: an XML file that belongs to a picture by name and folder."""
    names = documents.glance(source)
    pictures = _by_stem([name for name in names if name.lower().endswith(ENDINGS)])
    for name in names:
        if name.lower().endswith(".xml"):
            # In a glance the picture of this very file may be missing.
            folder = PurePosixPath(name).parent
            if _picture(name, pictures) or (folder.name.lower() == ANNOTATIONS and pictures):
                return "pictures with boxes in XML files (Pascal VOC)"
    return None


def load(source: str, options: Data, seed: int) -> Dataset:
    """The pictures as uint8 rows [N, H, W, C] and their boxes, see `data/boxes.py`."""
    pile = pile_at(source)
    files, bad = documents.collect(
        pile.path, lambda name: name.lower().endswith(".xml") or _list_of(name) is not None, MOST_BYTES
    )
    pictures = _by_stem(pile.listing().pictures)
    parts, told, broken = _parts({name: content for name, content in files.items() if _list_of(name)})
    bad = [*bad, *broken]
    labels = Labels()
    without_part: list[str] = []
    used: set[str] = set()
    things: list[tuple[int, Thing, str]] = []
    folders = _folders(files)
    for name, content in files.items():
        if not name.lower().endswith(".xml"):
            continue
        try:
            annotation = parse(content)
        except BrokenError as error:
            bad.append(Bad(name, str(error)))
            continue
        picture = _picture(name, pictures) or _picture(str(PurePosixPath(name).parent / annotation.filename), pictures)
        if picture is None:
            bad.append(
                Bad(name, plain(f"its picture '{annotation.filename or PurePosixPath(name).stem}' is not there"))
            )
            continue
        if picture in used:
            bad.append(Bad(name, f"it labels the picture '{picture}', which another file labels too"))
            continue
        used.add(picture)
        stem = PurePosixPath(name).stem
        part = parts[stem][0] if stem in parts else None if parts else folders.get(name)
        if part is None:
            without_part.append(picture)
            continue
        owner = labels.picture(picture, part, annotation.size)
        for number, thing in enumerate(annotation.objects, 1):
            things.append((owner, thing, f"object {number} of {name}"))
    labels.names = sorted({thing.name for _, thing, _ in things if not thing.difficult}, key=natural)
    number_of = {name: number for number, name in enumerate(labels.names)}
    classless: list[str] = []
    for owner, thing, place in things:
        if thing.name in number_of:
            number = number_of[thing.name]
            labels.box(owner, thing.corners, ignored(number, crowd=False) if thing.difficult else number, place)
        else:
            classless.append(place)
    bad += _missing(parts, used, bad)
    if not labels.pictures and not bad:
        raise Problem(
            f"'{source}' has no picture that an XML file belongs to: expected Annotations/ beside JPEGImages/."
        )
    findings = [*told, *_left_out(classless, without_part, used, pile.listing().pictures)]
    return assemble(
        archives.stem(pile.path.resolve()),
        pile,
        labels,
        options,
        seed,
        kind="Pascal VOC",
        testing=TESTING,
        digest=documents.digest(files, pile.digest()),
        bad=bad,
        findings=findings,
    )


@dataclass
class Thing:
    """An object of an annotation."""

    name: str = ""
    difficult: bool = False
    corners: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass
class Annotation:
    """What one XML file says of its picture."""

    filename: str = ""
    size: tuple[int, int] | None = None
    """Height and width; None where the file has none, or zeros."""
    objects: list[Thing] = field(default_factory=list)


def parse(content: bytes) -> Annotation:
    """An annotation from the bytes of its file. Raises `BrokenError` with what is wrong and where."""
    path: list[str] = []
    texts: list[dict[str, str]] = []  # of each object, by the path of its elements
    outside: dict[str, str] = {}  # of what stands outside of objects
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(tag: str, _: dict[str, str]) -> None:
        path.append(tag)
        if path[0] != "annotation":
            raise BrokenError(f"it begins with <{path[0]:.40}>, expected <annotation>")
        if path == ["annotation", "object"]:
            texts.append({})
        parser.CharacterDataHandler = text if tag in LEAVES else None

    def end(_: str) -> None:
        path.pop()
        parser.CharacterDataHandler = None

    def text(characters: str) -> None:
        inside = texts[-1] if path[1:2] == ["object"] else outside
        key = "/".join(path[2:] if path[1:2] == ["object"] else path[1:])
        inside[key] = inside.get(key, "") + characters

    def refuse(*_: object) -> None:
        raise BrokenError("it declares a document type (DTD), which annotations do not need and which is not read")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise BrokenError(
            f"it is no well-formed XML ({expat.ErrorString(error.code)} in line {error.lineno})"
        ) from None
    except (LookupError, ValueError) as error:  # of encodings
        raise BrokenError(f"it cannot be decoded ({error})") from None
    size = tuple(_number(outside.get(f"size/{side}", "0"), f"the {side}") for side in ("height", "width"))
    known = all(1 <= side < 2**31 for side in size)
    return Annotation(
        outside.get("filename", "").strip().replace("\\", "/").rpartition("/")[2],
        (int(size[0]), int(size[1])) if known else None,
        [_thing(one, number) for number, one in enumerate(texts, 1)],
    )


def _thing(texts: Mapping[str, str], number: int) -> Thing:
    try:
        name = class_name(texts.get("name", ""))
    except BrokenError as error:
        raise BrokenError(f"its object {number} {error}") from None
    sides = []
    for side in ("xmin", "ymin", "xmax", "ymax"):
        if f"bndbox/{side}" not in texts:
            raise BrokenError(f"its object {number} ('{name}') has no {side}")
        sides.append(_number(texts[f"bndbox/{side}"], f"{side} of object {number} ('{name}')"))
    difficult = texts.get("difficult", "0").strip()
    return Thing(name, difficult not in ("", "0"), (sides[0], sides[1], sides[2], sides[3]))


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BrokenError(f"{what} is '{text.strip():.40}', expected a number") from None


def _by_stem(names: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[PurePosixPath(name).stem].append(name)
    return found


def _picture(name: str, pictures: Mapping[str, list[str]]) -> str | None:
    """The picture of the same stem beside an XML file, above it, or in the folder of pictures that mirrors its own."""
    path = PurePosixPath(name)
    here = path.parent.parts
    ranked = []
    for candidate in pictures.get(path.stem, ()):
        there = PurePosixPath(candidate).parent.parts
        mirrored = len(here) == len(there) and all(
            a == b or b.lower() in PICTURES for a, b in zip(here, there, strict=True)
        )
        if mirrored or there == here[:-1]:
            ranked.append((there != here, not mirrored, candidate))
    return min(ranked)[2] if ranked else None


def _list_of(name: str) -> str | None:
    """The part that a file of `ImageSets/Main` lists, None for any other file."""
    path = PurePosixPath(name)
    inside = [part.lower() for part in path.parent.parts[-2:]]
    return path.stem if inside == ["imagesets", "main"] and path.suffix == ".txt" and path.stem in LISTS else None


Parts = dict[str, tuple[str, str]]
"""The part of each stem, and the line that says so."""


def _parts(lists: Mapping[str, bytes]) -> tuple[Parts, list[Finding], list[Bad]]:
    """What the lists say."""
    bad: list[Bad] = []
    place: dict[tuple[str, str], str] = {}
    train = any(_list_of(name) == "train" for name in lists)
    for name in sorted(lists, key=lambda name: list(LISTS).index(_list_of(name) or "")):
        if _list_of(name) == "trainval" and train:
            continue
        try:
            lines = lists[name].decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            bad.append(Bad(name, "it is not written in UTF-8"))
            continue
        for number, line in enumerate(lines, 1):
            stem = line.strip()
            if stem.lower().endswith(ENDINGS):
                stem = PurePosixPath(stem).stem
            if stem:
                place[stem, LISTS[_list_of(name) or ""]] = f"line {number} of {name}"
    found, findings = one_part_each(place, "lists")
    return {stem: (part, place[stem, part]) for stem, part in found.items()}, findings, bad


def _folders(names: Collection[str]) -> dict[str, str | None]:
    """The part of each XML file by a folder called train, valid or test; all of them "train" where that tells nothing."""
    found = {
        name: next((SPLITS[part.lower()] for part in PurePosixPath(name).parent.parts if part.lower() in SPLITS), None)
        for name in names
        if name.lower().endswith(".xml")
    }
    return found if len(set(found.values()) - {None}) > 1 else dict.fromkeys(found, "train")


def _missing(parts: Parts, used: Collection[str], bad: Sequence[Bad]) -> list[Bad]:
    """Names in the lists that no picture or no XML file has, unless that has been said already."""
    known = {PurePosixPath(name).stem for name in (*used, *(one.path for one in bad))}
    return [
        Bad(
            place.partition(" of ")[2],
            f"{place.partition(' of ')[0]} names '{stem}', which has no picture with an XML file",
        )
        for stem, (_, place) in parts.items()
        if stem not in known
    ]


def _left_out(
    classless: Sequence[str], without_part: Sequence[str], used: Collection[str], pictures: Sequence[str]
) -> list[Finding]:
    findings = []
    if classless:
        text = (
            f"{len(classless):,} difficult objects are of classes that have no other (first: {classless[0]}): these are no "
            "classes, and their objects are background."
        )
        findings.append(Finding("note", "difficult", text, "", {"count": len(classless)}))
    if without_part:
        text = (
            f"{len(without_part):,} pictures stand in no list of a part and are left out (first: '{without_part[0]}')."
        )
        findings.append(Finding("note", "no-part", text, "Add them to a list in ImageSets/Main, or leave it so."))
    mend = "Label them, or give a picture that shows nothing an XML file without objects."
    return [*findings, *unlabelled(pictures, used, "XML file", mend)]

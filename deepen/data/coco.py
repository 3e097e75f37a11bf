"""Pictures with boxes in the format of COCO (Lin et al., 2014): one JSON file for many pictures.

    annotations/instances_train2017.json, annotations/instances_val2017.json, train2017/*.jpg, val2017/*.jpg      or
    train/_annotations.coco.json beside train/*.jpg, valid/..., test/...      or one JSON file and `data.images=FOLDER`

Boxes of crowds are ignored, as by COCO's own programs: nothing is learnt inside, and what is found there is neither right nor
wrong.

What stands in such a file, polygons too, is read by `parse` (`data/coco_file.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from deepen.data import archives, documents, masks
from deepen.data.box_checks import Labels
from deepen.data.boxes import assemble
from deepen.data.coco_file import CocoFile, Id, parse
from deepen.data.coco_masks import load_masks
from deepen.data.dataset import Bad, Dataset
from deepen.data.documents import BrokenError, Pictures, parts_of, plain
from deepen.data.faults import unlabelled
from deepen.data.piles import Pile, pile_at
from deepen.errors import Misuse, Problem
from deepen.spec import ignored

SUMMARY = "your pictures with boxes as COCO: a JSON file, or a folder or archive with JSON files and pictures"
MOST_BYTES = 2**29
"""Of one JSON file; that of COCO's own training part has 450 million."""
GLANCE_BYTES = 2**20
"""At both ends of a JSON file, that are looked at to see what it is."""
TESTING = "give its pictures a JSON file with test in its name"
KEYS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


@dataclass
class Config(masks.Options):
    """Where the pictures of a JSON file lie, and what of it is learnt."""

    targets: Literal["boxes", "masks"] = "boxes"
    """boxes, or masks: the polygons and run lengths, drawn as a class for every pixel."""
    images: str | None = None
    """Folder or archive of the pictures. Default: beside the JSON file, or beside its folder."""


def recognise(source: str) -> str | None:
    """The reason to read a path as COCO: a JSON file with images, annotations and categories."""
    path = Path(source).expanduser()
    if path.is_file() and path.suffix.lower() == ".json":
        return "a JSON file of pictures with boxes (COCO)" if _is_coco(path) else None
    names = _candidates(documents.glance(source))
    if path.is_dir():
        found = any(_is_coco(path / name) for name in names)
    else:
        found = any(_looks(content, content) for _, content in documents.peek(source, names, MOST_BYTES))
    return "pictures with boxes in JSON files (COCO)" if found else None


def _is_coco(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(GLANCE_BYTES)
            file.seek(max(0, path.stat().st_size - GLANCE_BYTES))
            return _looks(head, file.read(GLANCE_BYTES))
    except OSError:
        return False


def _looks(head: bytes, tail: bytes) -> bool:
    return len({*KEYS.findall(head), *KEYS.findall(tail)}) >= 2


def _candidates(names: Iterable[str]) -> list[str]:
    """JSON files that may hold boxes: those called instances_... where there are such, as in COCO's own folder."""
    found = [name for name in names if name.lower().endswith(".json")]
    found = [name for name in found if not PurePosixPath(name).name.startswith(("captions_", "image_info_"))]
    return [name for name in found if PurePosixPath(name).name.startswith("instances_")] or found


def load(source: str, options: Config, seed: int) -> Dataset:
    """The pictures as uint8 rows [N, H, W, C] and their boxes, see `data/boxes.py`."""
    path = Path(source).expanduser()
    name = archives.stem(path.resolve())
    if path.is_file() and not archives.is_archive(path):
        if path.stat().st_size > MOST_BYTES:
            raise Problem(f"'{path}' has {path.stat().st_size:,} bytes, more than the limit of {MOST_BYTES:,}.")
        name, files = path.stem, {path.name: path.read_bytes()}
        bad: list[Bad] = []
        beside = path.parent.parent if path.parent.name.lower() in ("annotations", "labels") else path.parent
        pile = pile_at(options.images or str(beside))
    else:
        lying, bad = documents.collect(path, lambda name: name.lower().endswith(".json"), MOST_BYTES)
        files = {name: lying[name] for name in _candidates(lying)}
        pile = pile_at(options.images or source)
    parsed: dict[str, CocoFile] = {}
    for file, content in files.items():
        if len(files) > 1 and not _looks(content, content):
            continue
        try:
            parsed[file] = parse(content)
        except BrokenError as error:
            bad.append(Bad(file, str(error)))
    digest = documents.digest(files, pile.digest())
    if options.targets == "masks":
        classes = Labels()
        _names(parsed, classes)
        return load_masks(name, pile, parsed, classes.names, options, seed, digest=digest, testing=TESTING, bad=bad)
    if options.tile or options.ignore:
        raise Misuse("data.tile and data.ignore are for masks: leave them out, or add data.targets=masks.")
    labels, broken = gather(parsed, pile)
    findings = unlabelled(
        pile.listing().pictures, set(labels.pictures), "entry in a JSON file", "Add them, or leave it so."
    )
    bad = [*bad, *broken]
    return assemble(
        name, pile, labels, options, seed, kind="COCO", testing=TESTING, digest=digest, bad=bad, findings=findings
    )


def gather(parsed: Mapping[str, CocoFile], pile: Pile) -> tuple[Labels, list[Bad]]:
    """The labels of all files together, and what of them cannot be used."""
    labels = Labels()
    bad: list[Bad] = []
    parts = parts_of(list(parsed))
    numbers = _names(parsed, labels)
    pictures = Pictures(pile.listing().pictures)
    used: dict[str, str] = {}
    # Held-out parts first: a picture that stands in two files is not learnt from.
    for name in sorted(parsed, key=lambda name: ("test", "validation", "train").index(parts[name])):
        owners: dict[Id, int] = {}
        bad += [Bad(name, wrong) for wrong in parsed[name].wrong]
        for key, image in parsed[name].images.items():
            try:
                found = pictures.find(image.name, PurePosixPath(name).parent, parts[name])
            except BrokenError as error:
                bad.append(Bad(name, plain(f"its picture '{image.name}' {error}")))
                continue
            if found in used:
                bad.append(Bad(name, f"its picture '{found}' stands in '{used[found]}' already"))
                continue
            used[found] = name
            owners[key] = labels.picture(found, parts[name], (image.height, image.width) if image.height else None)
        for one in parsed[name].annotations:
            if one.corners is None:
                bad.append(Bad(name, f"{one.place} has no bbox"))
            elif one.picture in owners:
                number = numbers[parsed[name].categories[one.category]]
                number = ignored(number, crowd=True) if one.crowd else number
                labels.box(owners[one.picture], one.corners, number, f"{one.place} of {name}")
    return labels, bad


def _names(parsed: Mapping[str, CocoFile], labels: Labels) -> dict[str, int]:
    """Numbers of the classes in the order of their ids. A name above others that no box has is no class."""
    used = {file.categories[one.category] for file in parsed.values() for one in file.annotations}
    above = {name for file in parsed.values() for name in file.above} - used
    for file in parsed.values():
        for key in sorted(file.categories, key=lambda key: (isinstance(key, str), key)):
            name = file.categories[key]
            if name not in labels.names and name not in above:
                labels.names.append(name)
    return {name: number for number, name in enumerate(labels.names)}

"""Pictures with boxes in the format of YOLO (Redmon et al., 2016; `data.yaml` as Ultralytics and Roboflow write it).

    data.yaml: path, train, val, test (folders, lists of folders, or files of paths), names (a list, or by number)
    images/train/<name>.jpg, labels/train/<name>.txt      or      train/images/<name>.jpg, train/labels/<name>.txt

A line of a label file is `class x y width height`, the centre and size as shares of the picture's, or `class x1 y1 x2 y2 ...`
of a polygon, whose enclosing box is taken. A picture without a label file shows nothing. Nothing is fetched or run, whatever
`download` says.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from deepen.data import archives, documents
from deepen.data.box_checks import Labels
from deepen.data.boxes import assemble
from deepen.data.dataset import Bad, Dataset, Finding
from deepen.data.documents import BrokenError, plain
from deepen.data.image_files import ENDINGS
from deepen.data.layout import one_part_each
from deepen.data.piles import pile_at
from deepen.data.splits import NAMES
from deepen.data.yolo_file import Described, described, label_of, lines
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = "your pictures with boxes as YOLO: a data.yaml, or a folder or archive that holds one"
YAML_BYTES = 2**20
TEXT_BYTES = 2**24
TESTING = "name its folder as test in the data.yaml"
KEYS = re.compile(rb"^\s*[\"']?(names|train)[\"']?\s*:", re.MULTILINE)
FAR = 3
"""Folders above the data.yaml from which on parts lie too far apart to be one data set."""


def recognise(source: str) -> str | None:
    """The reason to read a path as YOLO: a YAML file with names and a train part, or pictures with label files of lines."""
    path = Path(source).expanduser()
    reason = "pictures with boxes in text files (YOLO)"
    if path.is_file() and path.suffix.lower() in (".yaml", ".yml"):
        return reason if _looks(path.name, _beginning(path)) else None
    names = documents.glance(source)
    pictures = [name for name in names if name.lower().endswith(ENDINGS)]
    labels = {name for name in names if name.endswith(".txt") and "labels" in PurePosixPath(name).parts}
    if labels and any(label_of(name) in labels for name in pictures):
        return reason
    found = documents.peek(source, _yamls(names), YAML_BYTES) if pictures else ()
    return reason if any(_looks(name, content) for name, content in found) else None


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(YAML_BYTES)


def _looks(name: str, content: bytes) -> bool:
    """Whether a YAML file describes parts and names. One that is called data.yaml may lack either, which is then told."""
    return len(set(KEYS.findall(content))) >= (1 if PurePosixPath(name).stem in ("data", "dataset") else 2)


def _yamls(names: Iterable[str]) -> list[str]:
    """YAML files no more than one folder down, the highest first."""
    found = [name for name in names if name.lower().endswith((".yaml", ".yml")) and name.count("/") <= 1]
    return sorted(found, key=lambda name: (name.count("/"), name))


def load(source: str, options: Data, seed: int) -> Dataset:
    """The pictures as uint8 rows [N, H, W, C] and their boxes, see `data/boxes.py`."""
    path = Path(source).expanduser()
    where, content, said = _description(path)
    findings: list[Finding] = []
    if archives.is_archive(path):
        top, folder = path, str(PurePosixPath(where).parent)
        members = documents.listed(path)
        found = _located(said, where, "" if folder == "." else folder, lambda place: _inside(members, place), findings)
    else:
        file = (path if path.is_file() else path / where).resolve()
        found = _located(said, str(file), str(file.parent), os.path.exists, findings)
        top = _top(found, file.parent, said)
        found = [(part, Path(place).relative_to(top).as_posix()) for part, place in found]
    pile = pile_at(str(_as_given(top, path)))
    pictures = pile.listing().pictures
    lists, bad = documents.collect(
        top, {place for _, place in found if place.endswith(".txt")}.__contains__, TEXT_BYTES
    )
    parts = _shared_out(found, lists, pictures, bad, findings)
    texts = _texts(top, parts, pictures, lists, bad)
    labels = Labels(names=said.names, relative=True)
    unreadable = {one.path for one in bad}
    for picture, part in parts.items():
        place = label_of(picture)
        if place in unreadable:
            continue
        try:
            boxes = list(lines(texts.get(place, b""), len(said.names)))
        except BrokenError as error:
            bad.append(Bad(place, str(error)))
            continue
        owner = labels.picture(picture, part)
        for number, line, corners in boxes:
            labels.box(owner, corners, number, f"line {line} of {place}")
    without = [picture for picture in parts if label_of(picture) not in {*texts, *unreadable}]
    if without:
        text = f"{len(without):,} of {len(parts):,} pictures have no label file (first: '{without[0]}'): they show nothing."
        findings.append(Finding("note", "no-labels", text, "If they do show something, draw the boxes."))
    named = path.parent if path.is_file() and not archives.is_archive(path) else path
    return assemble(
        archives.stem(named.resolve()),
        pile,
        labels,
        options,
        seed,
        kind="YOLO",
        testing=TESTING,
        digest=documents.digest({**texts, **lists, "data.yaml": content}, pile.digest()),
        facts=[f"Parts and the names of classes are those that '{where}' says."],
        bad=bad,
        findings=findings,
    )


def _as_given(top: Path, path: Path) -> Path:
    """A folder in the words of the path that was given, where it lies at or below that: so files are named to people."""
    given = path if path.is_dir() or archives.is_archive(path) else path.parent
    inside = top.resolve().is_relative_to(given.resolve())
    return given / top.resolve().relative_to(given.resolve()) if inside else top


def _description(path: Path) -> tuple[str, bytes, Described]:
    """The `data.yaml`: its name, what stands in it, and what that means. Raises `Problem`."""
    if path.is_file() and not archives.is_archive(path):
        found = [(path.name, _beginning(path))]
    else:
        names = _yamls(documents.glance(str(path)))
        found = [
            (name, content) for name, content in documents.peek(str(path), names, YAML_BYTES) if _looks(name, content)
        ]
    if not found:
        raise Problem(f"'{path}' holds no data.yaml: expected one that says names, train and val.")
    name, content = min(found, key=lambda pair: (pair[0].count("/"), pair[0]))
    try:
        return name, content, described(content)
    except BrokenError as error:
        raise Problem(f"'{name}' of '{path}' does not describe a data set: {error}.") from None


def _located(
    said: Described, where: str, folder: str, exists: Callable[[str], bool], findings: list[Finding]
) -> list[tuple[str, str]]:
    """Each part with each of its folders or files of paths, as they are there: below `path`, else beside the data.yaml.

    Roboflow writes `../train/images` for what lies beside it, so that a path is first tried without what leads up.
    """
    found = []
    for part, entries in said.parts.items():
        for entry in entries:
            path = entry.replace("\\", "/")
            tried = [
                posixpath.normpath(posixpath.join(folder, base, form))
                for form in (re.sub(r"^(\.+/)+", "", path), path)
                for base in (said.root.replace("\\", "/"), "")
            ]
            place = next((one for one in tried if exists(one)), None)
            if place is not None:
                found.append((part, place))
            elif part == "train":
                text = f"'{where}' says that train lies in '{entry}', which is not there (looked for '{tried[0]}')."
                raise Problem(plain(text))
            else:
                text = plain(f"'{where}' says that {part} lies in '{entry}', which is not there.")
                findings.append(Finding("warning", "missing-part", text, "Correct the path or take it out."))
    return found


def _inside(members: frozenset[str], place: str) -> bool:
    return place == "." or place in members or any(name.startswith(f"{place}/") for name in members)


def _top(found: list[tuple[str, str]], folder: Path, said: Described) -> Path:
    """The folder that holds all parts and the labels beside them. Raises `Problem` where that is much of the disk."""
    places = [Path(place) for _, place in found]
    top = Path(os.path.commonpath([place if place.is_dir() else place.parent for place in places]))
    while "images" in (piece.lower() for piece in top.parts):
        top = top.parent
    bases = [Path(os.path.normpath(folder / said.root)), folder]
    near = [base for start in bases for base in (start, *start.parents[:FAR]) if base != Path(base.anchor)]
    if not any(top.is_relative_to(base) for base in near):
        raise Problem(
            f"The parts of the data set lie too far apart ('{top}' is all that holds them): put them in one folder."
        )
    return top


def _shared_out(
    found: list[tuple[str, str]],
    lists: Mapping[str, bytes],
    pictures: Sequence[str],
    bad: list[Bad],
    findings: list[Finding],
) -> dict[str, str]:
    """The part of each picture that is in one."""
    named: list[tuple[str, str]] = []
    known = frozenset(pictures)
    for part, place in sorted(found, key=lambda pair: NAMES.index(pair[0])):
        if place in lists:
            inside = _listed(place, lists[place], known, bad)
        else:
            inside = [name for name in pictures if place == "." or name.startswith(f"{place}/")]
        if not inside:
            text = f"'{place}', which is to be {part}, holds no picture."
            findings.append(Finding("warning", "missing-part", text, "Correct the path or take it out."))
        named += [(name, part) for name in inside]
    parts, told = one_part_each(named, "parts")
    findings += told
    return parts


def _listed(place: str, content: bytes, known: frozenset[str], bad: list[Bad]) -> list[str]:
    """The pictures that a file of paths names."""
    found = []
    folder = posixpath.dirname(place)
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        entry = line.strip().replace("\\", "/")
        # An absolute path was written on another machine: its end still tells.
        pieces = entry.split("/")
        ends = (posixpath.normpath("/".join([folder, *pieces[start:]]).lstrip("/")) for start in range(len(pieces)))
        picture = next((end for end in ends if end in known), None)
        if picture is not None:
            found.append(picture)
        elif entry:
            bad.append(Bad(place, plain(f"line {number} names '{entry:.80}', which is not there")))
    return found


def _texts(
    top: Path, parts: Mapping[str, str], pictures: Sequence[str], lists: Mapping[str, bytes], bad: list[Bad]
) -> documents.Documents:
    """The label files. One whose picture is not there is bad."""
    known = {label_of(picture) for picture in pictures}
    around = {PurePosixPath(label_of(picture)).parent for picture in parts}
    texts, broken = documents.collect(
        top,
        lambda name: name.endswith(".txt") and PurePosixPath(name).parent in around and name not in lists,
        TEXT_BYTES,
    )
    bad += broken
    for name in [name for name in texts if name not in known]:
        if PurePosixPath(name).name != "classes.txt":
            bad.append(Bad(name, "its picture is not there"))
        del texts[name]
    return texts

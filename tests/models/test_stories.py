"""The Llama form with weights of others: a quarter of a million numbers that tell stories (Karpathy's stories260K)."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from deepen.models import gpt
from deepen.spec import Spec, Text, Tokens

EXPECTED = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, "
    "red ball."
)


def pieces(path: Path) -> list[bytes]:
    """The tokens of llama2.c's tokenizer file: a length, then a score, a size and the bytes of each."""
    content, at, found = path.read_bytes(), 4, []
    while at < len(content):
        _, size = struct.unpack_from("<fi", content, at)
        found.append(content[at + 8 : at + 8 + size])
        at += 8 + size
    return found


def model(path: Path) -> gpt.GPT:
    """llama2.c's first format: seven integers, then the matrices of all layers, one kind after the other."""
    content = path.read_bytes()
    width, hidden, layers, heads, groups, vocabulary, context = struct.unpack_from("<7i", content)
    values, at = np.frombuffer(content, dtype="<f4", offset=28), 0

    def take(*shape: int) -> torch.Tensor:
        nonlocal at
        size = int(np.prod(shape))
        at += size
        return torch.from_numpy(values[at - size : at].reshape(shape).copy())

    size = width // heads
    state = {"wte.weight": take(vocabulary, width)}
    first = take(layers, width)
    query, key = take(layers, heads * size, width), take(layers, groups * size, width)
    value, out = take(layers, groups * size, width), take(layers, width, width)
    second = take(layers, width)
    gate, down, up = take(layers, hidden, width), take(layers, width, hidden), take(layers, hidden, width)
    state["ln_f.weight"] = take(width)
    for n in range(layers):
        state |= {
            f"h.{n}.ln_1.weight": first[n],
            f"h.{n}.ln_2.weight": second[n],
            f"h.{n}.attn.c_attn.weight": torch.cat([query[n], key[n], value[n]]),
            f"h.{n}.attn.c_proj.weight": out[n],
            f"h.{n}.mlp.c_fc.weight": torch.cat([gate[n], up[n]]),
            f"h.{n}.mlp.c_proj.weight": down[n],
        }
    config = gpt.Config(layers=layers, heads=heads, width=width, groups=groups, hidden=hidden, form="llama")
    made = gpt.build(Spec(Text(context, abs(vocabulary)), Tokens(abs(vocabulary))), config)
    made.load_state_dict(state)
    return made.eval()


@pytest.mark.skipif("DEEPEN_DATA" not in os.environ, reason="DEEPEN_DATA is not set")
def test_it_tells_the_story_that_these_weights_tell() -> None:
    folder = Path(os.environ["DEEPEN_DATA"]) / "weights/stories260K"
    net, words = model(folder / "stories260K.bin"), pieces(folder / "tok512.bin")
    tokens, caches = [1], net.begin()
    with torch.no_grad():
        for _ in range(200):
            tokens.append(int(net.go_on(torch.tensor([tokens[-1:]]), caches)[0].argmax()))
    text = b"".join(words[token] for token in tokens[1:]).decode().strip()
    assert text.startswith(EXPECTED)
    assert text.endswith("so she")

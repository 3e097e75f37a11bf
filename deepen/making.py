"""What a person sees of pictures while they are drawn anew, and of a text while it is written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepen.console import Console
from deepen.data.sentences import TextPreprocess
from deepen.data.tokenizer import UNKNOWN
from deepen.deploy.model import Model
from deepen.errors import Misuse
from deepen.inputs import given
from deepen.insight.stylised import Redrawing
from deepen.tasks.base import Writes, Writing

MOST = 1_000_000
TEMPERATURE = 0.8
"""Where none is asked for: a little less bold than what was learnt."""


def redraw(
    console: Console, model: Model, pictures: Sequence[str], size: int | None, folder: Path, option: str
) -> dict[str, Any]:
    """Pictures drawn anew into a folder: `path`, `count`, `pictures` and `saved`, and what could not be drawn."""
    drawn: list[dict[str, Any]] = []
    smaller = []
    with given(pictures, console.refused) as (paths, refused):
        named = model.read(paths, refused)
        redrawn = model.redraw(named, size, refused)
        redrawing = Redrawing(folder, [name for name, _ in named], option)
        try:
            for one in redrawn:
                path, (height, width) = redrawing.add(one.name, one.pixels), one.pixels.shape[:2]
                sides = {"height": height, "width": width, "original": list(one.original)}
                drawn.append({"input": refused.called(one.name), "path": str(path), **sides})
                if one.smaller:
                    smaller.append(drawn[-1])
        finally:  # what was drawn before a Ctrl-C is there
            if drawn:
                console.drawn(len(drawn), "picture", redrawing.folder, folder)
            if smaller:
                console.smaller(smaller)
    where = {"path": str(redrawing.folder), "count": len(drawn), "pictures": drawn}
    return where | {"saved": [one["path"] for one in drawn]} | refused.told()


def write(console: Console, model: Model, words: Sequence[str], seed: int, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A text that goes on from `asked["prompt"]`, shown as it comes. Raises `Problem` for a model that writes none."""
    if not isinstance(model.task, Writes):
        options = " ".join(f"--{name.replace('_', '-')}" for name, value in asked.items() if value is not None)
        raise Misuse(
            f"{options} is for models that continue texts, and this one is for '{model.facts['task']['name']}': ask it with "
            "`deepen predict`, or leave it out where it draws."
        )
    if words:
        raise Misuse(f"'{words[0]}' was not expected: this model continues the text that --prompt gives.")
    prompt = asked["prompt"] or ""
    chosen = {name: value for name, value in asked.items() if value is not None and name != "prompt"}
    writing = _checked(Writing(**{"temperature": TEMPERATURE, "seed": seed} | chosen))
    reading = model.preprocess
    assert isinstance(reading, TextPreprocess)
    read, room = reading.tokenizer.encode([prompt])[0], reading.length - len(reading.frame[0])
    if len(read) > room:
        console.forgot(len(read), room)
    if unknown := int((read == UNKNOWN).sum()):
        console.unknown(unknown, len(read))
    started, pieces, tokens = time.perf_counter(), [], 0
    console.part(prompt)
    writes = model.task.write(model.module, model.preprocess, prompt, writing)

    def counted() -> Iterator[str]:
        nonlocal tokens
        tokens = yield from writes

    for piece in counted():
        console.part(piece)
        pieces.append(piece)
    seconds = time.perf_counter() - started
    console.part("\n")
    speed = tokens / seconds
    console.wrote(tokens, seconds, speed)
    told = {"prompt": prompt, "text": "".join(pieces), "seed": seed, "tokens": tokens}
    return told | {"seconds": seconds, "tokens_per_second": speed}


def _checked(writing: Writing) -> Writing:
    if writing.stop == "":
        raise Misuse("--stop is empty: expected a text, or leave it out.")
    if not 1 <= writing.tokens <= MOST:
        raise Misuse(f"--tokens {writing.tokens} is not usable: expected 1 to {MOST:,}.")
    if not 0 <= writing.temperature < float("inf"):
        raise Misuse(f"--temperature {writing.temperature:g} is not usable: expected 0 or more.")
    if writing.top_k is not None and writing.top_k < 1:
        raise Misuse(f"--top-k {writing.top_k} is not usable: expected 1 or more.")
    if writing.top_p is not None and not 0 < writing.top_p <= 1:
        raise Misuse(f"--top-p {writing.top_p:g} is not usable: expected a chance above 0, up to 1.")
    return writing

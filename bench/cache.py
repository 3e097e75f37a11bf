"""A GPT goes on with a text: `deepen generate` with its cache of keys and values beside the same network that reads all again.

Both sides write so many characters from the same weights, once the likeliest ones and once drawn, in one run, and the texts are
compared. The weights come from a short training, so that they say something.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import timing
from bench.timing import Result, Slice, interleave, ratio, spread

TOKENS, LENGTH = 256, 256
PROMPT = "\n"
TEMPERATURES = (0.0, 0.8)
SIZE = ("model.layers=6", "model.heads=6", "model.width=384")
TRAINED = "DEEPEN_BENCH_RUN"
"""Where the sides find the run."""
SIDES = {
    "cached": "**Deepen**, `deepen generate`",
    "whole": "the same network, all tokens so far read for each new one",
}


def run(rounds: int, quick: bool) -> Result:
    minutes = 0.1 if quick else 0.5
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        words = (
            "train",
            "shakespeare",
            f"data.length={LENGTH}",
            *SIZE,
            "fit.batch_size=12",
            f"fit.minutes={minutes}",
            "plan=bf16",
        )
        _, answer = timing.deepen(*words, "fit.evaluate_epochs=100", directory=home)
        os.environ[TRAINED] = str((home / answer["run"]).resolve())
        times = interleave("cache", list(SIDES), rounds)
        same = [cached_text(heat) == whole_text(heat) for heat in TEMPERATURES]
    lines = [
        (
            text,
            spread([1e3 * value for value in times[side]], "{:.2f}"),
            spread([1 / value for value in times[side]], "{:.0f}"),
            ratio(times[side], times["cached"]),
        )
        for side, text in SIDES.items()
    ]
    notes = (
        f"GPT of 6 layers, 6 heads and 384 numbers at {LENGTH} characters, after {60 * minutes:.0f} s of training, float32; "
        f"{TOKENS} characters after one line end, once the likeliest and once drawn at temperature {TEMPERATURES[1]}; "
        f"{rounds} rounds, the warm-up round dropped. The last column is a side's time over Deepen's in the same round.",
        f"The likeliest characters are {told(same[0])} on both sides, the drawn ones {told(same[1])}.",
        "Deepen's side is all of what `deepen generate` does for a text, its pieces as they are shown included.",
    )
    columns = ("side", "ms per character", "characters/s", "against Deepen")
    return Result(f"A GPT writes {TOKENS} characters", columns, lines, notes)


def told(same: bool) -> str:
    return "the same" if same else "**not** the same"


def trained() -> Any:
    """The best model of the run, as `deepen generate` loads it."""
    import deepen
    from deepen.engine import device as devices

    devices.keep_memory()
    return deepen.load(os.environ[TRAINED])


def writing(heat: float) -> Any:
    from deepen.tasks.base import Writing

    return Writing(tokens=TOKENS, temperature=heat, seed=0)


def cached_text(heat: float, model: Any = None) -> str:
    model = model or trained()
    return "".join(model.task.write(model.module, model.preprocess, PROMPT, writing(heat)))


def whole_text(heat: float, model: Any = None) -> str:
    """Only the last place is asked for logits, and nothing is shown before the end."""
    import torch
    from torch.nn import functional as F

    from deepen.randomness import generator
    from deepen.tasks.language import drawn

    model = model or trained()
    net, tokenizer = model.module, model.preprocess.tokenizer
    draws = generator(writing(heat).seed, "writing")
    ids = torch.from_numpy(tokenizer.encode([PROMPT])[0]).long()[None]
    with torch.inference_mode():
        for _ in range(TOKENS):
            logits = F.linear(net.seen(ids[:, -LENGTH:])[:, -1], net.wte.weight)[0]
            ids = torch.cat([ids, drawn(logits, writing(heat), draws).view(1, 1)], dim=1)
    return tokenizer.decode(ids[0, -TOKENS:].tolist())


def cached() -> Slice:
    return slices(cached_text)


def whole() -> Slice:
    return slices(whole_text)


def slices(written: Any) -> Slice:
    model = trained()

    def one() -> float:
        start = time.perf_counter()
        for heat in TEMPERATURES:
            written(heat, model)
        return (time.perf_counter() - start) / (TOKENS * len(TEMPERATURES))

    return one

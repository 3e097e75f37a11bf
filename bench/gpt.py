"""GPT of 6 layers, 6 heads and 384 numbers at 256 characters: tokens per second of training.

Deepen's side is `deepen.train` on the beginning of Shakespeare's plays with AdamW, with the plan that it chooses; the plain side
is the eager float32 loop of bench/plain/gpt.py at that size.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.timing import DATA, Result, Slice, interleave, ratio, spread

BATCH, LENGTH, LAYERS, HEADS, WIDTH = 12, 256, 6, 6, 384
STEPS, PLAIN_STEPS = 12, 4
CHARACTERS = 200_000
SIDES = {
    "deepen": "**Deepen**, `plan=auto`",
    "deepen_fp32": "Deepen, `plan=fp32`",
    "plain": "plain loop, eager float32",
}


def run(rounds: int, quick: bool) -> Result:
    times = interleave("gpt", list(SIDES), rounds)
    per_step = BATCH * LENGTH
    lines = [
        (
            text,
            spread([1e3 * value for value in times[side]], "{:.0f}"),
            spread([per_step / value for value in times[side]], "{:.0f}"),
            ratio(times[side], times["deepen"]),
        )
        for side, text in SIDES.items()
    ]
    gain = statistics.median(plain / ours for plain, ours in zip(times["plain"], times["deepen"], strict=True))
    notes = (
        f"Batches of {BATCH} windows of {LENGTH} characters, AdamW with clipped gradients. Slices of {STEPS} steps (plain: "
        f"{PLAIN_STEPS}), {rounds} rounds, the warm-up round dropped; Deepen's time is read from the run's own log. The last "
        f"column is a side's time over Deepen's in the same round; with the plan of its own choice Deepen is {gain:.2f} times "
        "as fast as the plain loop.",
        "The plain loop: `scaled_dot_product_attention`, AdamW in its fused kernel, torch's memory as it comes (Deepen asks the "
        f"C library to keep freed blocks). The plan was `{plan()}`.",
    )
    columns = ("side", "ms per step", "tokens/s", "against Deepen")
    title = f"GPT of {LAYERS} layers and {WIDTH} numbers at {LENGTH} characters, one step"
    return Result(title, columns, lines, notes)


def beginning() -> Path:
    """A file with the first part of the plays: the look at its validation part is short."""
    path = Path(tempfile.gettempdir()) / f"deepen-bench-{CHARACTERS}.txt"
    path.write_text((DATA / "shakespeare" / "input.txt").read_text(encoding="utf-8")[:CHARACTERS], encoding="utf-8")
    return path


def settings(chosen: str) -> dict[str, Any]:
    share = 0.02
    windows = CHARACTERS * (1 - 2 * share) / LENGTH
    epochs = (STEPS + 1) * BATCH / windows
    return {
        "data.length": LENGTH,
        "data.validation_fraction": share,
        "data.test_fraction": share,
        "model.layers": LAYERS,
        "model.heads": HEADS,
        "model.width": WIDTH,
        "optim.name": "adamw",
        "optim.lr": 1e-3,
        "optim.clip": 1.0,
        "optim.weight_decay": 0.1,
        "plan": chosen,
        "fit.batch_size": BATCH,
        "fit.log_steps": 1,
        "fit.epochs": epochs,
        "fit.evaluate_epochs": epochs,
    }


def plan() -> str:
    """What `plan=auto` takes for a long training of this kind; remembered since it was first asked."""
    from deepen.prepare import prepare
    from deepen.settle import settle

    return settle(prepare(str(beginning()), None, "gpt", settings("auto") | {"fit.epochs": 100})).plan


def deepen(chosen: str | None = None) -> Slice:
    import deepen

    path, chosen = str(beginning()), chosen or plan()

    def one() -> float:
        trained = deepen.train(path, model="gpt", **settings(chosen))
        ticks = [row for row in trained.folder.speed_rows() if "steps_per_second" in row]
        return (ticks[-1]["seconds"] - ticks[0]["seconds"]) / (ticks[-1]["step"] - ticks[0]["step"])

    return one


def deepen_fp32() -> Slice:
    return deepen("fp32")


def plain() -> Slice:
    import torch

    from bench.plain.gpt import CLIP, GPT, adamw, get_batch, text

    data, _, vocabulary = text()
    model = GPT(vocabulary, LENGTH, LAYERS, HEADS, WIDTH)
    optimizer = adamw(model)

    def one() -> float:
        start = time.perf_counter()
        for _ in range(PLAIN_STEPS):
            loss = model(*get_batch(data, BATCH, LENGTH))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return (time.perf_counter() - start) / PLAIN_STEPS

    return one

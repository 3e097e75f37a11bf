"""A bidirectional LSTM on sentences of different length (SST-2): tokens that are texts, not padding, per second of training.

Deepen's side is `deepen.train` with the recipe's model, its own order of texts and the plan that it chooses; the plain side is a
loop over the same texts as tokens, with the same sizes, in shuffled batches that are padded to their longest text.
"""

from __future__ import annotations

import time
from typing import Any

from bench.timing import Result, Slice, interleave, ratio, spread

BATCH, TEXTS, EPOCHS = 64, 6400, 2
"""So many texts are whole batches: what is timed is whole epochs."""
SIZE = 128
SIDES = {
    "deepen": "**Deepen**, `plan=auto`",
    "deepen_fp32": "Deepen, `plan=fp32`",
    "plain": "plain loop, batches padded to their longest text",
}


def run(rounds: int, quick: bool) -> Result:
    times = interleave("lstm", list(SIDES), rounds)
    lines = [
        (text, spread([1 / value for value in times[side]], "{:.0f}"), ratio(times[side], times["deepen"]))
        for side, text in SIDES.items()
    ]
    notes = (
        f"{TEXTS:,} sentences of SST-2 as words, {tokens():,} of them in all; batch {BATCH}, embedding and width of each "
        f"direction {SIZE}. Slices of {EPOCHS} epochs without a look at the validation split (read from the run's own log, "
        f"from its first to its last line; plain: one epoch), {rounds} rounds, the warm-up round dropped. The last column is a "
        "side's time over Deepen's in the same round.",
        f"Padding: {padding()}. The plan was `{plan()}`.",
        "The plain loop's network is the lighter one: it joins the last states, where Deepen's recipe takes a weighted mean over "
        "all places, and it keeps no average of the weights. Both steps are those of Adam in one fused call.",
    )
    return Result("LSTM on texts of different length", ("side", "tokens/s", "against Deepen"), lines, notes)


def settings(chosen: str) -> dict[str, Any]:
    steps = TEXTS // BATCH
    return {
        "data.limit": TEXTS,
        "model.embedding": SIZE,
        "model.width": SIZE,
        "plan": chosen,
        "fit.batch_size": BATCH,
        "fit.log_steps": steps,
        "fit.epochs": EPOCHS + 1,
        "fit.evaluate_epochs": EPOCHS + 1,
    }


def rows() -> Any:
    """The training split as Deepen reads it."""
    from deepen.prepare import prepare

    return prepare("sst2", None, "lstm", settings("fp32")).dataset.train


def tokens() -> int:
    return int(rows().lengths.sum())


def padding() -> str:
    """Share of padding in the batches of an epoch, in both orders."""
    import torch

    train = rows()
    shares = []
    for order in (train.order(torch.Generator().manual_seed(0), BATCH), torch.randperm(len(train))):
        batches = train.lengths[order].split(BATCH)
        shares.append(1 - sum(int(one.sum()) for one in batches) / sum(len(one) * int(one.max()) for one in batches))
    return f"{100 * shares[0]:.0f} % of Deepen's batches, {100 * shares[1]:.0f} % of shuffled ones"


def plan() -> str:
    """What `plan=auto` takes for this training; remembered since it was first trained."""
    from deepen.prepare import prepare
    from deepen.settle import settle

    return settle(prepare("sst2", None, "lstm", settings("auto") | {"fit.epochs": 100})).plan


def deepen(chosen: str | None = None) -> Slice:
    import deepen

    chosen = chosen or plan()  # as for a longer training: one of three epochs is over before others could be tried
    count = tokens()

    def one() -> float:
        trained = deepen.train("sst2", model="lstm", **settings(chosen))
        ticks = [row for row in trained.folder.speed_rows() if "steps_per_second" in row]
        return (ticks[-1]["seconds"] - ticks[0]["seconds"]) / (EPOCHS * count)

    return one


def deepen_fp32() -> Slice:
    return deepen("fp32")


def plain() -> Slice:
    import torch

    from bench.plain.lstm import LSTM, loader, train

    held = rows()
    texts = [held.take(torch.tensor([row]))["input"][0] for row in range(len(held))]
    batches = loader(list(zip(texts, held["target"].tolist(), strict=True)), BATCH)
    model = LSTM(1 + max(int(text.max()) for text in texts), SIZE, SIZE, 2)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    count = tokens()

    def one() -> float:
        start = time.perf_counter()
        train(model, batches, optimizer)
        return (time.perf_counter() - start) / count

    return one

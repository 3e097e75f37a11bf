"""ResNet-18 on 32x32 colour pictures, batch 128: time per training step.

Deepen's side is its own path from the stored pixels to the weights: loader, plan as `plan=auto` chooses it, task, update. The
plain side is an eager float32 loop of the very same network on gathered batches. Random pixels: what a picture shows makes
no difference here.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench.timing import Result, Slice, interleave, ratio, spread

COUNT, BATCH, STEPS = 2048, 128, 5
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
LR, MOMENTUM = 0.02, 0.9
SIDES = {
    "deepen": "**Deepen**, `plan=auto`",
    "deepen_fp32": "Deepen, `plan=fp32`",
    "plain": "plain loop, eager float32",
}


def run(rounds: int, quick: bool) -> Result:
    times = interleave("resnet18", list(SIDES), rounds)
    lines = [
        (
            text,
            spread([1e3 * value for value in times[side]], "{:.0f}"),
            spread([BATCH / value for value in times[side]], "{:.0f}"),
            ratio(times[side], times["deepen"]),
        )
        for side, text in SIDES.items()
    ]
    gain = statistics.median(plain / ours for plain, ours in zip(times["plain"], times["deepen"], strict=True))
    notes = (
        f"Slices of {STEPS} steps, {rounds} rounds, the warm-up round dropped. The last column is a side's time over Deepen's "
        f"in the same round; Deepen with the plan of its own choice is {gain:.2f} times as fast as the plain loop.",
        "Stem for small pictures (3x3 convolution, no pooling), SGD with momentum, no augmentation on any side. The plan was "
        f"`{chosen()}`.",
    )
    columns = ("side", "ms per step", "pictures/s", "against Deepen")
    return Result(f"ResNet-18 at 32x32, batch {BATCH}, one step", columns, lines, notes)


def parts() -> tuple[Any, Any]:
    """The spec, and the network as Deepen builds it."""
    import torch

    from deepen.models.resnet import Config, build
    from deepen.spec import Category, Image, Spec

    spec = Spec(Image(3, 32, 32), Category(tuple("0123456789")))
    torch.manual_seed(0)
    return spec, build(spec, Config())


def rows() -> tuple[Any, Any]:
    """uint8 [N, 32, 32, 3] and int64 [N]."""
    import torch

    draws = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (COUNT, 32, 32, 3), dtype=torch.uint8, generator=draws)
    return pixels, torch.randint(0, 10, (COUNT,), generator=draws)


class Ours:
    """The pieces that `deepen train` puts together."""

    def __init__(self) -> None:
        import torch

        from deepen import recipe as recipes
        from deepen.data.dataset import Columns
        from deepen.data.loader import Loader
        from deepen.data.pixels import ImagePreprocess
        from deepen.engine import device as devices
        from deepen.tasks import classify

        devices.keep_memory()
        self.device = torch.device("cpu")
        spec, self.model = parts()
        self.task = classify.build(spec, classify.Config())
        self.recipe = recipes.blank("cifar10", "cifar10", "classify", "resnet18")
        for key, value in {"optim.name": "momentum", "optim.lr": LR, "optim.momentum": MOMENTUM}.items():
            self.recipe.set(key, value)
        pixels, labels = rows()
        preprocess = ImagePreprocess(3, 32, 32, MEAN, STD)
        columns = Columns({"input": pixels, "target": labels})
        self.loader = Loader(columns, preprocess, None, batch_size=BATCH, seed=0, device=self.device)

    def choose(self) -> Any:
        """The plan of `plan=auto` for a training of ten thousand steps."""
        from itertools import islice

        from deepen.engine import plan
        from deepen.engine.trial import trial_of

        batches = list(islice(self.loader.stream(0), plan.TRIAL_STEPS))
        trial = trial_of(self.task, self.recipe, self.device)
        choice = plan.choose("auto", self.model, batches, trial, 10_000, self.device, 0, "bench resnet18")
        return choice.plan

    def slices(self, plan: Any) -> Slice:
        """Steps as `engine/fit.py` makes them."""
        from itertools import islice

        from deepen.engine.update import Updater
        from deepen.randomness import reseed

        model = plan.prepare(self.model).train()
        recipe, task = self.recipe, self.task
        updater = Updater(model, task.parts(model), recipe.optim, recipe.schedule, task.goal, 10_000, self.device)

        def one() -> float:
            start = time.perf_counter()
            for step, batch in enumerate(islice(self.loader.stream(0), STEPS)):
                updater.begin(step, [])
                reseed(0, "step", step)
                placed = plan.place(batch)
                with plan.precision(), plan.autocast(self.device):
                    task.step(model, placed, updater)
            return (time.perf_counter() - start) / STEPS

        return one


def chosen() -> str:
    """The plan that Deepen's side takes; remembered since it chose."""
    return str(Ours().choose())


def deepen() -> Slice:
    ours = Ours()
    return ours.slices(ours.choose())


def deepen_fp32() -> Slice:
    from deepen.engine.plan import Plan

    return Ours().slices(Plan())


def plain() -> Slice:
    import torch
    from torch.nn import functional as F

    pixels, labels = rows()
    pixels = pixels.permute(0, 3, 1, 2).contiguous()
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    model = parts()[1].train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)

    def one() -> float:
        start = time.perf_counter()
        for index in torch.randperm(COUNT).split(BATCH)[:STEPS]:
            optimizer.zero_grad()
            inputs = (pixels[index].float() / 255 - mean) / std
            F.cross_entropy(model(inputs), labels[index]).backward()
            optimizer.step()
        return (time.perf_counter() - start) / STEPS

    return one

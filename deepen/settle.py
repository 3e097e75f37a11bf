"""What is measured or derived once for a run, before its first step."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from deepen.data.augment import off
from deepen.engine import features, lr_finder, plan
from deepen.engine.trial import trial_of
from deepen.errors import Misuse
from deepen.nn.headed import Headed
from deepen.prepare import Prepared, loader_of
from deepen.recipe import Recipe
from deepen.spec import Labels, Tokens
from deepen.tasks.base import Supervised

TIME_MARGIN = 0.97
"""Share of `fit.minutes` that the schedule is laid over; the rest covers a machine that slows down."""
TIMED = 3
"""How often steps are timed for that; the median counts."""


@dataclass(frozen=True)
class Settled:
    """What was measured or derived once for a run."""

    plan: str
    plan_reason: str
    total_steps: int
    lr: float | None
    """The rate that was found, where one was looked for."""
    sweep: list[tuple[float, float]] | None = None
    """(rate, smoothed loss) of the search."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def settle(prepared: Prepared) -> Settled:
    """Measure what is to be measured before the first step: the plan, the rate, how many steps fit into the time."""
    keep_features(prepared)
    recipe = prepared.recipe
    steps = round(recipe.fit.epochs * prepared.steps_per_epoch)
    if recipe.fit.epochs == 0:
        return Settled("fp32", "nothing is trained", 0, None)
    steps = max(1, steps)
    swept = None
    if recipe.fit.find_lr:
        if prepared.loader is None:
            raise Misuse(
                "fit.find_lr=true sweeps over batches of data; this task acts for its data. Set optim.lr yourself."
            )
        swept = lr_finder.find(prepared.model, prepared.task, recipe, prepared.loader, prepared.device)
        recipe.optim.lr = swept.lr
    if prepared.loader is None and recipe.plan == "auto":
        choice = plan.Choice(plan.Plan(), "acting is bound by its environment")
    else:
        stream = prepared.open_stream(0)
        batches = [next(stream) for _ in range(plan.TRIAL_STEPS)] if prepared.loader else []
        trial = trial_of(prepared.task, recipe, prepared.device)
        key = f"{recipe.task_name} {recipe.optim.name} {recipe.fit.batch_size} {recipe.fit.accumulate}"
        if recipe.transfer.mode != "none":
            key += f" {recipe.transfer.mode}"
        choice = plan.choose(recipe.plan, prepared.model, batches, trial, steps, prepared.device, recipe.seed, key)
    if recipe.fit.minutes is not None:
        step_seconds = choice.step_seconds or _step_seconds(prepared, choice.plan, recipe)
        if recipe.transfer.mode == "gradual":
            frozen = replace(recipe, transfer=replace(recipe.transfer, name="head"))
            faster = _step_seconds(prepared, choice.plan, frozen)
            step_seconds += recipe.transfer.head_first * (faster - step_seconds)
        started = time.perf_counter()
        prepared.validate(prepared.model)
        looking = time.perf_counter() - started
        per_epoch = step_seconds * prepared.steps_per_epoch + looking / recipe.fit.evaluate_epochs
        fitting = recipe.fit.minutes * 60 * TIME_MARGIN / per_epoch * prepared.steps_per_epoch
        steps = max(1, min(steps, int(fitting)))
    found, points = (None, None) if swept is None else (swept.lr, swept.points)
    return Settled(str(choice.plan), choice.reason, steps, found, points)


def keep_features(prepared: Prepared) -> None:
    """Where only the head learns and its samples never change: let it learn from what the body makes of them, computed once."""
    recipe, network = prepared.recipe, prepared.model
    if recipe.transfer.mode != "head" or recipe.fit.epochs == 0:
        return
    if not isinstance(network, Headed) or not isinstance(prepared.task, Supervised):
        return
    if isinstance(prepared.task.spec.output, Tokens | Labels):
        prepared.working = "the body works in each step, since each place of a text is asked"
        return
    if not off(recipe.augment):
        prepared.working = "the body works in each step, since augmentation changes the pictures"
        return
    size = features.size_of(network, prepared.dataset, prepared.device)
    if size > features.MOST_BYTES:
        prepared.working = f"the body works in each step: its features would take {size / 2**30:,.1f} GB"
        return
    prepared.features = features.features_of(network, prepared.dataset, prepared.device)
    prepared.working = prepared.features.told
    prepared.model = network.head
    network.eval()
    prepared.loader = loader_of(recipe, prepared.features, None, prepared.device)


def _step_seconds(prepared: Prepared, chosen: plan.Plan, recipe: Recipe) -> float:
    """How long a step takes, its batch included: for an acting task most of it is acting."""
    scratch = chosen.prepare(copy.deepcopy(prepared.model))
    trial = trial_of(prepared.task, recipe, prepared.device)
    stream = prepared.open_stream(0)
    trial(scratch, chosen, [next(stream)])  # the first one pays for much that is done once
    taken = []
    for _ in range(TIMED):
        started = time.perf_counter()
        trial(scratch, chosen, list(islice(stream, plan.TRIAL_STEPS)))  # together: each call makes an optimizer anew
        taken.append((time.perf_counter() - started) / plan.TRIAL_STEPS)
    return statistics.median(taken)

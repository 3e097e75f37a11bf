"""A recipe made concrete: source -> data -> task -> model -> loader and plan.

Derived values exist from here on only. What must be the same after a resume (plan, number of steps, found rate) is settled
once and written into the run.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepen import limits, registry
from deepen import recipe as recipes
from deepen.data.augment import Augmenter, off
from deepen.data.dataset import Dataset
from deepen.data.loader import Loader
from deepen.data.pixels import ImagePreprocess
from deepen.engine import device as devices
from deepen.engine import evaluate, lr_finder, optim, plan, schedule
from deepen.engine.trial import trial_of
from deepen.errors import Misuse, Problem, unknown
from deepen.randomness import reseed
from deepen.recipe import KnownGood, Recipe, Seen
from deepen.spec import Image, Spec
from deepen.tasks.base import Acting, Batch, Rows, Supervised, Task

TIME_MARGIN = 0.97
"""Share of `fit.minutes` that the schedule is laid over; the rest covers a machine that slows down."""


@dataclass
class Prepared:
    """What a training works on, before anything is settled by measuring."""

    recipe: Recipe
    known: KnownGood | None
    reason: str
    """Why the source was read as it was."""
    dataset: Dataset
    task: Task
    model: nn.Module
    device: torch.device
    loader: Loader | None
    """None for a task that acts for its data."""
    rows: Rows = field(default_factory=dict)
    """Of the last evaluation."""

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    @property
    def steps_per_epoch(self) -> float:
        return 1.0 if self.loader is None else self.loader.steps_per_epoch

    @property
    def batch_size(self) -> int:
        """Samples, or steps in an environment, that one batch holds."""
        if self.loader is not None:
            return self.loader.batch_size
        assert isinstance(self.task, Acting)
        return self.task.batch_size

    def open_stream(self, step: int) -> Iterator[Batch]:
        """Batches from a step on."""
        if self.loader is not None:
            return self.loader.stream(step)
        assert isinstance(self.task, Acting)
        return self.task.stream(self.model, self.recipe.seed, step)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The metrics of the validation split."""
        self.rows = evaluate.score(self.task, model, self.dataset.validation, self.dataset.preprocess, self.device)
        return self.task.measure(self.rows)


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


def find_source(source: str) -> tuple[registry.Entry, str]:
    """The module of data/ that reads `source`, by name or because it recognises it, and the reason in words."""
    known = registry.entries("data")
    named = {name: entry for name, entry in known.items() if "recognise" not in entry.offers}
    if source in named:
        return named[source], "a known data set"
    readers = [(entry, entry.load()) for entry in known.values() if "recognise" in entry.offers]
    for entry, module in sorted(readers, key=lambda pair: getattr(pair[1], "GENERAL", False)):
        reason = module.recognise(source)
        if reason:
            return entry, reason
    if Path(source).exists():
        raise Problem(
            f"{source} holds nothing that can be read here: expected a folder with a folder of pictures per class, or a table "
            "(.csv .tsv .jsonl .parquet)."
        )
    raise Misuse(f"{unknown('data set', source, named)} And nothing lies at the path {source}.")


def load(source: str, settings: dict[str, Any]) -> tuple[Dataset, Recipe, str]:
    """The data set behind a known name or a path, a draft of its recipe, and the reason why it was read so."""
    entry, reason = find_source(source)
    draft = recipes.blank(_lasting(source, entry), entry.name, "", "")
    chosen = []
    for key, value in settings.items():
        if key == "seed" or key.startswith("data.") or key in vars(draft.data):
            draft.set(key, value)
            chosen.append(draft.full(key))
    if draft.data.test is not None and Path(draft.data.test).exists():
        draft.data.test = str(Path(draft.data.test).resolve())
    dataset: Dataset = entry.load().load(source, draft.data, draft.seed)
    _heeded(dataset, draft, chosen)
    return dataset, draft, reason


def _heeded(dataset: Dataset, draft: Recipe, chosen: list[str]) -> None:
    """Raise `Misuse` for a setting of the data that this data cannot follow, rather than pass over it in silence."""
    seen, values = dataset.spec.input, draft.keys()
    for key in chosen:
        if dataset.acting and key.startswith("data.") and key != "data.skip_bad":
            raise Misuse(
                f"{key}={values[key]} has no meaning for {dataset.name}, whose data comes from acting: leave it out."
            )
        if key not in ("data.size", "data.channels") or values[key] is None:
            continue
        if not isinstance(seen, Image):
            raise Misuse(f"{key}={values[key]} is for pictures and {dataset.name} has none: leave it out.")
        if values[key] != (max(seen.height, seen.width) if key == "data.size" else seen.channels):
            raise Misuse(
                f"{key}={values[key]} cannot be followed: {dataset.name} stays {seen.height}x{seen.width}x{seen.channels}."
            )


def prepare(source: str, task: str | None, model: str | nn.Module | None, settings: dict[str, Any]) -> Prepared:
    """Everything up to the first step, from what the user said."""
    if isinstance(model, str):
        registry.find("model", model)
    if task is not None:
        registry.find("task", task)
    dataset, draft, reason = load(source, settings)
    task = task or natural_task(dataset.spec)
    doing = registry.find("task", task).load()
    doing.build(dataset.spec, doing.Config())  # says what does not fit before a model is looked for
    seen = seen_in(dataset)
    own = model if isinstance(model, nn.Module) else None
    named = model if isinstance(model, str) else None
    known = recipes.choose(source, seen, task, named)
    name = f"{recipes.CUSTOM}{type(own).__qualname__}" if own is not None else named or (known.model if known else None)
    if name is None:
        raise Misuse(
            f"There is no usual model for '{task}' on {seen.kind} data: name one with --model. `deepen list` has them."
        )
    recipe = recipes.blank(draft.source, draft.reader, task, name)
    if known is not None:
        for key, value in known.settings.items():
            if not (own is not None and key.startswith("model.")):
                recipe.set(key, value)
    chosen = {recipe.full(key) for key in settings}
    for key, value in settings.items():
        recipe.set(key, value)
    recipe.data = draft.data  # its paths hold from any folder
    if recipe.fit.minutes is not None and "fit.epochs" not in chosen:
        recipe.fit.epochs = UNLIMITED
    return build(recipe, known, reason, dataset, own)


UNLIMITED = 1e6
"""Epochs of a training that only its time limits."""


def build(
    recipe: Recipe, known: KnownGood | None, reason: str, dataset: Dataset, own: nn.Module | None = None
) -> Prepared:
    """Task, model and loader of a recipe. The random start of the weights is a function of the seed."""
    limits.check(recipe)
    optim.kind(recipe.optim)  # unknown names are told before a folder is made
    schedule.find(recipe.schedule)
    if recipe.plan != "auto":
        plan.Plan.parse(recipe.plan)
    device = devices.choose(recipe.device)
    if device.type == "cpu":
        devices.keep_memory()
    task: Task = registry.find("task", recipe.task_name).load().build(dataset.spec, recipe.task)
    if isinstance(task, Acting) != dataset.acting:
        does = "acts for its data" if isinstance(task, Acting) else "learns from samples"
        raise Misuse(
            f"The task '{recipe.task_name}' {does}, which {recipe.source} does not fit. Leave out --as to let the data decide."
        )
    reseed(recipe.seed, "weights")
    if own is not None and recipe.model_name != f"{recipes.CUSTOM}{type(own).__qualname__}":
        raise Misuse(
            f"The run trains {recipe.model_name}, and model={type(own).__name__}() is another: pass one of that class."
        )
    model = own
    if model is None:
        if recipe.model_name.startswith(recipes.CUSTOM):
            raise Problem(
                f"The run trains your own class {recipe.model_name[len(recipes.CUSTOM) :]}: pass model=... to go on."
            )
        model = registry.find("model", recipe.model_name).load().build(dataset.spec, recipe.model)
    task.parts(model)  # says what the model lacks for the task
    if isinstance(task, Acting) and recipe.fit.accumulate > 1:
        raise Misuse("fit.accumulate divides batches of data; this task acts for its data. Leave it at 1.")
    loader = None
    if not dataset.acting:
        task.study(dataset.train, dataset.preprocess)
        _fit_together(recipe, dataset, task, model)
        augmenter = augmenter_of(recipe, dataset)
        loader = Loader(
            dataset.train,
            dataset.preprocess,
            augmenter,
            batch_size=recipe.fit.batch_size,
            seed=recipe.seed,
            device=device,
        )
    return Prepared(recipe, known, reason, dataset, task, model.to(device), device, loader)


def _fit_together(recipe: Recipe, dataset: Dataset, task: Task, model: nn.Module) -> None:
    """Raise `Problem` unless the model takes the data and answers as the task expects: told now, not in a first step."""
    if not isinstance(task, Supervised):
        return
    some = task.examples(model, dataset.train, dataset.preprocess, 2)
    some = some.to(next(model.parameters(), some).device)
    name = f"Model '{recipe.model_name.removeprefix(recipes.CUSTOM)}'"
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            output = model(some)
    except (RuntimeError, TypeError) as error:  # what torch and Python say of shapes and signatures
        raise Problem(
            f"{name} does not take input of shape {list(some.shape)}: {str(error).splitlines()[0]}"
        ) from error
    finally:
        model.train(training)
    expected, received = task.expected(len(some)), getattr(output, "shape", type(output).__name__)
    if received != expected:
        got = received if isinstance(received, str) else list(received)
        raise Problem(
            f"{name} does not suit the task '{recipe.task_name}' here: expected an output of shape {list(expected)}, "
            f"received {got}."
        )


def augmenter_of(recipe: Recipe, dataset: Dataset) -> Augmenter | None:
    """What changes training pictures, or None where nothing is asked for."""
    if off(recipe.augment):
        return None
    known = dataset.preprocess
    mean, std = (known.mean, known.std) if isinstance(known, ImagePreprocess) else ((), ())
    return Augmenter(recipe.augment, dataset.spec.input, mean, std)


def settle(prepared: Prepared) -> Settled:
    """Measure what is to be measured before the first step: the plan, the rate, how many steps fit into the time."""
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
        choice = plan.choose(recipe.plan, prepared.model, batches, trial, steps, prepared.device, recipe.seed, key)
    if recipe.fit.minutes is not None:
        step_seconds = choice.step_seconds or _step_seconds(prepared, choice.plan)
        started = time.perf_counter()
        prepared.validate(prepared.model)
        looking = time.perf_counter() - started
        per_epoch = step_seconds * prepared.steps_per_epoch + looking / recipe.fit.evaluate_epochs
        fitting = recipe.fit.minutes * 60 * TIME_MARGIN / per_epoch * prepared.steps_per_epoch
        steps = max(1, min(steps, int(fitting)))
    found, points = (None, None) if swept is None else (swept.lr, swept.points)
    return Settled(str(choice.plan), choice.reason, steps, found, points)


def _step_seconds(prepared: Prepared, chosen: plan.Plan) -> float:
    """How long a step takes, its batch included: for an acting task most of it is acting."""
    scratch = chosen.prepare(copy.deepcopy(prepared.model))
    trial = trial_of(prepared.task, prepared.recipe, prepared.device)
    stream = prepared.open_stream(0)
    trial(scratch, chosen, [next(stream)])  # the first one pays for much that is done once
    started = time.perf_counter()
    for _ in range(plan.TRIAL_STEPS):
        trial(scratch, chosen, [next(stream)])
    return (time.perf_counter() - started) / plan.TRIAL_STEPS


def seen_in(dataset: Dataset) -> Seen:
    """What of the data decides which known-good recipe is nearest."""
    shown, samples = dataset.spec.input, len(dataset.train)
    kind = type(shown).__name__.lower()
    if isinstance(shown, Image):
        return Seen(kind, samples, max(shown.height, shown.width), shown.channels)
    return Seen(kind, samples)


def natural_task(spec: Spec) -> str:
    """The task that one does with such data when nothing else is asked."""
    for name, entry in registry.entries("task").items():
        if entry.load().natural(spec):
            return name
    raise Misuse(f"No task suits {type(spec.output).__name__.lower()} by itself: name one with --as.")


def _lasting(source: str, entry: registry.Entry) -> str:
    """A path that still holds when the run is opened from another folder."""
    return str(Path(source).resolve()) if "recognise" in entry.offers and Path(source).exists() else source

"""A recipe made concrete: source -> data -> task -> model -> loader and plan.

Derived values exist from here on only. What must be the same after a resume (plan, number of steps, found rate) is settled
once and written into the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from deepen import beginning, limits, registry
from deepen import recipe as recipes
from deepen import transfer as transferring
from deepen.data.augment import Augmenter, off
from deepen.data.dataset import Dataset
from deepen.data.loader import Augmentation, Loader
from deepen.data.pixels import PicturePreprocess
from deepen.data.placed import PlacedAugmenter
from deepen.data.sound_augment import SoundAugmenter
from deepen.engine import device as devices
from deepen.engine import evaluate, mode, optim, plan, schedule
from deepen.engine.features import Features
from deepen.engine.run import Folder
from deepen.errors import Misuse, Problem, Unsuited, did_you_mean
from deepen.known import KnownGood, choose
from deepen.randomness import reseed
from deepen.recipe import Recipe
from deepen.sources import find_source, load, longest_text, natural_task, refuse_weights, seen_in, without_pictures
from deepen.spec import PAD, Audio, Boxes, Image, Mask, Text
from deepen.tasks.base import Acting, Batch, Rows, Supervised, Task, agree
from deepen.transfer import Origin


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
    """What learns: the whole network, or its head where that sees kept features."""
    device: torch.device
    loader: Loader | None
    """None for a task that acts for its data."""
    start: beginning.Start | None = None
    """What was taken over from another training."""
    features: Features | None = None
    """What the head sees in place of pictures, where it learns alone."""
    working: str = ""
    """How a frozen body does its work, for people."""
    rows: Rows = field(default_factory=dict)
    """Of the last evaluation."""

    def whole(self, module: nn.Module) -> nn.Module:
        """The network that answers for pictures, with `module` (`model`, or its average) in it."""
        return module if self.features is None else self.features.whole(module)

    @property
    def transfer(self) -> list[str]:
        """What was taken over from another training and what of it learns, for people."""
        return [*(self.start.told if self.start else ()), *([self.working] if self.working else ())]

    @property
    def parameters(self) -> int:
        """Of the whole network."""
        return sum(p.numel() for p in self.whole(self.model).parameters())

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
        seen = self.dataset if self.features is None else self.features
        self.rows = evaluate.score(self.task, model, seen.validation, seen.preprocess, self.device)
        return self.task.measure(self.rows)


def prepare(source: str, task: str | None, model: str | nn.Module | None, settings: dict[str, Any]) -> Prepared:
    """Everything up to the first step, from what the user said."""
    if isinstance(model, str):
        registry.find("model", model)
    if task is not None:
        registry.find("task", task)
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    own = model if isinstance(model, nn.Module) else None
    named = model if isinstance(model, str) else None
    origin = None
    found = find_source(
        source, task, settings
    )  # a slip in its name or in a setting is told before weights are looked for and data is read
    _check_keys(source, found[0], task, model, settings)
    if own is None and transferring.asked(settings).pretrained is not None:
        longest = longest_text(found[0])
        if longest is None and without_pictures(found[0]):
            raise refuse_weights(source)
        if longest is None and named is None and task is None and not transferring.says_model(settings):
            task = natural_task(load(source, settings, {}, found)[0])  # which network is usual depends on what is asked
        origin = transferring.origin(settings, task, named, longest)
    if origin is not None:
        named = origin.model
    dataset, draft, reason = load(source, settings, {} if origin is None else origin.data, found)
    task = task or natural_task(dataset)
    doing = registry.find("task", task).load()
    doing.build(dataset.spec, doing.Config())  # says what does not fit before a model is looked for
    seen = seen_in(dataset)
    known = choose(source, seen, task, named, transferring.asked(settings).mode)
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
    if origin is not None:
        for key, value in origin.network.items():
            recipe.set(key, value)
    chosen = {recipe.full(key) for key in settings}
    for key, value in settings.items():
        recipe.set(key, value)
    recipe.data = draft.data  # its paths hold from any folder
    recipe.transfer.pretrained = transferring.lasting(recipe.transfer.pretrained)
    transferring.check(recipe, own, chosen)
    if recipe.fit.minutes is not None and "fit.epochs" not in chosen:
        recipe.fit.epochs = UNLIMITED
    return build(recipe, known, reason, dataset, own, origin)


def _check_keys(
    source: str, entry: registry.Entry, task: str | None, model: str | nn.Module | None, settings: dict[str, Any]
) -> None:
    """Raise `Misuse` for a setting that there is none of, or that is out of range, as far as that is known before the data is
    read: it may be the data that decides on task and model."""
    draft = recipes.blank(source, entry.name, task or "", model if isinstance(model, str) else "")
    unsure = [kind for kind, name in (("task", task), ("model", model)) if name is None]
    for key, value in settings.items():
        try:
            draft.full(key)
        except Misuse:
            later = _keys_of(unsure)
            keys = [*draft.keys()]
            known = {*keys, *(full.partition(".")[2] for full in keys)}
            if key in later or (did_you_mean(key, later) and not did_you_mean(key, known)):
                continue  # what follows from the data is known later, and names it better
            raise
        draft.set(key, value)
    _check(draft)


def _keys_of(kinds: Sequence[str]) -> set[str]:
    """The settings of every task or model, in full and bare."""
    configs = [(kind, entry.load().Config) for kind in kinds for entry in registry.entries(kind).values()]
    bare = {(kind, item.name) for kind, config in configs for item in fields(config)}
    return {name for _, name in bare} | {f"{kind}.{name}" for kind, name in bare}


def _check(recipe: Recipe) -> torch.device:
    """Raise `Misuse` for names and numbers that no training can follow; where it runs."""
    limits.check(recipe)
    if recipe.fit.epochs == 0 and recipe.fit.minutes is not None:
        raise Misuse("fit.epochs=0 trains nothing, so that there is nothing to limit: leave fit.minutes out.")
    optim.kind(recipe.optim)
    schedule.find(recipe.schedule)
    if recipe.plan != "auto":
        plan.Plan.parse(recipe.plan)
    return devices.choose(recipe.device)


UNLIMITED = 1e6
"""Epochs of a training that only its time limits."""


def build(
    recipe: Recipe,
    known: KnownGood | None,
    reason: str,
    dataset: Dataset,
    own: nn.Module | None = None,
    begin: Origin | Folder | None = None,
) -> Prepared:
    """Task, model and loader of a recipe. The random start of the weights is a function of the seed.

    `begin` with weights that are taken over, or with what a run keeps of its beginning.
    """
    device = _check(recipe)
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
        try:
            model = registry.find("model", recipe.model_name).load().build(task.spec, recipe.model)
        except Unsuited as unsuited:
            if isinstance(begin, Origin):
                raise transferring.of_no_use(begin, unsuited) from unsuited
            raise
    task.parts(model)  # says what the model lacks for the task
    if isinstance(task, Acting) and recipe.fit.accumulate > 1:
        raise Misuse("fit.accumulate divides batches of data; this task acts for its data. Leave it at 1.")
    loader = None
    if not dataset.acting:
        task.study(dataset.train, dataset.preprocess)
        _fit_together(recipe, dataset, task, model)
        loader = loader_of(recipe, dataset, augmenter_of(recipe, dataset), device)
    prepared = Prepared(recipe, known, reason, dataset, task, model.to(device), device, loader)
    if recipe.transfer.mode != "none":
        assert begin is not None, "weights that are taken over are found first"
        if isinstance(begin, Folder):
            prepared.start = beginning.begin_again(begin, model)
        else:
            prepared.start = beginning.take_over(model, recipe, begin, getattr(task.spec.output, "names", ()))
    return prepared


def loader_of(recipe: Recipe, seen: Dataset | Features, augmenter: Augmentation | None, device: torch.device) -> Loader:
    """The training split as batches."""
    return Loader(
        seen.train,
        seen.preprocess,
        augmenter,
        batch_size=recipe.fit.batch_size,
        seed=recipe.seed,
        device=device,
    )


def _fit_together(recipe: Recipe, dataset: Dataset, task: Task, model: nn.Module) -> None:
    """Raise `Problem` unless the model takes the data and answers as the task expects: told now, not in a first step."""
    if not isinstance(task, Supervised):
        return
    some = task.examples(model, dataset.train, dataset.preprocess, 2)
    if isinstance(task.spec.input, Text):  # what is expected is told of the longest
        some = functional.pad(some, (0, task.spec.input.length - some.shape[1]), value=PAD)
    some = some.to(next(model.parameters(), some).device)
    name = f"Model '{recipe.model_name.removeprefix(recipes.CUSTOM)}'"
    try:
        with mode.evaluating(model), torch.no_grad():
            output = model(some)
    except (RuntimeError, TypeError) as error:  # what torch and Python say of shapes and signatures
        raise Problem(
            f"{name} does not take input of shape {list(some.shape)}: {str(error).splitlines()[0]}"
        ) from error
    expected, received = task.expected(len(some)), getattr(output, "shape", type(output).__name__)
    if isinstance(received, str) or not agree(received, expected):
        got = received if isinstance(received, str) else list(received)
        shape = ", ".join("any" if size is None else str(size) for size in expected)
        raise Problem(
            f"{name} does not suit the task '{recipe.task_name}' here: expected an output of shape [{shape}], received {got}."
        )


def augmenter_of(recipe: Recipe, dataset: Dataset) -> Augmentation | None:
    """What changes training pictures, and targets that lie in them, or recordings; None where nothing is asked for."""
    if off(recipe.augment):
        return None
    known, spec = dataset.preprocess, dataset.spec
    if isinstance(spec.input, Audio):
        return SoundAugmenter(recipe.augment, spec.input)
    mean, std = (known.mean, known.std) if isinstance(known, PicturePreprocess) else ((), ())
    if isinstance(spec.input, Image) and isinstance(spec.output, Boxes | Mask):
        return PlacedAugmenter(recipe.augment, spec.input, mean, std)
    return Augmenter(recipe.augment, spec.input, mean, std)

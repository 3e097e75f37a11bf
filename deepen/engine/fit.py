"""fit: the only training loop, a generator of reports.

Whoever trains says `for report in fit(...)` and does with the reports what they like: print them, log them, stop by `break`.
All randomness of a step is a function of (seed, step) and the batches are one of the step too, so that a loop that starts
from a checkpoint repeats the uninterrupted one bit for bit.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepen.engine import checkpoint, mode
from deepen.engine.culprit import culprit, not_finite
from deepen.engine.plan import Plan
from deepen.engine.report import Report, Stopped
from deepen.engine.run import Folder
from deepen.engine.update import NonFiniteError, Updater
from deepen.errors import Misuse
from deepen.randomness import reseed
from deepen.recipe import Recipe
from deepen.tasks.base import Acting, Batch, Task


@dataclass
class Training:
    """What `fit` works on."""

    task: Task
    model: nn.Module
    """Already in the layout of the plan and on its device."""
    open_stream: Callable[[int], Iterator[Batch]]
    """Batches from a step on."""
    validate: Callable[[nn.Module], dict[str, float]]
    recipe: Recipe
    plan: Plan
    device: torch.device
    folder: Folder
    total_steps: int
    steps_per_epoch: float
    should_stop: Callable[[], bool] = lambda: False
    """Asked after each step; true ends the training with its state saved."""
    may_save: Callable[[], bool] = lambda: True
    """False while what a checkpoint refers to (the best bundle) has not reached the disk."""
    seconds_before: float = 0.0
    """Spent in earlier sessions of the same run."""


def fit(training: Training, resumed: checkpoint.Checkpoint | None = None) -> Iterator[Report]:
    """Train from the beginning or from a checkpoint; see `Report` for what comes out, the last one being `end`."""
    loop = _Loop(training)
    if resumed is not None:
        loop.restore(resumed)
    yield from loop.run()


class _Loop:
    """The state between two steps."""

    def __init__(self, training: Training) -> None:
        self.t = training
        recipe = training.recipe
        parts = training.task.parts(training.model)
        self.updater = Updater(
            training.model,
            parts,
            recipe.optim,
            recipe.schedule,
            training.task.goal,
            training.total_steps,
            training.device,
            recipe.transfer,
        )
        self.step = 0
        self.history: list[float] = []
        """The goal metric at each evaluation."""
        self.best: dict[str, Any] | None = None
        self.sums: dict[str, Tensor] = {}
        """Of what `step` returned since the last log tick, float64 on the device."""
        self.counted = 0
        self.acting = isinstance(training.task, Acting)
        self.unsaved = False
        self.ended: Stopped | None = None
        """Why the training had already ended when it was saved."""
        if self.acting and recipe.fit.accumulate > 1:
            raise Misuse("fit.accumulate divides batches of data; this task acts for its data. Leave it at 1.")

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        self.step = saved.step
        self.updater.load(saved.tensors, saved.state["updates"])
        self.history, self.best = saved.state["history"], saved.state["best"]
        self.counted, self.ended = saved.state["counted"], saved.state["stopped"]
        # In the order in which the task named them: a log line has its keys in that order, and a file does not keep it.
        self.sums = {name: saved.tensors[f"sum.{name}"].to(self.t.device) for name in saved.state["sums"]}

    def run(self) -> Iterator[Report]:
        t, limits = self.t, self.t.recipe.fit
        if self.ended is not None:
            yield self._report("end", {}, stopped=self.ended)
            return
        started = ticked = time.perf_counter()
        steps_ticked = self.step
        batches = t.open_stream(self.step)
        mode.train(t.model)
        if self.step == 0 and t.recipe.model is None:
            # The start of a model of the user's own is no function of the seed: without it, a kill would change it.
            warning = self._save(started, None, final=False)
            if warning is not None:
                yield warning
        if t.total_steps == 0 and not self.history:
            yield from self._only_look(started)
            return
        while self.step < t.total_steps:
            try:
                batch = next(batches)
                with t.plan.precision():
                    self._one_step(batch)
            except NonFiniteError:
                yield self._non_finite()
                return
            self.step += 1
            at_end = self.step == t.total_steps
            evaluating = at_end or self._crosses(limits.evaluate_epochs * t.steps_per_epoch)
            saving = evaluating or (limits.save_steps is not None and self.step % limits.save_steps == 0)
            if evaluating or self.step % limits.log_steps == 0:
                numbers = self._tick()
                if not all(math.isfinite(value) for value in numbers.values()):
                    yield self._non_finite()
                    return
                now = time.perf_counter()
                pace = (self.step - steps_ticked) / max(1e-9, now - ticked)
                yield self._report("log", numbers, speed={"steps_per_second": pace, "seconds": self._seconds(started)})
                ticked, steps_ticked = time.perf_counter(), self.step
            stopped = None if evaluating else self._why_stop(started)
            if evaluating or stopped == "time":
                if not self._finite_weights():
                    yield self._non_finite()
                    return
                yield self._evaluate(started)
                stopped = stopped or self._why_stop(started)
            # State that no later step could tell from a scheduled save: an acting task restarts its environments at one.
            if saving or (stopped is not None and not self.acting):
                try:
                    warning = self._save(started, stopped, final=stopped is not None or at_end)
                except NonFiniteError as error:
                    yield self._non_finite(str(error))
                    return
                if warning is not None:
                    yield warning
                if self.acting:
                    batches = t.open_stream(self.step)
                ticked, steps_ticked = time.perf_counter(), self.step
            if stopped is not None:
                yield self._report("end", {}, stopped=stopped, saved=not self.unsaved)
                return
        yield self._report("end", {}, stopped="finished", saved=not self.unsaved)

    def _only_look(self, started: float) -> Iterator[Report]:
        """A training of no steps: the weights are scored as they came."""
        if not self._finite_weights():
            yield self._non_finite()
            return
        yield self._evaluate(started)
        warning = self._save(started, None, final=True)
        if warning is not None:
            yield warning
        yield self._report("end", {}, stopped="finished", saved=not self.unsaved)

    def _one_step(self, batch: Batch) -> None:
        t, accumulate = self.t, self.t.recipe.fit.accumulate
        self.updater.begin(self.step, self.history)
        placed = t.plan.place(batch)
        if accumulate == 1:
            reseed(t.recipe.seed, "step", self.step)
            with t.plan.autocast(t.device):
                self._add(t.task.step(t.model, placed, self.updater), 1.0)
            return
        counted = max(1.0, t.task.counted(placed))  # a batch may ask nothing
        pieces = [{name: rows[at] for name, rows in placed.items()} for at in _slices(len(placed["input"]), accumulate)]
        for number, piece in enumerate(pieces):
            reseed(t.recipe.seed, "step", self.step, number)
            weight = t.task.counted(piece) / counted
            self.updater.portion(weight, complete=number == len(pieces) - 1)
            with t.plan.autocast(t.device):
                self._add(t.task.step(t.model, piece, self.updater), weight)

    def _add(self, numbers: dict[str, Tensor], weight: float) -> None:
        for name, value in numbers.items():
            if name in self.sums:
                self.sums[name].add_(value, alpha=weight)
            else:
                self.sums[name] = value.detach().double() * weight

    def _tick(self) -> dict[str, float]:
        """Means since the last tick, and the rate. Waits for the device."""
        steps = max(1, self.step - self.counted)
        numbers = {f"train/{name}": value.item() / steps for name, value in self.sums.items()}
        self.sums, self.counted = {}, self.step
        return numbers | {"lr": self.updater.lr}

    def _crosses(self, interval: float) -> bool:
        """Whether this step completes another interval (which need not be whole)."""
        return math.floor(self.step / interval + 1e-9) > math.floor((self.step - 1) / interval + 1e-9)

    def _evaluate(self, started: float) -> Report:
        model = self._evaluated
        before = time.perf_counter()
        metrics = self.t.validate(model)
        goal = self.t.task.goal
        value = metrics[goal.metric]
        delta = self.t.recipe.fit.min_delta
        better = math.isfinite(value) and goal.better(value, self.best["value"] if self.best else None, delta)
        tie = metrics.get(goal.tie, math.inf)
        equal = self.best is not None and value == self.best["value"] and tie < self.best["tie"]
        self.history.append(value)
        best = better or equal
        if best:
            # A tie that is won moves the best weights, but is no progress in the sense of patience.
            evaluation = len(self.history) if better or self.best is None else self.best["evaluation"]
            self.best = {"metric": goal.metric, "value": value, "step": self.step, "tie": tie, "evaluation": evaluation}
        numbers = {f"validation/{name}": value for name, value in metrics.items()}
        speed = {"evaluation_seconds": time.perf_counter() - before, "seconds": self._seconds(started)}
        return self._report("evaluation", numbers, speed=speed, best=best, model=model)

    @property
    def _evaluated(self) -> nn.Module:
        return self.t.model if self.updater.average is None else self.updater.average

    def _finite_weights(self) -> bool:
        """Scores alone do not tell: the accuracy of a model that answers NaN is a number."""
        return not_finite(self._evaluated) is None

    def _why_stop(self, started: float) -> Stopped | None:
        limits = self.t.recipe.fit
        if self._early():
            return "early"
        if self.t.should_stop():
            return "interrupted"
        if limits.minutes is not None and self._seconds(started) >= limits.minutes * 60:
            return "time"
        return None

    def _early(self) -> bool:
        limits = self.t.recipe.fit
        if not self.history:
            return False
        best_at = self.best["evaluation"] if self.best else 0
        if limits.patience is not None and len(self.history) - best_at >= limits.patience:
            return True
        if limits.until is not None and self.best and best_at == len(self.history):
            at_most = self.t.task.goal.best == "min"
            return bool(self.best["value"] <= limits.until if at_most else self.best["value"] >= limits.until)
        return False

    def _save(self, started: float, stopped: Stopped | None, *, final: bool) -> Report | None:
        if not self.t.may_save():
            self.unsaved = True
            return self._report(
                "warning", {}, text=f"Not saved at step {self.step}: the best model is not on disk yet."
            )
        tensors = self.updater.state() | {f"sum.{name}": value for name, value in self.sums.items()}
        for name, value in tensors.items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise NonFiniteError(name)
        state = {
            "updates": self.updater.updates,
            "history": self.history,
            "best": self.best,
            "counted": self.counted,
            "sums": list(self.sums),
            "stopped": None if stopped == "interrupted" else stopped,
            "seconds": self._seconds(started),
        }
        try:
            self.t.folder.save(self.step, tensors, state)
            self.unsaved = False
        except OSError as error:
            self.unsaved = True
            size = sum(value.numel() * value.element_size() for value in tensors.values())
            later = "It was the last save of this training." if final else "Training goes on and tries again."
            text = f"{checkpoint.no_room(error, self.t.folder.checkpoints, size)} {later}"
            return self._report("warning", {}, text=text)
        return None

    def _non_finite(self, state: str | None = None) -> Report:
        """Ends the training; nothing non-finite has been saved. `state` names what of it was not finite, if no loss was."""
        what = "The loss" if state is None else f"The state {state}"
        why = f"; {self._culprit()}" if state is None else ""
        text = (
            f"{what} became NaN or infinite at step {self.step} (learning rate {self.updater.lr:.3g}){why}. "
            "The last good state is kept. Try a lower optim.lr, or optim.clip=1."
        )
        return self._report("end", {}, stopped="nan", text=text)

    def _culprit(self) -> str:
        t = self.t
        batch = next(t.open_stream(self.step))
        return culprit(t.task, t.model, t.plan, batch, t.device, t.recipe.seed, self.step)

    def _seconds(self, started: float) -> float:
        return self.t.seconds_before + time.perf_counter() - started

    def _report(self, kind: Any, numbers: dict[str, float], **rest: Any) -> Report:
        return Report(kind, self.step, self.step / self.t.steps_per_epoch, numbers, **rest)


def _slices(size: int, pieces: int) -> list[slice]:
    """`size` rows in at most `pieces` runs of nearly equal length."""
    edges = [size * number // pieces for number in range(pieces + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges) if b > a]

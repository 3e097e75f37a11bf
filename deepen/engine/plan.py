"""Plan: how a step runs on this machine.

Precision and memory layout are chosen by a timed and checked trial on the first batches, not by rule: on one
processor bfloat16 halves a step, on the next it doubles it, and for some shapes it is wrong. A candidate whose numbers stray
from float32's is rejected, the fastest that is left is written into the run, and remembered on disk so that the same
training on the same machine always takes the same plan (and gives the same weights).
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepen.data import places
from deepen.engine.checkpoint import write_text
from deepen.engine.device import processor
from deepen.engine.update import NonFiniteError
from deepen.errors import Misuse, did_you_mean
from deepen.randomness import reseed
from deepen.tasks.base import Batch

WORDS = ("fp32", "fast_matmul", "bf16", "channels_last", "compile")
TOLERANCE = 0.02
"""Largest relative difference of a logged loss from float32's, over the trial's steps."""
WORTH = 0.92
"""A candidate must need less than this share of float32's time: below that, noise decides."""
TRIAL_STEPS = 4
MOST_SECONDS = 3.0
MOST_SHARE = 0.06
MOST_STEPS = 20
"""The trial may take this share of the expected training time, and never more than `MOST_SECONDS`, or, where steps are slow,
than the time of so many of them."""
SLOW = 0.2
"""Seconds of a step from which on a large network is tried on a part of its batch, of at least `FEWEST` samples."""
FEWEST = 8


@dataclass(frozen=True)
class Plan:
    """How a step runs. Its text, `bf16+channels_last` say, is what stands in a run and after `plan=`."""

    bf16: bool = False
    fast_matmul: bool = False
    """Float32 products through bfloat16 units (oneDNN); exact to float32 rounding on some processors, not on others."""
    channels_last: bool = False
    compile: bool = False

    def __str__(self) -> str:
        words = [word for word in WORDS[1:] if getattr(self, word)]
        return "+".join(words if self.bf16 else ["fp32", *words])

    @classmethod
    def parse(cls, text: str) -> Plan:
        words = text.replace(" ", "").split("+")
        for word in words:
            if word not in WORDS:
                hint = did_you_mean(word, (*WORDS, "auto"))
                raise Misuse(
                    f"plan={text} is not known: expected auto, or words of {', '.join(WORDS)} joined by +.{hint}"
                )
        if {"fp32", "bf16"} <= set(words):
            raise Misuse(f"plan={text} contradicts itself: a step runs in fp32 or in bf16.")
        return cls(**{word: True for word in words if word != "fp32"})

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model in this plan's memory layout, compiled in place where asked (its parameter names stay)."""
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compile:
            model.compile()
        return model

    def place(self, batch: Batch) -> Batch:
        """Pictures in the memory layout of the plan."""
        picture = batch["input"]
        if picture.ndim != 4:
            return batch
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return batch | {"input": picture.contiguous(memory_format=layout)}

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """Each step runs inside this: a switch of the process. Evaluations run outside, in float32."""
        if not self.fast_matmul:
            yield
            return
        switches: Any = torch.backends.mkldnn  # its type stubs do not know `matmul`
        previous = switches.matmul.fp32_precision
        switches.matmul.fp32_precision = "bf16"
        try:
            yield
        finally:
            switches.matmul.fp32_precision = previous

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager[object]:
        """Each step runs inside this."""
        return torch.autocast(device.type, torch.bfloat16) if self.bf16 else contextlib.nullcontext()


Trial = Callable[[nn.Module, Plan, list[Batch]], list[dict[str, Tensor]]]
"""Runs one step per batch on a scratch copy of a model; returns the numbers of each step."""


@dataclass(frozen=True)
class Choice:
    """A plan and how it came about, in words."""

    plan: Plan
    reason: str
    step_seconds: float | None = None
    """Measured in the trial; None where nothing was timed, or not with whole batches."""


def choose(
    text: str,
    model: nn.Module,
    batches: list[Batch],
    trial: Trial,
    steps: int,
    device: torch.device,
    seed: int,
    key: str,
) -> Choice:
    """The plan that `text` names, or for `auto` the fastest one that computes what float32 computes."""
    if text != "auto":
        return Choice(Plan.parse(text), "as asked")
    try:
        return _tried(model, batches, trial, steps, device, seed, key)
    except NonFiniteError:
        return Choice(Plan(), "the loss is not finite within the first steps, so that nothing could be tried")


def _tried(
    model: nn.Module, batches: list[Batch], trial: Trial, steps: int, device: torch.device, seed: int, key: str
) -> Choice:
    whole, this = _keys(model, batches[0], device, key, steps)
    known = _remembered()
    # What was settled for a training of this very length comes first: the same command takes the same plan again.
    remembered = known.get(this, known.get(whole))
    if remembered is not None:
        plan = Plan.parse(remembered)
        first = _time(model, plan, batches[:1], trial, device, seed)[0]
        seconds = _time(model, plan, batches if first < SLOW else batches[:1], trial, device, seed)[0]
        return Choice(plan, "the fastest when this was first trained here", seconds)
    # The first step of a process pays for much that is done once.
    first = _time(model, Plan(), batches[:1], trial, device, seed)[0]
    whole_size = len(batches[0]["input"])
    size = whole_size if first < SLOW else min(whole_size, max(FEWEST, int(whole_size * SLOW / first)))
    if size < whole_size:
        batches = [{name: rows[:size] for name, rows in batch.items()} for batch in batches]
        _time(model, Plan(), batches[:1], trial, device, seed)
    seconds, reference = _time(model, Plan(), batches, trial, device, seed)
    budget = min(max(MOST_SECONDS, MOST_STEPS * seconds), MOST_SHARE * seconds * whole_size / size * steps)
    if seconds * (len(batches) + 1) * 2 > budget:
        return _decide(
            Plan(), "the training is too short for trying others", seconds if size == whole_size else None, [this]
        )
    best, best_seconds, rejected, keys = Plan(), seconds, [], [this, whole]
    started = time.perf_counter()
    for plan in candidates(model, batches[0], device):
        if time.perf_counter() - started > budget:
            keys = [this]  # a trial that was broken off says nothing of a longer training
            break
        try:
            _time(model, plan, batches[:1], trial, device, seed)  # warm-up: weights are packed for each layout once
            taken, numbers = _time(model, plan, batches, trial, device, seed)
        except NonFiniteError:
            taken, numbers = math.inf, []
        if taken == math.inf or _strays(numbers, reference):
            rejected.append(str(plan))
        elif taken < best_seconds * (WORTH if best == Plan() else 1.0):
            best, best_seconds = plan, taken
    reason = "the fastest of a timed trial" if best == Plan() else f"{seconds / best_seconds:.1f} times as fast as fp32"
    if rejected:
        reason += f"; {', '.join(rejected)} rejected, its loss strays from fp32's"
    return _decide(best, reason, best_seconds if size == whole_size else None, keys)


def candidates(model: nn.Module, batch: Batch, device: torch.device) -> list[Plan]:
    """What is worth a trial here, the most promising first."""
    pictures = batch["input"].ndim == 4 and any(isinstance(module, nn.Conv2d) for module in model.modules())
    if device.type == "cuda":
        plans = [Plan(bf16=True, channels_last=pictures), Plan(channels_last=True)]
    elif device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        plans = [Plan(bf16=True, channels_last=pictures), Plan(channels_last=True), Plan(fast_matmul=True)]
    else:
        plans = [Plan(channels_last=True)]
    return [plan for plan in plans if pictures or not (plan.channels_last)]


def _time(
    model: nn.Module, plan: Plan, batches: list[Batch], trial: Trial, device: torch.device, seed: int
) -> tuple[float, list[dict[str, Tensor]]]:
    scratch = plan.prepare(copy.deepcopy(model))
    reseed(seed, "plan")
    started = time.perf_counter()
    numbers = trial(scratch, plan, batches)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - started) / len(batches), numbers


def _strays(numbers: list[dict[str, Tensor]], reference: list[dict[str, Tensor]]) -> bool:
    for mine, theirs in zip(numbers, reference, strict=True):
        for name in theirs:
            value, expected = float(mine[name]), float(theirs[name])
            if "loss" in name and not abs(value - expected) <= TOLERANCE * max(abs(expected), 0.05):
                return True
    return False


def _decide(plan: Plan, reason: str, seconds: float | None, keys: list[str]) -> Choice:
    known = _remembered() | dict.fromkeys(keys, str(plan))
    with contextlib.suppress(OSError):  # a plan that cannot be remembered is timed again: slower, not wrong
        _memory().parent.mkdir(parents=True, exist_ok=True)
        write_text(_memory(), json.dumps(known, indent=1))
    return Choice(plan, reason, seconds)


def _memory() -> Path:
    return places.cache_folder() / "plans.json"


def _remembered() -> dict[str, str]:
    """Only what this version understands: the file may be of another one, or damaged."""
    try:
        known = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    texts = known.items() if isinstance(known, dict) else ()
    return {key: text for key, text in texts if isinstance(text, str) and set(text.split("+")) <= set(WORDS)}


def _keys(model: nn.Module, batch: Batch, device: torch.device, key: str, steps: int) -> tuple[str, str]:
    """A training on a machine, of any length and of this one: model, shapes, what else a step depends on, versions."""
    shapes = [tuple(batch["input"].shape[1:])] + [tuple(p.shape) for p in model.parameters()]
    parts = (type(model).__name__, shapes, key, torch.__version__, device.type, processor(), torch.get_num_threads())
    whole, this = (hashlib.sha256(repr(part).encode()).hexdigest()[:24] for part in (parts, (*parts, steps)))
    return whole, this

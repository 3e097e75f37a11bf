"""Task: what is being learned.

The engine knows this file and no task by name. A task says what one step does, what is measured and which number is the
goal. It never touches precision, compilation, accumulation, averaging or devices: those live in `engine/`.

A task is a module of this folder with `SUMMARY`, a dataclass `Config`, `natural(spec) -> bool` (whether this is what one
does with such data when nothing else is asked) and `build(spec, config) -> Task`.

Scores are rows, one per sample: `score` gives tensors whose first dimension is the batch, `measure` computes the metrics
from all rows of a split. Metrics are thereby exact for any batch size and any number of processes (rows are
concatenated), and a bootstrap is `measure` on resampled rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from deepen.data.dataset import Columns
from deepen.data.preprocess import Preprocess
from deepen.spec import Spec

Batch = dict[str, Tensor]
"""`input` as the model sees it and, where there is one, `target`; an acting task puts in what it needs."""

Rows = dict[str, Tensor]
"""One row per sample: tensors [N, ...] on the CPU."""


@dataclass(frozen=True)
class Goal:
    """The validation metric that decides which weights are best."""

    metric: str
    best: Literal["max", "min"]
    tie: str = "loss"
    """The metric, lower is better, that decides between equal values: on a small validation split many are equal."""

    def better(self, value: float, than: float | None, min_delta: float = 0.0) -> bool:
        if than is None:
            return True
        return value > than + min_delta if self.best == "max" else value < than - min_delta


class Update(Protocol):
    """What the engine hands to `step`: backward, accumulation, clipping, optimizer, schedule and average in one call."""

    step: int

    def __call__(self, loss: Tensor, part: str = "model") -> None:
        """Follow the gradient of `loss` with the parameters of `part` only."""


class Task(ABC):
    """What is being learned. Concrete tasks are final."""

    spec: Spec
    goal: Goal

    @abstractmethod
    def study(self, train: Columns, preprocess: Preprocess) -> None:
        """Look at the training split, before the first step and before `baseline`: class weights, the trivial answer.

        A task that acts for its data is not asked."""

    @abstractmethod
    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        """The parts that `update` may name, each with the module whose parameters it moves."""

    @abstractmethod
    def step(self, model: nn.Module, batch: Batch, update: Update) -> dict[str, Tensor]:
        """One step of learning. Returns detached scalars to log, e.g. {"loss": ...}; never calls `.item()`."""

    def counted(self, batch: Batch) -> float:
        """What the loss of a batch is the mean of: as much as a piece of a batch weighs where gradients are accumulated."""
        return len(batch["input"])

    @abstractmethod
    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """What `measure` needs to know of each sample of a batch. Called in eval mode without gradients."""

    @abstractmethod
    def measure(self, rows: Rows) -> dict[str, float]:
        """The metrics of a split from the rows of all its samples."""

    @abstractmethod
    def baseline(self, rows: Rows) -> dict[str, float]:
        """The same metrics for the trivial answer (the commonest class, the mean, a random policy)."""

    @abstractmethod
    def examples(self, model: nn.Module, columns: Columns, preprocess: Preprocess, count: int) -> Tensor:
        """Inputs of `model`, float32 [count, ...], always the same ones: goldens of the bundle and probes."""

    @abstractmethod
    def preview(self, model: nn.Module) -> dict[str, Tensor]:
        """Pictures of the state of learning by name, uint8 [H, W, C]; an empty dictionary where there is nothing to see."""


def agree(received: Sequence[int], expected: Sequence[int | None]) -> bool:
    """Whether a shape is as expected, in which None is any number."""
    return len(received) == len(expected) and all(
        wanted in (None, size) for size, wanted in zip(received, expected, strict=True)
    )


class Supervised(Task):
    """A task that learns targets from inputs: a concrete one writes `loss`, `score`, `measure` and how to say the answer."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss over the batch, with gradient, and further detached scalars to log."""

    def expected(self, count: int) -> tuple[int | None, ...]:
        """The shape of a model's answer to `count` inputs, for telling early that a model does not suit; None is any number."""
        return (count, self.spec.output.width)

    @final
    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        return {"model": model}

    @final
    def step(self, model: nn.Module, batch: Batch, update: Update) -> dict[str, Tensor]:
        loss, numbers = self.loss(model, batch)
        update(loss)
        return {"loss": loss.detach(), **numbers}

    @final
    def examples(self, model: nn.Module, columns: Columns, preprocess: Preprocess, count: int) -> Tensor:
        count = min(count, len(columns))
        return preprocess.tensor(columns.take(torch.arange(count))["input"])

    @final
    def preview(self, model: nn.Module) -> dict[str, Tensor]:
        return {}


class Acting(Task):
    """A task whose training data comes from acting with the model as it is."""

    batch_size: int
    """Steps in environments that one batch of the stream holds."""

    @abstractmethod
    def stream(self, model: nn.Module, seed: int, step: int) -> Iterator[Batch]:
        """Batches from step `step` on. Environments start anew as a function of (seed, step): the engine opens the
        stream again at each checkpoint, in the uninterrupted run as well, so that a resumed run repeats it."""


@dataclass(frozen=True)
class Rival:
    """What a cheap method of another kind makes of the same data: a network has to be worth its while beside it."""

    method: str
    metrics: dict[str, float]
    """Of the split that was asked for, by the names of the task's own; empty where the comparison was left out."""
    skipped: str = ""
    """Why it was left out."""
    fitted: bool = True
    """Whether it had to learn anything: who repeats the last season has not."""


class Rivalled(ABC):
    """A task that knows such a method for some data."""

    @abstractmethod
    def rival(self, columns: Columns) -> Rival | None:
        """What the method scores on a split, fitted on the training split that `study` saw; None where there is none for
        such data."""


class Answers(ABC):
    """A task that answers for an input with what the model's output alone says."""

    @abstractmethod
    def answer(self, output: Tensor) -> list[dict[str, Any]]:
        """What a person is told for each row of the model's output: the keys of `deepen predict --json`."""


class Reads(ABC):
    """A task whose answers for texts need the texts beside what the model makes of them."""

    @abstractmethod
    def read(self, model: nn.Module, preprocess: Preprocess, items: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """What a person is told for each text, one after the other. `model` is in evaluation mode."""


class Places(ABC):
    """A task whose answers lie in a picture (boxes, masks), and are told in the pixels of the picture as it came; or in a text
    (labels), and are told in its characters."""

    @abstractmethod
    def place(self, outputs: Iterable[tuple[Tensor, Sequence[Any]]]) -> Iterator[dict[str, Any]]:
        """One answer per picture or text, from the model's outputs [n, ...] for the rows that were cut out of them, each with its
        `Frame` or `Passage`. The rows of one follow each other, and may be spread over several of the outputs."""


class Generates(ABC):
    """Something that can make new samples."""

    @abstractmethod
    def generate(self, model: nn.Module, count: int, seed: int) -> Tensor:
        """New samples as pictures: uint8 [count, H, W, C]."""


@dataclass(frozen=True)
class Writing:
    """How a text is continued."""

    tokens: int = 256
    """How many are written at most."""
    temperature: float = 1.0
    """0: always the likeliest token. Higher: less likely ones as well."""
    top_k: int | None = None
    """Only the likeliest ones, as many."""
    top_p: float | None = None
    """Only the likeliest ones that together have this chance."""
    seed: int = 0
    stop: str | None = None
    """Nothing is written from this text on."""


@runtime_checkable
class Continues(Protocol):
    """What a model is that can continue a text. `caches` hold what it has read; each has `filled`, the tokens so far."""

    def begin(self) -> list[Any]: ...

    def go_on(self, input: Tensor, caches: list[Any]) -> Tensor:
        """Logits [B, vocabulary] of the token after `input` [B, L]."""


class Writes(ABC):
    """Something that continues texts."""

    @abstractmethod
    def write(
        self, model: nn.Module, preprocess: Preprocess, prompt: str, writing: Writing
    ) -> Generator[str, None, int]:
        """What follows the prompt, piece by piece; at the end how many tokens were written."""


class Transforms(ABC):
    """Something that draws pictures anew."""

    @abstractmethod
    def transform(self, model: nn.Module, preprocess: Preprocess, pictures: Tensor) -> Tensor:
        """Pictures of one size, uint8 [n, H, W, 3], drawn anew: uint8 [n, h, w, 3] of about that size. Raises
        `UnreadableError` for a size that cannot be drawn."""

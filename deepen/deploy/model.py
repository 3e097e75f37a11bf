"""A trained model with everything between a raw input and an answer: what a bundle is loaded as."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn import functional

from deepen.data import pixels
from deepen.data.framed import PIECES
from deepen.data.preprocess import BATCH, Frame, Preprocess
from deepen.engine import mode
from deepen.errors import Problem
from deepen.spec import Spec
from deepen.tasks.base import Answers, Generates, Places, Reads, Task, Transforms, Writes

Refuse = Callable[[str, Problem], None]
"""What is told of an input that cannot be used: what it is called, and why."""


@dataclass
class Model:
    """A trained model with everything between a raw input and an answer. `module` is a plain `torch.nn.Module`."""

    module: nn.Module
    task: Task
    preprocess: Preprocess
    facts: dict[str, Any]
    """The content of `bundle.json`."""

    @property
    def spec(self) -> Spec:
        return self.task.spec

    def logits(self, inputs: Any) -> Tensor:
        """The model's raw output for inputs as `predict` takes them: float32 [N, spec.output.width] for most tasks."""
        outputs = [output for output, _ in self._outputs(self.read(inputs), None, deque())]
        if (
            len({output.shape[1:] for output in outputs}) > 1
        ):  # an answer for every place of a text is as long as the text
            longest = max(output.shape[1] for output in outputs)
            outputs = [functional.pad(output, (0, 0, 0, longest - output.shape[1])) for output in outputs]
        return torch.cat(outputs)

    def predict(self, inputs: Any) -> list[dict[str, Any]]:
        """Answers for files, or for raw items: arrays, pictures, rows of a table.

        `inputs` is a path or several of them, one array with a leading dimension for samples, one picture, or a list of items.
        Each answer has `input` and what the task says of it (`category`, `probability`, `top`; `quantity`; ...).
        """
        return list(self.answers(self.read(inputs)))

    def generate(self, count: int = 16, seed: int = 0) -> Tensor:
        """New samples, uint8 [count, H, W, C]. Raises `Problem` for a task that makes none."""
        if not isinstance(self.task, Generates):
            raise Problem(
                f"A model for '{self.facts['task']['name']}' makes no samples. Use `deepen predict` on it instead."
            )
        return self.task.generate(self.module, count, seed)

    def transform(self, inputs: Any, size: int | None = None) -> Iterator[tuple[str, Tensor]]:
        """Pictures drawn anew, one after the other, with what they are called: uint8 [h, w, 3].

        `inputs` as for `predict`. Each is drawn with its longer side brought to `size` pixels, or at its own size; those of
        more than `pixels.MOST_WHOLE` pixels are then made smaller. Raises `Problem` for a task that draws none.
        """
        for redrawn in self.redraw(self.read(inputs), size):
            yield redrawn.name, redrawn.pixels

    def read(self, inputs: Any, refuse: Refuse | None = None) -> list[tuple[str, Any]]:
        """What `inputs` are called with what they are, for `answers` and `redraw`. Nothing is decoded yet.

        Paths that cannot be read are handed to `refuse`, with the reason, and left out; without it, `Problem` is raised.
        """
        if isinstance(inputs, str | Path):
            inputs = [inputs]
        if isinstance(inputs, list | tuple) and inputs and all(isinstance(item, str | Path) for item in inputs):
            if refuse is None:
                return self._some(self.preprocess.read(str(item) for item in inputs))
            return [pair for item in inputs for pair in self._found(str(item), refuse, alone=len(inputs) == 1)]
        if isinstance(inputs, Tensor):
            inputs = inputs.detach().cpu().numpy()
        if isinstance(inputs, dict | bytes | Image) or self._is_picture(inputs):
            inputs = [inputs]
        if hasattr(inputs, "to_dict"):  # a data frame
            inputs = inputs.to_dict("records")
        if isinstance(inputs, np.ndarray) or not isinstance(inputs, list | tuple):
            inputs = list(inputs) if hasattr(inputs, "__len__") else [inputs]
        return self._some([(f"#{number}", item) for number, item in enumerate(inputs)])

    def answers(self, named: Sequence[tuple[str, Any]], refuse: Refuse | None = None) -> Iterator[dict[str, Any]]:
        """The answers of `predict`, one after the other, for what `read` gave. Files that turn out to be damaged are handed to
        `refuse`, with the reason, and left out; without it, `Problem` is raised."""
        task, name = self.task, self.facts["task"]["name"]
        names: deque[str] = deque()
        outputs = self._outputs(named, refuse, names)
        told: Iterator[dict[str, Any]]
        if isinstance(task, Places):
            told = task.place(outputs)
        elif isinstance(task, Reads):
            names.extend(name for name, _ in named)
            told = task.read(self.module, self.preprocess, [item for _, item in named])
        elif isinstance(task, Answers):
            told = (answer for output, _ in outputs for answer in task.answer(output))
        elif isinstance(task, Transforms):
            raise Problem(
                f"A model for '{name}' draws pictures anew and says nothing of them: name a folder for what it draws, "
                "`deepen predict RUN PICTURE --save FOLDER`."
            )
        elif isinstance(task, Writes):
            raise Problem(f"A model for '{name}' goes on with a text: `deepen generate RUN --prompt TEXT`.")
        else:
            raise Problem(
                f"A model for '{name}' makes samples out of nothing and answers no input. Use `deepen generate` on it instead."
            )
        items = dict(named)
        return ({"input": (own := names.popleft()), **self._said(items[own], answer)} for answer in told)

    def _said(self, item: Any, answer: dict[str, Any]) -> dict[str, Any]:
        return {**self.preprocess.beside(item), **self.preprocess.worded(answer)}

    def redraw(
        self, named: Sequence[tuple[str, Any]], size: int | None = None, refuse: Refuse | None = None
    ) -> Iterator[Redrawn]:
        """What `transform` draws, for what `read` gave; with `refuse` as in `answers`."""
        if not isinstance(self.task, Transforms):
            raise Problem(
                f"A model for '{self.facts['task']['name']}' draws no pictures anew. Use `deepen predict` on it instead."
            )
        return self._redrawn(self.task, named, size, refuse)

    def _redrawn(
        self, task: Transforms, named: Sequence[tuple[str, Any]], size: int | None, refuse: Refuse | None
    ) -> Iterator[Redrawn]:
        device = next(self.module.parameters()).device
        for number, (name, item) in enumerate(named):
            try:
                with pixels.quiet(), pixels.naming(item, number):
                    array, original = pixels.whole(item, size)
                    row = torch.from_numpy(array.copy()).unsqueeze(0).to(device)
                    drawn = task.transform(self.module, self.preprocess, row)[0]
            except pixels.UnusableError as problem:
                if refuse is None:
                    raise
                refuse(name, problem)
                continue
            yield Redrawn(name, drawn, original, size is None and array.shape[:2] != original)

    def _is_picture(self, inputs: Any) -> bool:
        own = self.preprocess
        if not isinstance(own, pixels.PicturePreprocess) or not isinstance(inputs, np.ndarray):
            return False
        return pixels.single(inputs, own.channels)

    def _found(self, path: str, refuse: Refuse, *, alone: bool) -> list[tuple[str, Any]]:
        """What a path means. A table that lacks what the model needs is refused as a whole."""
        try:
            found = self.preprocess.read([path])
            if not alone and not _are_files(found):
                self.preprocess.encode([item for _, item in found])
        except Problem as problem:
            refuse(path, problem)
            return []
        return found

    def _some(self, named: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        if not named:
            what = "draw" if isinstance(self.task, Transforms) else "predict"
            raise Problem(f"There is nothing to {what}: no input was given.")
        return named

    def _outputs(
        self, named: Sequence[tuple[str, Any]], refuse: Refuse | None, names: deque[str]
    ) -> Iterator[tuple[Tensor, list[Frame]]]:
        """The model's output for the rows of what could be read, whose names are added to `names`."""
        device = next(self.module.parameters()).device
        for stored, frames in self._pieces(named, refuse, names):
            yield run(self.module, self.preprocess.tensor(stored.to(device))), frames

    def _pieces(
        self, named: Sequence[tuple[str, Any]], refuse: Refuse | None, names: deque[str]
    ) -> Iterator[tuple[Tensor, list[Frame]]]:
        if refuse is None or not _are_files(named):
            names.extend(name for name, _ in named)
            yield from self.preprocess.pieces([item for _, item in named])
            return
        rows: list[Tensor] = []
        frames: list[Frame] = []
        for number, (name, item) in enumerate(named):
            pieces = self.preprocess.pieces([item])
            try:
                first = next(pieces)
            except Problem as problem:
                refuse(name, problem)
                continue
            names.append(name)
            for stored, framed in itertools.chain([first], pieces):
                held = sum(map(len, rows)) + len(stored)
                places = (
                    stored[0, ..., 0] if stored.dim() > 2 else stored[0]
                )  # pixels, whatever their channels; samples
                if rows and (held > BATCH or held * places.numel() > PIECES):
                    yield self.preprocess.joined(rows), frames
                    rows, frames = [], []
                rows.append(stored)
                frames += [replace(frame, item=number) for frame in framed]
        if rows:
            yield self.preprocess.joined(rows), frames


@dataclass(frozen=True)
class Redrawn:
    """A picture that was drawn anew."""

    name: str
    pixels: Tensor
    """uint8 [h, w, 3]"""
    original: tuple[int, int]
    """Height and width that the picture came in."""
    smaller: bool
    """Whether it was made smaller before it was drawn."""


def _are_files(named: Sequence[tuple[str, Any]]) -> bool:
    return all(isinstance(item, Path) for _, item in named)


@torch.no_grad()
def run(module: nn.Module, inputs: Tensor) -> Tensor:
    """The output of a module for inputs of it, in evaluation mode: float32, on the CPU."""
    held = next(itertools.chain(module.parameters(), module.buffers()), inputs)
    with mode.evaluating(module):
        output: Tensor = module(inputs.to(held.device))
    return output.float().cpu()

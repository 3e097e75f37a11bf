"""What a language model writes while it learns: at each evaluation it goes on with the same few words.

The words are the first of the validation split, which it does not learn from. Each is a small text file of the run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

from deepen.data.dataset import Dataset
from deepen.data.sentences import TextPreprocess
from deepen.engine import mode
from deepen.insight.pictures import wrapped_table
from deepen.tasks.base import Writes, Writing

BEGINNING = 40
"""Characters that are given."""
LENGTH = 120
"""Characters that are written."""
TEMPERATURE = 0.8
MOST = 8
"""Of them are shown, the first and the last always."""
NAME = "text"


def beginning(dataset: Dataset) -> str:
    """The words that are gone on with: whole ones, where the text has blanks."""
    assert isinstance(dataset.preprocess, TextPreprocess)
    text = dataset.preprocess.shown(dataset.validation.between(0, 1)["input"][0]).lstrip()
    whole, blank, _ = text[:BEGINNING].rpartition(" ")
    return whole if blank else text[:BEGINNING]


def continuation(task: Writes, model: nn.Module, dataset: Dataset, begun: str) -> str:
    """What the model goes on with: always with the same draws."""
    text = ""
    with mode.evaluating(model):
        for piece in task.write(model, dataset.preprocess, begun, Writing(tokens=LENGTH, temperature=TEMPERATURE)):
            text += piece
            if len(text) >= LENGTH:
                break
    return text[:LENGTH]


def keep(folder: Path, step: int, text: str) -> None:
    """Write down what was written at a step, whole or not at all. Raises `OSError`."""
    folder.mkdir(exist_ok=True)
    finished = folder / f"{NAME}-{step:07d}.txt"
    unfinished = finished.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(finished)


def told(folder: Path, begun: str) -> dict[str, str]:
    """What was written over time, as a picture."""
    paths = sorted(folder.glob(f"{NAME}-*.txt"))
    chosen = [
        paths[i] for i in np.linspace(0, max(0, len(paths) - 1), min(MOST, len(paths))).round().astype(int).tolist()
    ]
    rows = [(f"{int(path.stem.rpartition('-')[2]):,}", path.read_text(encoding="utf-8")) for path in chosen]
    title = f"How it goes on with “{' '.join(begun.split())}”"
    return {"written": wrapped_table(title, ("step", "what it writes"), rows)} if rows else {}

"""Run: a training that was made, and what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from deepen import beginning, registry
from deepen.data.dataset import Columns, Dataset
from deepen.deploy import bundle
from deepen.engine import evaluate
from deepen.engine.run import Folder
from deepen.errors import Problem
from deepen.insight import report
from deepen.recipe import Recipe
from deepen.tasks.base import Rival, Rivalled, Task
from deepen.tasks.measures import independent, intervals

RIVAL = "rival.json"
"""What the cheap method scores on each split that it was asked for."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on a split."""

    run: str
    split: str
    samples: int
    """Pictures, not the pieces that large ones are scored in."""
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """95 % bootstrap interval of each metric."""
    baseline: dict[str, float]
    """The same metrics for the trivial answer."""
    looks: int
    """How often the test split has been opened for this run, this time included."""
    rival: Rival | None = None
    """What a cheap method of another kind scores on it, where the task knows one for such data."""

    def to_json(self) -> dict[str, Any]:
        intervals = {name: list(pair) for name, pair in self.intervals.items()}
        return {**vars(self), "intervals": intervals, "rival": None if self.rival is None else vars(self.rival)}


def rival(folder: Folder, task: Task, split: str, columns: Columns) -> Rival | None:
    """What a cheap method of another kind scores on a split: fitted once for a run, and then read from it."""
    if not isinstance(task, Rivalled):
        return None
    known = folder.read(RIVAL)
    if split not in known:
        found = task.rival(columns)
        if found is None:
            return None
        known[split] = vars(found)
        folder.write(RIVAL, known)
    return Rival(**known[split])


class Run:
    """A run folder. `deepen.train` and `deepen.resume` return one; `Run(path)` opens one."""

    def __init__(self, path: str | Path) -> None:
        self.folder = Folder.open(path)
        self.path = self.folder.path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        best = self.result.get("best") or {}
        return (
            f"<b>{self.path.name}</b>: {best.get('metric', 'no score yet')} {best.get('value', '')} on validation, "
            f"<a href='{self.folder.report}'>report</a>"
        )

    @property
    def recipe(self) -> Recipe:
        return self.folder.recipe()

    @property
    def result(self) -> dict[str, Any]:
        """What `deepen train --json` printed; empty before the first session ended."""
        return self.folder.read("result.json")

    @property
    def best(self) -> dict[str, Any]:
        """Metric, value and step of the best evaluation."""
        best: dict[str, Any] = self.result["best"]
        return best

    def load(self, *, model: nn.Module | None = None) -> bundle.Model:
        """The best model, ready to predict."""
        return bundle.load(self.path, module=model)

    def evaluate(self, *, split: str = "test", model: nn.Module | None = None) -> Evaluation:
        """Open the sealed test split (each look is counted) and score the best weights on it.

        `split="validation"` looks at the split that the weights were chosen on, without opening anything.
        """
        loaded = self.load(model=model)
        dataset = self.data()
        if loaded.facts["digest"] != dataset.digest:
            raise Problem(
                f"The data at {self.recipe.source} is not what this run was trained on (its content changed), so its test "
                "split may hold training samples. Restore the data, or train again."
            )
        if split == "validation":
            columns, looks = dataset.validation, self.folder.looks()
        elif dataset.test is None:
            ways = [] if self.recipe.data.test_fraction else ["leave out data.test_fraction=0"]
            ways += [dataset.testing] if dataset.testing else []
            advice = f" To have one, {' or '.join(ways)}, and train again." if ways else ""
            raise Problem(f"{dataset.name} has no test split.{advice}")
        else:
            columns = dataset.test.open(self.folder.count_look)
            looks = self.folder.looks()
        # The baseline is what the training split alone would suggest.
        loaded.task.study(dataset.train, dataset.preprocess)
        rows = evaluate.score(
            loaded.task, loaded.module, columns, loaded.preprocess, next(loaded.module.parameters()).device
        )
        evaluation = Evaluation(
            run=str(self.path),
            split=split,
            samples=len(next(iter(independent(loaded.task, rows).values()))),
            metrics=loaded.task.measure(rows),
            intervals=intervals(loaded.task, rows, self.recipe.seed),
            baseline=loaded.task.baseline(rows),
            looks=looks,
            rival=rival(self.folder, loaded.task, split, columns),
        )
        self.folder.write(f"evaluation-{split}.json", evaluation.to_json())
        report.recount(self.folder.report, looks)
        return evaluation

    def data(self) -> Dataset:
        """The data set of the run, read and split as it was for training."""
        recipe = self.recipe
        if Path(recipe.source).is_absolute() and not Path(recipe.source).exists():
            raise Problem(
                f"The data of this run is gone: nothing lies at {recipe.source} any more. Put it back, or train again."
            )
        if getattr(recipe.data, "tokenizer", None) is not None:
            recipe.set("data.tokenizer", str(beginning.kept_tokenizer(self.folder)))
        dataset: Dataset = registry.find("data", recipe.reader).load().load(recipe.source, recipe.data, recipe.seed)
        return dataset

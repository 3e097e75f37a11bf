"""Doctor: what is wrong with the files of a run or bundle, beside what the audit says of data."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from deepen.data.dataset import Dataset, Finding
from deepen.deploy import bundle
from deepen.engine import checkpoint
from deepen.errors import Problem
from deepen.insight import audit
from deepen.recipe import CUSTOM
from deepen.run import Run


def is_run(path: str) -> bool:
    """Whether a path holds a run rather than data."""
    return (Path(path) / "recipe.yaml").is_file()


def is_bundle(path: str) -> bool:
    """Whether a path holds a trained model alone."""
    return (Path(path) / "bundle.json").is_file() and not is_run(path)


def of_bundle(path: str) -> list[Finding]:
    """Whether a bundle is what was written, and answers as it did then."""
    folder = Path(path)
    try:
        checkpoint.verify(folder)
        name = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["model"]["name"]
        if not name.startswith(CUSTOM):  # its goldens need an instance of the user's class
            bundle.load(folder)
    except checkpoint.DamageError as error:
        return [
            Finding("error", "bundle", f"The bundle is damaged: {error}.", "Train again, or restore it from a backup.")
        ]
    except Problem as problem:
        return [Finding("error", "bundle", str(problem))]
    return []


def examine(run: Run) -> tuple[Dataset, list[Finding]]:
    """The audit of a run's data, after what is wrong with its files."""
    dataset = run.data()
    found = [*data_of(run, dataset), *files_of(run)]
    return dataset, [*found, *audit.audit(dataset, seed=run.recipe.seed, thorough=True)]


def files_of(run: Run) -> list[Finding]:
    """Whether the checkpoints and the bundle of a run are what was written."""
    return [*_checkpoints(run), *_bundle(run), *_ending(run)]


def data_of(run: Run, dataset: Dataset) -> list[Finding]:
    """Whether the data is what the run was trained on."""
    if dataset.digest == run.folder.read("data.json").get("digest"):
        return []
    text = f"The data at {run.recipe.source} changed since this run began: its content is another."
    return [Finding("error", "data-changed", text, "Restore the data, or train again.")]


def _checkpoints(run: Run) -> list[Finding]:
    found: list[Finding] = []
    folders = checkpoint.folders(run.folder.checkpoints)
    for folder in folders:
        try:
            checkpoint.verify(folder)
        except checkpoint.DamageError as error:
            found.append(Finding("warning", "damaged-checkpoint", f"A checkpoint is damaged: {error}."))
    if not folders:
        text = "There is no checkpoint: the training stopped before its first save."
        return [Finding("warning", "no-checkpoint", text, "Train again.")]
    if len(found) == len(folders):
        mend = "Train again, or restore the folder from a backup."
        return [Finding("error", "damaged-checkpoint", finding.text, mend) for finding in found]
    mend = "`deepen resume` uses the other one."
    return [Finding(finding.level, finding.subject, finding.text, mend) for finding in found]


def _bundle(run: Run) -> list[Finding]:
    if run.recipe.model_name.startswith(CUSTOM):
        return []  # its goldens need an instance of the user's class
    try:
        bundle.load(run.path)
    except Problem as problem:
        return [Finding("error" if run.folder.model.exists() else "warning", "bundle", str(problem))]
    return []


def _ending(run: Run) -> list[Finding]:
    stopped = run.result.get("stopped")
    mend = f"`deepen resume {shlex.quote(str(run.path))}` goes on."
    if stopped == "nan":
        return [
            Finding("error", "nan", "The training broke off on a number that is none.", "Train with a lower optim.lr.")
        ]
    if stopped in (None, "interrupted"):
        return [Finding("note", "unfinished", "The training has not reached its end.", mend)]
    return []

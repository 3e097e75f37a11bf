"""What a finished training tells: its pictures and its report.

Reads the run and the best weights, and hands what they say to `insight.report`. It looks at validation samples only.
"""

from __future__ import annotations

import torch

from deepen import drawing
from deepen.data.dataset import Dataset, Finding
from deepen.deploy.bundle import load
from deepen.engine import evaluate
from deepen.engine.run import Folder
from deepen.following import chosen, command, next_steps, usual
from deepen.insight import answers, audit, pictures
from deepen.insight.report import Content, write
from deepen.prepare import Prepared
from deepen.recipe import CUSTOM
from deepen.run import rival
from deepen.settle import Settled
from deepen.sources import seen_in
from deepen.spec import Boxes, Category
from deepen.tasks.base import Rows
from deepen.tasks.measures import intervals

INTERVAL_REPEATS = 300
"""Fewer than `evaluate` draws: the report should not keep anyone waiting."""


def tell(prepared: Prepared, settled: Settled, folder: Folder, findings: list[Finding], rows: Rows | None) -> None:
    """Write `pictures/` and `report.html`. `rows` are the best weights' on validation, if they are at hand."""
    recipe, dataset, task = prepared.recipe, prepared.dataset, prepared.task
    own = prepared.model if recipe.model_name.startswith(CUSTOM) else None
    model = load(folder.path, module=own)
    if rows is None:
        rows = evaluate.score(
            task, model.module.to(prepared.device), dataset.validation, dataset.preprocess, prepared.device
        )
    result, log = folder.read("result.json"), folder.rows()
    drawn = drawing.drawn(prepared, settled, folder, model, rows)
    mistakes = drawing.mistakes(dataset, rows, model.module)
    if mistakes:
        drawn["mistakes"] = pictures.mistakes(mistakes)
    pictures.save(folder.pictures, drawn)
    output = dataset.spec.output
    confusion = None
    if isinstance(output, Category) and "logits" in rows:
        confusion = answers.count_answers(rows["target"].numpy(), rows["logits"].argmax(1).numpy(), len(output.names))
    changed = chosen(recipe, usual(recipe, seen_in(dataset)))
    if prepared.start is not None:
        changed = {key: value for key, value in changed.items() if key not in prepared.start.implied}
    content = Content(
        name=folder.path.name,
        data=dataset.name,
        task=recipe.task_name,
        model=recipe.model_name,
        spec=task.spec,
        command=command(recipe, changed),
        counts={} if dataset.acting else _counts(dataset),
        class_counts=_class_counts(dataset),
        facts=[*dataset.facts, *prepared.transfer],
        findings=findings,
        verdict=audit.verdict(dataset, findings),
        bad=dataset.bad,
        digest=dataset.digest,
        parameters=prepared.parameters,
        plan=f"{settled.plan}: {settled.plan_reason}",
        stopped=result["stopped"],
        steps=result["steps"],
        epochs=result["epochs"],
        seconds=result["seconds"],
        samples_per_second=result["samples_per_second"],
        log=log,
        goal=task.goal.metric,
        better=task.goal.best,
        num_parts=len(task.parts(prepared.model)),
        metrics=task.measure(rows),
        intervals=intervals(task, rows, recipe.seed, INTERVAL_REPEATS),
        baseline=task.baseline(rows),
        trivial=_trivial(dataset),
        rival=None if dataset.acting else rival(folder, task, "validation", dataset.validation),
        confusion=confusion,
        mistakes=mistakes,
        looks=folder.looks(),
        pictures=drawn,
        settings=recipe.keys(),
        changed=list(changed),
        environment=folder.read("environment.json"),
        next_commands=next_steps(recipe, task, folder.path, sealed=dataset.test is not None),
    )
    write(folder.report, content)


def _counts(dataset: Dataset) -> dict[str, int]:
    test = {} if dataset.test is None else {"test": len(dataset.test)}
    return {"train": len(dataset.train), "validation": len(dataset.validation), **test}


def _class_counts(dataset: Dataset) -> dict[str, int]:
    output = dataset.spec.output
    if dataset.acting or not isinstance(output, Category | Boxes):
        return {}
    classes = dataset.train["target"] if isinstance(output, Category) else dataset.train["target"][:, :, 4].long()
    counts = torch.bincount(classes[classes >= 0], minlength=len(output.names)).tolist()
    return dict(zip(output.names, counts, strict=True))


def _trivial(dataset: Dataset) -> str:
    """What the baseline always answers."""
    if not isinstance(dataset.spec.output, Category):
        return ""
    counts = _class_counts(dataset)
    return max(counts, key=counts.__getitem__) if counts else ""

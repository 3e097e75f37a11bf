"""What comes after a training: the next commands, and the one that makes the run again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from deepen import registry
from deepen.known import Seen, choose
from deepen.prepare import UNLIMITED
from deepen.recipe import CUSTOM, Recipe, as_text, blank
from deepen.run import Run
from deepen.spec import Audio, Image, Series, Spec, Table, Text, Tokens
from deepen.tasks.base import Acting, Generates, Reads, Task, Transforms, Writes


def next_steps(recipe: Recipe, task: Task, path: Path, *, sealed: bool) -> list[tuple[str, str]]:
    """(command, what it does), as they suit the task. `sealed` says whether there is a test split to open."""
    run = shlex.quote(short(path))
    if recipe.model_name.startswith(CUSTOM):
        return [
            (
                f"deepen.Run({short(path)!r}).evaluate(model=MODULE)",
                "scores an instance of your class with the best weights",
            ),
            (f"deepen.load({short(path)!r}, module=MODULE).predict(INPUT)", "answers for new inputs"),
        ]
    steps = []
    if isinstance(task, Acting):
        steps.append((f"deepen evaluate {run}", "plays new episodes, and counts the look"))
    elif sealed:
        steps.append((f"deepen evaluate {run}", "opens the sealed test split, and counts the look"))
    else:
        steps.append((f"deepen evaluate {run} --split validation", "the scores in full; there is no test split"))
    if isinstance(task, Transforms):
        holds = getattr(registry.find("model", recipe.model_name).load(), "HOLDS_ONE", False)
        drawing = (f"deepen generate {run} PICTURE", "draws a picture of yours anew")
        steps.append((f"deepen generate {run}", "writes the picture") if holds else drawing)
    elif isinstance(task, Generates):
        steps.append((f"deepen generate {run}", "makes new samples"))
    elif isinstance(task, Writes):
        steps.append((f"deepen generate {run} --prompt TEXT", "goes on with a text of yours"))
    elif isinstance(task, Reads) and isinstance(task.spec.output, Tokens):
        steps.append((f'deepen predict {run} "A TEXT WITH A <mask>"', "finds what is hidden"))
    elif not isinstance(task, Acting):
        kinds = {Image: "PICTURE", Table: "TABLE", Text: '"A TEXT"', Series: "TABLE", Audio: "RECORDING.wav"}
        does = "says what follows its last row" if isinstance(task.spec.input, Series) else "answers for new inputs"
        steps.append((f"deepen predict {run} {kinds.get(type(task.spec.input), 'INPUT')}", does))
    if not isinstance(task, Acting) and not Path(recipe.source).exists():
        way = f" --as {recipe.task_name}" if isinstance(task, Generates) else ""
        own = {Image: "pictures", Text: "texts", Series: "series", Audio: "recordings"}.get(
            type(task.spec.input), "table"
        )
        steps.append((f"deepen train PATH{way}", f"the same on your own {own}"))
    return steps


def task_of(run: Run) -> Task:
    """The task of a run, without its data."""
    recipe = run.recipe
    spec = Spec.from_json(run.folder.read("data.json")["spec"])
    task: Task = registry.find("task", recipe.task_name).load().build(spec, recipe.task)
    return task


def sealed(run: Run) -> bool:
    """Whether the run has a test split."""
    return bool(run.folder.read("data.json")["samples"]["test"])


def usual(recipe: Recipe, seen: Seen) -> Recipe:
    """The recipe that data, task and model get when nothing else is said."""
    made = blank(recipe.source, recipe.reader, recipe.task_name, recipe.model_name)
    own = recipe.model_name.startswith(CUSTOM)
    model = None if own else recipe.model_name
    known = choose(recipe.source, seen, recipe.task_name, model, recipe.transfer.mode)
    for key, value in known.settings.items() if known else ():
        if not (own and key.startswith("model.")):
            made.set(key, value)
    return made


def chosen(recipe: Recipe, usual: Recipe) -> dict[str, Any]:
    """Settings in which a recipe differs from the usual one: what the user said."""
    plain = usual.keys()
    differing = {key: value for key, value in recipe.keys().items() if value != plain.get(key)}
    # What a training writes down of the files that it was given is not said by anybody.
    differing = {key: value for key, value in differing.items() if not key.endswith("_digest")}
    if recipe.fit.minutes is not None and recipe.fit.epochs == UNLIMITED:
        differing.pop("fit.epochs", None)
    if recipe.fit.find_lr:
        differing.pop("optim.lr", None)
    return differing


def command(recipe: Recipe, settings: dict[str, Any]) -> str:
    """What is typed, or called, to train this recipe again."""
    if recipe.model_name.startswith(CUSTOM):
        more = "".join(f", {key!r}: {value!r}" for key, value in settings.items())[2:]
        return f"deepen.train({recipe.source!r}, task={recipe.task_name!r}, model=MODULE{f', **{{{more}}}' if more else ''})"
    words = ["deepen", "train", recipe.source, "--as", recipe.task_name, "--model", recipe.model_name]
    return shlex.join([*words, *(f"{key}={as_text(value)}" for key, value in settings.items())])


def short(path: Path) -> str:
    """Relative to where the user stands, if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

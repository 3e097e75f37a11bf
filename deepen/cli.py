"""The command line: one function a verb. torch is imported inside, so that help answers at once."""

from __future__ import annotations

import json as jsons
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from deepen.errors import Misuse, Problem, unknown
from deepen.version import VERSION

app = App(
    name="deepen",
    help="From data to a deep-learning model that you understand.",
    version=VERSION,
    help_format="plaintext",
)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print exactly one JSON object on stdout.")]
Settings = Annotated[str, Parameter(help="key=value on the recipe, e.g. epochs=5 optim.lr=3e-4; `deepen show recipe`.")]


@app.command
def train(
    data: Annotated[str, Parameter(help="A known data set (`deepen list`), a folder of pictures, or a table.")],
    /,
    *settings: Settings,
    task: Annotated[str | None, Parameter(name="--as", help="What to learn. Default: what the data holds.")] = None,
    model: Annotated[str | None, Parameter(help="The network. Default: a good one for data and task.")] = None,
    target: Annotated[str | None, Parameter(help="Column of a table to learn: short for data.target=COLUMN.")] = None,
    skip_bad: Annotated[bool, Parameter(negative="", help="Go on without files that cannot be read.")] = False,
    runs: Annotated[str, Parameter(help="Where run folders go.")] = "runs",
    json: Json = False,
) -> dict[str, Any]:
    """Audit the data, train, keep the best, write a report: a run folder."""
    from deepen import training

    chosen: dict[str, Any] = {**parse(settings)}
    if target is not None:
        chosen["data.target"] = target
    if skip_bad:
        chosen["data.skip_bad"] = True
    console = Console(json)
    with console.reading():
        run = training.train(data, task=task, model=model, runs=runs, watch=console, **chosen)
    console.done(run)
    return run.result


@app.command
def resume(
    run: Annotated[str, Parameter(help="A run folder.")],
    /,
    *,
    json: Json = False,
) -> dict[str, Any]:
    """Go on exactly where a run stopped."""
    from deepen import training

    console = Console(json)
    with console.reading():
        resumed = training.resume(run, watch=console)
    console.done(resumed)
    return resumed.result


@app.command
def evaluate(
    run: Annotated[str, Parameter(help="A run folder.")],
    /,
    *,
    split: Annotated[str, Parameter(help="test (sealed; each look is counted) or validation.")] = "test",
    json: Json = False,
) -> dict[str, Any]:
    """Open the sealed test split and score the best weights on it."""
    from deepen.run import Run

    if split not in ("test", "validation"):
        raise unknown("split", split, ("test", "validation"))
    console = Console(json)
    with console.reading():
        evaluation = Run(run).evaluate(split=split)
    console.evaluation(evaluation)
    return evaluation.to_json()


@app.command
def predict(
    run: Annotated[str, Parameter(help="A run folder or a bundle.")],
    /,
    *inputs: Annotated[
        str, Parameter(help="Pictures, folders or globs of them, tables; - reads rows from standard input.")
    ],
    json: Json = False,
) -> dict[str, Any]:
    """Answer for new inputs."""
    from deepen.deploy.bundle import load

    if not inputs:
        raise Misuse("There is nothing to predict: name at least one file after the run, or - for standard input.")
    predictions = load(run).predict(list(inputs))
    if not json:
        console = Console(json)
        for prediction in predictions:
            console.prediction(prediction)
    return {"predictions": predictions}


@app.command
def generate(
    run: Annotated[str, Parameter(help="A run folder or a bundle.")],
    /,
    *,
    count: Annotated[int, Parameter(help="How many samples.")] = 64,
    seed: Annotated[int, Parameter(help="The same seed gives the same samples.")] = 0,
    out: Annotated[str, Parameter(help="Folder for the pictures.")] = "generated",
    json: Json = False,
) -> dict[str, Any]:
    """Make new samples with a generative model."""
    from deepen.deploy.bundle import load
    from deepen.insight.grid import grid, picture

    samples = load(run).generate(count, seed)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(samples):
        picture(sample).save(folder / f"{number:04d}.png")
    picture(grid(samples)).save(folder / "grid.png")
    Console(json).say("samples", f"{count} in {folder}, all in one picture: {folder / 'grid.png'}")
    return {"path": str(folder), "count": count, "seed": seed}


@app.command
def doctor(
    data: Annotated[str, Parameter(help="A known data set, a folder of pictures, or a table.")],
    /,
    *settings: Settings,
    target: Annotated[str | None, Parameter(help="Column of a table to learn.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Say what is wrong with data, and the command that mends it."""
    from deepen import training

    chosen = parse(settings) | ({"data.target": target} if target else {})
    console = Console(json)
    with console.reading():
        dataset, findings = training.audit(data, **chosen)
    console.data(dataset, findings)
    return {
        "data": data,
        "samples": len(dataset.train) + len(dataset.validation) + (len(dataset.test) if dataset.test else 0),
        "findings": [vars(finding) for finding in findings],
        "bad": [vars(bad) for bad in dataset.bad],
    }


@app.command(name="list")
def list_(*, json: Json = False) -> dict[str, Any]:
    """Data sets, tasks, models and recipes."""
    from deepen.showing import listing

    found = listing()
    console = Console(json)
    for kind, names in found.items():
        for number, (name, summary) in enumerate(names.items()):
            console.say(kind if number == 0 else "", f"{name:22} {summary}")
    return found


@app.command
def show(
    what: Annotated[str, Parameter(help="recipe, activations, schedule, or a name from `deepen list`.")],
    /,
    *settings: Annotated[str, Parameter(help="For `schedule`: its name and key=value, e.g. cosine warmup=0.1.")],
    out: Annotated[str | None, Parameter(help="File for the picture.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """One data set, task, model or recipe in full; a picture of activations or of a schedule."""
    from deepen.showing import show as shown

    content = shown(what, list(settings), out)
    console = Console(json)
    for label, text in content.items():
        console.say(label, text if isinstance(text, str) else jsons.dumps(text, ensure_ascii=False))
    return content


def parse(settings: tuple[str, ...]) -> dict[str, str]:
    """`key=value` words as a dictionary."""
    chosen = {}
    for word in settings:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise Misuse(
                f"'{word}' is not understood: expected key=value, such as epochs=5. `deepen show recipe` lists the keys."
            )
        chosen[key] = value
    return chosen


def Console(json: bool) -> Any:  # noqa: N802
    """The console, on stderr when stdout is for JSON."""
    from deepen.console import Console as Made

    return Made(sys.stderr if json else sys.stdout)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit 0 done, 1 failed with a sentence, 2 wrong usage, 130 interrupted."""
    words = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in words
    code, content = _run(words, as_json)
    if as_json and content is not None:
        print(jsons.dumps(content, ensure_ascii=False, default=str))
    sys.stdout.flush()
    sys.exit(code)


def _run(words: list[str], as_json: bool) -> tuple[int, dict[str, Any] | None]:
    try:
        return 0, _call(words)
    except Problem as problem:
        code, text = problem.exit_code, str(problem)
    except KeyboardInterrupt:
        code, text = 130, "Stopped."
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0, None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        code, text = 1, f"{error.strerror or error}{where}."
    print(f"deepen: {text}", file=sys.stderr)
    return code, {"error": text, "exit": code} if as_json else None


def _call(words: list[str]) -> dict[str, Any] | None:
    try:
        command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        verbs = [name for name in app if not name.startswith("-")]
        if words and not words[0].startswith("-") and words[0] not in verbs:
            raise unknown("verb", words[0], verbs) from None
        raise Misuse(
            f"{str(error).strip()} See `deepen {words[0] if words else ''} --help`.".replace("\n", " ")
        ) from None
    verb: Callable[..., dict[str, Any] | None] = command
    return verb(*bound.args, **bound.kwargs)

"""The command line: one function a verb. torch is imported inside, so that help answers at once.

What takes its time to import is imported while the console says that something goes on.
"""

from __future__ import annotations

import io
import json as jsons
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

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


@app.command(sort_key=1)
def train(
    data: Annotated[
        str, Parameter(help="A known data set (`deepen list`), a folder of pictures, texts or sound, a table, a text.")
    ],
    /,
    *settings: Settings,
    task: Annotated[str | None, Parameter(name="--as", help="What to learn. Default: what the data holds.")] = None,
    model: Annotated[str | None, Parameter(help="The network. Default: a good one for data and task.")] = None,
    target: Annotated[str | None, Parameter(help="Column of a table to learn: short for data.target=COLUMN.")] = None,
    group: Annotated[str | None, Parameter(help="Column whose values must not be shared between splits.")] = None,
    time: Annotated[str | None, Parameter(help="Column to split by in order: the newest rows test.")] = None,
    skip_bad: Annotated[bool, Parameter(negative="", help="Go on without files that cannot be read.")] = False,
    pretrained: Annotated[
        str | None,
        Parameter(help="Weights to start from: imagenet, minilm, hf:owner/name, a file of weights, or a run."),
    ] = None,
    allow_partial: Annotated[
        bool, Parameter(negative="", help="Take weights over that hold less than 95 % of the network.")
    ] = False,
    runs: Annotated[str, Parameter(help="Where run folders go.")] = "runs",
    json: Json = False,
) -> dict[str, Any]:
    """Audit the data, train, keep the best, write a report: a run folder."""
    chosen = parse(settings, target=target, group=group, time=time, skip_bad=skip_bad or None)
    if pretrained is not None:
        chosen = _once(chosen, "pretrained", pretrained)
    if allow_partial:
        chosen = _once(chosen, "allow_partial", "true")
    console = Console(json)
    with console.reading():
        from deepen import training

        run = training.train(data, task=task, model=model, runs=runs, watch=console, **chosen)
    console.done(run)
    return run.result


@app.command(sort_key=2)
def resume(
    run: Annotated[str, Parameter(help="A run folder.")],
    /,
    *,
    json: Json = False,
) -> dict[str, Any]:
    """Go on exactly where a run stopped."""
    console = Console(json)
    with console.reading():
        from deepen import training
        from deepen.run import Run

        before = Run(run).result.get("stopped") in ("finished", "early", "time")
        resumed = training.resume(run, watch=console)
    console.done(resumed, before=before)
    return resumed.result


@app.command(sort_key=3)
def evaluate(
    run: Annotated[str, Parameter(help="A run folder.")],
    /,
    *,
    split: Annotated[str, Parameter(help="test (sealed; each look is counted) or validation.")] = "test",
    json: Json = False,
) -> dict[str, Any]:
    """Open the sealed test split and score the best weights on it."""
    if split not in ("test", "validation"):
        raise unknown("split", split, ("test", "validation"))
    console = Console(json)
    with console.reading():
        from deepen.following import task_of
        from deepen.run import Run
        from deepen.tasks.base import Acting

        opened = Run(run)
        evaluation = opened.evaluate(split=split)
    console.evaluation(evaluation, acting=isinstance(task_of(opened), Acting))
    return evaluation.to_json()


@app.command(sort_key=4)
def predict(
    run: Annotated[str, Parameter(help="A run folder or a bundle.")],
    /,
    *inputs: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="Pictures, folders or patterns of them, tables; - reads a picture or rows from standard input.",
        ),
    ],
    save: Annotated[
        str | None,
        Parameter(
            help="Folder to draw the answers into: a picture each, or a table for rows of a table. A new folder beside it is "
            "taken where files of their names are in it already."
        ),
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Answer for new inputs."""
    from deepen.deploy.bundle import load
    from deepen.inputs import given
    from deepen.spec import Text
    from deepen.tasks.base import Transforms

    if not inputs:
        raise Misuse("There is nothing to predict: name at least one file after the run, or - for standard input.")
    model, console = load(run), Console(json)
    if save is not None and isinstance(model.task, Transforms):
        from deepen.making import redraw

        drawn = redraw(console, model, inputs, None, Path(save), "--save")
        return {"predictions": drawn.pop("pictures"), "saved": drawn.pop("saved"), **drawn}
    predictions: list[dict[str, Any]] = []
    with given(inputs, console.refused, texts=isinstance(model.spec.input, Text)) as (paths, refused):
        named = model.read(paths, refused)
        answers = model.answers(named, refused)
        drawing = None
        if save is not None:
            from deepen.insight.drawn import Drawing

            drawing = Drawing(Path(save), model.spec, [name for name, _ in named], model.preprocess)
        try:
            for answer in answers:
                if drawing is not None:
                    try:
                        drawing.add(answer)
                    except Problem as problem:
                        refused(answer["input"], problem)
                predictions.append({**answer, "input": refused.called(answer["input"])})
            if drawing is not None:
                drawing.finish()
            if not json:
                console.predictions(predictions)
        finally:  # what was drawn before a Ctrl-C is there
            if drawing is not None and drawing.saved:
                console.drawn(len(drawing.saved), "file", drawing.folder, Path(save or ""))
    saved = {} if drawing is None else {"saved": [str(path) for path in drawing.saved]}
    return {"predictions": predictions} | saved | refused.told()


@app.command(sort_key=5)
def generate(
    run: Annotated[str, Parameter(help="A run folder or a bundle.")],
    /,
    *pictures: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="For a model that draws pictures anew: pictures, folders or patterns of them; - reads one from standard input.",
        ),
    ],
    count: Annotated[int | None, Parameter(help="How many samples. Default: 64.")] = None,
    seed: Annotated[int, Parameter(help="The same seed gives the same samples.")] = 0,
    size: Annotated[
        int | None,
        Parameter(
            help="Pixels of the longer side of pictures that are drawn anew. Default: their own, but no more than 3 million "
            "pixels in all: larger ones take gigabytes of memory."
        ),
    ] = None,
    out: Annotated[
        str,
        Parameter(help="Folder for the pictures; a new one beside it where files of their names are in it already."),
    ] = "generated",
    prompt: Annotated[str | None, Parameter(help="For a model that writes: what the text begins with.")] = None,
    tokens: Annotated[int | None, Parameter(help="How many tokens are written at most. Default: 256.")] = None,
    temperature: Annotated[
        float | None, Parameter(help="0: always the likeliest token; higher: less likely ones too. Default: 0.8.")
    ] = None,
    top_k: Annotated[int | None, Parameter(help="Choose from this many of the likeliest tokens.")] = None,
    top_p: Annotated[float | None, Parameter(help="Choose from the likeliest that together have this chance.")] = None,
    stop: Annotated[str | None, Parameter(help="Write nothing from this text on.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Make new samples with a generative model, continue a text, or draw pictures anew in a style that was learnt."""
    from deepen.deploy.bundle import load
    from deepen.insight import files
    from deepen.insight.grid import grid, picture
    from deepen.making import redraw, write
    from deepen.tasks.base import Writes
    from deepen.wording import safe

    if count is not None and count < 1:
        raise Misuse(f"--count {count} is not usable: expected 1 or more.")
    if size is not None and size < 1:
        raise Misuse(f"--size {size} is not usable: expected 1 or more pixels.")
    model, console, folder = load(run), Console(json), Path(out)
    asked = {
        "prompt": prompt,
        "tokens": tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "stop": stop,
    }
    if isinstance(model.task, Writes) or any(value is not None for value in asked.values()):
        for option, value in (("count", count), ("size", size)):
            if value is not None:
                raise Misuse(f"--{option} {value} is for pictures, and a text is written once: leave it out.")
        return write(console, model, pictures, seed, asked)
    if pictures:
        if count is not None:
            raise Misuse(
                f"--count {count} is for new samples: each picture that is named is drawn anew once. Leave it out."
            )
        drawn = redraw(console, model, pictures, size, folder, "--out")
        del drawn["saved"]
        return drawn
    if size is not None:
        raise Misuse(f"--size {size} is for pictures that are drawn anew: name them after the run, or leave it out.")
    samples = model.generate(count or 64, seed)
    names = [f"{number:04d}.png" for number in range(len(samples))]
    folder = files.room(folder, [*names, "grid.png"], "--out")
    for name, sample in zip(names, samples, strict=True):
        files.write_picture(folder / name, picture(sample))
    where = f"{len(samples)} in {safe(str(folder))}{console.instead(folder, Path(out))}"
    if len(samples) > 1:
        files.write_picture(folder / "grid.png", picture(grid(samples)))
        where += f"; all in one picture: {safe(str(folder / 'grid.png'))}"
    console.say("samples", where)
    return {"path": str(folder), "count": len(samples), "seed": seed}


@app.command(sort_key=6)
def convert(
    weights: Annotated[str, Parameter(help="A file of weights, imagenet, hf:owner/name, a run or a bundle.")],
    /,
    *,
    out: Annotated[str, Parameter(help="A .safetensors file; with --model, or for texts, the folder of a bundle.")],
    model: Annotated[
        str | None, Parameter(help="The network that they are for; `predict` then takes the bundle.")
    ] = None,
    names: Annotated[str | None, Parameter(help="A text with the name of a class in each line.")] = None,
    size: Annotated[
        int | None, Parameter(help="Side in pixels of the pictures that the network was trained on.")
    ] = None,
    resize: Annotated[
        int | None, Parameter(help="What the shorter side is scaled to before the centre is cut out.")
    ] = None,
    mean: Annotated[str | None, Parameter(help="What is subtracted from each channel, in 0..1: 0.5,0.5,0.5.")] = None,
    std: Annotated[str | None, Parameter(help="What each channel is divided by after that.")] = None,
    allow_partial: Annotated[
        bool, Parameter(negative="", help="Go on with weights that hold a part of the network; the rest is random.")
    ] = False,
    json: Json = False,
) -> dict[str, Any]:
    """Bring weights of others into a file, or a bundle, that is safe to open and knows how its inputs are read."""
    console = Console(json)
    with console.reading():
        from deepen.deploy import convert as converting
        from deepen.fields import convert as typed
        from deepen.recipe import Data

        shown = converting.Shown(
            size, resize, typed(Data(), "mean", mean, "--mean"), typed(Data(), "std", std, "--std"), names
        )
        converted = converting.convert(weights, Path(out).expanduser(), model, shown, allow_partial=allow_partial)
    from deepen.wording import safe

    console.say("weights", safe(converted.sentence))
    console.say("written", f"{safe(str(converted.path))}, a {converted.format}")
    return converted.to_json()


@app.command(sort_key=6)
def doctor(
    data: Annotated[
        str, Parameter(help="A known data set, a folder of pictures, texts or sound, a table, a text; a run, a bundle.")
    ],
    /,
    *settings: Settings,
    target: Annotated[str | None, Parameter(help="Column of a table to learn.")] = None,
    group: Annotated[str | None, Parameter(help="Column whose values must not be shared between splits.")] = None,
    time: Annotated[str | None, Parameter(help="Column to split by in order: the newest rows test.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Say what is wrong with data, a run or a bundle, and the command that mends it. Exit code 1 if it cannot be used so."""
    chosen, console = parse(settings, target=target, group=group, time=time), Console(json)
    with console.reading():
        from deepen import doctor as doctors
        from deepen import training
        from deepen.run import Run

        made = "run" if doctors.is_run(data) else "bundle" if doctors.is_bundle(data) else None
        if made and chosen:
            raise Misuse(f"{data} is a {made}, which has its settings: leave out {', '.join(chosen)}.")
        dataset = None
        if made == "bundle":
            findings = doctors.of_bundle(data)
        elif made == "run":
            dataset, findings = doctors.examine(Run(data))
        else:
            dataset, findings = training.audit(data, thorough=True, **{"data.skip_bad": True, **chosen})
    samples, bad = 0, []
    if dataset is None:
        from deepen.wording import safe

        checked = "" if findings else ": its files are those that were written, and it answers as it did then"
        console.say("bundle", f"{safe(data)}{checked}")
        console.findings(findings)
    else:
        console.dataset(dataset, findings)
        console.bad(dataset)
        samples = len(dataset.train) + len(dataset.validation) + (len(dataset.test) if dataset.test else 0)
        bad = [vars(one) for one in dataset.bad]
    return {
        "data": data,
        "samples": samples,
        "findings": [vars(finding) for finding in findings],
        "bad": bad,
        "exit": int(bool(bad) or any(finding.level == "error" for finding in findings)),
    }


@app.command(name="list", sort_key=7)
def list_(*, json: Json = False) -> dict[str, Any]:
    """Data sets, tasks, models and recipes."""
    from deepen.showing import listing

    found = listing()
    if not json:
        Console(json).content(found)
    return found


@app.command(sort_key=8)
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
    if not json:
        Console(json).content(content)
    return content


def parse(settings: tuple[str, ...], **options: str | bool | None) -> dict[str, Any]:
    """`key=value` words as a dictionary, with those of `data` that have an option of their own."""
    chosen: dict[str, Any] = {}
    for word in settings:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise Misuse(
                f"'{word}' is not understood: expected key=value, such as epochs=5. `deepen show recipe` lists the keys."
            )
        if key in OPTIONS:
            raise Misuse(f"'{word}' is an option: write {OPTIONS[key]} {value}.")
        if key in chosen:
            raise Misuse(f"{key} was given twice: {chosen[key]} and {value}.")
        chosen[key] = value
    return chosen | {f"data.{name}": value for name, value in options.items() if value is not None}


def _once(chosen: dict[str, Any], name: str, value: str) -> dict[str, Any]:
    """`chosen` with a setting of `transfer` that has an option of its own."""
    for key in (name, f"transfer.{name}"):
        if key in chosen:
            raise Misuse(f"{key} was given twice: {chosen[key]} and {value}.")
    return chosen | {f"transfer.{name}": value}


OPTIONS = {"task": "--as", "as": "--as", "model": "--model", "runs": "--runs"}
"""Words that are no settings, but that one would write as such."""


def Console(json: bool) -> Any:  # noqa: N802
    """The console, on stderr when stdout is for JSON."""
    from deepen.console import Console as Made

    return Made(sys.stderr if json else sys.stdout)


SPINS = "10000"
"""How long an idle thread of torch's CPU pool spins before it sleeps (GNU OpenMP). The default of its library waits for a
millisecond and more: on a machine that has other work, steps then take ten times as long and more. This many spins cost
an idle machine nothing that could be measured."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit 0 done, 1 failed with a sentence, 2 wrong usage, 130 interrupted."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read when torch is loaded
    words = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what the terminal's encoding lacks is written as an escape
            stream.reconfigure(errors="backslashreplace")
    as_json = "--json" in words
    code, content = _run(words, as_json)
    try:
        if as_json and content is not None:
            print(as_text(content))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def as_text(content: dict[str, Any]) -> str:
    """One line of JSON that every parser reads: no NaN, and ASCII where the terminal is not UTF-8."""
    utf = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    text = jsons.dumps(_finite(content), ensure_ascii=not utf, default=str, allow_nan=False)
    return (
        text if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text) else jsons.dumps(jsons.loads(text))
    )


def _finite(value: Any) -> Any:
    """Numbers that JSON does not have become null."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _run(words: list[str], as_json: bool) -> tuple[int, dict[str, Any] | None]:
    from deepen.wording import visible

    known: dict[str, Any] = {}
    try:
        content = _call(words)
        return (content or {}).get("exit", 0), content
    except Problem as problem:
        code, text = problem.exit_code, str(problem)
        run = getattr(problem, "run", None)  # of a training that broke off: what it came to
        known = run.result if run is not None else {}
    except KeyboardInterrupt:
        code, text = 130, "Stopped."
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0, None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        code, text = 1, f"The system refused a file or a connection: {place}{error.strerror or error}."
    print(f"deepen: {visible(text)}", file=sys.stderr)
    return code, {**known, "error": text, "exit": code} if as_json else None


def _call(words: list[str]) -> dict[str, Any] | None:
    for place, word in enumerate(words):
        if not word and words[place - 1 : place] != ["--prompt"]:  # a text may begin with nothing
            raise Misuse(f"Word {place + 1} after deepen is empty: a name or a path is missing there.")
    try:
        command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        verbs = [name for name in app if not name.startswith("-")]
        if words and not words[0].startswith("-") and words[0] not in verbs:
            raise unknown("verb", words[0], verbs) from None
        verb = f" {words[0]}" if words and words[0] in verbs else ""
        why = " ".join(str(error).split())
        if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
            why = f"deepen{verb} takes no further word, and received {error.unused_tokens[0]!r}."
        raise Misuse(f"{why} See `deepen{verb} --help`.") from None
    call: Callable[..., dict[str, Any] | None] = command
    return call(*bound.args, **bound.kwargs)

"""The report of a run: one HTML file that can be read offline, on a phone, and years later.

Nothing in it is loaded from anywhere, no script runs, and every name that came with the data is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepen.data.dataset import Bad, Finding
from deepen.insight import report_parts as parts
from deepen.insight.answers import Counts
from deepen.insight.document import document
from deepen.insight.glossary import COMPETING, SEVERAL_LOSSES, UNLABELLED, beside, headline
from deepen.insight.ink import clean, number
from deepen.insight.pictures import Mistake
from deepen.spec import Mask, Nothing, Observation, Spec, Tokens
from deepen.tasks.base import Rival


@dataclass
class Content:
    """What a report tells. All but the first six may be left out; its part of the report is then left out too."""

    name: str
    """The name of the run."""
    data: str
    task: str
    model: str
    spec: Spec
    command: str
    """What was typed."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """Samples of `train`, `validation`, `test`."""
    class_counts: Mapping[str, int] = field(default_factory=dict)
    """Training samples of each class."""
    facts: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    verdict: str = ""
    bad: Sequence[Bad] = ()
    digest: str = ""

    parameters: int = 0
    plan: str = ""
    stopped: str = ""
    """finished, early, time, nan or interrupted."""
    steps: int = 0
    epochs: float = 0.0
    seconds: float = 0.0
    samples_per_second: float = 0.0
    log: Sequence[Mapping[str, Any]] = ()
    goal: str = ""
    better: str = "max"
    num_parts: int = 1
    """Parts of the model that each follow a loss of their own."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the best weights on the validation split."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    baseline: Mapping[str, float] = field(default_factory=dict)
    trivial: str = ""
    """The answer that the baseline always gives."""
    rival: Rival | None = None
    """What a cheap method of another kind scores on the validation split."""
    confusion: Counts | None = None
    """[classes, classes], row the truth."""
    mistakes: Sequence[Mistake] = ()
    looks: int = 0
    """How often the test split has been opened."""

    pictures: Mapping[str, str] = field(default_factory=dict)
    """SVG by name. `loss`, a metric's name, `schedule`, `confusion`, `reliability`, `predicted`, `residuals`,
    `boundary`, `examples`, `worst`, `classes`, `precision-recall`, `styles`, `forecasts`, `ahead`, `progress`, `samples`,
    `series`, `scatter`, `augment`, `sweep` find their place; others follow under the curves."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The recipe's dotted keys with their values."""
    changed: Sequence[str] = ()
    """Keys of `settings` that were set by the user."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    next_commands: Sequence[tuple[str, str]] = ()
    """(command, what it does)."""


def write(path: Path, content: Content) -> None:
    """Write the report, whole or not at all. Raises `OSError` when the file cannot be written."""
    _replace(path, render(content))


def recount(path: Path, looks: int) -> None:
    """Bring a written report up to date with the looks at the test split. Raises `OSError`."""
    if not path.is_file():
        return
    before, opening, rest = path.read_text(encoding="utf-8").partition(parts.LOOKS[0])
    _, closing, after = rest.partition(parts.LOOKS[1])
    if closing:
        _replace(path, before + opening + parts.sealed(looks) + closing + after)


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def render(content: Content) -> str:
    """The report as a complete HTML document."""
    held_out = content.counts.get("validation", 0)
    sections = [
        parts.scores(
            content.metrics,
            content.intervals,
            content.baseline,
            goal=content.goal,
            samples=held_out,
            looks=content.looks if content.looks or "test" in content.counts else None,
            acting=isinstance(content.spec.input, Observation),
            rival=content.rival,
            output=content.spec.output,
        ),
        _learning(content),
        _mistakes(content),
        _data(content),
        _settings(content),
        parts.commands(content.next_commands),
    ]
    lead = headline(
        content.spec.output,
        content.metrics,
        content.baseline,
        held_out,
        data=content.data,
        train=content.counts.get("train", 0),
        trivial=content.trivial,
    )
    lead += beside(content.rival, content.goal, content.better, content.metrics)
    title = f"{content.data} · {content.task} · {content.model}"
    head = parts.opening(title, lead, _warning(content), _tiles(content), content.name)
    return document(f"{content.name} – Deepen", head + "".join(section for section in sections if section))


def _tiles(content: Content) -> list[tuple[str, str, str]]:
    tiles = parts.goal_tile(content.goal, content.metrics, content.intervals)
    if content.parameters:
        tiles.append(("parameters", f"{content.parameters:,}", content.model))
    if content.steps:
        why = STOPPED.get(content.stopped, "")
        tiles.append(("steps", f"{content.steps:,}", f"{number(content.epochs, 3)} epochs{why}"))
    if content.seconds:
        tiles.append(("training time", duration(content.seconds), content.plan.partition(":")[0]))
    if content.samples_per_second:
        tiles.append(("speed", f"{number(content.samples_per_second, 3)} /s", "samples"))
    return tiles


STOPPED = {
    "early": ", stopped early",
    "time": ", until the time was up",
    "nan": ", broken off",
    "interrupted": ", interrupted",
}


def duration(seconds: float) -> str:
    """`4.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


ANSWERS = (
    "boundary",
    "confusion",
    "predicted",
    "residuals",
    "reliability",
    "examples",
    "worst",
    "classes",
    "precision-recall",
    "styles",
    "forecasts",
    "ahead",
    "translations",
    "looks",
    "mistakes",
)
DATA = ("samples", "series", "augment", "scatter")
FIRST = ("progress", "written", "filled", "loss")
LAST = ("schedule", "sweep")


def _learning(content: Content) -> str:
    """Curves, and every picture that has no other place."""
    drawn = content.pictures
    placed = {*ANSWERS, *DATA, *FIRST, *LAST}
    order = [*FIRST, content.goal, *(name for name in drawn if name not in placed and name != content.goal), *LAST]
    chosen = [name for name in dict.fromkeys(order) if name in drawn]  # the goal may be the loss
    # what was logged beside loss and goal is for a second look
    shown = [name for name in chosen if name in placed or name == content.goal or f"train/{name}" not in _keys(content)]
    folded = [name for name in chosen if name not in shown]
    several = sum("loss" in key for key in _keys(content) if key.startswith("train/")) > 1
    told = COMPETING if content.num_parts > 1 else SEVERAL_LOSSES if several else ""
    body = parts.figures(drawn, shown, {"loss": told} if told else None)
    if folded:
        body += parts.folded("More curves", parts.figures(drawn, folded))
    return parts.section("How it learned", body) if body else ""


def _keys(content: Content) -> set[str]:
    return {key for row in content.log for key in row}


def _mistakes(content: Content) -> str:
    body = parts.figures(content.pictures, [name for name in ANSWERS[:-1] if name in content.pictures])
    if content.confusion is not None:
        names = getattr(content.spec.output, "names", ())
        tables = parts.confused(content.confusion, names), parts.by_class(content.confusion, names)
        body += f'<div class="figures"><div>{tables[0]}</div><div>{tables[1]}</div></div>'
    body += parts.worst(content.mistakes)
    return parts.section("Where it is right and wrong", body) if body else ""


def _data(content: Content) -> str:
    body = parts.facts(content.facts, content.counts, content.digest)
    body += parts.findings(content.findings, content.verdict)
    body += parts.bad_files(content.bad)
    unlabelled = {"samples": UNLABELLED} if isinstance(content.spec.output, Nothing | Mask | Tokens) else None
    body += parts.figures(content.pictures, [name for name in DATA if name in content.pictures], unlabelled)
    body += parts.class_counts(content.class_counts)
    return parts.section("The data", body) if body else ""


def _settings(content: Content) -> str:
    body = (
        f"<p>This run is made again by</p><pre><code>{clean(content.command)}</code></pre>" if content.command else ""
    )
    body += parts.settings(content.settings, content.changed)
    plan = {"plan": content.plan} if content.plan else {}
    body += parts.environment({**plan, **content.environment})
    return parts.section("Settings", body) if body else ""


def _warning(content: Content) -> str:
    """What a reader must know before the numbers."""
    if content.stopped == "nan":
        why = "The training broke off because the loss became infinite or not a number"
        return f"{why}; what follows is of the best weights before that."
    if content.stopped == "interrupted":
        return "The training was interrupted; `deepen resume` goes on where it stopped."
    errors = [finding.text for finding in content.findings if finding.level == "error"]
    return errors[0] if errors else ""

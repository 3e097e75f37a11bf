"""The parts of a report as HTML: tiles, tables, figures, findings. Each is empty where there is nothing to tell.

Arguments are data, often untrusted (class names, file names); every one passes through `ink.clean`. Only pictures are
markup already, made by this package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepen.data.dataset import Bad, Finding
from deepen.insight.answers import Counts, class_scores, confused_pairs
from deepen.insight.curves import between, plain, shown, words
from deepen.insight.glossary import caption, meaning
from deepen.insight.ink import STYLE, clean, href, marked, percent, several
from deepen.insight.pictures import Mistake
from deepen.spec import Output
from deepen.tasks.base import Rival

MOST_CLASSES = 12
"""Classes that a table shows before the rest is folded away."""

MOST_FILES = 20
LONGEST_NUMBER = 24
"""Characters of a cell that may still be a number or a short name."""


def opening(title: str, lead: str, warning: str, facts: Sequence[tuple[str, str, str]], name: str) -> str:
    """The first screen: what was learnt, and the figures that belong to it as (label, value, small print)."""
    alert = f'<p class="alert" role="alert">{marked(warning)}</p>' if warning else ""
    cells = "".join(
        f"<div><dt>{clean(label)}</dt><dd>{clean(value)}{f'<small>{clean(small)}</small>' if small else ''}</dd></div>"
        for label, value, small in facts
    )
    tiles = f'<dl class="tiles">{cells}</dl>' if cells else ""
    heading = f'<h1>{clean(title)} <span class="mute">· {clean(name)}</span></h1>'
    return f'{heading}<p class="lead">{clean(lead)}</p>{alert}{tiles}'


def section(title: str, body: str) -> str:
    return f"<section><h2>{clean(title)}</h2>{body}</section>"


def folded(title: str, body: str) -> str:
    return f"<details><summary>{clean(title)}</summary>{body}</details>"


WHOLE_WIDTH = frozenset({"progress", "written", "filled", "attention", "forecasts", "series"})


def figures(drawn: Mapping[str, str], names: Sequence[str], captions: Mapping[str, str] | None = None) -> str:
    """Pictures side by side where the screen allows it, each with how to read it."""
    captions = captions or {}
    if not names:
        return ""
    body = ""
    for name in names:
        told = captions.get(name, caption(name))
        kind = ' class="whole"' if name in WHOLE_WIDTH else ""
        under = f"<figcaption>{clean(told)}</figcaption>" if told else ""
        # the page carries the style of all charts once
        body += f"<figure{kind}>{drawn[name].replace(STYLE, '', 1)}{under}</figure>"
    return f'<div class="figures">{body}</div>'


def table(header: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> str:
    """A table; the header gives (text, class of the column), the rows hold markup."""
    head = "".join(f'<th scope="col" class="{kind}">{clean(label)}</th>' for label, kind in header)
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{cell}</th>' if i == 0 else f"<td{_attributes(*header[i])}>{cell}</td>"
            for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _attributes(label: str, kind: str) -> str:
    """A cell's class, and its column's name where a narrow screen has no room for the header."""
    told = f' data-label="{clean(label)}"' if kind == "num" and label != "value" else ""
    return (f' class="{kind}"' if kind else "") + told


def scores(
    metrics: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    baseline: Mapping[str, float],
    *,
    goal: str,
    samples: int,
    looks: int | None,
    acting: bool = False,
    rival: Rival | None = None,
    output: Output | None = None,
) -> str:
    """Each metric with its interval, the trivial answer and a cheap method of another kind beside it, and what it means.

    `looks` is how often the test split has been opened, None where there is none.
    """
    if not metrics:
        return ""
    # the loss that was trained on comes last, and not at all where a metric with a name of its own says the same
    same = [name for name, value in metrics.items() if name != "loss" and value == metrics.get("loss")]
    order = [name for name in metrics if name != "loss" or name == goal or not same]
    order.sort(key=lambda name: (name != goal, name == "loss"))
    has_interval, has_base = bool(intervals), bool(baseline)
    header = [("metric", ""), ("value", "num")]
    header += [("95 % interval", "num")] if has_interval else []
    header += [("trivial answer", "num")] if has_base else []
    cheap = rival.metrics if rival is not None else {}
    header += [(rival.method, "num")] if rival is not None and cheap else []
    rows = []
    for name in order:
        row = [clean(words(name)), clean(shown(name, metrics[name]))]
        if has_interval:
            low_high = intervals.get(name)
            row.append("" if low_high is None else clean(between(name, *low_high)))
        if has_base:
            row.append(clean(shown(name, baseline[name])) if name in baseline else "")
        if cheap:
            row.append(clean(shown(name, cheap[name])) if name in cheap else "")
        rows.append([*row, clean(meaning(name, output))])
    body = table([*header, ("what it says", "say")], rows)
    body = body.replace("<table>", '<table class="scores">', 1)
    if acting:
        told = "Measured with the best weights, in episodes of their own."
    else:
        who = several(samples, "validation sample") if samples else "the validation split"
        told = f"Measured with the best weights on {who}. These also chose the weights, so expect a little less on new data."
        told += "" if looks is None else f" {LOOKS[0]}{sealed(looks)}{LOOKS[1]}"
    if rival is not None and rival.skipped:
        told += f" Not compared with {clean(rival.method)}: {clean(rival.skipped)}."
    body += f'<p class="mute">{told}</p>'
    return section("How good it is", body)


LOOKS = ('<span id="looks">', "</span>")
"""Around what is said of the test split, so that a later look can bring it up to date."""


def sealed(looks: int) -> str:
    """What is said of the test split after so many looks."""
    if not looks:
        return "The test split is still sealed; <code>deepen evaluate</code> opens it and counts the look."
    times = "once" if looks == 1 else f"{looks:,} times"
    return f"The sealed test split has been opened {times}; the more often, the less its score means."


def confused(matrix: Counts, names: Sequence[str]) -> str:
    """The commonest mistakes in words."""
    pairs = confused_pairs(matrix, names)
    if not pairs:
        return "<p>Not a single validation sample was answered wrongly.</p>" if matrix.sum() else ""
    rows = [
        [clean(pair.true), clean(pair.predicted), f"{pair.count:,}", percent(pair.count / pair.of)] for pair in pairs
    ]
    header = [("is", ""), ("taken for", ""), ("times", "num"), ("of its samples", "num")]
    return f"<h3>Most often mixed up</h3>{table(header, rows)}"


def by_class(matrix: Counts, names: Sequence[str]) -> str:
    """How each class fares, the hardest first."""
    found = sorted(class_scores(matrix, names), key=lambda one: one.recall if one.count else 2.0)
    rows = []
    for one in found:
        bar = f'<span class="bar" style="width:{one.recall * 100 if one.count else 0:.1f}%"></span>'
        recall, precision = (percent(value) if value == value else "–" for value in (one.recall, one.precision))
        rows.append([clean(one.name), recall, bar, precision, f"{one.count:,}"])
    header = [("class", ""), ("found", "num"), ("", "track"), ("right when said", "num"), ("samples", "num")]
    body = f"<h3>Class by class, the hardest first</h3>{table(header, rows[:MOST_CLASSES])}"
    if len(rows) > MOST_CLASSES:
        body += folded(f"{len(rows) - MOST_CLASSES:,} more classes", table(header, rows[MOST_CLASSES:]))
    return body


def worst(mistakes: Sequence[Mistake]) -> str:
    """The mistakes that the model was surest of, as pictures or rows."""
    if not mistakes:
        return ""
    title = "<h3>Worst mistakes</h3>"
    measured = all(one.confidence is None for one in mistakes)
    why = "furthest from the truth" if measured else "most sure of, though wrong"
    note = f'<p class="mute">The validation samples it was {why}. The mistake may be in the data: look there.</p>'
    if any(one.pixels is None for one in mistakes):
        return title + note + _rows(mistakes)
    cards = ""
    for one in mistakes:
        assert one.pixels is not None
        kind = "pixels" if max(one.pixels.shape[:2]) <= 96 else "smooth"
        said = f'<span class="right">{clean(one.true)}</span> → <span class="wrong">{clean(one.predicted)}</span>'
        sure = "" if one.confidence is None else f" {one.confidence * 100:.0f} %"
        where = f'<br><span class="mute">{clean(one.origin)}</span>' if one.origin else ""
        told = clean(f"{one.true} taken for {one.predicted}")
        cards += f'<div><img class="{kind}" alt="{told}" src="{href(one.pixels)}"><p>{said}{sure}{where}</p></div>'
    return f'{title}{note}<div class="cards">{cards}</div>'


def is_prose(value: str) -> bool:
    """Whether a cell is a text rather than a number or a short name; scripts other than European ones say much in little room."""
    return len(value) > LONGEST_NUMBER or any(letter.isalpha() and letter >= "\u0590" for letter in value)


def apart(text: str) -> str:
    """A text of any script, whose direction of writing stays its own."""
    return f"<bdi>{clean(text)}</bdi>" if text else ""


def _rows(mistakes: Sequence[Mistake]) -> str:
    columns = list(dict.fromkeys(name for one in mistakes for name, _ in one.values))
    has_sure = any(one.confidence is not None for one in mistakes)
    header = [("true", ""), ("predicted", ""), *([("sure", "num")] if has_sure else [])]
    # Numbers stand on the right of their column and are never broken; texts are.
    prose = {name for one in mistakes for name, value in one.values if is_prose(value)}
    header += [*((column, "text" if column in prose else "num") for column in columns), ("where", "")]
    rows = []
    for one in mistakes:
        values = dict(one.values)
        sure = [] if not has_sure else ["" if one.confidence is None else f"{one.confidence * 100:.0f} %"]
        answer = f'<span class="wrong">{apart(one.predicted)}</span>'
        rows.append([apart(one.true), answer, *sure, *(apart(values.get(c, "")) for c in columns), clean(one.origin)])
    drawn = table(header, rows)
    return drawn.replace("<table>", '<table class="told">', 1) if prose else drawn


def facts(told: Sequence[str], counts: Mapping[str, int], digest: str) -> str:
    body = "".join(f"<li>{marked(fact)}</li>" for fact in told)
    body = f"<ul>{body}</ul>" if body else ""
    if counts and not any(f"{counts.get('train', 0):,} train" in fact for fact in told):
        split = ", ".join(f"{count:,} {clean(name)}" for name, count in counts.items())
        body += f"<p>Split: {split}.</p>"
    short = (
        f'<p class="mute">Content <code>{clean(digest[:16])}</code> (the start of its SHA-256).</p>' if digest else ""
    )
    return body + short


def findings(found: Sequence[Finding], verdict: str) -> str:
    """What the audit noticed, each with the step that mends it."""
    body = f"<h3>Audit</h3><p>{clean(verdict[:1].upper() + verdict[1:])}.</p>" if verdict else ""
    items = ""
    for one in found:
        mend = f"<small>{marked(one.mend)}</small>" if one.mend else ""
        items += f'<li class="{clean(one.level)}"><b>{clean(one.level)}</b> {marked(one.text)}{mend}</li>'
    return body + (f'<ul class="findings">{items}</ul>' if items else "")


def bad_files(bad: Sequence[Bad]) -> str:
    if not bad:
        return ""
    rows = [[clean(one.path), clean(one.reason)] for one in bad]
    header = [("file", ""), ("why it could not be read", "")]
    body = f"<h3>Left out: {len(bad):,} unreadable</h3>{table(header, rows[:MOST_FILES])}"
    if len(rows) > MOST_FILES:
        # thousands of lines help nobody in a page; the run's result file has them all
        shown_rows = rows[MOST_FILES : MOST_FILES + 500]
        body += folded(f"{len(rows) - MOST_FILES:,} more", table(header, shown_rows))
    return body


def class_counts(counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    most = max(max(counts.values()), 1)
    rows = [
        [clean(name), f"{count:,}", f'<span class="bar" style="width:{count / most * 100:.1f}%"></span>']
        for name, count in sorted(counts.items(), key=lambda pair: -pair[1])
    ]
    header = [("class", ""), ("training samples", "num"), ("", "track")]
    return folded(f"Training samples of each of the {len(rows):,} classes", table(header, rows))


def settings(values: Mapping[str, Any], changed: Sequence[str]) -> str:
    """The user's own settings first, all of them folded away."""
    if not values:
        return ""
    header = [("setting", ""), ("value", "")]

    def lines(keys: Sequence[str]) -> list[list[str]]:
        return [[f"<code>{clean(key)}</code>", clean(_setting(values[key]))] for key in keys]

    own = [key for key in changed if key in values]
    body = f"<h3>Set for this run</h3>{table(header, lines(own))}" if own else ""
    return body + folded("All settings", table(header, lines(list(values))))


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return "none" if value is None else str(value)


def environment(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    rows = [[clean(key), clean(_setting(value))] for key, value in values.items()]
    return folded("Machine and versions", table([("what", ""), ("value", "")], rows))


def commands(following: Sequence[tuple[str, str]]) -> str:
    """What to do next, each with its command."""
    if not following:
        return ""
    body = "".join(f"<p>{clean(what)}</p><pre><code>{clean(command)}</code></pre>" for command, what in following)
    return section("What next", body)


def goal_tile(
    goal: str, metrics: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> list[tuple[str, str, str]]:
    """The tile of the goal metric; none where it was not measured."""
    name = next((name for name in metrics if plain(name) == plain(goal)), None)
    if name is None:
        return []
    likely = between(name, *intervals[name]) if name in intervals else ""
    return [(words(name), shown(name, metrics[name]), likely)]

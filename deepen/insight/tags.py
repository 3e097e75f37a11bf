"""Words under the colours of their labels, wrong ones marked, and how each label fares, for people.

Everything takes validation rows and what `tasks/tag.py` measured of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepen.data.chunks import OUTSIDE, parse
from deepen.data.dataset import Columns, Dataset
from deepen.data.loader import in_order
from deepen.data.tagging import TaggedPreprocess
from deepen.insight.answers import confusion, count_answers
from deepen.insight.ink import colours, percent, shorten, svg, text, text_width
from deepen.spec import UNLABELLED, Labels
from deepen.tasks.base import Rows
from deepen.tasks.tag import Tag, together

SHOWN = 6
"""Sentences of each kind that are drawn."""
MOST_WORDS = 28
"""Of a sentence that is drawn."""
WIDE = 560.0
LINE = 50.0
MOST_LABELS = 60
"""That bars and confusion are drawn of."""
LOOKED_AT = 4000
"""Validation rows whose confusion is counted."""
BATCH = 64


@dataclass(frozen=True)
class Line:
    """Words with what was said of them and what they are, as numbers of labels; `said` is None where nothing was."""

    words: Sequence[str]
    truth: Sequence[int]
    said: Sequence[int] | None
    caption: str


def told(dataset: Dataset, rows: Rows, module: nn.Module, task: Tag) -> dict[str, str]:
    """Pictures of what was answered on the validation split: `examples` evenly from all, the `worst`, how the `classes` fare, and
    the `confusion` of labels."""
    assert isinstance(dataset.preprocess, TaggedPreprocess)
    columns, names = dataset.validation, task.names
    wrong = (rows["words"] - rows["hits"]).numpy()
    spread = np.linspace(0, len(columns) - 1, min(SHOWN, len(columns))).round().astype(int)
    order = np.lexsort((-rows["nats"].numpy(), -wrong))
    worst = [row for row in order[:SHOWN].tolist() if wrong[row]]
    found = {"examples": drawn("Validation sentences", _lines(dataset, columns, spread.tolist(), module, task), names)}
    if worst:
        found["worst"] = drawn("The worst validation sentences", _lines(dataset, columns, worst, module, task), names)
    if len(task.units) <= MOST_LABELS:
        whole = task.joined(rows)
        sums = [whole[name].sum(0).long().numpy() for name in ("right", "said", "there")]
        title = "Each label" if task.scheme is None else "Each kind, whole chunks"
        if task.units != ("",):
            found["classes"] = bars(title, task.units, *sums, paint=_of_units(names, task.units))
    if len(names) <= MOST_LABELS:
        found["confusion"] = confusion(_confused(dataset, module, task), names, title="Labels of validation words")
    return found


def samples(dataset: Dataset, columns: Columns) -> str:
    """Training sentences with their labels."""
    assert isinstance(dataset.spec.output, Labels)
    rows = list(range(len(columns)))
    return drawn("Training samples", _lines(dataset, columns, rows, None, None), dataset.spec.output.names)


def drawn(title: str, lines: Sequence[Line], names: Sequence[str]) -> str:
    """Sentences with the label of each word under it; where it is wrong, struck out over the right one."""
    paint = _paints(names)
    parts = [text(12, 22, title, "title")]
    y = 44.0
    for line in lines:
        parts.append(text(12, y, shorten(line.caption, WIDE - 24), "mute", tip=line.caption))
        y += 24
        x, tall = 12.0, LINE
        for number, word in enumerate(line.words[:MOST_WORDS]):
            truth = line.truth[number]
            said = truth if line.said is None else line.said[number]
            shown = _names(said, truth, names)
            width = max(text_width(word or " ", 13), *(text_width(name, 10.5) for name in shown)) + 12
            width = min(width, WIDE - 24)
            if x + width > WIDE - 12:
                x, y, tall = 12.0, y + tall, LINE
            tall = max(tall, LINE + 14 * (len(shown) > 1))
            parts.append(_word(x, y, width, word, shown, paint[said]))
            x += width + 5
        more = f"and {len(line.words) - MOST_WORDS:,} more"
        if len(line.words) > MOST_WORDS:
            if x + text_width(more) > WIDE - 12:
                x, y, tall = 12.0, y + tall, LINE
            parts.append(text(x, y, more, "mute"))
        y += tall + 8
    return svg(WIDE, y - 12, "".join(parts), title)


def _names(said: int, truth: int, names: Sequence[str]) -> list[str]:
    if said == truth or truth == UNLABELLED:
        return ["" if said == UNLABELLED else names[said]]
    return [names[said], names[truth]]


def _word(x: float, y: float, width: float, word: str, labels: Sequence[str], fill: str) -> str:
    """A word on the colour of its label, the label below, and below that the right one where it is another."""
    wrong = len(labels) > 1
    frame = "stroke:var(--error,#b42336);stroke-width:1.5" if wrong else "stroke:none"
    alpha = 0.28 if fill else 0.0
    box = f'<rect x="{x:.1f}" y="{y - 15:.1f}" width="{width:.1f}" height="20" rx="4"'
    back = f'{box} style="fill:{fill or "none"};fill-opacity:{alpha};{frame}"/>'
    middle = x + width / 2
    told = f"{word}: {labels[0]}" + (f", but it is {labels[1]}" if wrong else "")
    below = text(middle, y + 17, shorten(labels[0], width), "mid mute")
    below = below.replace(
        "<text", f'<text style="font-size:10.5px{";text-decoration:line-through" if wrong else ""}"', 1
    )
    if wrong:
        right = text(middle, y + 31, shorten(labels[1], width), "mid")
        below += right.replace("<text", '<text style="font-size:10.5px;fill:var(--c2,#2a9d64);font-weight:600"', 1)
    return back + text(middle, y, shorten(word, width), "mid", tip=told) + below


def bars(
    title: str,
    names: Sequence[str],
    right: NDArray[np.int64],
    said: NDArray[np.int64],
    there: NDArray[np.int64],
    *,
    paint: Sequence[str],
) -> str:
    """F1 of each label as a bar, with precision, recall and how often it is there."""
    left, room, top = 120.0, 160.0, 62.0
    columns = (left + room + 112, left + room + 184, left + room + 256)
    parts = [text(12, 22, title, "title"), text(left, 48, "F1", "mute")]
    parts += [text(x, 48, name, "mute end") for x, name in zip(columns, ("precision", "recall", "there"), strict=True)]
    for number, name in enumerate(names):
        y = top + 24 * number
        both = int(said[number] + there[number])
        parts.append(text(left - 10, y + 12, shorten(name, left - 24), "end", tip=name))
        f1 = 2 * right[number] / both if both else float("nan")
        if f1 == f1:
            length = max(1.0, room * float(f1))
            style = f"fill:{paint[number] or 'var(--mute,#5f6c7b)'}"
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="15" rx="2" style="{style}"/>')
            parts.append(text(left + length + 6, y + 12, percent(float(f1))))
        shares = (right[number] / of if of else float("nan") for of in (int(said[number]), int(there[number])))
        values = [*(percent(float(share)) if share == share else "–" for share in shares), f"{int(there[number]):,}"]
        parts += [text(x, y + 12, value, "end") for x, value in zip(columns, values, strict=True)]
    return svg(columns[-1] + 14, top + 24 * len(names) + 8, "".join(parts), title)


def _kind(name: str, chunks: bool) -> str:
    """What decides on the colour of a label: its kind, or itself."""
    found = parse(name) if chunks else None
    return name if found is None else found[1] or found[0]


def _paints(names: Sequence[str]) -> list[str]:
    """A colour for each label; none for what is in no chunk. Labels of one kind share theirs."""
    chunks = all(parse(name) for name in names)
    kinds = list(dict.fromkeys(_kind(name, chunks) for name in names if not (chunks and parse(name) == OUTSIDE)))
    chosen = dict(zip(kinds, colours(len(kinds)), strict=True))
    return ["" if chunks and parse(name) == OUTSIDE else chosen[_kind(name, chunks)] for name in names]


def _of_units(names: Sequence[str], units: Sequence[str]) -> list[str]:
    chunks = all(parse(name) for name in names)
    by_kind = {_kind(name, chunks): paint for name, paint in zip(names, _paints(names), strict=True)}
    return [by_kind.get(unit, "") for unit in units]


def _lines(
    dataset: Dataset, columns: Columns, rows: Sequence[int], module: nn.Module | None, task: Tag | None
) -> list[Line]:
    preprocess = dataset.preprocess
    assert isinstance(preprocess, TaggedPreprocess)
    found = []
    for row in rows:
        stored = columns.take(torch.tensor([row]))
        tokens, target = stored["input"][0], stored["target"][0]
        places = (target != UNLABELLED).nonzero().flatten().tolist()
        ends = [*places[1:], len(tokens)]
        words = [preprocess.shown(tokens[first:last]) for first, last in zip(places, ends, strict=True)]
        said = None
        if module is not None and task is not None:
            said = answered(module, task, preprocess, stored)[0][0][: len(places)].tolist()
        found.append(Line(words, target[places].tolist(), said, columns.origin(row)))
    return found


@torch.no_grad()
def answered(
    module: nn.Module, task: Tag, preprocess: TaggedPreprocess, batch: dict[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The labels said of the words of stored rows and the true ones, int64 [B, W], and how many words each row has."""
    asked = batch["target"] != UNLABELLED
    places, lengths = together(asked), asked.sum(1)
    device = next(module.parameters()).device
    logits = module(preprocess.tensor(batch["input"].to(device))).float().cpu()
    return task.labels(logits, places, lengths, batch.get("cut")), batch["target"].gather(1, places), lengths


def _confused(dataset: Dataset, module: nn.Module, task: Tag) -> NDArray[np.int64]:
    assert isinstance(dataset.preprocess, TaggedPreprocess)
    split = dataset.validation
    if len(split) > LOOKED_AT:
        split = split.subset(torch.linspace(0, len(split) - 1, LOOKED_AT).long())
    counts = np.zeros((len(task.names), len(task.names)), dtype=np.int64)
    for batch in in_order(split, dataset.preprocess, batch_size=BATCH, device=torch.device("cpu")):
        said, truth, lengths = answered(module, task, dataset.preprocess, batch)
        there = torch.arange(truth.shape[1]) < lengths.unsqueeze(1)
        counts += count_answers(truth[there].numpy(), said[there].numpy(), len(task.names))
    return counts

"""Texts with their references and what the model writes: the best, the worst and those between; and where it looks meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepen.data.dataset import Columns, Dataset
from deepen.data.paired import PairPreprocess, read_back
from deepen.data.tokenizer import END, SPECIAL, Characters, Pieces
from deepen.engine import mode
from deepen.insight.ink import clean, colour, shorten, svg, text, text_width
from deepen.insight.pictures import wrapped_table
from deepen.spec import PAD
from deepen.tasks import bleu
from deepen.tasks.base import Reads, Rows
from deepen.tasks.translate import Translate

EACH = 4
"""Texts of the worst, of the middle and of the best that are shown."""
ENOUGH = 6
"""Words of a reference that is shown: short ones are right or wrong by luck."""
LOOKS, GOOD = 3, 14
"""Texts that are shown with where the model looks, of about so many tokens."""
MOST = 24
"""Tokens that are shown of each side."""
LONG = 600
"""Characters of a text that are shown."""
WIDE = 160
"""Pixels of a token that is shown."""
CELL = 19.0


def samples(dataset: Dataset, some: Columns) -> str:
    """Training pairs."""
    preprocess = dataset.preprocess
    assert isinstance(preprocess, PairPreprocess)
    lines = [
        (shorten(name, WIDE), brief(words))
        for seen, reference in zip(some["input"], some["reference"], strict=True)
        for name, words in zip(preprocess.languages, (preprocess.shown(seen), read_back(reference)), strict=True)
    ]
    return wrapped_table("Training samples", ("", "text"), lines)


def told(dataset: Dataset, rows: Rows, module: nn.Module, task: Reads) -> dict[str, str]:
    """`translations` and, of a model that says so, `looks`; `rows` are those of the validation split."""
    preprocess, split = dataset.preprocess, dataset.validation
    assert isinstance(preprocess, PairPreprocess)
    assert isinstance(task, Translate)
    each = bleu.score(rows["written"][:, : bleu.COUNTS])
    long = (rows["written"][:, bleu.COUNTS - 1] >= ENOUGH).nonzero().squeeze(1)
    order = (long if len(long) else torch.arange(len(each)))[
        each[long if len(long) else slice(None)].argsort(stable=True)
    ]
    middle = max(0, len(order) // 2 - EACH // 2)
    chosen = dict.fromkeys([*order[:EACH].tolist(), *order[middle : middle + EACH].tolist(), *order[-EACH:].tolist()])
    index = torch.tensor(list(chosen))
    batch = split.take(index)
    sources = [preprocess.shown(row) for row in batch["input"]]
    device = next(module.parameters()).device
    with mode.evaluating(module):
        answers = task.answers(module, preprocess, preprocess.tensor(batch["input"]).to(device))
    lines = []
    for row, source, reference, answer in zip(index.tolist(), sources, batch["reference"], answers, strict=True):
        lines += [("text", brief(source)), ("reference", brief(read_back(reference)))]
        lines += [(f"BLEU {each[row]:.0f}", brief(answer))]
    title = f"The worst, middling and best of {len(each):,} held back, by the BLEU of each"
    drawn = {"translations": wrapped_table(title, ("", "text, reference and what the model writes"), lines)}
    if hasattr(module, "attended"):
        drawn["looks"] = looks(module, preprocess, split)
    return drawn


@torch.no_grad()
def looks(module: Any, preprocess: PairPreprocess, split: Columns) -> str:
    """Where the model looked in a text before it wrote each token of the reference."""
    some = split.take(torch.linspace(0, len(split) - 1, min(64, len(split))).long())
    lengths = (some["input"] != PAD).sum(1)
    device = next(module.parameters()).device
    maps = []
    for row in sorted((lengths - GOOD).abs().argsort(stable=True)[:LOOKS].tolist()):
        input, target = (one[row : row + 1][:, (one[row] != PAD)] for one in (some["input"], some["target"]))
        start = torch.cat([torch.full_like(target[:, :1], SPECIAL.index("<s>")), target[:, :-1]], 1)
        with mode.evaluating(module):
            weights = module.attended(preprocess.tensor(input).to(device), start.to(device))[0].double().cpu().numpy()
        names = _words(preprocess.source.tokenizer, input[0]), _words(preprocess.target, target[0])
        maps.append((names[0][:MOST], names[1][:MOST], weights[:MOST, :MOST]))
    return heat(maps)


def brief(words: str) -> str:
    """A text as far as it is shown."""
    return words if len(words) <= LONG else f"{words[:LONG]} …"


def heat(maps: Sequence[tuple[Sequence[str], Sequence[str], NDArray[np.float64]]]) -> str:
    """Weights [M, L] with the words that were read above and those that were written beside, the maps under each other."""
    title, note = "Where it looks while it writes", "columns: what it reads; rows: what comes next; stronger: more"
    parts, y, width = [text(12, 22, title, "title"), text(12, 42, note, "mute")], 58.0, text_width(note) + 24
    for read, written, weights in maps:
        shown = [shorten(word, WIDE) for word in written]
        left = max(text_width(word) for word in shown) + 24
        top = y + 0.72 * min(110.0, max(text_width(word) for word in read)) + 12
        for column, word in enumerate(read):
            x = left + (column + 0.6) * CELL
            turned = f'transform="translate({x:.1f} {top - 6:.1f}) rotate(-45)"'
            parts.append(f"<g {turned}>{text(0, 0, shorten(word, 110), tip=word)}</g>")
        for row, word in enumerate(written):
            parts.append(text(left - 8, top + (row + 0.7) * CELL, shown[row], "end"))
            for column, weight in enumerate(weights[row]):
                box = f'x="{left + column * CELL:.1f}" y="{top + row * CELL:.1f}" width="{CELL - 1:g}" height="{CELL - 1:g}"'
                tip = f"{word} ← {read[column]}: {100 * weight:.0f} %"
                shade = f"fill:{colour(0)};fill-opacity:{min(1.0, 0.04 + weight):.2f}"
                parts.append(f'<rect {box} rx="2" style="{shade}"><title>{clean(tip)}</title></rect>')
        y = top + len(written) * CELL + 26
        width = max(width, left + len(read) * CELL + 90)
    return svg(width, y, "".join(parts), title)


def _words(tokens: Characters | Pieces, row: Tensor) -> list[str]:
    """Each token for itself."""
    return ["end" if token == END else tokens.decode([token]).strip() or "·" for token in row.tolist()]

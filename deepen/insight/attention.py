"""Where a network looks in a text: the weights of its attention, layer by layer and head by head.

A module that attends has `looks`: called as the module itself, it says how much each place takes from each, [B, heads, L, K],
or None. It is asked beside the module's own work, which holds no weights. What a place looks at is not always why the answer is
what it is (Jain & Wallace, 2019), but it shows what the layers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepen.data.dataset import Dataset
from deepen.data.sentences import TextPreprocess
from deepen.data.tagging import TaggedPreprocess
from deepen.data.tokenizer import REPLACEMENT, SPECIAL
from deepen.engine import mode
from deepen.insight.coloured import Word, passages
from deepen.insight.ink import clean, colour, picture, shorten, svg, text, text_width
from deepen.spec import PAD
from deepen.tasks.spelling import Spelling

TEXTS = 3
"""Held-out texts that are shown where each place looks, and `READ` where only the whole does."""
READ = 6
SEEN, GOOD = 64, 15
"""Of so many texts those of about so many tokens are shown."""
MOST, MOST_READ = 24, 80
"""Tokens of a text that are shown with their weights: each with each, and as a whole."""
LAYERS, HEADS = 6, 8
"""That are shown at most, from the first to the last."""
CELL, SMALL, GAP, LABEL = 17.0, 64.0, 6.0, 106.0
BLUE = (47, 111, 219)
LEAST = 0.02
"""A colour that is too faint to be drawn."""


@torch.no_grad()
def weights_in(model: nn.Module, tokens: Tensor) -> list[NDArray[np.float64]]:
    """The weights [heads, L, K] of each module that attends while the model reads a text, tokens int64 [1, L]."""
    found: list[NDArray[np.float64]] = []

    def ask(module: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        weights = module.looks(*args, **named)
        if weights is not None:
            found.append(weights[0].double().cpu().numpy())

    attending = [module for module in model.modules() if hasattr(module, "looks")]
    hooks = [module.register_forward_pre_hook(ask, with_kwargs=True) for module in attending]
    try:
        with mode.evaluating(model):
            model(tokens.to(next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def told(dataset: Dataset, model: nn.Module) -> dict[str, str]:
    """`attention`: where the model looks in some validation texts; nothing for one that attends to none."""
    preprocess, split = dataset.preprocess, dataset.validation
    if not isinstance(preprocess, TextPreprocess | TaggedPreprocess) or not any(
        hasattr(module, "looks") for module in model.modules()
    ):
        return {}
    maps, read = [], []
    stored = preprocess.tensor(split.take(torch.linspace(0, len(split) - 1, min(SEEN, len(split))).long())["input"])
    lengths = (stored != PAD).sum(1)
    for row in sorted((lengths - GOOD).abs().argsort(stable=True)[:READ].tolist()):
        tokens = stored[row : row + 1, : max(1, int(lengths[row]))]
        some = tokens[:, :MOST]  # read alone: what a place may look at is then all to be seen
        seen = weights_in(model, some)
        if len(seen) == 1 and seen[0].shape[:2] == (1, 1):
            (whole,) = weights_in(model, tokens)
            read.append((words_of(preprocess, tokens[0]), whole[0, 0]))
        elif seen:
            maps.append((words_of(preprocess, some[0]), seen, tokens.shape[1]))
    if maps:  # where every place looks; a text of one token is as if it were looked at as a whole
        return {"attention": mapped(maps[:TEXTS])}
    return {"attention": highlighted(read)} if read else {}


CONTINUED = "…"
LONGEST_WORD = 60
"""Characters of a token that are shown: what has no blanks may be a megabyte."""


def words_of(preprocess: TextPreprocess | TaggedPreprocess, tokens: Tensor) -> list[str]:
    """Each token as a person would see it by itself. A character that several make stands at the last of them."""
    spelling, words = Spelling(preprocess.tokenizer, []), []
    for token in tokens.tolist():
        piece, alone = spelling.add(token), preprocess.tokenizer.decode([token])
        word = (alone if REPLACEMENT not in alone else piece or CONTINUED)[:LONGEST_WORD]
        mark = SPECIAL[token] if token < len(SPECIAL) else ""
        words.append(mark or word.replace("\n", "⏎").strip(" ") or "␣")
    return words


def highlighted(read: Sequence[tuple[Sequence[str], NDArray[np.float64]]]) -> str:
    """Texts whose words lie on a colour that is the stronger the more they count; of a long one, where most of that is."""
    lines = []
    for words, weights in read:
        many = min(len(words), MOST_READ)
        first = int(np.convolve(weights, np.ones(many), "valid").argmax())
        shown = slice(first, first + many)
        strengths = weights / max(float(weights.max()), 1e-12)
        told = [f"{word}: {100 * weight:.0f} %" for word, weight in zip(words, weights, strict=True)]
        line = [Word(*one) for one in zip(words, strengths.tolist(), [0] * len(words), told, strict=True)][shown]
        before, after = ([Word(CONTINUED)] if cut else [] for cut in (first > 0, first + many < len(words)))
        lines.append([*before, *line, *after])
    cut = any(len(words) > MOST_READ for words, _ in read)
    return passages("Which words count", lines, f"of long texts the {MOST_READ} tokens that count most" if cut else "")


def mapped(maps: Sequence[tuple[Sequence[str], Sequence[NDArray[np.float64]], int]]) -> str:
    """For each text the mean of the last layer's heads, large and with its words, beside it every head of the layers, small. The
    number is how many tokens the whole text has."""
    title, parts, y, width = "Where words look", [], 50.0, 0.0
    for words, layers, many in maps:
        drawn, wide, high = _large(12.0, y, words, layers[-1].mean(0))
        if many > len(words):
            high += 18
            drawn += text(12, y + high - 4, f"the first {len(words)} of {many:,} tokens, read alone", "mute")
        beside, right, low = _small(wide + 24, y, layers)
        parts += [drawn, beside]
        width, y = max(width, right), max(y + high, low) + 26
    told = "each row is a word, its colours say at which words it looks; large: the mean of the last layer"
    parts = [text(12, 22, title, "title"), text(12, 40, told, "mute"), *parts]
    return svg(max(width + 12, text_width(told) + 24), y, "".join(parts), title)


def _large(x: float, y: float, words: Sequence[str], weights: NDArray[np.float64]) -> tuple[str, float, float]:
    """The map with its words; its right edge and its height."""
    labels = [_label(word) for word in words]
    room = max(taken for _, taken in labels) + 4
    left, top = x + room + 6, y + room * 0.75 + 20
    parts = []
    for place, (word, (shown, _)) in enumerate(zip(words, labels, strict=True)):
        at = left + (place + 0.7) * CELL
        parts.append(text(left - 6, top + (place + 0.72) * CELL, shown, "end", tip=word))
        parts.append(f'<g transform="translate({at:.1f} {top - 5:.1f}) rotate(-48)">{text(0, 0, shown, tip=word)}</g>')
    strength = _strength(weights)
    for row, column in zip(*np.nonzero(strength >= LEAST), strict=True):
        tip = clean(f"{words[row]} → {words[column]}: {100 * weights[row, column]:.0f} %")
        box = f'x="{left + column * CELL:.1f}" y="{top + row * CELL:.1f}" width="{CELL - 1:g}" height="{CELL - 1:g}"'
        parts.append(
            f'<rect {box} style="fill:{colour(0)};opacity:{strength[row, column]:.2f}"><title>{tip}</title></rect>'
        )
    side = len(words) * CELL
    parts.append(
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{side:g}" height="{side:g}" style="fill:none" class="grid"/>'
    )
    return "".join(parts), left + side + room * 0.55, top + side - y


def _label(word: str) -> tuple[str, float]:
    """A word as far as there is room for it, and about the pixels that it takes: capitals are broader than other letters."""
    broad = 1 + 0.3 * sum(map(str.isupper, word)) / len(word)
    shown = shorten(word, LABEL / broad)
    return shown, text_width(shown) * broad


def _small(x: float, y: float, layers: Sequence[NDArray[np.float64]]) -> tuple[str, float, float]:
    """The heads of the layers, a row for each layer; right and lower edge."""
    parts, right = [], x
    top = y + 24
    for line, number in enumerate(_some(len(layers), LAYERS)):
        heads = layers[number]
        at = top + line * (SMALL + GAP)
        parts.append(text(x, at + SMALL / 2 + 4, f"layer {number + 1}", "mute"))
        for column, head in enumerate(_some(len(heads), HEADS)):
            left = x + 56 + column * (SMALL + GAP)
            if line == 0:
                parts.append(text(left + SMALL / 2, top - 6, f"head {head + 1}", "mute mid"))
            tip = f"layer {number + 1}, head {head + 1}"
            parts.append(picture(left, at, SMALL, SMALL, _tinted(heads[head]), tip=tip))
            parts.append(
                f'<rect x="{left:.1f}" y="{at:.1f}" width="{SMALL:g}" height="{SMALL:g}" style="fill:none" class="grid"/>'
            )
            right = max(right, left + SMALL)
    return "".join(parts), right, top + min(len(layers), LAYERS) * (SMALL + GAP)


def _some(count: int, most: int) -> list[int]:
    return [int(one) for one in np.linspace(0, count - 1, min(count, most)).round()]


def _tinted(weights: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Weights [L, K] as see-through blue, uint8 [L, K, 4]: it lies on light and on dark pages."""
    tint = np.broadcast_to(np.array(BLUE), (*weights.shape, 3))
    return np.dstack([tint, (255 * _strength(weights)).round()]).astype(np.uint8)


def _strength(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights [L, K] as 0 to 1: who looks everywhere alike is pale, and single bright places do not darken the rest."""
    scale = max(float(np.quantile(weights, 0.98)), 3 / weights.shape[1])
    return np.minimum(weights / scale, 1.0)

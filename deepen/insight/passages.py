"""Texts for people: as they were written, and long ones shortened around what decided.

Where that is, is found by leaving out one part after the other (occlusion, Zeiler & Fergus, 2014): without the part that said
most for an answer, the model is least sure of it.
"""

from __future__ import annotations

import torch
from torch import nn

from deepen.data.dataset import Columns
from deepen.data.sentences import TextPreprocess
from deepen.data.tokenizer import Pieces, tidy
from deepen.engine import mode
from deepen.spec import PAD

SHOWN = 320
"""Characters of a text that are shown."""
PARTS = 16
"""That are left out of a text, one after the other."""
SPACES = 12
"""Characters within which a blank is looked for to cut at."""


def written(preprocess: TextPreprocess, split: Columns, row: int) -> str:
    """A text as it was written; where only its tokens are known, what they say."""
    if split.texts is not None:
        return split.texts[row]
    return preprocess.shown(split.take(torch.tensor([row]))["input"][0])


def passage(preprocess: TextPreprocess, split: Columns, row: int, decided: tuple[nn.Module, int] | None = None) -> str:
    """A text of a split, shortened around what made a network decide for a class."""
    text = written(preprocess, split, row)
    around = 0 if decided is None or len(text) <= SHOWN else decisive(decided[0], preprocess, text, decided[1])
    return shortened(text, around)


def shortened(text: str, around: int = 0, most: int = SHOWN) -> str:
    """At most about `most` characters of a text, with what stands at `around` in their middle, cut at blanks where some are."""
    text = text.strip()
    if len(text) <= most:
        return text
    begin = max(0, min(around - most // 2, len(text) - most))
    end = begin + most
    if begin:
        blank = text.find(" ", begin, begin + SPACES)
        begin = blank + 1 if blank >= 0 else begin
    if end < len(text):
        blank = text.rfind(" ", end - SPACES, end)
        end = blank if blank >= 0 else end
    return ("… " if begin else "") + text[begin:end] + (" …" if end < len(text) else "")


@torch.no_grad()
def decisive(module: nn.Module, preprocess: TextPreprocess, text: str, label: int) -> int:
    """The place in a text, in characters, around which it says most for the class `label`."""
    tokens = preprocess.encode([text])[0]
    size = max(1, -(-len(tokens) // PARTS))
    begins = list(range(0, len(tokens), size))
    if len(begins) < 2:
        return 0
    left = torch.full((len(begins), len(tokens)), PAD, dtype=tokens.dtype)
    for number, begin in enumerate(begins):
        rest = torch.cat([tokens[:begin], tokens[begin + size :]])
        left[number, : len(rest)] = rest
    device = next(module.parameters()).device
    with mode.evaluating(module):
        answers = module(preprocess.tensor(left).to(device)).float().log_softmax(1)
    middle = begins[int(answers[:, label].argmin())] + size // 2
    if not isinstance(preprocess.tokenizer, Pieces):
        return middle
    offsets = preprocess.tokenizer.inner.encode(tidy(text), add_special_tokens=False).offsets
    return int(offsets[min(middle, len(offsets) - 1)][0]) if offsets else 0

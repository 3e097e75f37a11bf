"""What a model fills into texts that it has never read, beside what stood there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepen.data.dataset import Dataset
from deepen.data.sentences import TextPreprocess
from deepen.data.tokenizer import SPECIAL
from deepen.engine import mode
from deepen.insight.coloured import Word, passages
from deepen.spec import PAD
from deepen.tasks.masked import Masked, answers, fixed

TEXTS = 6
MOST = 48
"""Tokens of a text that are shown."""
RIGHT, WRONG = 2, 1
"""Colours."""


@torch.no_grad()
def told(dataset: Dataset, model: nn.Module, task: Masked) -> dict[str, str]:
    """`filled`: some validation texts with what the model takes for what is hidden."""
    preprocess, split = dataset.preprocess, dataset.validation
    assert isinstance(preprocess, TextPreprocess)
    lines = []
    for row in torch.linspace(0, len(split) - 1, min(TEXTS, len(split))).long().tolist():
        truth = preprocess.tensor(split.take(torch.tensor([row]))["input"])[:, :MOST]
        asked, _ = task.masking(truth, *fixed(truth, task.vocabulary))
        with mode.evaluating(model):
            hidden = truth.masked_fill(asked, SPECIAL.index("<mask>"))
            logits = answers(model, hidden.to(next(model.parameters()).device), asked.to(hidden.device)).float().cpu()
        logits[:, : len(SPECIAL)] = -torch.inf
        lines.append(_line(preprocess, truth[0], asked[0], logits.softmax(1)))
    note = "hidden places on a colour: green what it found, orange what it took for what stands behind the arrow"
    return {"filled": passages("What it fills in", lines, note)}


def _line(preprocess: TextPreprocess, truth: Tensor, asked: Tensor, chances: Tensor) -> list[Word]:
    words: list[Word] = []
    between: list[int] = []
    said = iter(chances)
    for token, hidden in zip(truth.tolist(), asked.tolist(), strict=True):
        if not hidden:
            between += [token] if token != PAD else []
            continue
        words += [Word(word) for word in preprocess.tokenizer.decode(between).split()]
        between = []
        chance, named = (float(part) for part in next(said).max(0))
        found, true = (preprocess.tokenizer.decode([int(one)]).strip() or "␣" for one in (named, token))
        tip = f"{found}: {100 * chance:.0f} %"
        right = int(named) == token
        words.append(Word(found if right else f"{found} → {true}", 1.0, RIGHT if right else WRONG, tip))
    return [*words, *(Word(word) for word in preprocess.tokenizer.decode(between).split())]

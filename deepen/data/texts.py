"""Data sets of texts with an answer each, wherever the texts come from: tokens are fitted on the training texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from deepen.data import adopted, answers, tokenizer
from deepen.data.dataset import Bad, Dataset, Finding, Sealed
from deepen.data.ragged import Ragged, ragged
from deepen.data.sentences import TextPreprocess
from deepen.data.splits import split
from deepen.data.text_settings import TableData
from deepen.errors import Misuse
from deepen.recipe import Data
from deepen.spec import Category, Nothing, Quantity, Spec, Text

FEWEST, SENTENCE = 3.5, 8.0
"""Words of the middle cell from which on a column may hold texts, and from which on it may in a table of many columns."""
FEW = 3
"""Columns up to which there are not many."""
SPACELESS = re.compile("[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f\uf900-\ufaff]")
"""A character of a script that is written without spaces."""
USUAL_SIZE = {"characters": 8192, "words": 30_000, "bpe": 8192, "wordpiece": 8192}
LONGEST = 512
"""Tokens of a text that are kept, where nothing else is asked and texts are that long."""


@dataclass
class Config(TableData):
    """How texts are read."""

    text: str | None = None
    """Column of a table that holds the texts. Default: the one that does."""
    target: str | None = None
    """Column to learn. Default: one called target, label, class or y, else the other one."""
    answer: Literal["class", "number"] | None = None
    """Whether the target names a class or is a number. Default: decided from what it holds."""
    tokens: Literal["characters", "words", "bpe", "wordpiece"] = "words"
    """What texts are cut into. words: also single characters of scripts without spaces."""
    tokenizer: str | None = None
    """A run, a bundle or a folder with tokenizer.json, to cut texts as it does. Default: one that is fitted on them."""
    vocabulary: int | None = None
    """Most different tokens. Default: 30,000 words, 8,192 of anything else."""
    length: int | None = None
    """Tokens of a text that are kept. Default: those of the longest training text, up to 512."""
    test: str | None = None
    """Path of a further file that is sealed as the test split."""


def build(
    name: str,
    texts: Sequence[str],
    answer: answers.Answer | None,
    target: str,
    options: Data,
    seed: int,
    *,
    digest: str,
    origins: Sequence[str],
    column: str = "",
    whole: bool = False,
    given: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    times: np.ndarray | None = None,
    facts: Sequence[str] = (),
    bad: Sequence[Bad] = (),
    testing: str = "",
) -> Dataset:
    """A data set of texts, each with its answer to what `target` asks; None where nothing is asked. `given` is the split of each
    text, where the data brings one; `groups` and `times` are what data.group and data.time name; `whole` says that a file holds
    one text."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    if config.length is not None and config.length < 1:
        raise Misuse(f"data.length={config.length} is not usable: expected 1 or more.")
    values, names = (None, None) if answer is None else (answer.values, answer.names)
    parts, why = split(
        len(texts),
        config,
        seed,
        given=given,
        labels=values if names is not None else None,
        groups=groups,
        times=times,
        names=names,
        testing=testing,
    )
    learnt = [texts[row] for row in parts["train"].tolist()]
    if config.tokenizer is not None:
        fitted = adopted.adopt(config.tokenizer).tokenizer
    else:
        size = USUAL_SIZE[config.tokens] if config.vocabulary is None else config.vocabulary
        fitted = tokenizer.fit(config.tokens, learnt, size)
    framing = fitted.begins + fitted.ends
    if config.length is not None and config.length <= framing:
        raise Misuse(
            f"data.length={config.length} leaves no room between the {framing} tokens around a text: expected more."
        )
    lengths = np.array([len(row) + framing for row in fitted.encode(learnt)])
    length = config.length or int(min(max(1, lengths.max(initial=1)), LONGEST))
    preprocess = TextPreprocess(fitted, length, column, config.encoding, whole)
    output: Category | Quantity | Nothing = Nothing()
    goals = {}
    if values is not None and names is not None:
        output, goals["target"] = Category(names), torch.from_numpy(values)
    elif values is not None:
        of_train = values[parts["train"]]
        scale = float(of_train.std())
        output = Quantity((target,), (float(of_train.mean()),), (scale if scale > 0 else 1.0,))
        goals["target"] = torch.from_numpy(values.astype(np.float32))[:, None]
    made: dict[str, Ragged] = {}
    for part, index in parts.items():
        held = [texts[row] for row in index.tolist()]
        wanted = {name: goal[torch.from_numpy(index)] for name, goal in goals.items()}
        made[part] = ragged(preprocess.tokens(held), wanted, [origins[row] for row in index.tolist()])
        made[part].texts = held
    asked = answers.Answer(np.empty(0), None) if answer is None else answer
    told, findings = _told(fitted, lengths, length, made["train"])
    return Dataset(
        name=name,
        spec=Spec(Text(length, fitted.vocabulary), output),
        preprocess=preprocess,
        train=made["train"],
        validation=made["validation"],
        test=Sealed(made["test"]) if len(made["test"]) else None,
        digest=digest,
        facts=[*facts, *asked.facts, *told, *why],
        bad=list(bad),
        findings=[*asked.findings, *findings],
        testing=testing,
    )


def is_prose(cells: Sequence[str | None]) -> bool:
    """Whether the cells of a column read like texts that people wrote: mostly different, and of several words."""
    filled = [cell for cell in cells if cell and cell.strip()]
    return len(set(filled)) >= 0.7 * len(filled) and _middle(cells) >= FEWEST


def likely(columns: Mapping[str, Sequence[str | None]]) -> str | None:
    """The column of a table that may hold texts although the table is not plainly one of texts, or None."""
    words = {name: _middle(cells) for name, cells in columns.items()}
    name = max(words, key=lambda name: words[name])
    return name if words[name] >= (FEWEST if len(columns) <= FEW else SENTENCE) else None


def _middle(cells: Sequence[str | None]) -> float:
    """Words of the middle one of the cells that are filled."""
    filled = [_words(cell) for cell in cells if cell and cell.strip()]
    return float(np.median(filled)) if filled else 0.0


def _words(text: str) -> float:
    """Words of a text; two characters of a script without spaces count as one."""
    return len(text.split()) + len(SPACELESS.findall(text)) / 2


def _told(
    fitted: tokenizer.Characters | tokenizer.Pieces, lengths: np.ndarray, length: int, train: Ragged
) -> tuple[list[str], list[Finding]]:
    kind = "pieces" if fitted.kind in ("bpe", "wordpiece") else fitted.kind
    facts = [
        f"Texts are {kind}: {fitted.vocabulary:,} different tokens, {int(np.median(lengths)):,} in the middle text, at most "
        f"{int(lengths.max(initial=0)):,}."
    ]
    findings = []
    if cut := int((lengths > length).sum()):
        are = "is" if cut == 1 else "are"
        text = f"{cut:,} of {len(lengths):,} training texts {are} longer than {length:,} tokens: cut off."
        findings.append(Finding("note", "cut-texts", text, "data.length=NUMBER keeps more of them."))
    if empty := int((lengths == fitted.begins + fitted.ends).sum()):
        hold = "holds" if empty == 1 else "hold"
        text = f"{empty:,} of {len(lengths):,} training texts {hold} nothing that could be read."
        findings.append(Finding("warning", "empty-texts", text, "Fill them, or remove their rows."))
    unknown = float((train.flat == tokenizer.UNKNOWN).double().mean()) if len(train.flat) else 0.0
    if unknown > 0.1:
        text = f"{100 * unknown:.0f} % of what the training texts hold is not in the vocabulary."
        findings.append(Finding("note", "unknown-tokens", text, "data.tokens=bpe can write any text."))
    return facts, findings

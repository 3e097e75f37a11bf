"""Data sets of running text: what stands later is what is validated and tested on, tokens are fitted on what comes first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from deepen.data import adopted, tokenizer
from deepen.data.dataset import Bad, Dataset, Finding, Sealed
from deepen.data.sentences import TextPreprocess
from deepen.data.splits import standard
from deepen.data.stream import Windows
from deepen.data.text_file import encoding_of, holds_nul, open_bytes
from deepen.data.text_settings import TextData
from deepen.errors import Misuse, Problem
from deepen.recipe import Data
from deepen.spec import Spec, Text, Tokens

MANY = 4_000_000
"""Characters from which on pieces of bytes are learnt by default instead of characters: they say more in as many tokens."""
USUAL_SIZE = {"characters": 8192, "words": 30_000, "bpe": 4096, "wordpiece": 4096}


@dataclass
class Config(TextData):
    """How running text is read."""

    tokens: Literal["auto", "characters", "words", "bpe", "wordpiece"] = "auto"
    """What the text is cut into. auto: characters, pieces of bytes (bpe) from four million characters on."""
    tokenizer: str | None = None
    """A run, a bundle or a folder with tokenizer.json, to cut texts as it does. Default: one that is fitted on them."""
    vocabulary: int | None = None
    """Most different tokens. Default: 8,192 characters, 4,096 pieces, 30,000 words."""
    length: int = 128
    """Tokens that a model sees at once."""
    test: str | None = None
    """Path of a further file that is sealed as the test split."""


def read(path: Path, encoding: str | None) -> tuple[str, list[str]]:
    """The content of a text file as it is, line ends included, and what was decided about it. Raises `Problem`."""
    found, facts = encoding_of(str(path), encoding)
    try:
        with open_bytes(str(path)) as raw:
            text = raw.read().decode(found)
    except UnicodeError as error:
        raise Problem(f"{path}: not {found} text ({getattr(error, 'reason', error)}).") from None
    if "\0" in text:
        raise holds_nul(str(path), text.count("\n", 0, text.index("\0")) + 1)
    return tokenizer.tidy(text), [f"{path.name}: {fact}" for fact in facts]


def build(
    name: str,
    documents: Sequence[tuple[str, str]],
    options: Data,
    *,
    sealed: Sequence[tuple[str, str]] = (),
    shares: tuple[float, float] | None = None,
    facts: Sequence[str] = (),
    bad: Sequence[Bad] = (),
    testing: str = "",
) -> Dataset:
    """A data set of texts (where from, text), read one after the other. `shares` are those of validation and test where the
    set has standard ones; `sealed` are texts to test on."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    if config.length < 2:
        raise Misuse(f"data.length={config.length} is not usable: expected 2 or more tokens.")
    if config.limit is not None:
        raise Misuse("data.limit counts samples and running text has none: leave it out.")
    for key in ("group", "time", "target"):
        if getattr(config, key) is not None:
            raise Misuse(f"data.{key} names a column and running text has none: leave it out.")
    if shares is not None:
        standard(name, config)
    whole = "\n".join(text for _, text in documents)
    kind = config.tokens
    if kind == "auto":
        kind = "characters" if len(whole) < MANY else "bpe"
    size = USUAL_SIZE[kind] if config.vocabulary is None else config.vocabulary
    validation, test = shares or (config.validation_fraction, 0.0 if sealed else config.test_fraction)
    if not 0 < validation < 1 or not 0 <= test < 1 or validation + test >= 1:
        raise Misuse(
            "data.validation_fraction and data.test_fraction leave nothing to train on: their sum must be below 1."
        )
    first, second = (round(len(whole) * share) for share in (1 - validation - test, 1 - test))
    texts = {"train": whole[:first], "validation": whole[first:second], "test": whole[second:]}
    if sealed:
        texts["test"] = "\n".join(text for _, text in sealed)
    if config.tokenizer is not None:
        fitted = adopted.adopt(config.tokenizer).tokenizer
        kind = fitted.kind
    else:
        fitted = tokenizer.fit(kind, _lines(texts["train"]), size)
    flat = {part: torch.from_numpy(_tokens(fitted, text)) for part, text in texts.items()}
    for part in ("train", "validation"):
        if len(flat[part]) < 2:
            raise Problem(
                f"{name} is too short: its {part} part holds {len(flat[part])} tokens, and at least 2 are needed. Give a longer "
                "text."
            )
    learnt = len(flat["train"])
    if config.length > max(learnt, Config.length) and config.tokenizer is None:
        raise Misuse(
            f"data.length={config.length} is not usable: only {learnt:,} tokens of {name} train, and no window would ever be "
            f"full. Expected at most {max(learnt, Config.length)}."
        )
    origin = documents[0][0] if len(documents) == 1 else name
    made = {part: Windows(tokens, config.length) for part, tokens in flat.items() if len(tokens) > 1}
    for part, windows in made.items():
        windows.origins = [f"{origin}, {part}, token {number * config.length:,}" for number in range(len(windows))]
    digest = hashlib.sha256()
    for where, text in (*documents, *sealed):
        digest.update(f"{Path(where).name}\0{len(text)}\0".encode(errors="replace"))
        digest.update(text.encode())
    parts = ", ".join(f"{len(flat[part]):,} {part}" for part in made)
    cut = "pieces" if kind in ("bpe", "wordpiece") else kind
    unknown = int((flat["train"] == tokenizer.UNKNOWN).sum()) / len(flat["train"])
    findings = []
    if unknown > 0.05:
        text = f"{100 * unknown:.0f} % of the training text is not in the vocabulary."
        findings.append(Finding("note", "unknown-tokens", text, "data.tokens=bpe can write any text."))
    return Dataset(
        name=name,
        spec=Spec(Text(config.length, fitted.vocabulary), Tokens(fitted.vocabulary)),
        preprocess=TextPreprocess(fitted, config.length, "", config.encoding),
        train=made["train"],
        validation=made["validation"],
        test=Sealed(made["test"]) if "test" in made else None,
        digest=digest.hexdigest(),
        facts=[
            *facts,
            f"{len(whole):,} characters as {cut}: {fitted.vocabulary:,} different tokens.",
            "What stands first is learnt from, what stands later is validated and tested on.",
            f"Tokens: {parts}.",
        ],
        bad=list(bad),
        findings=findings,
        testing=testing,
    )


def _lines(text: str) -> list[str]:
    """Pieces that a tokenizer is fitted on."""
    return text.splitlines(keepends=True)


def _tokens(fitted: tokenizer.Characters | tokenizer.Pieces, text: str) -> np.ndarray:
    if fitted.kind == "characters" or fitted.marks:  # for others' a line may begin otherwise than a text does
        return fitted.encode([text])[0]
    encoded = fitted.encode(_lines(text))
    return np.concatenate(encoded) if encoded else np.empty(0, dtype=np.int32)

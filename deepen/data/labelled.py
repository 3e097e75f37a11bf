"""Data sets of words with a label each, wherever they come from: pieces of words are fitted on the training sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from deepen.data import adopted, chunks, tokenizer
from deepen.data.conll import Sentence
from deepen.data.dataset import Bad, Dataset, Finding, Sealed
from deepen.data.ragged import Ragged, string
from deepen.data.splits import split
from deepen.data.tagging import TaggedPreprocess, joining
from deepen.data.text_settings import TextData
from deepen.errors import Misuse, Problem
from deepen.recipe import Data
from deepen.spec import UNLABELLED, Labels, Spec, Text

USUAL_SIZE = {"characters": 8192, "words": 30_000, "bpe": 4096}
LONGEST = 256
"""Tokens of a row, where nothing else is asked and sentences are that long."""
SHORTEST = 64
"""The same where they are shorter: new texts may be longer."""
FEW_DOCUMENTS = 10
"""With fewer, sentences of one document may stand on both sides of a split."""


@dataclass
class Config(TextData):
    """How words with labels are read."""

    column: str | None = None
    """Column of the labels: a number from 1, or in CoNLL-U its name, such as xpos. Default: the last one; upos in CoNLL-U."""
    words: str | None = None
    """Column of the words. Default: the first one; form in CoNLL-U."""
    tokens: Literal["auto", "bpe", "words", "characters"] = "auto"
    """What words are cut into. auto: characters where every word is one, else pieces (bpe). words: small letters, uncut."""
    vocabulary: int | None = None
    """Most different tokens. Default: 4,096 pieces, 30,000 words, 8,192 characters."""
    tokenizer: str | None = None
    """A run, a bundle or a folder with tokenizer.json, to cut words as it does. Default: one that is fitted on them."""
    length: int | None = None
    """Tokens of a row: what is longer is cut between two words. Default: those of the longest training sentence, 64 to 256."""


def build(
    name: str,
    sentences: Sequence[Sentence],
    options: Data,
    seed: int,
    *,
    digest: str,
    apart: bool = True,
    given: np.ndarray | None = None,
    facts: Sequence[str] = (),
    bad: Sequence[Bad] = (),
    testing: str = "",
) -> Dataset:
    """A data set of sentences. `given` is the split of each, where the data brings one; `apart` says that words, and not
    characters, have the labels."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    if config.length is not None and config.length < 2:
        raise Misuse(f"data.length={config.length} is not usable: expected 2 or more.")
    for key in ("group", "time", "target"):
        if getattr(config, key) is not None:
            raise Misuse(f"data.{key} names a column of a table, and words with labels are none: leave it out.")
    sentences, rewritten = _begun(sentences)
    counts = Counter(label for one in sentences for label in one.labels if label)
    names = tuple(sorted(counts, key=_order if chunks.chunked(list(counts)) else str))
    if len(names) < 2:
        held = f"one label only, '{names[0]}'" if names else "no label"
        raise Problem(f"{name} has {held}: at least two are needed.")
    documents = np.array([one.document for one in sentences])
    many = len(np.unique(documents)) >= FEW_DOCUMENTS and given is None
    groups = documents if many else None
    parts, why = split(len(sentences), config, seed, given=given, groups=groups, testing=testing)
    if many:
        why = ["Sentences of one document stay together.", *why]
    learnt = [sentences[row] for row in parts["train"].tolist()]
    preprocess, lengths = _fitted(learnt, config, apart)
    made = {
        part: _columns([sentences[row] for row in index.tolist()], names, preprocess) for part, index in parts.items()
    }
    findings = _findings(made, names, lengths, preprocess)
    kind = "pieces of words" if preprocess.tokenizer.kind == "bpe" else preprocess.tokenizer.kind
    words = sum(len(one.words) for one in sentences)
    unit = "words" if apart else "characters"
    told = [
        f"{len(sentences):,} sentences, {words:,} {unit}, {len(names)} labels.",
        f"What the model reads are {kind}: {preprocess.tokenizer.vocabulary:,} different ones"
        + ("; a word's label stands at its first piece." if preprocess.tokenizer.kind == "bpe" else "."),
    ]
    if rewritten:
        told.append(f"{rewritten:,} labels that begin a chunk as I- are written as B-.")
    return Dataset(
        name=name,
        spec=Spec(Text(preprocess.length, preprocess.tokenizer.vocabulary), Labels(names)),
        preprocess=preprocess,
        train=made["train"],
        validation=made["validation"],
        test=Sealed(made["test"]) if len(made["test"]) else None,
        digest=digest,
        facts=[*facts, *told, *why],
        bad=list(bad),
        findings=findings,
        testing=testing,
    )


def _order(label: str) -> tuple[bool, str, str]:
    place, kind = chunks.parse(label) or chunks.OUTSIDE
    return place != "O", kind, place


def _begun(sentences: Sequence[Sentence]) -> tuple[list[Sentence], int]:
    """Sentences whose chunks all begin with B, where labels are B, I and O; how many labels that changed."""
    names = {label for one in sentences for label in one.labels if label}
    places = {(chunks.parse(name) or chunks.OUTSIDE)[0] for name in names}
    if not chunks.chunked(sorted(names)) or not places <= {"O", "B", "I"}:
        return list(sentences), 0
    written = [replace(one, labels=tuple(chunks.begun(one.labels))) for one in sentences]
    pairs = zip(sentences, written, strict=True)
    return written, sum(a != b for one, new in pairs for a, b in zip(one.labels, new.labels, strict=True))


def _fitted(learnt: Sequence[Sentence], config: Config, apart: bool) -> tuple[TaggedPreprocess, np.ndarray]:
    """The preprocessing of training sentences, and the tokens of each of them."""
    words = [word for one in learnt for word in one.words]
    apart = apart and any(len(word) > 1 for word in words)  # where characters have the labels, texts are cut into them
    kind = config.tokens
    if kind == "auto":
        kind = "bpe" if apart else "characters"
    blank = " " if apart and kind != "words" else ""
    if config.tokenizer is not None:
        fitted = adopted.adopt(config.tokenizer).tokenizer
    else:
        size = USUAL_SIZE[kind] if config.vocabulary is None else config.vocabulary
        fitted = tokenizer.fit(kind, (blank + word for word in words), size)
    framing = fitted.begins + fitted.ends
    if config.length is not None and config.length <= framing:
        raise Misuse(
            f"data.length={config.length} leaves no room between the {framing} tokens around a text: expected more."
        )
    long = TaggedPreprocess(fitted, 1 << 30, joining(words), apart, config.encoding, config.words)
    lengths = np.array([len(rows[0].tokens) for rows in long.rows([one.words for one in learnt])])
    length = config.length or int(min(max(SHORTEST, lengths.max(initial=0)), LONGEST))
    return replace(long, length=length), lengths


def _columns(sentences: Sequence[Sentence], names: tuple[str, ...], preprocess: TaggedPreprocess) -> Ragged:
    """The rows of sentences. Where one is cut into several, `sentence` int64 [N] says which are of one, and `cut` bool [N, 2]
    whether words of it stand in a row before and in one behind."""
    places = {name: place for place, name in enumerate(names)}
    tokens, targets, origins = [], [], []
    numbers: list[int] = []
    cuts: list[tuple[bool, bool]] = []
    every = preprocess.rows([one.words for one in sentences])
    for number, (one, rows) in enumerate(zip(sentences, every, strict=True)):
        labels = [places.get(label, UNLABELLED) for label in one.labels]
        for part, row in enumerate(rows):
            target = np.full(len(row.tokens), UNLABELLED, dtype=np.int32)
            target[row.places] = labels[row.first : row.first + len(row.places)]
            tokens.append(row.tokens)
            targets.append(target)
            origins.append(one.origin)
            numbers.append(number)
            cuts.append((part > 0, part < len(rows) - 1))
    whole = len(numbers) == len(sentences)
    arrays = {} if whole else {"sentence": torch.tensor(numbers), "cut": torch.tensor(cuts)}
    return Ragged({"input": string(tokens), "target": string(targets, UNLABELLED)}, arrays, origins)


def _findings(
    made: dict[str, Ragged], names: tuple[str, ...], lengths: np.ndarray, preprocess: TaggedPreprocess
) -> list[Finding]:
    findings = []
    learnt, held = (torch.unique(made[part].strung["target"].flat).tolist() for part in ("train", "validation"))
    unseen = [names[label] for label in held if label not in learnt and label != UNLABELLED]
    if unseen:
        text = f"Validation has labels that no training sentence has: {', '.join(unseen[:8])}."
        findings.append(
            Finding("warning", "unseen-labels", text, "They are counted as wrong; label more training sentences.")
        )
    if cut := int((lengths > preprocess.length).sum()):
        text = f"{cut:,} training sentences are longer than {preprocess.length:,} tokens: they are learnt in several parts."
        findings.append(Finding("note", "cut-sentences", text, "data.length=NUMBER keeps more of them whole."))
    flat = made["train"].flat
    unknown = float((flat == tokenizer.UNKNOWN).double().mean()) if len(flat) else 0.0
    if unknown > 0.1:
        text = f"{100 * unknown:.0f} % of what the training sentences hold is not in the vocabulary."
        findings.append(Finding("note", "unknown-tokens", text, "data.tokens=bpe can write any word."))
    return findings

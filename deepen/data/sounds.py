"""Data sets of recordings, wherever they come from: with a class each, or with what is said in them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
import torch

from deepen.data import sound, tokenizer
from deepen.data.dataset import Dataset, Finding, Sealed
from deepen.data.faults import LISTED
from deepen.data.hearing import Config, Heard
from deepen.data.paired import written
from deepen.data.ragged import Ragged, Strung, string
from deepen.data.sound import FILL, SoundPreprocess
from deepen.data.splits import split, standard
from deepen.errors import Misuse, Problem
from deepen.spec import Audio, Category, Sentence, Spec

HURRIED = 25
"""Characters a second that nobody says."""
USUAL_SIZE = {"characters": 4096, "words": 30_000, "bpe": 1000}
APOSTROPHES = "'’"


def fixed(config: Config, name: str) -> None:
    """Raise `Misuse` for settings that a known set cannot follow."""
    for option in ("target", "test", "group", "time", "text"):
        if getattr(config, option) is not None:
            raise Misuse(f"data.{option} cannot be set for {name}, whose answers and splits are fixed.")
    standard(name, config)


def classes(
    name: str,
    heard: Heard,
    labels: np.ndarray,
    names: tuple[str, ...],
    config: Config,
    seed: int,
    *,
    origins: Sequence[str],
    given: np.ndarray | None = None,
    testing: str = "",
) -> Dataset:
    """A data set of recordings with a class each, int64 [N]. `given` is the split of each, where the data brings one."""
    parts, why = split(len(labels), config, seed, given=given, labels=labels, names=names, testing=testing)
    goal = torch.from_numpy(labels)
    arrays = {part: goal[torch.from_numpy(index)] for part, index in parts.items()}
    made = {
        part: Ragged({"input": _strung(heard, index)}, {"target": arrays[part]}, [origins[row] for row in index])
        for part, index in parts.items()
    }
    return _made(name, heard, Category(names), None, made, config, why, testing)


def transcripts(
    name: str,
    heard: Heard,
    texts: Sequence[str],
    config: Config,
    seed: int,
    *,
    origins: Sequence[str],
    given: np.ndarray | None = None,
    testing: str = "",
) -> Dataset:
    """A data set of recordings with what is said in each: as `target` in tokens, as `reference` in the bytes of the text."""
    texts = [plainly(text) for text in texts] if config.plain else [" ".join(text.split()) for text in texts]
    parts, why = split(len(texts), config, seed, given=given, testing=testing)
    learnt = [texts[row] for row in parts["train"].tolist()]
    words = tokenizer.fit(config.tokens, learnt, USUAL_SIZE[config.tokens])
    tokens = words.encode(texts)
    length = max((len(row) for row in tokens), default=1)
    made = {}
    for part, index in parts.items():
        strung = {
            "input": _strung(heard, index),
            "target": string([tokens[row] for row in index.tolist()]),
            "reference": string(
                [np.frombuffer(written(texts[row]), np.uint8) for row in index.tolist()], dtype=np.uint8
            ),
        }
        made[part] = Ragged(strung, {}, [origins[row] for row in index])
    heard.findings += [*_hurried(heard, texts, origins), *_wordless(texts, origins)]
    why.insert(0, f"Transcripts are {config.tokens}: {words.vocabulary:,} different tokens, at most {length:,} in one.")
    return _made(name, heard, Sentence(max(1, length), words.vocabulary), words, made, config, why, testing)


def _made(
    name: str,
    heard: Heard,
    output: Category | Sentence,
    words: tokenizer.Characters | tokenizer.Pieces | None,
    made: dict[str, Ragged],
    config: Config,
    why: Sequence[str],
    testing: str,
) -> Dataset:
    if made["train"].strung["input"].flat.abs().max() <= 1:
        raise Problem(f"{name}: all recordings to learn from are silent from beginning to end. Record them again.")
    mean, std = sound.fit(made["train"].strung["input"], heard.rate, config.bands)
    most = sound.frames(sound.longest(heard.rate, config.seconds), heard.rate)
    return Dataset(
        name=name,
        spec=Spec(Audio(most, config.bands, heard.rate), output),
        preprocess=SoundPreprocess(heard.rate, config.seconds, mean, std, words),
        train=made["train"],
        validation=made["validation"],
        test=Sealed(made["test"]) if len(made["test"]) else None,
        digest=heard.digest,
        facts=[*heard.facts, *why],
        bad=heard.bad,
        findings=heard.findings,
        testing=testing,
    )


def plainly(text: str) -> str:
    """In small letters, without punctuation, one blank between two words; accents and vowel signs are parts of letters."""
    kept = (sign if _is_letter(sign) else " " for sign in unicodedata.normalize("NFC", text.lower()))
    return " ".join("".join(kept).split())


def _is_letter(sign: str) -> bool:
    return sign in APOSTROPHES or unicodedata.category(sign)[0] in "LMN"


def _strung(heard: Heard, index: np.ndarray) -> Strung:
    return string([heard.rows[row] for row in index.tolist()], FILL, np.int16)


def _hurried(heard: Heard, texts: Sequence[str], origins: Sequence[str]) -> list[Finding]:
    """Transcripts with more characters than their recordings have room for: they cannot be learnt with CTC."""
    fast = [
        origin
        for row, text, origin in zip(heard.rows, texts, origins, strict=True)
        if len(text) > HURRIED * len(row) / heard.rate
    ]
    if not fast:
        return []
    text = f"{len(fast):,} transcripts are longer than anybody could say in their recordings (first: '{fast[0]}')."
    mend = "See whether each stands beside its own recording."
    return [Finding("warning", "hurried", text, mend, {"files": fast[:LISTED]})]


def _wordless(texts: Sequence[str], origins: Sequence[str]) -> list[Finding]:
    wordless = [origin for text, origin in zip(texts, origins, strict=True) if not text]
    if not wordless:
        return []
    told = (
        f"{len(wordless):,} transcripts hold no word (first: '{wordless[0]}'): that nothing is said is learnt of them."
    )
    return [Finding("warning", "wordless", told, "Fill them, or remove the rows.", {"files": wordless[:LISTED]})]

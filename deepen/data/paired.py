"""Texts with a text each in answer, such as a translation: both sides as rows of tokens, fitted on the training pairs only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from deepen.data import tokenizer as tokenizers
from deepen.data.dataset import Bad, Dataset, Finding, Sealed
from deepen.data.preprocess import Preprocess
from deepen.data.ragged import Ragged, string
from deepen.data.sentences import TextPreprocess
from deepen.data.splits import split
from deepen.data.text_settings import TableData
from deepen.data.tokenizer import END, UNKNOWN, Characters, Pieces
from deepen.errors import Misuse, Problem
from deepen.recipe import Data
from deepen.spec import PAD, Sentence, Spec, Text

USUAL_SIZE = {"characters": 8192, "words": 30_000, "bpe": 4000, "wordpiece": 4000}
LONGEST = 256
"""Tokens of a text that are kept, where nothing else is asked and texts are that long."""
MOST_CHARACTERS = 10_000
"""Of a text or a translation. A longer line is no sentence but a damaged file: cut into pieces it would take hours."""
MOST_TOKENS = 4 * MOST_CHARACTERS
"""Of such a text: no character has more bytes, and no token less than one."""
TIMES, ROOM = 2.0, 10
"""An answer may take twice the tokens of its text and ten more, or as many as those of nearly all training pairs take."""
NEARLY_ALL = 0.999
EMPTY, ENDLESS = "an empty side", f"a side of more than {MOST_CHARACTERS:,} characters"
NAMED = 3
"""Lines that are named where something is the matter with several."""


@dataclass
class Config(TableData):
    """How pairs of texts are read."""

    source: str | None = None
    """Language, or column of a table, that is translated from. Default: the one that is not the target."""
    target: str | None = None
    """Language, or column of a table, that is translated into. Default: en where it is there, else the last one."""
    test: str | None = None
    """Which pair of files is sealed as the test split, as in test_2017. Default: the first by name that is called test."""
    tokens: Literal["characters", "words", "bpe", "wordpiece"] = "bpe"
    """What texts are cut into. bpe keeps capitals and can write any text, the words and wordpieces are in small letters."""
    vocabulary: int | None = None
    """Most different tokens of each language. Default: 4,000 pieces, 30,000 words, 8,192 characters."""
    length: int | None = None
    """Tokens of a text that are kept. Default: those of the longest training text, up to 256."""
    missing: tuple[str, ...] = ()
    """Further texts that mean a missing text in a table, beside the empty cell."""


@dataclass(frozen=True)
class PairPreprocess(Preprocess):
    """What is translated as tokens, and how to read the tokens that a model answers with."""

    source: TextPreprocess
    target: Characters | Pieces
    languages: tuple[str, str] = ("", "")
    """From which into which, as the files or columns are called."""
    times: float = TIMES
    """Tokens that an answer may take for each one of its text, beside `ROOM`."""

    kind = "pair"

    def read(self, sources: Iterable[str]) -> list[tuple[str, Any]]:
        return self.source.read(sources)

    def encode(self, items: Sequence[Any]) -> Tensor:
        return self.source.encode(items)

    def tensor(self, stored: Tensor) -> Tensor:
        return self.source.tensor(stored)

    def room(self, inputs: Tensor) -> Tensor:
        """The most tokens that an answer to each of the texts [B, L] may take, int64 [B]: what never ends has to stop."""
        return (self.times * (inputs != PAD).sum(1).double() + ROOM).ceil().long()

    def shown(self, stored: Tensor) -> str:
        """What the model sees of a text, for people."""
        return self.source.shown(stored)

    def beside(self, item: Any) -> dict[str, Any]:
        """Of a text of which a part was not read, how much that is: a translation lacks it."""
        if len(tokenizers.tidy(item).encode()) <= self.source.length:  # no token is less than a byte
            return {}
        tokens = len(self.source.tokenizer.encode([item])[0])
        if tokens <= self.source.length:
            return {}
        return {"cut": f"only the first {self.source.length:,} of {tokens:,} tokens were read"}

    def to_json(self) -> dict[str, Any]:
        own = {"languages": list(self.languages), "times": self.times}
        return {"source": self.source.to_json(), "target": self.target.to_json(), **own}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PairPreprocess:
        first, second = data["languages"]
        target = tokenizers.restore(data["target"])
        return cls(TextPreprocess.from_json(data["source"]), target, (first, second), data.get("times", TIMES))


KIND = PairPreprocess


def build(
    name: str,
    pairs: Sequence[tuple[str, str]],
    languages: tuple[str, str],
    options: Data,
    seed: int,
    *,
    digest: str,
    origins: Sequence[str],
    given: np.ndarray | None = None,
    facts: Sequence[str] = (),
    bad: Sequence[Bad] = (),
    findings: Sequence[Finding] = (),
    testing: str = "",
) -> Dataset:
    """A data set of (text, translation), from and into `languages`. `given` is the split of each pair, where the data brings
    one. Columns also hold `reference`, the bytes of each translation as it was written: what a translation is compared with
    must not depend on how a model cuts texts."""
    config = options if isinstance(options, Config) else Config(**vars(options))
    if config.length is not None and not 2 <= config.length <= MOST_TOKENS:
        raise Misuse(f"data.length={config.length} is not usable: expected 2 to {MOST_TOKENS:,}.")
    for key in ("group", "time"):
        if getattr(config, key) is not None:
            raise Misuse(f"data.{key} names a column beside the texts, and pairs of texts have none: leave it out.")
    empty = [number for number, pair in enumerate(pairs) if not all(text.strip() for text in pair)]
    endless = [number for number, pair in enumerate(pairs) if max(map(len, pair)) > MOST_CHARACTERS]
    findings = list(findings)
    if empty:
        text = f"{len(empty):,} of {len(pairs):,} pairs {_left_out(empty, EMPTY)}{_named(empty, origins)}."
        findings.append(Finding("warning", "empty-texts", text, "Fill them, or remove both of their lines."))
    if endless:
        text = f"{len(endless):,} of {len(pairs):,} pairs {_left_out(endless, ENDLESS)}{_named(endless, origins)}."
        findings.append(Finding("warning", "endless-texts", text, "Cut them into sentences, on both sides alike."))
    kept = np.setdiff1d(np.arange(len(pairs)), [*empty, *endless]).astype(np.int64)
    if not len(kept):
        broken = " and ".join(
            f"{len(some):,} with {what}" for some, what in ((empty, EMPTY), (endless, ENDLESS)) if some
        )
        held = f"of its {len(pairs):,} pairs none is left, {broken}" if pairs else "its files hold no line"
        raise Problem(f"There is nothing to learn from in {name}: {held}.")
    parts, why = split(len(kept), config, seed, given=None if given is None else given[kept], testing=testing)
    size = USUAL_SIZE[config.tokens] if config.vocabulary is None else config.vocabulary
    sides, lengths, told, many = [], [], [], []
    for side, language in enumerate(languages):
        learnt = [pairs[kept[row]][side] for row in parts["train"].tolist()]
        fitted = tokenizers.fit(config.tokens, learnt, size)
        sizes = np.array([len(row) for row in fitted.encode(learnt)])
        length = config.length or min(int(max(1, sizes.max(initial=1))) + side, LONGEST)  # the end is a token too
        sides.append(fitted)
        lengths.append(length)
        many.append(np.minimum(sizes + side, length))
        told.append(
            f"Texts in {language}: {fitted.vocabulary:,} different {_called(fitted)}, {int(np.median(sizes)):,} in the middle "
            f"text, at most {int(sizes.max(initial=0)):,}."
        )
        if cut := int((sizes + side > length).sum()):
            text = f"{cut:,} of {len(sizes):,} training texts in {language} are longer than {length:,} tokens: cut off."
            findings.append(Finding("note", "cut-texts", text, "data.length=NUMBER keeps more of them."))
    times = max(TIMES, float(np.quantile((many[1] - ROOM) / np.maximum(many[0], 1), NEARLY_ALL, method="higher")))
    preprocess = PairPreprocess(
        TextPreprocess(sides[0], lengths[0], languages[0], config.encoding), sides[1], languages, times
    )
    made = {}
    for part, index in parts.items():
        rows = kept[index].tolist()
        answers = [pairs[row][1] for row in rows]
        made[part] = Ragged(
            {
                "input": string(preprocess.source.tokens([pairs[row][0] for row in rows])),
                "target": string([_ended(one, lengths[1]) for one in sides[1].encode(answers)]),
                "reference": string([np.frombuffer(written(one), dtype=np.uint8) for one in answers]),
            },
            {},
            [origins[row] for row in rows],
        )
    return Dataset(
        name=name,
        spec=Spec(Text(lengths[0], sides[0].vocabulary), Sentence(lengths[1], sides[1].vocabulary)),
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


def _left_out(rows: Sequence[int], what: str) -> str:
    return f"has {what}: it is left out" if len(rows) == 1 else f"have {what}: they are left out"


def _named(rows: Sequence[int], origins: Sequence[str]) -> str:
    """The first of some lines, for people."""
    return f" ({', '.join(origins[row] for row in rows[:NAMED])}{', ...' if len(rows) > NAMED else ''})"


def written(text: str) -> bytes:
    """A reference as it is kept beside the tokens; NUL is what fills rows up, and no text has it."""
    return tokenizers.tidy(text).replace("\0", "").encode()


def read_back(row: Tensor) -> str:
    """The text that `written` made the bytes of."""
    return bytes(row[row > 0].tolist()).decode()


def _ended(tokens: np.ndarray, length: int) -> np.ndarray:
    """A translation as it is learnt: its end is a token. One that is cut off has none."""
    whole = np.append(tokens if len(tokens) else np.array([UNKNOWN]), END).astype(np.int32)
    return whole[:length]


def _called(fitted: Characters | Pieces) -> str:
    return "pieces" if fitted.kind in ("bpe", "wordpiece") else fitted.kind

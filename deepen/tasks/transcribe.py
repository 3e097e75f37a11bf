"""Transcription: what is said in a recording, by connectionist temporal classification (Graves et al., 2006).

For every moment the model says which token is being said, or none; said twice in a row a token is one. The loss sums over all
ways in which the moments of a recording can say its transcript, so that nobody has to mark where each sound lies. What is written
is the likeliest token of each moment, which is all that can be had without a language model and nearly as good as a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.data.dataset import Columns
from deepen.data.paired import read_back
from deepen.data.preprocess import Preprocess
from deepen.data.sound import SoundPreprocess
from deepen.errors import Problem
from deepen.spec import PAD, Audio, Sentence, Spec
from deepen.tasks.base import Answers, Batch, Goal, Rows, Supervised
from deepen.tasks.edits import distance
from deepen.tasks.measures import Weighted, mean, once

SUMMARY = "writes what is said in a recording"

KEPT = 4
"""Times the longest transcript: as many tokens of what is written are kept for people to look at."""


@dataclass
class Config:
    """What decides."""

    goal: Literal["word_error_rate", "character_error_rate"] = "word_error_rate"
    """Validation metric that decides which weights are best."""


def natural(spec: Spec) -> bool:
    return isinstance(spec.input, Audio) and isinstance(spec.output, Sentence)


def build(spec: Spec, config: Config) -> Transcribe:
    if not natural(spec):
        raise Problem(
            "transcribe writes what is said in recordings, and this data has none with transcripts: name a folder of recordings "
            "with a table of what is said in each (metadata.csv), or fsdd-strings."
        )
    return Transcribe(spec, config)


@final
class Transcribe(Supervised, Answers, Weighted):
    """`target` int64 [B, M] is the transcript in tokens, `reference` uint8 [B, bytes] as it was written.

    Models answer with logits [B, F', vocabulary], F' one for every `stride` frames of the input, rounded up (`stride` is an
    attribute of the model; without it, 1); the token `PAD` says that nothing is said, as it does beyond the end of a recording.
    """

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.output, Sentence)
        self.spec = spec
        self.config = config
        self.goal = Goal(config.goal, "min")
        self.longest = spec.output.length
        self._preprocess: SoundPreprocess | None = None

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        assert isinstance(preprocess, SoundPreprocess)
        self._preprocess = preprocess

    def expected(self, count: int) -> tuple[int | None, ...]:
        return (count, None, self.spec.output.width)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        each = self._nats(model(batch["input"]), model, batch)
        tokens = (batch["target"] != PAD).sum()
        return each.sum() / tokens.clamp(min=1), {}

    def counted(self, batch: Batch) -> float:
        """Tokens: transcripts differ in length."""
        return float((batch["target"] != PAD).sum())

    def _nats(self, logits: Tensor, model: nn.Module, batch: Batch) -> Tensor:
        """Surprise at each transcript, float32 [B]; 0 where a recording has too few moments for it, so that nothing is learnt
        from what cannot be."""
        target = batch["target"]
        stride = getattr(model, "stride", 1)
        there = (batch["input"] != 0).any(2).sum(1)
        moments = there.add(stride - 1).div(stride, rounding_mode="floor").clamp(max=logits.shape[1])
        return functional.ctc_loss(
            logits.float().log_softmax(2).transpose(0, 1),
            target,
            moments,
            (target != PAD).sum(1),
            blank=PAD,
            reduction="none",
            zero_infinity=True,
        )

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows, [B] each: `nats` and `tokens`; `word_errors` of `words`, `character_errors` of `characters`, counted against
        the transcript as it was written. `written` int64 [B, most] is what the model writes, filled up."""
        assert self._preprocess is not None, "study() comes before score()"
        logits = model(batch["input"])
        target = batch["target"]
        written = best_path(logits)
        counts = []
        for row, tokens in zip(batch["reference"].cpu(), written, strict=True):
            said, heard = read_back(row), str(self._preprocess.worded({"tokens": tokens})["text"])
            words = said.split(), heard.split()
            letters = " ".join(words[0]), " ".join(words[1])
            counts.append([distance(*words), len(words[0]), distance(*letters), len(letters[0])])
        names = ("word_errors", "words", "character_errors", "characters")
        columns = torch.tensor(counts, dtype=torch.float32).view(-1, len(names)).unbind(1)
        kept = torch.full((len(written), KEPT * self.longest), PAD)
        for number, tokens in enumerate(written):
            some = tokens[: kept.shape[1]]
            kept[number, : len(some)] = torch.tensor(some, dtype=torch.int64)
        return {
            "nats": self._nats(logits, model, batch),
            "tokens": (target != PAD).sum(1, dtype=torch.float32),
            **dict(zip(names, columns, strict=True)),
            "written": kept,
        }

    def measure(self, rows: Rows) -> dict[str, float]:
        return once(self, rows)

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        """`word_error_rate`, `character_error_rate`, `exact` (recordings without a mistake), `loss` nats per token."""
        sums = {name: mean(rows[name], weights) for name in rows if name != "written"}
        return {
            "word_error_rate": sums["word_errors"] / sums["words"],
            "character_error_rate": sums["character_errors"] / sums["characters"],
            "exact": mean(rows["character_errors"] == 0, weights),
            "loss": sums["nats"] / sums["tokens"],
        }

    def baseline(self, rows: Rows) -> dict[str, float]:
        """Writes nothing: each word is missing."""
        nothing = {"word_errors": rows["words"], "character_errors": rows["characters"]}
        found = once(self, rows | nothing)
        return {name: value for name, value in found.items() if name != "loss"}

    def answer(self, output: Tensor) -> list[dict[str, Any]]:
        """`tokens` of what is said, which the preprocessing turns into `text`."""
        return [{"tokens": tokens} for tokens in best_path(output)]


def best_path(logits: Tensor) -> list[list[int]]:
    """The likeliest token of every moment, [B, F', vocabulary] -> tokens of each row: repeats are one, `PAD` is none."""
    likeliest = logits.argmax(2).cpu()
    fresh = torch.ones_like(likeliest, dtype=torch.bool)
    fresh[:, 1:] = likeliest[:, 1:] != likeliest[:, :-1]
    return [row[new & (row != PAD)].tolist() for row, new in zip(likeliest, fresh, strict=True)]

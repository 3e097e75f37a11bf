"""Translation, and whatever else answers a text with a text: the next token, given the text and the answer so far.

While it learns, a model is given the true answer so far (teacher forcing); what is measured and what a person gets is written by
the model alone. `bleu` is the figure of papers on small sets (words in small letters), `sacrebleu` that of Post (2018); both
compare with the references as they were written, so that a word which no vocabulary knows is one that was missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.data.dataset import Columns
from deepen.data.paired import PairPreprocess, read_back
from deepen.data.preprocess import Preprocess
from deepen.errors import Misuse, Problem
from deepen.spec import BEGIN, PAD, Sentence, Spec, Text
from deepen.tasks import bleu
from deepen.tasks.base import Batch, Goal, Reads, Rows, Supervised
from deepen.tasks.measures import Weighted, mean, once
from deepen.tasks.search import write
from deepen.tasks.smoothed import cross_entropy
from deepen.tasks.unigram import surprise

SUMMARY = "answers a text with a text, such as its translation"

LOGITS = 2**23
"""That are held at once while a split is scored, and while answers are written."""
PLACE = 64
"""Logits that take about as much memory as what a model keeps of a token that it has written, for the time that it takes."""
WIDEST = 1000
"""Answers in sight; more of them only fill the memory."""
STEEPEST = 10
"""Penalty of length; the powers of a larger one are beyond any number."""
NEEDED = ("read", "begin", "go_on")


@dataclass
class Config:
    """How a model learns to answer texts with texts, and how it writes."""

    label_smoothing: float = 0.1
    """Share of the truth that is spread over all tokens."""
    beam: int = 1
    """Answers that are kept in sight while one is written, at most 1,000. 1: always the likeliest next token."""
    length_penalty: float = 1.0
    """With a beam: 0 takes the likeliest answer, which tends to be short; larger values, up to 10, take longer ones."""


def natural(spec: Spec) -> bool:
    return isinstance(spec.input, Text) and isinstance(spec.output, Sentence)


def build(spec: Spec, config: Config) -> Translate:
    if not natural(spec):
        raise Problem(
            "translate answers a text with a text, and this data has no such pairs: name a folder with two files of which the "
            "lines belong together (train.de, train.en), a table with two columns of texts, or multi30k."
        )
    if not 0 <= config.label_smoothing < 1:
        raise Misuse(f"task.label_smoothing={config.label_smoothing:g} is not usable: expected 0 to below 1.")
    if not 1 <= config.beam <= WIDEST:
        raise Misuse(f"task.beam={config.beam} is not usable: expected 1 to {WIDEST:,}.")
    if not 0 <= config.length_penalty <= STEEPEST:
        raise Misuse(f"task.length_penalty={config.length_penalty:g} is not usable: expected 0 to {STEEPEST}.")
    return Translate(spec, config)


@final
class Translate(Supervised, Weighted, Reads):
    """`target` int64 [B, M] is the answer with its end, `reference` [B, bytes] the answer as it was written.

    Models are called as `model(input, begun)` with the answer so far [B, M] and answer with logits [B, M, vocabulary] of what
    comes after each token of it; `model(input)` gives those of the first token [B, vocabulary]. How one is written with them:
    `search.Seq2Seq`."""

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.output, Sentence)
        self.spec = spec
        self.config = config
        self.goal = Goal("bleu", "max")
        self.longest, self.vocabulary = spec.output.length, spec.output.vocabulary
        self._preprocess: PairPreprocess | None = None
        self._surprise: Tensor | None = None

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        assert isinstance(preprocess, PairPreprocess)
        self._preprocess = preprocess
        self._surprise = surprise(train, "target", self.vocabulary)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        target = batch["target"]
        logits = model(batch["input"], begun(target))
        smoothing = self.config.label_smoothing
        return cross_entropy(logits.flatten(0, 1), target.flatten(), ignored=PAD, smoothing=smoothing), {}

    def counted(self, batch: Batch) -> float:
        """Tokens: answers differ in length."""
        return float((batch["target"] != PAD).sum())

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows: sums over the tokens of an answer, float32 [B]: `nats`, `tokens`, and the `plain_nats` of who knows only how
        common each token is; counts for BLEU, int64 [B, 20], first of `words` and then of `signs`: `written` of what the model
        writes, `copied` of the text itself, as far as it was read."""
        assert self._preprocess is not None, "study() comes before score()"
        assert self._surprise is not None
        input, target = batch["input"], batch["target"]
        nats = []
        some = max(1, LOGITS // (target.shape[1] * self.vocabulary))
        for texts, answers in zip(input.split(some), target.split(some), strict=True):
            logits = model(texts, begun(answers)).float()
            each = functional.cross_entropy(logits.transpose(1, 2), answers, reduction="none", ignore_index=PAD)
            nats.append(each.sum(1))
        references = [read_back(row) for row in batch["reference"].cpu()]
        written = self.answers(model, self._preprocess, input)
        copied = [self._preprocess.shown(row) for row in input.cpu()]
        return {
            "nats": torch.cat(nats),
            "tokens": (target != PAD).sum(1, dtype=torch.float32),
            "plain_nats": (self._surprise.to(target.device)[target] * (target != PAD)).sum(1),
            "written": _counted(written, references),
            "copied": _counted(copied, references),
        }

    def measure(self, rows: Rows) -> dict[str, float]:
        return once(self, rows)

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        """`bleu` and `sacrebleu` in percent, `loss` nats per token of the true answer, `perplexity`."""
        sums = weights.double() @ rows["written"].double()
        loss = mean(rows["nats"], weights) / mean(rows["tokens"], weights)
        words, signs = bleu.score(sums[:, : bleu.COUNTS]), bleu.score(sums[:, bleu.COUNTS :])
        return {"bleu": words, "sacrebleu": signs, "loss": loss, "perplexity": loss.exp()}

    def baseline(self, rows: Rows) -> dict[str, float]:
        """Gives the text back as it was read; its loss is that of who knows how common each token is and nothing else."""
        return once(self, rows | {"written": rows["copied"], "nats": rows["plain_nats"]})

    def read(self, model: nn.Module, preprocess: Preprocess, items: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """`text`, what the model answers each text with; nothing where there is none."""
        assert isinstance(preprocess, PairPreprocess)
        device, said = next(model.parameters()).device, iter(items)
        for stored, _ in preprocess.pieces(items):
            for text in self.answers(model, preprocess, preprocess.tensor(stored.to(device))):
                yield {"text": text if next(said).strip() else ""}

    def answers(self, model: nn.Module, preprocess: PairPreprocess, inputs: Tensor) -> list[str]:
        """What the model writes to texts as it sees them, [B, L]."""
        if not all(hasattr(model, name) for name in NEEDED):
            raise Problem(
                f"{type(model).__name__} cannot write an answer token by token: it needs the methods {', '.join(NEEDED)}."
            )
        config, written = self.config, []
        room = preprocess.room(inputs).clamp(max=self.longest)
        held = config.beam * max(self.vocabulary, PLACE * int(room.max()))
        for texts, most in zip(inputs.split(some := max(1, LOGITS // held)), room.split(some), strict=True):
            written += write(model, texts, beam=config.beam, penalty=config.length_penalty, room=most)  # type: ignore[arg-type]
        return [preprocess.target.decode(row).strip() for row in written]


def begun(target: Tensor) -> Tensor:
    """The answer so far at each token of it, [B, M]: all but the last, after a token that says that it begins."""
    return torch.cat([torch.full_like(target[:, :1], BEGIN), target[:, :-1]], 1)


def _counted(texts: list[str], references: list[str]) -> Tensor:
    """Counts for BLEU, cut either way, int64 [B, 20]."""
    return torch.tensor(
        [
            [count for cut in (bleu.words, bleu.signs) for count in bleu.counts(cut(text), cut(reference))]
            for text, reference in zip(texts, references, strict=True)
        ]
    )

"""Language modelling: what comes next (Shannon, 1951; Bengio et al., 2003; Radford et al., 2018).

A model answers each place of a text with logits of the token after it. Losses are means over tokens, in nats; where tokens are
pieces of words, `bits_per_character` is what may be compared.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.data.dataset import Columns
from deepen.data.preprocess import Preprocess
from deepen.data.sentences import TextPreprocess
from deepen.data.tokenizer import BEGIN, END, SPECIAL, UNKNOWN, Characters, Pieces
from deepen.errors import Misuse, Problem
from deepen.randomness import generator
from deepen.spec import PAD, Spec, Text, Tokens
from deepen.tasks.base import Batch, Continues, Goal, Rows, Supervised, Writes, Writing
from deepen.tasks.measures import Weighted, mean, once
from deepen.tasks.spelling import Spelling
from deepen.tasks.unigram import LOGITS, surprise

SUMMARY = "learns how a text goes on, token by token"


@dataclass
class Config:
    """How a language model learns."""

    label_smoothing: float = 0.0
    """Share of the truth that is spread over all tokens."""


def natural(spec: Spec) -> bool:
    return isinstance(spec.input, Text) and isinstance(spec.output, Tokens)


def build(spec: Spec, config: Config) -> Language:
    if not natural(spec):
        raise Problem(
            "language learns how running text goes on, and this data is none: name a text file, a folder of them, or a known "
            "text such as python-library."
        )
    if not 0 <= config.label_smoothing < 1:
        raise Misuse(f"task.label_smoothing={config.label_smoothing:g} is not usable: expected 0 to below 1.")
    return Language(spec, config)


@final
class Language(Supervised, Weighted, Writes):
    """`target` int64 [B, L] is the token after each of `input`, `PAD` where nothing is asked."""

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.input, Text)
        self.spec = spec
        self.config = config
        self.goal = Goal("loss", "min")
        self.length, self.vocabulary = spec.input.length, spec.input.vocabulary
        self._surprise: Tensor | None = None
        self._characters: Tensor | None = None

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        assert isinstance(preprocess, TextPreprocess)
        self._surprise = surprise(train, "target", self.vocabulary)
        decode = preprocess.tokenizer.decode
        before = preprocess.tokenizer.encode(["a"])[0].tolist()  # some cut the blank off a piece that stands first
        told = [len(decode([*before, token])) - len(decode(before)) for token in range(self.vocabulary)]
        self._characters = torch.tensor(told).float()

    def expected(self, count: int) -> tuple[int, ...]:
        return (count, self.length, self.vocabulary)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        logits = model(batch["input"])
        smoothing = self.config.label_smoothing
        loss = functional.cross_entropy(
            logits.flatten(0, 1), batch["target"].flatten(), ignore_index=PAD, label_smoothing=smoothing
        )
        return loss, {}

    def counted(self, batch: Batch) -> float:
        """Tokens that are asked: the last windows of a text are shorter."""
        return float((batch["target"] != PAD).sum())

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows: sums over the tokens of a window, float32 [B]: `nats`, `hits`, `tokens`, `characters`, and the `plain_nats` and
        `plain_hits` of who knows only how common each token is."""
        assert self._surprise is not None, "study() comes before score()"
        assert self._characters is not None
        target = batch["target"]
        asked = target != PAD
        some = max(1, LOGITS // (self.vocabulary * target.shape[1]))
        each, hits = torch.zeros_like(target, dtype=torch.float32), torch.zeros_like(asked)
        for start in range(0, len(target), some):
            part = slice(start, start + some)
            logits = model(batch["input"][part]).float()
            each[part] = functional.cross_entropy(
                logits.transpose(1, 2), target[part], reduction="none", ignore_index=PAD
            )
            hits[part] = (logits.argmax(2) == target[part]) & asked[part]
        device = target.device
        sums = {
            "nats": each,
            "hits": hits,
            "tokens": asked,
            "characters": self._characters.to(device)[target] * asked,
            "plain_nats": self._surprise.to(device)[target] * asked,
            "plain_hits": (target == self._surprise.argmin()) & asked,
        }
        return {name: values.sum(1, dtype=torch.float32) for name, values in sums.items()}

    def measure(self, rows: Rows) -> dict[str, float]:
        return once(self, rows)

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        """`loss` nats per token, `perplexity`, `accuracy`, `bits_per_character`."""
        tokens = mean(rows["tokens"], weights)
        loss = mean(rows["nats"], weights) / tokens
        bits = mean(rows["nats"], weights) / mean(rows["characters"], weights).clamp(min=1e-9) / math.log(2)
        hits = mean(rows["hits"], weights) / tokens
        return {"loss": loss, "perplexity": loss.exp(), "accuracy": hits, "bits_per_character": bits}

    def baseline(self, rows: Rows) -> dict[str, float]:
        """Knows how common each token is and nothing else: it always names the commonest."""
        return once(self, rows | {"nats": rows["plain_nats"], "hits": rows["plain_hits"]})

    @torch.inference_mode()
    def write(
        self, model: nn.Module, preprocess: Preprocess, prompt: str, writing: Writing
    ) -> Generator[str, None, int]:
        assert isinstance(preprocess, TextPreprocess)
        if not isinstance(model, Continues):
            raise Problem(f"{type(model).__name__} cannot go on with a text: choose --model gpt.")
        device = next(model.parameters()).device
        draws = generator(writing.seed, "writing", device=device)
        tokenizer, before = preprocess.tokenizer, preprocess.frame[0]
        seen = [*before, *tokenizer.encode([prompt])[0].tolist()] or opening(tokenizer)
        ends = [token for token in (BEGIN, END) if token in tokenizer.marks]
        spelling = Spelling(tokenizer, seen, writing.stop)
        caches, fresh = model.begin(), latest(seen, self.length, before)
        for count in range(writing.tokens):
            if caches[0].filled + len(fresh) > self.length:  # what lies furthest back is forgotten
                caches, fresh = model.begin(), latest(seen, self.length // 2, before)
            logits = model.go_on(torch.tensor([fresh], device=device), caches)[0].float()
            token = int(drawn(logits, writing, draws, ends))
            if token in ends:
                yield spelling.rest()
                return count
            seen.append(token)
            fresh = [token]
            yield spelling.add(token)
            if spelling.ended:
                return count + 1
        yield spelling.rest()
        return writing.tokens


def opening(tokenizer: Characters | Pieces) -> list[int]:
    """What an empty prompt is read as: the beginning of a text, else of a line, where a tokenizer has them."""
    if BEGIN in tokenizer.marks:
        return [BEGIN]
    return tokenizer.encode(["\n"])[0].tolist() or [UNKNOWN]


def latest(seen: Sequence[int], many: int, before: Sequence[int]) -> list[int]:
    """The last `many` tokens, of which the first stay what stands before every text: networks lean on it (Xiao et al., 2024)."""
    if len(seen) <= many:
        return list(seen)
    return [*before, *seen[len(seen) - max(1, many - len(before)) :]]


def drawn(logits: Tensor, writing: Writing, draws: torch.Generator, ends: Sequence[int] = ()) -> Tensor:
    """A token for logits [V]: the likeliest at temperature 0, else one of the `top_k` likeliest, or of those that together
    hold `top_p` of the chance (Holtzman et al., 2020). What fills up is never written; `ends` are tokens that end a text."""
    kept = logits[list(ends)]
    logits = logits.clone()
    logits[: len(SPECIAL)] = -torch.inf
    logits[list(ends)] = kept
    if writing.temperature == 0:
        return logits.argmax()
    known = torch.finfo(logits.dtype)
    logits = (logits - logits.max()) / min(max(writing.temperature, known.tiny), known.max)
    if writing.top_k is not None and writing.top_k < len(logits):
        logits[logits < logits.topk(writing.top_k).values[-1]] = -torch.inf
    if writing.top_p is not None and writing.top_p < 1:
        chances, order = logits.softmax(0).sort(descending=True)
        logits[order[chances.cumsum(0) - chances >= writing.top_p]] = -torch.inf
    return torch.multinomial(logits.softmax(0), 1, generator=draws)[0]

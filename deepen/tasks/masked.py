"""Masked language modelling: what stands at places that are hidden (BERT, Devlin et al., 2019; a cloze test, Taylor, 1953).

Of every text 15 % of the tokens are asked for. Of these 80 % are hidden, 10 % are another token and 10 % are as they were, so
that no place can be trusted. Whoever learns it needs no answers, and knows texts well enough to learn answers from few.
Losses are means over the places that are asked for, in nats.

While learning, places are drawn anew in each step; for scores they are a function of the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.data.dataset import Columns
from deepen.data.preprocess import Preprocess
from deepen.data.sentences import TextPreprocess
from deepen.data.tokenizer import HIDDEN, SPECIAL
from deepen.errors import Misuse, Problem
from deepen.randomness import generator
from deepen.spec import PAD, Sentence, Spec, Text, Tokens
from deepen.tasks.base import Batch, Goal, Reads, Rows, Supervised
from deepen.tasks.measures import Weighted, mean, once
from deepen.tasks.unigram import LOGITS, surprise

SUMMARY = "fills in hidden words (BERT); what it learns of a language, other tasks can take over"

HIDE, OTHER = 0.8, 0.9
"""Below the one a token that is asked for is hidden, below the other it is another one, else it stays."""
READ = 64
"""Texts that are filled in at once."""
TOP = 5
MARK = re.compile(r"<mask>|\[MASK\]")
"""How a person hides a token."""


@dataclass
class Config:
    """What is hidden."""

    share: float = 0.15
    """Share of the tokens of a text that are asked for."""


class Fills(Protocol):
    """What a model may offer: answers for some places only, which saves most of the work where the vocabulary is large."""

    def at(self, input: Tensor, places: Tensor) -> Tensor:
        """Logits [n, vocabulary] of the n places that are true in `places` bool [B, L], row by row."""


def natural(spec: Spec) -> bool:
    return False  # of texts one rather asks how they go on, or what the answer to them is


def build(spec: Spec, config: Config) -> Masked:
    if not isinstance(spec.input, Text):
        raise Problem(
            "masked fills in hidden words, and this data holds no texts: name a text file or a table of texts."
        )
    if isinstance(spec.output, Sentence):
        raise Problem("masked learns from texts alone, and this data is pairs of them: name the file of one language.")
    if not 0 < config.share < 1:
        raise Misuse(f"task.share={config.share:g} is not usable: expected a share between 0 and 1.")
    return Masked(Spec(spec.input, Tokens(spec.input.vocabulary, hidden=True)), config)


@final
class Masked(Supervised, Reads, Weighted):
    """Batches need only `input`, int64 [B, L]: answers to the texts, where there are some, are not used."""

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.input, Text)
        self.spec = spec
        self.config = config
        self.goal = Goal("loss", "min")
        self.length, self.vocabulary = spec.input.length, spec.input.vocabulary
        self._surprise: Tensor | None = None

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        self._surprise = surprise(train, "input", self.vocabulary, never=len(SPECIAL))

    def expected(self, count: int) -> tuple[int, ...]:
        return (count, self.length, self.vocabulary)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        truth = batch["input"]
        draws = torch.rand(2, *truth.shape, device=truth.device)
        others = torch.randint(len(SPECIAL), self.vocabulary, truth.shape, device=truth.device)
        asked, shown = self.masking(truth, draws, others)
        logits = answers(model, shown, asked).float()
        each = functional.cross_entropy(logits, truth[asked], reduction="sum")
        count = asked.sum().clamp(min=1)
        hits = (logits.detach().argmax(1) == truth[asked]).sum(dtype=torch.float32)
        return each / count, {"accuracy": hits / count}

    def counted(self, batch: Batch) -> float:
        """Places that are asked for: texts differ in length."""
        return float(self.wanted(batch["input"])[1].sum())

    def wanted(self, truth: Tensor) -> tuple[Tensor, Tensor]:
        """The places of texts [B, L] that can be asked for, bool [B, L], and how many of each are, int64 [B, 1]."""
        askable = truth >= len(SPECIAL)  # no padding, nothing unknown, no beginning and end
        count = askable.sum(1, keepdim=True)
        return askable, (count * self.config.share).round().long().clamp(min=1).minimum(count)

    def masking(self, truth: Tensor, draws: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """Which places are asked for, bool [B, L], and what the model sees instead of `truth` [B, L]. `draws` [2, B, L] are from
        0 to 1: the lowest of the first decide which places, the second what becomes of each; `others` are tokens."""
        askable, wanted = self.wanted(truth)
        # Stable, so that of equal draws the same one comes first, whatever fills the text up.
        rank = draws[0].masked_fill(~askable, 2.0).argsort(dim=1, stable=True).argsort(dim=1)
        asked = rank < wanted
        fate = draws[1]
        shown = truth.masked_fill(asked & (fate < HIDE), HIDDEN)
        return asked, torch.where(asked & (fate >= HIDE) & (fate < OTHER), others, shown)

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows: sums over the places of a text that are asked for, float32 [B]: `nats`, `hits`, `asked`, and the `plain_nats` and
        `plain_hits` of who knows only how common each token is."""
        assert self._surprise is not None, "study() comes before score()"
        truth = batch["input"]
        asked, shown = self.masking(truth, *fixed(truth, self.vocabulary))
        plain = self._surprise.to(truth.device)
        rows = {
            name: torch.zeros(len(truth), device=truth.device) for name in ("nats", "hits", "plain_nats", "plain_hits")
        }
        some = max(1, LOGITS // max(1, self.vocabulary * int(asked.sum(1).max())))  # texts at once
        for start in range(0, len(truth), some):
            part = slice(start, start + some)
            target = truth[part][asked[part]]
            logits = answers(model, shown[part], asked[part]).float()
            of = asked[part].nonzero()[:, 0] + start
            rows["nats"].index_add_(0, of, functional.cross_entropy(logits, target, reduction="none"))
            rows["hits"].index_add_(0, of, (logits.argmax(1) == target).float())
            rows["plain_nats"].index_add_(0, of, plain[target])
            rows["plain_hits"].index_add_(0, of, (target == plain.argmin()).float())
        return rows | {"asked": asked.sum(1, dtype=torch.float32)}

    def measure(self, rows: Rows) -> dict[str, float]:
        return once(self, rows)

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        """`loss` nats per hidden token, `perplexity`, `accuracy`."""
        asked = mean(rows["asked"], weights)
        loss, hits = (mean(rows[name], weights) / asked for name in ("nats", "hits"))
        return {"loss": loss, "perplexity": loss.exp(), "accuracy": hits}

    def baseline(self, rows: Rows) -> dict[str, float]:
        """Knows how common each token is and nothing else: it always names the commonest."""
        return once(self, rows | {"nats": rows["plain_nats"], "hits": rows["plain_hits"]})

    @torch.no_grad()
    def read(self, model: nn.Module, preprocess: Preprocess, items: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """`text` with its hidden places filled in by the likeliest, and for each of them `token`, `probability` and `top`."""
        assert isinstance(preprocess, TextPreprocess)
        device = next(model.parameters()).device
        for start in range(0, len(items), READ):
            rows = [torch.tensor(tokens_of(preprocess, item)) for item in items[start : start + READ]]
            shown = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD).to(device)
            logits = answers(model, shown, shown == HIDDEN).float()
            logits[:, : len(SPECIAL)] = -torch.inf
            left = logits.softmax(1).topk(min(TOP, self.vocabulary - len(SPECIAL)), dim=1)
            chances, tokens = (list(part.cpu()) for part in left)
            for row in rows:
                hidden = []
                for place in (row == HIDDEN).nonzero()[:, 0].tolist():
                    chance, token = chances.pop(0).tolist(), tokens.pop(0).tolist()
                    row[place] = token[0]
                    named = [preprocess.tokenizer.decode([one]) for one in token]
                    top = [list(pair) for pair in zip(named, chance, strict=True)]
                    hidden.append({"token": named[0], "probability": chance[0], "top": top})
                yield {"text": preprocess.shown(row), "hidden": hidden}


def answers(model: nn.Module, shown: Tensor, asked: Tensor) -> Tensor:
    """Logits [n, vocabulary] of the places that are asked for."""
    if hasattr(model, "at"):
        filling: Fills = model  # type: ignore[assignment]
        return filling.at(shown, asked)
    whole: Tensor = model(shown)[asked]
    return whole


def fixed(truth: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Draws [2, B, L] and tokens [B, L] that are a function of each text: how texts are batched, and what fills them up, changes
    nothing. Texts are hashed by integer arithmetic, which wraps around; SplitMix64 (Steele et al., 2014) counts on from it."""
    length = truth.shape[1]
    odd = torch.randint(-(2**62), 2**62, (length,), generator=generator(0, "masked")).to(truth.device) * 2 + 1
    state = (truth * odd).sum(1, keepdim=True)  # what fills up is 0
    counted = (
        torch.arange(1, 3 * length + 1, device=truth.device).view(length, 3).T.unsqueeze(1)
    )  # of each place its own
    bits = state + counted * -0x61C8864680B583EB
    bits = (bits ^ shifted(bits, 30)) * -0x40A7B892E31B1A47
    bits = (bits ^ shifted(bits, 27)) * -0x6B2FB644ECCEEE15
    bits = bits ^ shifted(bits, 31)  # [3, B, L]
    return shifted(bits[:2], 40).float() / 2**24, len(SPECIAL) + shifted(bits[2], 1) % (vocabulary - len(SPECIAL))


def shifted(values: Tensor, bits: int) -> Tensor:
    """Unsigned right shift of int64."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def tokens_of(preprocess: TextPreprocess, item: Any) -> list[int]:
    """The tokens of a text in which a person has hidden some."""
    if not isinstance(item, str):
        raise Problem(f"{item!r} cannot be used: expected a text, received {type(item).__name__}.")
    pieces = MARK.split(item)
    if preprocess.tokenizer.kind == "bpe":  # the blank before a word is a part of it
        pieces = [*(piece.rstrip(" ") for piece in pieces[:-1]), pieces[-1]]
    before, behind = preprocess.frame
    tokens: list[int] = []
    for number, row in enumerate(preprocess.tokenizer.encode(pieces)):
        tokens += [*([HIDDEN] if number else []), *np.asarray(row).tolist()]
    kept = tokens[: preprocess.length - len(before) - len(behind)]
    return [*before, *kept, *behind] or preprocess.tokens([item])[0].tolist()

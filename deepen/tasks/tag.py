"""Tagging: a label for every word of a text; names (BIO labels, Ramshaw & Marcus, 1995), parts of speech, words of scripts
without spaces (Xue, 2003).

A model answers each place of a text with a score per label; what is asked stands at the first piece of each word. Where labels
make chunks, those that a row of labels may not hold are left out of the answer, and precision, recall and F1 are over whole
chunks by the rules of CoNLL's scorer; else the words are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepen.data import chunks
from deepen.data.dataset import Columns
from deepen.data.preprocess import Preprocess
from deepen.data.tagging import Passage
from deepen.data.tokenizer import END
from deepen.errors import Misuse, Problem
from deepen.randomness import generator
from deepen.spec import PAD, UNLABELLED, Labels, Spec, Text
from deepen.tasks.base import Batch, Goal, Places, Rows, Supervised
from deepen.tasks.measures import Weighted, mean, once

SUMMARY = "learns a label for every word: names, parts of speech, where words end"

PIECE = 4096
"""Rows whose words are counted at once."""


@dataclass
class Config:
    """How labels are learnt and chosen."""

    label_smoothing: float = 0.0
    """Share of the truth that is spread over all labels."""
    decoding: Literal["valid", "each"] = "valid"
    """valid: the likeliest of the rows of labels that make whole chunks. each: the likeliest label of each word by itself."""


def natural(spec: Spec) -> bool:
    return isinstance(spec.input, Text) and isinstance(spec.output, Labels)


def build(spec: Spec, config: Config) -> Tag:
    if not natural(spec):
        raise Problem(
            "tag learns a label for every word, and this data has none: name a file with a word and its label in each line "
            "(.conll, .conllu), a folder of them, or a known set such as python-names."
        )
    if not 0 <= config.label_smoothing < 1:
        raise Misuse(f"task.label_smoothing={config.label_smoothing:g} is not usable: expected 0 to below 1.")
    return Tag(spec, config)


@final
class Tag(Supervised, Places, Weighted):
    """`target` int64 [B, L] is the label of the word that begins at each of `input`, `UNLABELLED` where nothing is asked."""

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.input, Text)
        assert isinstance(spec.output, Labels)
        self.spec = spec
        self.config = config
        self.names = spec.output.names
        self.length = spec.input.length
        self.scheme = chunks.scheme(self.names) if chunks.chunked(self.names) else None
        self.goal = Goal("f1" if self.scheme else "accuracy", "max")
        self.units = self.names if self.scheme is None else self.scheme.kinds
        """What is counted: labels, or kinds of chunks."""
        draws = generator(0, "words of a tagger")
        self._odd = torch.randint(1 << 40, (self.length,), generator=draws) * 2 + 1
        self._known: Tensor | None = None
        self._usual: Tensor | None = None

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        """The commonest label of each word, and of all."""
        words, labels = [], []
        for start in range(0, len(train), PIECE):
            batch = train.between(start, start + PIECE)
            asked = batch["target"] != UNLABELLED
            words.append(self._words(batch["input"].long(), asked)[asked].cpu())
            labels.append(batch["target"][asked].long().cpu())
        known, which = torch.cat(words).unique(return_inverse=True)
        pairs, counts = (which * len(self.names) + torch.cat(labels)).unique(return_counts=True)
        # Of pairs of one word the commonest comes last, and is what stays where all are written to one place.
        by_count = pairs[counts.argsort(stable=True)]
        usual = {int(pair) // len(self.names): int(pair) % len(self.names) for pair in by_count.tolist()}
        commonest = int(torch.cat(labels).bincount(minlength=len(self.names)).argmax())
        self._known = known
        self._usual = torch.tensor([*(usual[word] for word in range(len(known))), commonest])

    def expected(self, count: int) -> tuple[int, ...]:
        return (count, self.length, len(self.names))

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        logits, target = model(batch["input"]), batch["target"]
        loss = functional.cross_entropy(
            logits.flatten(0, 1).float(),
            target.flatten(),
            ignore_index=UNLABELLED,
            label_smoothing=self.config.label_smoothing,
            reduction="sum",
        )
        asked = target != UNLABELLED
        hits = (logits.detach().argmax(2) == target) & asked
        count = asked.sum().clamp(min=1)  # a batch may ask nothing
        return loss / count, {"accuracy": hits.sum() / count}

    def counted(self, batch: Batch) -> float:
        """Words that are asked: sentences differ in length."""
        return float((batch["target"] != UNLABELLED).sum())

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows: sums over the words of a row, float32: `nats`, `words` and `unseen` [B] (words that training lacks), and `hits`,
        `unseen_hits` [B], `right`, `said`, `there` [B, units] of the model's answer, and as `plain_...` of the commonest one. Of
        sentences that are cut, `sentence` int64 [B] says which rows are of one, and `labels` int16 [B, 3, L] what is said of its
        words, the truth, the answer and the commonest, filled up with the edge of the scheme."""
        assert self._known is not None, "study() comes before score()"
        assert self._usual is not None
        input, target = batch["input"], batch["target"]
        asked = target != UNLABELLED
        logits = model(input).float()
        nats = functional.cross_entropy(logits.transpose(1, 2), target, reduction="none", ignore_index=UNLABELLED)
        known, usual = self._known.to(input.device), self._usual.to(input.device)
        words = self._words(input, asked)
        found = torch.searchsorted(known, words).clamp(max=len(known) - 1)
        unseen = (known[found] != words) & asked
        places = together(asked)
        lengths = asked.sum(1)
        truth = target.gather(1, places)
        plain = usual[found.masked_fill(unseen, len(known))].gather(1, places)
        rows = {"nats": nats.sum(1), "words": lengths.float(), "unseen": unseen.sum(1).float()}
        strange = unseen.gather(1, places)
        said = self.labels(logits, places, lengths, batch.get("cut"))
        for name, answer in (("", said), ("plain_", plain)):
            counted = self._counted(answer, truth, strange, lengths)
            rows |= {f"{name}{key}": values.float() for key, values in counted.items()}
        if "sentence" in batch:
            rows["sentence"] = batch["sentence"]
            if self.scheme is not None:
                there = torch.arange(places.shape[1], device=places.device) < lengths.unsqueeze(1)
                held = torch.stack([truth, said, plain], 1).masked_fill(~there.unsqueeze(1), self.scheme.edge)
                held = functional.pad(held, (0, self.length - held.shape[2]), value=self.scheme.edge)
                rows["labels"] = held.short()
        return rows

    def labels(self, logits: Tensor, places: Tensor, lengths: Tensor, cut: Tensor | None = None) -> Tensor:
        """The label of each word, int64 [B, W], from logits [B, L, C] at `places` int64 [B, W]; the first `lengths` count. `cut`
        is as in `chunks.likeliest`."""
        scores = logits.gather(1, places.unsqueeze(2).expand(-1, -1, logits.shape[2]))
        if self.scheme is None or self.config.decoding == "each":
            return scores.argmax(2)
        return chunks.likeliest(scores.log_softmax(2), lengths, self.scheme.to(logits.device), cut)

    def joined(self, rows: Rows) -> Rows:
        """Sentences that were cut put together, their chunks counted in all of each."""
        if "sentence" not in rows:
            return rows
        owners, place = rows["sentence"].unique(return_inverse=True)
        whole = {
            name: torch.zeros(len(owners), *values.shape[1:], dtype=torch.float64).index_add_(0, place, values.double())
            for name, values in rows.items()
            if name not in ("sentence", "labels")
        }
        if self.scheme is None:
            return whole
        parts = place.bincount()
        each = place.argsort(stable=True).split(parts.tolist())
        for number in (parts > 1).nonzero().flatten().tolist():
            held = rows["labels"][each[number]].long()  # [parts, 3, L]
            there = held[:, 0] != self.scheme.edge
            if not there.any():
                continue
            truth, said, plain = (held[:, kind][there].unsqueeze(0) for kind in range(3))
            for name, answer in (("", said), ("plain_", plain)):
                for key, values in zip(
                    ("right", "said", "there"), self._chunks(answer, truth, self.scheme), strict=True
                ):
                    whole[f"{name}{key}"][number] = values[0]
        return whole

    def _chunks(self, answer: Tensor, truth: Tensor, scheme: chunks.Scheme) -> tuple[Tensor, Tensor, Tensor]:
        """Chunks of each kind that are right, said and there, [B, units], from labels int64 [B, W] filled up with the edge."""
        begins, last, kind = chunks.spans(truth, scheme)
        begun, ended, named = chunks.spans(answer, scheme)
        both = begins & begun & (last == ended) & (kind == named)
        size = len(self.units)
        return counts(kind, both, size), counts(named, begun, size), counts(kind, begins, size)

    def _counted(self, answer: Tensor, truth: Tensor, strange: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Sums over the words of each row, from labels int64 [B, W]."""
        there = torch.arange(truth.shape[1], device=truth.device) < lengths.unsqueeze(1)
        hits = (answer == truth) & there
        if self.scheme is None:
            right, said, is_there = (
                counts(*pair, len(self.units)) for pair in ((truth, hits), (answer, there), (truth, there))
            )
        else:
            scheme = self.scheme.to(truth.device)
            answer, truth = (labels.masked_fill(~there, scheme.edge) for labels in (answer, truth))
            right, said, is_there = self._chunks(answer, truth, scheme)
        return {
            "hits": hits.sum(1),
            "unseen_hits": (hits & strange).sum(1),
            "right": right,
            "said": said,
            "there": is_there,
        }

    def measure(self, rows: Rows) -> dict[str, float]:
        return {name: value for name, value in once(self, rows).items() if value == value}

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        """`loss`, `accuracy` over words, `unseen_accuracy` over those that training lacks; `f1`, `precision`, `recall` of
        chunks, else `macro_f1` over the labels."""
        words = mean(rows["words"], weights)
        unseen = mean(rows["unseen"], weights)
        found = {
            "loss": mean(rows["nats"], weights) / words,
            "accuracy": mean(rows["hits"], weights) / words,
            "unseen_accuracy": mean(rows["unseen_hits"], weights) / unseen,
        }
        right, said, there = (weights @ rows[name].to(weights.dtype) for name in ("right", "said", "there"))
        if self.scheme is None:
            return found | {"macro_f1": (2 * right / (said + there)).nanmean(1)}
        sums = right.sum(1), said.sum(1), there.sum(1)
        f1 = 2 * sums[0] / (sums[1] + sums[2]).clamp(min=1)  # no chunk anywhere: nothing was found
        return {"f1": f1, "precision": sums[0] / sums[1], "recall": sums[0] / sums[2], **found}

    def baseline(self, rows: Rows) -> dict[str, float]:
        """Gives each word the label that it had most often in training, and others the commonest of all."""
        rows = self.joined(rows)
        plain = {name.removeprefix("plain_"): values for name, values in rows.items() if name.startswith("plain_")}
        told = self.measure(rows | plain)
        del told["loss"]  # it has no chances
        return told

    def place(self, outputs: Iterable[tuple[Tensor, Sequence[Any]]]) -> Iterator[dict[str, Any]]:
        """`tags`, each with `token`, `label` and `probability`, and of chunks the `entities` with `text`, `label`, `start` and
        `end` in characters of the text, or the `words` where chunks have no kind."""
        held: list[tuple[Passage, list[int], list[float]]] = []
        for output, passages in outputs:
            for answer in self._read(output, passages):
                if held and answer[0].item != held[-1][0].item:
                    yield self._told(held)
                    held = []
                held.append(answer)
        if held:
            yield self._told(held)

    def _read(self, output: Tensor, passages: Sequence[Passage]) -> Iterator[tuple[Passage, list[int], list[float]]]:
        lengths = torch.tensor([len(one.places) for one in passages])
        places = torch.zeros(len(passages), max(1, int(lengths.max())), dtype=torch.int64)
        for row, one in enumerate(passages):
            places[row, : len(one.places)] = torch.tensor(one.places, dtype=torch.int64)
        logits = output.float().cpu()
        labels = self.labels(logits, places, lengths, torch.tensor([one.cut for one in passages]))
        chances = logits.softmax(2).gather(1, places.unsqueeze(2).expand(-1, -1, logits.shape[2]))
        of_label = chances.gather(2, labels.unsqueeze(2)).squeeze(2)
        for one, said, sure in zip(passages, labels.tolist(), of_label.tolist(), strict=True):
            yield one, said[: len(one.places)], sure[: len(one.places)]

    def _told(self, held: Sequence[tuple[Passage, list[int], list[float]]]) -> dict[str, Any]:
        """The answer for one text, from its rows."""
        text = held[0][0].text
        words = [place for passage, _, _ in held for place in passage.words]
        labels = [label for _, said, _ in held for label in said]
        chances = [chance for _, _, sure in held for chance in sure]
        told: dict[str, Any] = {
            "tags": [
                {"token": text[first:last], "label": self.names[label], "probability": chance}
                for (first, last), label, chance in zip(words, labels, chances, strict=True)
            ]
        }
        if self.scheme is None:
            return told
        found = [(words[first][0], words[last][1], kind) for first, last, kind in chunks.listed(labels, self.scheme)]
        if self.units == ("",):
            # A blank that is there already ends a word.
            return told | {"words": [word for start, end, _ in found for word in text[start:end].split()]}
        entities = [{"text": text[start:end], "label": kind, "start": start, "end": end} for start, end, kind in found]
        return told | {"entities": entities}

    def _words(self, input: Tensor, asked: Tensor) -> Tensor:
        """A number for each word, int64 [B, L], that depends on its pieces alone; it stands where the word begins."""
        count = input.shape[1]
        at = torch.arange(count, device=input.device).expand_as(input)
        begun = torch.where(asked, at, 0).cummax(1).values
        # Whole numbers that overflow: equal words have equal sums, others hardly ever.
        mixed = (input + 0x9E3779B9) * self._odd.to(input.device)[at - begun]
        mixed = (mixed ^ (mixed >> 29)).masked_fill((input == PAD) | (input == END), 0)
        return torch.zeros_like(mixed).scatter_add_(1, begun, mixed)


def together(asked: Tensor) -> Tensor:
    """The places that are asked, bool [B, L], moved to the front of each row: int64 [B, W], W the most that a row has."""
    most = max(1, int(asked.sum(1).max()))
    return (~asked).byte().argsort(dim=1, stable=True)[:, :most]


def counts(numbers: Tensor, where: Tensor, size: int) -> Tensor:
    """How often each number occurs in each row where it counts: [B, size]."""
    hot = functional.one_hot(numbers.masked_fill(~where, size), size + 1)
    return hot.sum(1)[:, :size]

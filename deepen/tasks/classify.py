"""Classification: which of several classes a sample belongs to.

Cross-entropy of the softmax; binary cross-entropy of one sigmoid a class (as in "ResNet strikes back", Wightman et al.,
2021); focal loss, which turns away from samples that are already easy (Lin et al., 2017). Label smoothing is from
Szegedy et al., 2016; blended labels serve mixup (Zhang et al., 2018) and cutmix (Yun et al., 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepen.data.dataset import Columns
from deepen.data.preprocess import Preprocess
from deepen.data.ragged import Ragged
from deepen.data.sentences import TextPreprocess
from deepen.errors import Misuse, Problem
from deepen.spec import Category, Spec, Text
from deepen.tasks import tfidf
from deepen.tasks.base import Answers, Batch, Goal, Rival, Rivalled, Rows, Supervised
from deepen.tasks.measures import Weighted, auroc, calibration_error, mean, of_class, once, recall_and_f1

SUMMARY = "Which of several classes a sample belongs to"

MANY_CLASSES = 100
"""Beyond this many classes the AUROC, which sorts the samples once a class, is left out."""
RARE = 0.4
"""Share of the training samples up to which the rarer of two classes is what one looks for, and is measured by itself."""


@dataclass
class Config:
    """What is minimised, and which metric decides."""

    loss: Literal["cross-entropy", "bce", "focal"] = "cross-entropy"
    """cross-entropy; bce: binary cross-entropy of one sigmoid a class; focal: cross-entropy turned to hard samples."""
    label_smoothing: float = 0.0
    """Share of the label that is spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: every class weighs the same in the loss, however rare."""
    focal_gamma: float = 2.0
    """focal: how strongly easy samples are turned away from."""
    goal: Literal["accuracy", "balanced_accuracy", "macro_f1", "auroc", "log_loss"] = "accuracy"
    """Validation metric that decides which weights are best."""


def natural(spec: Spec) -> bool:
    return isinstance(spec.output, Category)


def build(spec: Spec, config: Config) -> Classify:
    if not isinstance(spec.output, Category):
        kind = type(spec.output).__name__.lower()
        numbers = "If the numbers of a table name classes, add answer=class."
        hint = numbers if kind == "quantity" else "Leave out --as to let the data decide."
        raise Problem(f"classify needs data whose target is a class, not {kind}. {hint}")
    if not 0 <= config.label_smoothing < 1:
        raise Misuse(
            f"task.label_smoothing={config.label_smoothing} is not usable: expected a share from 0 to below 1."
        )
    if config.focal_gamma < 0:
        raise Misuse(f"task.focal_gamma={config.focal_gamma} is not usable: expected 0 or more.")
    if config.goal == "auroc" and spec.output.width > MANY_CLASSES:
        raise Misuse(
            f"task.goal=auroc is measured for at most {MANY_CLASSES} classes and there are {spec.output.width}: "
            "choose another goal."
        )
    return Classify(spec, config)


@final
class Classify(Supervised, Answers, Rivalled, Weighted):
    """Models answer with a logit per class [B, C]; the target is int64 [B]."""

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.output, Category)
        self.spec = spec
        self.config = config
        self.names = spec.output.names
        self.goal = Goal(config.goal, "min" if config.goal == "log_loss" else "max")
        self._weights: Tensor | None = None
        self._frequency: Tensor | None = None
        self._sought: int | None = None
        self._train: Columns | None = None
        self._kind = ""
        self._plain = config.loss == "cross-entropy" and config.class_weights == "none"

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        counts = torch.bincount(train["target"], minlength=len(self.names)).double()
        # One imagined sample a class keeps the log loss of the baseline finite for a class that train lacks.
        self._frequency = (counts + 1) / (counts + 1).sum()
        rarer = int(counts.argmin())
        self._sought = rarer if len(counts) == 2 and counts[rarer] <= RARE * counts.sum() else None
        self._train = train
        self._kind = preprocess.tokenizer.kind if isinstance(preprocess, TextPreprocess) else ""
        if self.config.class_weights == "balanced":
            # Their mean over the training samples is one, so that the loss keeps its size.
            present = (counts > 0).sum()
            self._weights = (counts.sum() / (present * counts.clamp(min=1))).float()

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss; in mixed samples `target` weighs `mix` [B] and `target_other` the rest."""
        logits, target = model(batch["input"]), batch["target"]
        hits = logits.detach().argmax(1).eq(target).mean(dtype=torch.float32)
        if "mix" in batch:
            mix = batch["mix"]
            loss = torch.lerp(self.criterion(logits, batch["target_other"]), self.criterion(logits, target), mix).mean()
        elif self._plain:
            loss = F.cross_entropy(logits, target, label_smoothing=self.config.label_smoothing)
        else:
            loss = self.criterion(logits, target).mean()
        return loss, {"accuracy": hits}

    def criterion(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample: float32 [B] from logits [B, C] and int64 [B]."""
        logits, smoothing = logits.float(), self.config.label_smoothing
        if self.config.loss == "bce":
            truth = torch.full_like(logits, smoothing / logits.shape[1])
            truth.scatter_(1, target.unsqueeze(1), 1 - smoothing + smoothing / logits.shape[1])
            each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(dim=1)
        else:
            each = F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
            if self.config.loss == "focal":
                chance = logits.softmax(dim=1).gather(1, target.unsqueeze(1)).squeeze(1)
                # The clamp keeps the gradient of a fractional power finite where the chance is exactly one.
                each = (1 - chance).clamp(min=1e-7) ** self.config.focal_gamma * each
        if self._weights is not None:
            if self._weights.device != target.device:
                self._weights = self._weights.to(target.device)
            each = each * self._weights[target]
        return each

    def score(self, model: nn.Module, batch: Batch) -> Rows:
        """Rows: logits float32 [B, C], target int64 [B], loss float32 [B]."""
        logits = model(batch["input"]).float()
        return {"logits": logits, "target": batch["target"], "loss": self.criterion(logits, batch["target"])}

    def measure(self, rows: Rows) -> dict[str, float]:
        metrics = once(self, rows)
        if self.goal.metric not in metrics:
            raise Problem(
                f"{self.goal.metric} cannot be measured on these {len(rows['target'])} samples: they are all of one "
                "class, or the model's answers are not finite. Choose another task.goal or larger splits."
            )
        return metrics

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        logits, target = rows["logits"], rows["target"]
        # float64: rounding must not part samples that are equally likely, whose order the AUROC looks at.
        chances = self._log_chances(logits.double())
        confidence, predicted = chances.max(dim=1)
        correct = predicted == target
        recall, f1 = recall_and_f1(predicted, target, len(self.names), weights)
        chance = chances.gather(1, target.unsqueeze(1)).squeeze(1)
        metrics = {
            "loss": mean(rows["loss"], weights),
            "accuracy": mean(correct, weights),
            "balanced_accuracy": recall,
            "macro_f1": f1,
            "log_loss": mean(-chance, weights),
            "calibration_error": calibration_error(confidence.exp(), correct, weights),
        }
        if self._sought is not None:
            told = of_class(predicted, target, self._sought, weights)
            metrics |= {f"{metric}/{self.names[self._sought]}": values for metric, values in told.items()}
        if len(self.names) <= MANY_CLASSES:
            metrics["auroc"] = auroc(chances, target, weights)
        return metrics

    def baseline(self, rows: Rows) -> dict[str, float]:
        """The commonest class of the training split, with the class frequencies as its probabilities."""
        assert self._frequency is not None, "study() comes before baseline()"
        return self._measured(self._frequency.log().float().expand(len(rows["target"]), -1), rows["target"])

    def rival(self, columns: Columns) -> Rival | None:
        """TF-IDF and logistic regression, for texts."""
        if not isinstance(self._train, Ragged) or not self._kind:
            return None
        assert isinstance(columns, Ragged)
        assert isinstance(self.spec.input, Text)
        if why := tfidf.too_much(self._train, len(self.names)):
            return Rival(tfidf.METHOD, {}, why)
        fitted = tfidf.TfIdf(self._train, len(self.names), self._kind, self.spec.input.vocabulary)
        return Rival(tfidf.METHOD, self._measured(fitted.log_chances(columns), columns["target"].cpu()))

    def _measured(self, log_chances: Tensor, target: Tensor) -> dict[str, float]:
        """The metrics of answers that come as log probabilities, on the CPU."""
        logits = (
            log_chances.double().exp().clamp(max=1 - 1e-12).logit().float()
            if self.config.loss == "bce"
            else log_chances
        )
        weights, self._weights = self._weights, None if self._weights is None else self._weights.cpu()
        loss = self.criterion(logits, target)
        self._weights = weights
        return once(self, {"logits": logits, "target": target, "loss": loss})

    def answer(self, output: Tensor) -> list[dict[str, Any]]:
        """`category` and `probability` of the likeliest class, and `top`: up to five [name, probability] pairs."""
        chances, labels = self._log_chances(output.float()).exp().topk(min(5, len(self.names)), dim=1)
        answers = []
        for values, indices in zip(chances.tolist(), labels.tolist(), strict=True):
            top = [[self.names[index], value] for index, value in zip(indices, values, strict=True)]
            answers.append({"category": top[0][0], "probability": top[0][1], "top": top})
        return answers

    def _log_chances(self, logits: Tensor) -> Tensor:
        """Log probabilities [N, C]; for bce, sigmoids brought to a sum of one."""
        return F.log_softmax(F.logsigmoid(logits) if self.config.loss == "bce" else logits, dim=1)

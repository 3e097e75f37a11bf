"""TF-IDF and logistic regression: what a few seconds of a linear method make of the same texts.

Runs of one and two tokens are counted, rare ones weigh more and every text is as long as every other (Spärck Jones, 1972;
Salton & Buckley, 1988); a logistic regression answers. On short texts it is hard to beat (Wang & Manning, 2012), so that a
network has to be told beside it. It is given the tokens that the network sees, fitted on the same texts, and the same twice.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from deepen.data.dataset import Columns
from deepen.data.ragged import Ragged
from deepen.data.tokenizer import UNKNOWN
from deepen.spec import PAD

METHOD = "TF-IDF + logistic regression"
LONGEST_RUN = {"characters": 4}
"""Tokens that are counted together, by what they are; two of anything larger than a character."""
MOST_RUNS = 200_000
"""Different runs of tokens that are looked at, those in most texts."""
MOST_WORK = 40_000_000
"""Tokens of the training texts times classes to be told apart, beyond which it would be cheap no longer."""
SOFTNESS = 5.0
"""How little the weights are held down (`C`)."""
ROUNDS = 300
NEVER = -20.0
"""The log probability of a class that no training text has."""


class TfIdf:
    """Fitted on training texts; `log_chances` answers for others."""

    def __init__(self, train: Ragged, classes: int, kind: str, vocabulary: int) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        self.classes = classes
        self.vocabulary = vocabulary
        # A run is a number in base `vocabulary`, which has to fit into 62 bits.
        self.longest = min(LONGEST_RUN.get(kind, 2), int(62 / np.log2(max(2, vocabulary))))
        self._choose(train)
        self.model = LogisticRegression(C=SOFTNESS, max_iter=ROUNDS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # nearly there is good enough to be compared with
            self.model.fit(self._weighed(train), train["target"].numpy())

    def log_chances(self, columns: Ragged) -> Tensor:
        """The log probability of each class for each text, float32 [N, classes]."""
        found = np.full((len(columns), self.classes), NEVER, dtype=np.float32)
        found[:, self.model.classes_] = self.model.predict_log_proba(self._weighed(columns)).clip(NEVER)
        return torch.from_numpy(found)

    def _choose(self, train: Ragged) -> None:
        """The runs that are looked at, and how much each weighs."""
        inside = [_within(length, *_rows(train), self.vocabulary) for length in range(1, self.longest + 1)]
        self.runs: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []
        found = [np.unique(runs, return_counts=True) for runs, _, _ in inside]
        every = np.concatenate([texts for _, texts in found]) if found else np.empty(0, dtype=np.int64)
        least = max(2, int(np.partition(every, -MOST_RUNS)[-MOST_RUNS]) + 1) if len(every) > MOST_RUNS else 2
        for runs, texts in found:
            kept = texts >= least
            self.runs.append(runs[kept])
            self.weights.append(np.log((1 + len(train)) / (1 + texts[kept])) + 1)

    def _weighed(self, columns: Ragged):  # type: ignore[no-untyped-def]  # scipy has no types
        """The texts as a sparse matrix [N, runs], each row of length one."""
        from scipy.sparse import csr_array
        from sklearn.preprocessing import normalize

        rows, places, values, offset = [], [], [], 0
        for length, (known, weight) in enumerate(zip(self.runs, self.weights, strict=True), 1):
            runs, texts, counts = _within(length, *_rows(columns), self.vocabulary)
            if len(known):
                at = np.searchsorted(known, runs).clip(max=len(known) - 1)
                hit = known[at] == runs
                rows.append(texts[hit])
                places.append(at[hit] + offset)
                values.append((1 + np.log(counts[hit])) * weight[at[hit]])
            offset += len(known)
        joined = [np.concatenate(parts) if parts else np.empty(0) for parts in (values, rows, places)]
        inside = joined[0], (joined[1].astype(np.int32), joined[2].astype(np.int32))
        return normalize(csr_array(inside, shape=(len(columns), max(1, offset))))


def too_much(train: Columns, classes: int) -> str:
    """Why the comparison is left out; empty where it is made."""
    assert isinstance(train, Ragged)
    work = len(train.flat) * (1 if classes == 2 else classes)
    if work > MOST_WORK:
        return f"{len(train.flat):,} training tokens in {classes} classes are too many for a quick comparison"
    if len(train["target"].unique()) < 2:
        return "the training texts are all of one class"
    if not bool((train.flat > UNKNOWN).any()):
        return "the training texts hold no token that is known"
    return ""


def _rows(columns: Ragged) -> tuple[np.ndarray, np.ndarray]:
    """All tokens int64 [T], and which text each is in, int64 [T]."""
    lengths = columns.lengths.cpu().numpy()
    return columns.flat.cpu().numpy().astype(np.int64), np.repeat(np.arange(len(lengths)), lengths)


def _within(
    length: int, flat: np.ndarray, texts: np.ndarray, vocabulary: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each run of so many known tokens once for each text that it is in: runs, texts and how often, int64 [M] each."""
    many = len(flat) - length + 1
    if many <= 0:
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, nothing
    runs, known = np.zeros(many, dtype=np.int64), np.ones(many, dtype=bool)
    for place in range(length):
        token = flat[place : place + many]
        runs = runs * vocabulary + token
        known &= (token != UNKNOWN) & (token != PAD)
    known &= texts[:many] == texts[length - 1 :]
    runs, of = runs[known], texts[:many][known]
    order = np.lexsort((runs, of))
    runs, of = runs[order], of[order]
    first = np.flatnonzero(np.concatenate([[True], (runs[1:] != runs[:-1]) | (of[1:] != of[:-1])])[: len(runs)])
    return runs[first], of[first], np.diff(np.append(first, len(runs)))

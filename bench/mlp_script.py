"""The whole of a first MNIST script against the whole `deepen train mnist --model mlp`: time and test accuracy.

Both are commands: start, reading, training, looking at the test set (the script, after every epoch) or at the
validation split and writing the report (Deepen).
"""

from __future__ import annotations

from bench.timing import Result
from bench.whole import beside


def run(rounds: int, quick: bool) -> Result:
    words = ("train", "mnist", "--model", "mlp")
    return beside("MNIST, MLP 784-128-256-10: whole commands", "bench.plain.mlp", 16, words, rounds, quick)

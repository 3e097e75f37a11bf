"""The whole of a first convolutional script against the whole `deepen train mnist`: time and test accuracy."""

from __future__ import annotations

from bench.timing import Result
from bench.whole import beside


def run(rounds: int, quick: bool) -> Result:
    return beside("MNIST, CNN: whole commands", "bench.plain.cnn", 10, ("train", "mnist"), rounds, quick)

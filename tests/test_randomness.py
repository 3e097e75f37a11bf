"""Randomness is a function of (seed, path)."""

from __future__ import annotations

import subprocess
import sys

import torch

from deepen.randomness import derive, generator, reseed


def test_derived_seeds_are_fixed() -> None:
    """These numbers stand in every run that was ever made: they must not change."""
    assert derive(0, "order", 0) == derive(0, "order", 0)
    code = "from deepen.randomness import derive; print(derive(7, 'order', 3))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == derive(7, "order", 3)


def test_every_part_of_the_path_counts() -> None:
    paths = [(0,), (1,), (0, "a"), (0, "a", 1), (0, "a", 2), (0, "b", 1), (0, 1, "a"), (0, "a", 1, 1), (0, "a", 11)]
    seeds = {derive(path[0], *path[1:]) for path in paths}
    assert len(seeds) == len(paths)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_are_fresh_each_time() -> None:
    first = torch.rand(3, generator=generator(1, "x"))
    assert torch.equal(first, torch.rand(3, generator=generator(1, "x")))
    assert not torch.equal(first, torch.rand(3, generator=generator(2, "x")))


def test_reseed_is_what_dropout_draws_from() -> None:
    drop = torch.nn.Dropout(0.5)
    reseed(3, "step", 5)
    first = drop(torch.ones(100))
    torch.rand(17)
    reseed(3, "step", 5)
    assert torch.equal(first, drop(torch.ones(100)))
    reseed(3, "step", 6)
    assert not torch.equal(first, drop(torch.ones(100)))


def test_steps_do_not_resemble_each_other() -> None:
    """Neighbouring steps have draws without correlation, unlike seeds that are used as they are in some generators."""
    draws = torch.stack([torch.randn(2000, generator=generator(0, "step", step)) for step in range(30)])
    correlations = torch.corrcoef(draws) - torch.eye(30)
    assert correlations.abs().max() < 0.12

"""What becomes of weights of others: a bundle is written in the same way of those that see pictures and those that read texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepen.data.preprocess import Preprocess
from deepen.deploy import bundle
from deepen.errors import Problem
from deepen.pretrained.load import load, not_in
from deepen.pretrained.weights import Weights
from deepen.recipe import Recipe
from deepen.tasks.base import Task
from deepen.version import VERSION


@dataclass(frozen=True)
class Converted:
    """What was written."""

    path: Path
    format: str
    """safetensors or bundle."""
    tensors: int
    parameters: int
    """Numbers in them."""
    matched: float | None
    """Share of the network's numbers that the weights had; None where no network was named."""
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "format": self.format,
            "tensors": self.tensors,
            "parameters": self.parameters,
            "matched": self.matched,
        }


def ship(
    out: Path,
    network: nn.Module,
    weights: Weights,
    recipe: Recipe,
    task: Task,
    preprocess: Preprocess,
    goldens: Tensor,
    *,
    allow_partial: bool,
    mend: str,
) -> Converted:
    """Bring the weights into a network and write it as a bundle. Raises `Problem` for layers that are in none of the weights,
    with `mend` for what to do, unless `allow_partial`."""
    loaded = load(network, weights, allow_partial=allow_partial)
    untrained = (*loaded.lacking, *loaded.new)
    if untrained and not allow_partial:
        raise Problem(
            f"A bundle of {recipe.model_name} would hold layers that were never trained: {not_in(weights, untrained)}. {mend}, "
            "or go on all the same with --allow-partial."
        )
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in untrained))
    facts: dict[str, Any] = {
        "converted": weights.origin,
        "matched": loaded.share,
        "untrained": layers,
        "digest": weights.digest,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "step": 0,
        "validation": {},
        "versions": {"deepen": VERSION, "torch": torch.__version__},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    bundle.write(out, network, recipe, task, preprocess, goldens, facts)
    bundle.load(out)  # replays the goldens
    state = network.state_dict()
    numbers = sum(value.numel() for value in state.values())
    sentence = f"{loaded.sentence} Never trained, at random: {', '.join(layers)}." if layers else loaded.sentence
    return Converted(out, "bundle", len(state), numbers, loaded.share, sentence)

"""Bundle: what is shipped.

    model.safetensors   the weights
    bundle.json         architecture by name and fields, task, spec, preprocessing, versions, data digest
    goldens.safetensors inputs with their outputs; loading replays them and refuses a bundle that does not reproduce them
    card.md             what the model is, what it was trained on, how good it is
    manifest.json       SHA-256 of each file

No file is executable and none is a pickle. A model loaded from a bundle runs in float32, eagerly: `evaluate`, `predict`
and whatever serves it give the same numbers for the same raw input.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from deepen import registry
from deepen.data import preprocess as preprocessing
from deepen.data.preprocess import Preprocess
from deepen.deploy.card import card
from deepen.deploy.model import Model, run
from deepen.engine.checkpoint import DamageError, heal, verify, write_folder
from deepen.errors import Problem
from deepen.fields import convert
from deepen.recipe import Recipe
from deepen.spec import Spec
from deepen.tasks.base import Task

FORMAT = 1
GOLDENS = 4
TOLERANCE = 1e-4
"""Largest difference from a golden output, relative to the largest output: other processors add up in another order."""


def write(
    folder: Path,
    module: nn.Module,
    recipe: Recipe,
    task: Task,
    preprocess: Preprocess,
    examples: Tensor,
    facts: dict[str, Any],
) -> None:
    """Write a bundle as `folder`, all or nothing. `facts` are data digest, metrics, versions. Raises `OSError`."""
    content = {
        "format": FORMAT,
        "model": {"name": recipe.model_name, "fields": None if recipe.model is None else asdict(recipe.model)},
        "task": {"name": recipe.task_name, "fields": asdict(recipe.task)},
        "spec": task.spec.to_json(),
        "preprocess": preprocessing.dump(preprocess),
        "source": Path(recipe.source).name,
        **facts,
    }
    outputs = run(module, examples)
    write_folder(
        folder,
        {"model.safetensors": module.state_dict(), "goldens.safetensors": {"input": examples, "output": outputs}},
        {"bundle.json": json.dumps(content, indent=1, ensure_ascii=False), "card.md": card(content)},
    )


def load(path: str | Path, *, module: nn.Module | None = None, device: torch.device | str = "cpu") -> Model:
    """The model of a run (its best weights) or of a bundle.

    `module` is needed for weights of the user's own class: an instance of it. Raises `Problem` when there is no bundle,
    when a file is not what was written, or when the goldens are not reproduced.
    """
    folder = Path(path)
    if (folder / "recipe.yaml").is_file():
        folder = folder / "model"
        heal(folder)
        if not folder.exists():
            raise Problem(
                f"{path} has no best model yet: its training has not reached an evaluation. `deepen resume {path}`."
            )
    if not (folder / "bundle.json").is_file():
        raise Problem(
            f"{path} is neither a run nor a bundle: expected a folder that `deepen train` made, such as runs/latest."
        )
    try:
        verify(folder)
    except DamageError as error:
        raise Problem(f"The bundle is damaged: {error}. Train again, or restore it from a backup.") from error
    facts: dict[str, Any] = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    if facts["format"] != FORMAT:
        raise Problem(
            f"The bundle {folder} has format {facts['format']}; this version of Deepen reads format {FORMAT}."
        )
    spec = Spec.from_json(facts["spec"])
    task_module = registry.find("task", facts["task"]["name"]).load()
    task = task_module.build(spec, configured(task_module.Config(), facts["task"]["fields"]))
    if module is None:
        name = facts["model"]["name"]
        if name.startswith("custom:"):
            raise Problem(
                f"The weights are of your own class {name[7:]}: pass an instance of it, load(path, module=...)."
            )
        model_module = registry.find("model", name).load()
        module = model_module.build(spec, configured(model_module.Config(), facts["model"]["fields"]))
    weights = load_file(folder / "model.safetensors")
    match(module, weights, folder)
    module.load_state_dict(weights)
    module.eval()
    replay(module, load_file(folder / "goldens.safetensors"), folder)
    return Model(module.to(device), task, preprocessing.restore(facts["preprocess"]), facts)


def match(module: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Raise `Problem` unless the weights have the names and shapes of the module's."""
    own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    other = [f"{name} {given[name]} instead of {own[name]}" for name in own if own[name] != given.get(name, own[name])]
    faults = {
        "missing": own.keys() - given.keys(),
        "not expected": given.keys() - own.keys(),
        "of another shape": other,
    }
    if any(faults.values()):
        said = "; ".join(f"{word}: {', '.join(sorted(names))}" for word, names in faults.items() if names)
        raise Problem(f"The weights in {folder} do not fit the module. They are {said}.")


def replay(module: nn.Module, goldens: dict[str, Tensor], folder: Path) -> None:
    """Raise `Problem` unless the module gives the stored outputs for the stored inputs."""
    output, expected = run(module, goldens["input"]), goldens["output"]
    scale = max(1.0, expected.abs().max().item())
    difference = (output - expected).abs().max().item()
    if not difference <= TOLERANCE * scale:
        raise Problem(
            f"The bundle {folder} does not reproduce its golden outputs (they differ by {difference:.3g}), so it is not "
            "used: the weights, the model's code or the library changed. Train again with this version."
        )


def configured(config: Any, values: dict[str, Any]) -> Any:
    """A `Config` with the fields of a bundle."""
    for name, value in values.items():
        setattr(config, name, convert(config, name, value, name))
    return config

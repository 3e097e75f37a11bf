"""Deepen: from data to a deep-learning model that you understand.

    run = deepen.train("mnist", model="cnn", epochs=3)
    run.evaluate()
    model = deepen.load("runs/latest")
    model.predict("seven.png")

Names are imported when they are first used, so that `import deepen` does not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepen.errors import Misuse, Problem
from deepen.version import VERSION as __version__

if TYPE_CHECKING:
    from deepen.deploy.bundle import load
    from deepen.deploy.model import Model
    from deepen.run import Evaluation, Run
    from deepen.training import audit, resume, train

__all__ = ["Evaluation", "Misuse", "Model", "Problem", "Run", "__version__", "audit", "load", "resume", "train"]

_PLACES = {
    "Evaluation": "deepen.run",
    "Model": "deepen.deploy.model",
    "Run": "deepen.run",
    "audit": "deepen.training",
    "load": "deepen.deploy.bundle",
    "resume": "deepen.training",
    "train": "deepen.training",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'deepen' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)

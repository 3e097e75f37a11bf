"""Training and evaluation mode of a model of which a part is frozen.

Dropout and batch statistics belong to learning. Where no weight learns, a network works as it was left: its running
statistics stay those that its weights were trained with, and nothing is dropped from what it answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from deepen.nn.backbone import body_parameters
from deepen.nn.headed import Headed


def train(model: nn.Module) -> None:
    """Training mode for everything but what is frozen."""
    model.train()
    for module in _idle(model):
        module.training = False


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; after it every module is in the mode that it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _idle(model: nn.Module) -> Iterator[nn.Module]:
    """Modules with parameters of which none learns, and what is inside them; of a network with a frozen body also those
    between its layers that have no parameters, such as dropout."""
    for module in model.modules():
        learning = [parameter.requires_grad for parameter in module.parameters()]
        if learning and not any(learning):
            yield from module.modules()
    if isinstance(model, Headed) and not any(parameter.requires_grad for parameter in body_parameters(model) or ()):
        answering = set(model.head.modules())
        yield from (module for module in model.modules() if module not in answering)

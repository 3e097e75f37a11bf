"""Headed: a network that says which part of it answers; the rest is its body, which may come from another training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from torch import Tensor, nn


class Headed(nn.Module, ABC):
    """A network that answers with its head what it makes of its body's. Concrete ones are final."""

    head_name: str
    """The dotted name of the module that answers, such as `fc` or `classifier.6`; everything else is the body. Empty where no
    module answers alone, as where tokens are told by the vectors that they are read as."""

    @abstractmethod
    def body(self, input: Tensor) -> Tensor:
        """What the head sees."""

    @final
    @property
    def head(self) -> nn.Module:
        module: nn.Module = self
        for name in self.head_name.split("."):
            # Not by attribute, which for a part that is called head would be this property.
            module = dict(module.named_children())[name]
        return module

"""Muon: momentum whose matrix updates are made orthogonal before they are applied (Jordan et al., 2024).

The update of a weight matrix is replaced by the nearest matrix with all singular values near one, found by four
Newton-Schulz iterations of a quintic polynomial. Filters are flattened to matrices. Vectors, norms, and the first and last
layers are not matrices in this sense and follow AdamW instead (see `optim.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from deepen.engine.stepper import Stepper

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial a x + b x^3 + c x^5: chosen by its authors for the steepest slope at zero that still stays in [0.7, 1.2]."""


def orthogonalise(matrix: Tensor, iterations: int = 4) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly: [rows, columns] -> [rows, columns], in float32 or bfloat16."""
    a, b, c = COEFFICIENTS
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(Stepper):
    """Nesterov momentum with orthogonal updates, scaled so that the rate means the same for every shape."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(params, lr)
        self.momentum = momentum

    @torch.no_grad()
    def step(self) -> None:
        group = self.param_groups[0]
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(weight)
            buffer = state["momentum_buffer"]
            buffer.lerp_(weight.grad, 1 - self.momentum)
            ahead = weight.grad.lerp(buffer, self.momentum)
            flat = ahead.reshape(len(ahead), -1)
            scale = max(1.0, flat.size(0) / flat.size(1)) ** 0.5
            weight.add_(orthogonalise(flat).reshape(weight.shape), alpha=-group["lr"] * scale)

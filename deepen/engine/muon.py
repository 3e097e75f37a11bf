"""Muon: momentum whose matrix updates are made orthogonal before they are applied (Jordan et al., 2024).

The update of a weight matrix is replaced by the nearest matrix with all singular values near one, found by four
Newton-Schulz iterations of a quintic polynomial. Filters are flattened to matrices; matrices of one shape are worked on together.
Vectors, norms, and the first and last layers are not matrices in this sense and follow AdamW instead (see `optim.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from deepen.engine.stepper import Stepper

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial a x + b x^3 + c x^5: chosen by its authors for the steepest slope at zero that still stays in [0.7, 1.2]."""
LARGE = 64
"""Rows and columns from which on products in bfloat16 are quicker than in float32."""


def orthogonalise(matrices: Tensor, iterations: int = 4) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly: [N, rows, columns] -> the same, in float32 or bfloat16."""
    a, b, c = COEFFICIENTS
    tall = matrices.size(1) > matrices.size(2)
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(Stepper):
    """Nesterov momentum with orthogonal updates, scaled so that the rate means the same for every shape."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(params, lr)
        self.momentum = momentum
        self.bf16 = False
        """Whether large matrices are made orthogonal in bfloat16, as by its authors: where the step itself is."""

    @torch.no_grad()
    def step(self) -> None:
        group = self.param_groups[0]
        moving = [weight for weight in group["params"] if weight.grad is not None]
        if not moving:
            return
        buffers = [self._buffer(weight) for weight in moving]
        gradients = [weight.grad for weight in moving]
        torch._foreach_lerp_(buffers, gradients, 1 - self.momentum)
        alike: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
        for weight, ahead in zip(moving, torch._foreach_lerp(gradients, buffers, self.momentum), strict=True):
            flat = ahead.reshape(len(ahead), -1)
            alike[flat.size(0), flat.size(1)].append((weight, flat))
        for (rows, columns), pairs in alike.items():
            low = self.bf16 and min(rows, columns) >= LARGE
            stacked = torch.stack([flat for _, flat in pairs])
            straight = orthogonalise(stacked.bfloat16() if low else stacked)
            scale = max(1.0, rows / columns) ** 0.5
            for (weight, _), update in zip(pairs, straight, strict=True):
                weight.add_(update.reshape(weight.shape), alpha=-group["lr"] * scale)

    def _buffer(self, weight: nn.Parameter) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]

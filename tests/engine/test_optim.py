"""Each optimizer of the table against its definition in plain steps, and the penalties around it."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from deepen.engine.muon import Muon, orthogonalise
from deepen.engine.optim import MUON_REST_LR, OPTIMIZERS, Optimizer, peak_lr
from deepen.errors import Misuse
from deepen.recipe import Optim

STEPS = 6
Rule = Callable[[Tensor, Tensor, dict[str, Tensor], int, float], Tensor]


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4), nn.Tanh(), nn.Linear(4, 3))


def loss_of(module: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    inputs, targets = torch.randn(8, 5, generator=generator), torch.randn(8, 3, generator=generator)
    return (module(inputs) - targets).square().mean()


def sgd(w: Tensor, g: Tensor, s: dict[str, Tensor], t: int, lr: float) -> Tensor:
    return w - lr * g


def momentum(w: Tensor, g: Tensor, s: dict[str, Tensor], t: int, lr: float) -> Tensor:
    s["v"] = 0.9 * s["v"] + g if "v" in s else g.clone()
    return w - lr * s["v"]


def nesterov(w: Tensor, g: Tensor, s: dict[str, Tensor], t: int, lr: float) -> Tensor:
    s["v"] = 0.9 * s["v"] + g if "v" in s else g.clone()
    return w - lr * (g + 0.9 * s["v"])


def rmsprop(w: Tensor, g: Tensor, s: dict[str, Tensor], t: int, lr: float) -> Tensor:
    s["v"] = 0.99 * s.get("v", torch.zeros_like(w)) + 0.01 * g**2
    return w - lr * g / (s["v"].sqrt() + 1e-8)


def adagrad(w: Tensor, g: Tensor, s: dict[str, Tensor], t: int, lr: float) -> Tensor:
    s["v"] = s.get("v", torch.zeros_like(w)) + g**2
    return w - lr * g / (s["v"].sqrt() + 1e-8)


def adam(w: Tensor, g: Tensor, s: dict[str, Tensor], t: int, lr: float) -> Tensor:
    s["m"] = 0.9 * s.get("m", torch.zeros_like(w)) + 0.1 * g
    s["v"] = 0.999 * s.get("v", torch.zeros_like(w)) + 0.001 * g**2
    return w - lr * (s["m"] / (1 - 0.9**t)) / ((s["v"] / (1 - 0.999**t)).sqrt() + 1e-8)


def muon_matrix(w: Tensor, g: Tensor, s: dict[str, Tensor], t: int, lr: float) -> Tensor:
    s["m"] = 0.9 * s.get("m", torch.zeros_like(w)) + 0.1 * g
    ahead = 0.1 * g + 0.9 * s["m"]
    return w - lr * max(1.0, w.shape[0] / w.shape[1]) ** 0.5 * orthogonalise(ahead[None])[0]


RULES: dict[str, Rule] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "adam": adam,
    "adamw": adam,
    "muon": muon_matrix,
}


def test_every_optimizer_of_the_table_has_a_reference() -> None:
    assert RULES.keys() == OPTIMIZERS.keys()


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
@pytest.mark.parametrize("penalty", [{}, {"weight_decay": 0.1}, {"l2": 0.1}, {"l1": 0.01}, {"clip": 0.05}])
def test_steps_are_those_of_the_definition(name: str, penalty: dict[str, float]) -> None:
    """Weights after some steps, with decoupled decay, the penalties and clipping, in float64 to rounding."""
    module = model().double()
    config = Optim(name=name, **penalty)
    optimizer = Optimizer(module, config)
    weights = {key: value.detach().clone() for key, value in module.named_parameters()}
    states: dict[str, dict[str, Tensor]] = {key: {} for key in weights}
    twin = model().double()
    for step in range(STEPS):
        share = 1 / (step + 1)
        torch.manual_seed(step)
        loss_64(module, step).backward()
        optimizer.step(share)

        twin.load_state_dict(weights)
        twin.zero_grad()
        loss_64(twin, step).backward()
        gradients = {key: value.grad for key, value in twin.named_parameters() if value.grad is not None}
        for key, w in weights.items():
            if w.ndim == 2:
                gradients[key] = gradients[key] + config.l2 * w + config.l1 * w.sign()
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients.values()))
        scale = 1.0 if config.clip is None else min(1.0, config.clip / (norm + 1e-6))
        for key, w in weights.items():
            rate, rule = optimizer.lr * share, RULES[name]
            if w.ndim == 2:
                w = w * (1 - rate * config.weight_decay)
            if name == "muon" and key != "2.weight":  # neither the first nor the last matrix
                rate, rule = rate * MUON_REST_LR, adam
            weights[key] = rule(w, gradients[key] * scale, states[key], step + 1, rate)
        for key, value in module.named_parameters():
            assert value.grad is None
            assert torch.allclose(value, weights[key], rtol=1e-9, atol=1e-10), (key, step)


def loss_64(module: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(8, 5, generator=generator, dtype=torch.float64)
    targets = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    return (module(inputs) - targets).square().mean()


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_learns(name: str) -> None:
    module = model()
    optimizer = Optimizer(module, Optim(name=name))
    first = float(loss_of(module, 1).detach())
    for _ in range(200):
        loss_of(module, 1).backward()
        optimizer.step(1.0)
    assert float(loss_of(module, 1).detach()) < 0.8 * first


def test_decay_and_penalties_leave_biases_and_norms_alone() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    optimizer = Optimizer(module, Optim(name="sgd", lr=1.0, weight_decay=0.5, l1=0.5, l2=0.5))
    before = {key: value.detach().clone() for key, value in module.named_parameters()}
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(1.0)
    changed = {key for key, value in module.named_parameters() if not torch.equal(value, before[key])}
    assert changed == {"0.weight"}


def test_usual_rate_and_own_rate() -> None:
    assert peak_lr(Optim(name="adam")) == 1e-3
    assert peak_lr(Optim(name="adam", lr=0.5)) == 0.5
    with pytest.raises(Misuse, match="Did you mean 'adamw'"):
        peak_lr(Optim(name="adamv2w"))


@pytest.mark.parametrize("shape", [(16, 16), (8, 32), (32, 8), (1, 5), (64, 3)])
def test_orthogonalise_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(shape, generator=generator)
    made = orthogonalise(matrix[None])[0]
    assert made.shape == matrix.shape
    values = torch.linalg.svdvals(made)
    # The coefficients bring singular values above a hundredth of the norm into this band, which is wide on purpose.
    kept = torch.linalg.svdvals(matrix / matrix.norm()) > 0.02
    assert values[kept].min() > 0.5
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    nearest = left @ right
    cosine = (made * nearest).sum() / (made.norm() * nearest.norm())
    assert cosine > 0.97


def test_orthogonalise_forgets_the_scale() -> None:
    matrix = torch.randn(1, 6, 9, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(orthogonalise(matrix), orthogonalise(matrix * 1000), atol=1e-4)


def weights_with_gradients(*shapes: tuple[int, int]) -> list[nn.Parameter]:
    torch.manual_seed(5)
    weights = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    return weights


def test_muon_together_is_muon_one_by_one() -> None:
    shapes = ((6, 4), (4, 6), (6, 4), (5, 5))
    together, alone = weights_with_gradients(*shapes), weights_with_gradients(*shapes)
    Muon(together).step()
    for weight in alone:
        Muon([weight]).step()
    for mine, other in zip(together, alone, strict=True):
        assert torch.allclose(mine, other, atol=1e-6)


def test_in_bfloat16_muon_goes_the_same_way_for_large_matrices_and_small_ones_stay_in_float32() -> None:
    rounded, exact = weights_with_gradients((96, 80), (6, 4)), weights_with_gradients((96, 80), (6, 4))
    before = [weight.detach().clone() for weight in exact]
    low, full = Muon(rounded, lr=0.1), Muon(exact, lr=0.1)
    low.bf16 = True
    low.step()
    full.step()
    mine, other = rounded[0] - before[0], exact[0] - before[0]
    assert not torch.equal(mine, other)
    assert torch.cosine_similarity(mine.flatten(), other.flatten(), dim=0) > 0.999
    assert torch.equal(rounded[1], exact[1])


def test_muon_flattens_filters() -> None:
    filters = nn.Parameter(torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(3)))
    start = filters.detach().clone()
    filters.grad = torch.randn(filters.shape, generator=torch.Generator().manual_seed(4))
    gradient = filters.grad.clone()
    Muon([filters], lr=1.0, momentum=0.0).step()
    expected = orthogonalise(gradient.reshape(1, 8, 27)).reshape(filters.shape)
    assert torch.allclose(start - filters.detach(), expected, atol=1e-5)


def test_muon_in_channels_last_is_the_same() -> None:
    start = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(5))
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(start.clone().contiguous(memory_format=layout))
        optimizer = Muon([weight])
        for step in range(3):
            weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(step)).contiguous(
                memory_format=layout
            )
            optimizer.step()
        moved.append(weight.detach().contiguous())
    assert torch.allclose(*moved, atol=1e-5)


def test_muon_gives_the_rest_to_adamw() -> None:
    convolutions = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    optimizer = Optimizer(convolutions, Optim(name="muon"))
    (muon, _), (rest, rate) = optimizer.members
    assert isinstance(muon, Muon)
    assert [id(p) for p in muon.param_groups[0]["params"]] == [id(convolutions[1].weight)]
    assert any(p is convolutions[0].weight for p in rest.param_groups[0]["params"])
    assert any(p is convolutions[3].weight for p in rest.param_groups[0]["params"])
    assert rate == pytest.approx(0.02 * MUON_REST_LR)
    every = [id(p) for member, _ in optimizer.members for p in member.param_groups[0]["params"]]
    assert sorted(every) == sorted(id(p) for p in convolutions.parameters())


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_a_part_without_parameters_is_no_fault(name: str) -> None:
    Optimizer(nn.Flatten(), Optim(name=name)).step(1.0)


def test_the_compiler_is_not_imported() -> None:
    """It takes a second, and nothing here is compiled."""
    code = """
import sys, torch
from deepen.engine.optim import Optimizer
from deepen.recipe import Optim
module = torch.nn.Linear(2, 2)
for name in ("adam", "adamw", "muon"):
    optimizer = Optimizer(module, Optim(name=name))
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step(1.0)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

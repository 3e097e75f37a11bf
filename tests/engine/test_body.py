"""A body that was taken over: which of it learns, how fast, from which step on, and in which mode."""

from __future__ import annotations

import copy
import math
from typing import final

import pytest
import torch
from torch import Tensor, nn

from deepen.engine import mode
from deepen.engine.body import LEVELS, body_of, shares
from deepen.engine.optim import MUON_REST_LR, OPTIMIZERS, Optimizer
from deepen.engine.update import Updater
from deepen.nn.backbone import Backbone
from deepen.recipe import Optim, Schedule, Transfer
from deepen.tasks.base import Goal

CPU = torch.device("cpu")
TOTAL = 10


@final
class Tiny(Backbone):
    """Two convolutions with a norm, a hidden layer with dropout beside the head, in one container with it."""

    head_name = "classifier.2"
    strides = (1,)
    channels = (4,)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten()
        )
        self.classifier = nn.Sequential(nn.Linear(16, 6), nn.Dropout(0.5), nn.Linear(6, 3))

    def body(self, input: Tensor) -> Tensor:
        answer: Tensor = self.classifier[1](self.classifier[0](self.features(input)))
        return answer

    def maps(self, input: Tensor) -> list[Tensor]:
        raise NotImplementedError


class Standing(nn.Module):
    """A model of another kind on a backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Tiny()
        self.neck = nn.Linear(3, 3)

    def forward(self, input: Tensor) -> Tensor:
        answer: Tensor = self.neck(self.backbone(input))
        return answer


def tiny(kind: type[nn.Module] = Tiny) -> nn.Module:
    torch.manual_seed(0)
    return kind()


def updater(module: nn.Module, transfer: Transfer, **optim: object) -> Updater:
    chosen = Optim(**({"name": "adamw", "lr": 0.1, "weight_decay": 0.1, "l2": 0.01, "clip": 1.0, "ema": 0.5} | optim))
    made = Updater(
        module, {"model": module}, chosen, Schedule("constant"), Goal("accuracy", "max"), TOTAL, CPU, transfer
    )
    mode.train(module)
    return made


def step(module: nn.Module, update: Updater, number: int) -> None:
    torch.manual_seed(number)
    update.begin(number, [])
    update(module(torch.randn(8, 1, 6, 6)).square().mean())


def taken(**settings: object) -> Transfer:
    return Transfer(**({"pretrained": "somewhere"} | settings))


def body_state(module: nn.Module) -> dict[str, Tensor]:
    head = "classifier.2." if isinstance(module, Tiny) else "neck."
    return {k: v.detach().clone() for k, v in module.state_dict().items() if not k.startswith(head)}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", [Tiny, Standing])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_a_frozen_body_stays_bit_for_bit(name: str, kind: type[nn.Module]) -> None:
    """Weights, running statistics and counters, with decay, penalties and an average; what answers learns."""
    module = tiny(kind)
    before, all_before = body_state(module), copy.deepcopy(module.state_dict())
    update = updater(module, taken(name="head"), name=name)
    for number in range(4):
        step(module, update, number)
    assert same(body_state(module), before)
    assert update.average is not None
    assert same(body_state(update.average), before)
    moved = {key for key, value in module.state_dict().items() if not torch.equal(value, all_before[key])}
    assert moved == set(all_before) - set(before)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_gradual_thaws_at_its_step(name: str) -> None:
    module = tiny()
    before = body_state(module)
    update = updater(module, taken(name="gradual", head_first=0.3), name=name)
    for number in range(3):
        step(module, update, number)
        assert same(body_state(module), before)
        assert not module.features[1].training
    step(module, update, 3)
    assert module.features[1].training
    after = body_state(module)
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == set(before)


def test_gradual_resumed_on_either_side_of_the_thaw_goes_on_bit_for_bit() -> None:
    for at in (1, 2, 3, 5):
        whole, again = tiny(), tiny()
        update = updater(whole, taken(name="gradual", head_first=0.3))
        for number in range(6):
            if number == at:
                saved = {key: value.clone() for key, value in update.state().items()}
                updates = update.updates
            step(whole, update, number)
        resumed = updater(again, taken(name="gradual", head_first=0.3))
        resumed.load(saved, updates)
        for number in range(at, 6):
            step(again, resumed, number)
        assert same(update.state(), resumed.state()), at


def test_first_layers_learn_most_slowly() -> None:
    """By equal factors from layer to layer: Howard and Ruder, 2018."""
    wide = nn.Sequential(*(nn.Linear(2, 2) for _ in range(12)))
    found = shares(list(wide.parameters()), 0.1)
    assert found == sorted(found)
    assert found[0] == pytest.approx(0.1)
    assert found[::2] == found[1::2], "a bias goes with its matrix"
    assert len(set(found)) == LEVELS
    factors = [b / a for a, b in zip(sorted(set(found)), [*sorted(set(found))[1:], 1.0], strict=True)]
    assert factors == pytest.approx([factors[0]] * LEVELS)
    assert shares(list(nn.Linear(2, 2).parameters()), 0.1) == pytest.approx([0.1, 0.1])
    assert shares([], 0.1) == []


def test_every_layer_has_its_rate() -> None:
    """One optimizer for each rate; what answers learns at the full one."""
    module = tiny()
    made = updater(module, taken(name="all", body_lr=0.01), name="sgd", ema=None, l2=0.0, weight_decay=0.0, clip=None)
    rates = {
        name: rate
        for member, rate in made.optimizers["model"].members
        for name, parameter in module.named_parameters()
        if any(parameter is mine for mine in member.param_groups[0]["params"])
    }
    assert rates.keys() == dict(module.named_parameters()).keys()
    assert rates["classifier.2.weight"] == rates["classifier.2.bias"] == 0.1
    assert rates["features.0.weight"] == rates["features.1.weight"] == pytest.approx(0.1 * 0.01)
    assert rates["features.0.weight"] < rates["features.3.weight"] < rates["classifier.0.weight"] < 0.1

    before = copy.deepcopy(module.state_dict())
    made.begin(0, [])
    loss = module.eval()(torch.randn(8, 1, 6, 6)).square().mean()
    gradients = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
    made(loss)
    for (name, value), gradient in zip(module.named_parameters(), gradients, strict=True):
        assert torch.allclose(value, before[name] - rates[name] * gradient, atol=1e-7), name


def test_decay_follows_the_rate() -> None:
    module = tiny()
    optimizer = Optimizer(module, Optim("sgd", lr=0.1, weight_decay=0.5), {module.features[0].weight: 0.01})
    before = copy.deepcopy(module.state_dict())
    optimizer.step(1.0)  # no gradient: what moves is decay
    assert torch.allclose(module.features[0].weight, before["features.0.weight"] * (1 - 0.1 * 0.01 * 0.5))
    assert torch.allclose(module.features[3].weight, before["features.3.weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(module.features[3].bias, before["features.3.bias"])


def test_muon_keeps_to_hidden_matrices_at_every_rate() -> None:
    module = tiny()
    optimizer = Optimizer(module, Optim("muon", lr=0.1), body_of(module, taken(name="all"), TOTAL).shares)
    kinds: dict[str, tuple[str, float]] = {}
    for member, rate in optimizer.members:
        for name, parameter in module.named_parameters():
            if any(parameter is mine for mine in member.param_groups[0]["params"]):
                kinds[name] = (type(member).__name__, rate)
    assert {name for name, (kind, _) in kinds.items() if kind == "Muon"} == {"features.3.weight", "classifier.0.weight"}
    assert kinds["features.0.weight"][1] == pytest.approx(0.1 * 0.1 * MUON_REST_LR)
    assert kinds["classifier.2.weight"][1] == pytest.approx(0.1 * MUON_REST_LR)


def test_without_weights_taken_over_nothing_is_special() -> None:
    module = tiny()
    assert body_of(module, None, TOTAL) is None
    assert body_of(module, Transfer(name="all"), TOTAL) is None
    assert body_of(module, taken(name="none"), TOTAL) is None
    assert body_of(nn.Linear(2, 2), taken(name="head"), TOTAL) is None
    assert body_of(module, taken(name="head"), TOTAL).thaw == math.inf
    plain = Optimizer(module, Optim("momentum"))
    assert [(rate, len(member.param_groups[0]["params"])) for member, rate in plain.members] == [(0.02, 9)]


def test_dropout_between_frozen_layers_is_off() -> None:
    module = tiny()
    updater(module, taken(name="head"))
    assert [name for name, part in module.named_modules() if part.training] == ["classifier.2"]
    updater(module, taken(name="all"))
    assert all(part.training for part in module.modules())


def test_frozen_parts_of_any_model_are_in_evaluation_mode() -> None:
    module = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.BatchNorm1d(2)), nn.Linear(2, 2))
    module[0].requires_grad_(False)
    mode.train(module)
    assert [part.training for part in module.modules()] == [True, False, False, False, False, True]
    with mode.evaluating(module):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == [True, False, False, False, False, True]

"""Update: accumulation, clipping, the moving average, parts, and what it says of a loss that is no number."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from deepen.engine.muon import Muon
from deepen.engine.update import NonFiniteError, Updater
from deepen.errors import Misuse
from deepen.recipe import Optim, Schedule
from deepen.tasks.base import Goal

CPU = torch.device("cpu")


class Two(nn.Module):
    """Two networks, one feeding the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 1)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, inputs: Tensor) -> Tensor:
        answer: Tensor = self.second(self.norm(self.first(inputs)))
        return answer


def updater(module: nn.Module, parts: dict[str, nn.Module] | None = None, **optim: object) -> Updater:
    chosen = Optim(**({"name": "sgd", "lr": 0.1} | optim))
    made = Updater(
        module, parts or {"model": module}, chosen, Schedule(name="constant"), Goal("accuracy", "max"), 100, CPU
    )
    made.begin(0, [])
    return made


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor], **close: float) -> bool:
    return all(torch.allclose(first[name], second[name], **close) for name in first)


@pytest.mark.parametrize("pieces", [[12], [6, 6], [5, 4, 3], [1] * 12])
def test_accumulation_equals_the_big_batch(pieces: list[int]) -> None:
    """Pieces of unequal size too: each counts by its share of the batch."""
    torch.manual_seed(0)
    whole = nn.Linear(4, 2).double()
    split = copy.deepcopy(whole)
    inputs, targets = torch.randn(12, 4).double(), torch.randn(12, 2).double()
    big, small = updater(whole, clip=0.3, weight_decay=0.01), updater(split, clip=0.3, weight_decay=0.01)
    for _ in range(3):
        big((whole(inputs) - targets).square().mean())
        start = 0
        for size in pieces:
            rows = slice(start, start + size)
            start += size
            small.portion(size / 12, complete=start == 12)
            small((split(inputs[rows]) - targets[rows]).square().mean())
    assert big.updates == small.updates == 3
    assert same(weights(whole), weights(split), rtol=1e-12, atol=1e-12)


def test_clipping_bounds_the_whole_gradient() -> None:
    torch.manual_seed(0)
    module = nn.Linear(3, 3)
    before = weights(module)
    update = updater(module, lr=1.0, clip=0.5)
    (module(torch.ones(2, 3) * 100).square().mean()).backward()
    gradients = torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])
    module.zero_grad()
    update(module(torch.ones(2, 3) * 100).square().mean())
    moved = torch.cat([(before[name] - value).flatten() for name, value in weights(module).items()])
    assert gradients.norm() > 100
    assert moved.norm() == pytest.approx(0.5, rel=1e-4)
    assert torch.allclose(moved / moved.norm(), gradients / gradients.norm(), atol=1e-4)


def test_l1_and_l2_are_the_gradients_of_their_penalties() -> None:
    torch.manual_seed(0)
    ours, plain = nn.Linear(3, 2).double(), nn.Linear(3, 2).double()
    plain.load_state_dict(ours.state_dict())
    inputs = torch.randn(5, 3).double()
    updater(ours, l1=0.03, l2=0.2)(ours(inputs).square().mean())
    loss = plain(inputs).square().mean() + 0.03 * plain.weight.abs().sum() + 0.1 * plain.weight.square().sum()
    loss.backward()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter -= 0.1 * parameter.grad
    assert same(weights(ours), weights(plain), rtol=1e-12, atol=1e-12)


def test_average_is_its_formula() -> None:
    """Weights and running statistics alike; short memory at first; counters are copied."""
    torch.manual_seed(0)
    module = Two()
    update = updater(module, ema=0.9)
    expected = weights(module)
    for step in range(1, 120):
        update(module(torch.randn(8, 4)).square().mean())
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in weights(module).items():
            if value.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * value
            else:
                expected[name] = value
    assert update.average is not None
    assert same(expected, weights(update.average), rtol=1e-4, atol=1e-5)
    assert int(update.average.norm.num_batches_tracked) == 119
    assert not any(p.requires_grad for p in update.average.parameters())


def test_average_of_tied_weights_moves_once() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    module[1].weight = module[0].weight
    update = updater(module, ema=0.9)
    assert update.average is not None
    expected = module[0].weight.detach().clone()
    for step in range(1, 10):
        update(module(torch.randn(8, 4)).square().mean())
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * module[0].weight.detach()
    assert update.average[0].weight is update.average[1].weight
    assert torch.allclose(update.average[0].weight, expected, atol=1e-6)


def test_there_is_no_average_unless_asked_for() -> None:
    assert updater(Two()).average is None


def test_gradients_reach_only_the_named_part() -> None:
    torch.manual_seed(0)
    module = Two()
    update = updater(module, {"first": module.first, "second": module.second})
    for part, other in (("second", "first"), ("first", "second")):
        before = weights(module)
        update(module(torch.randn(8, 4)).square().mean(), part)
        after = weights(module)
        assert not torch.equal(before[f"{part}.weight"], after[f"{part}.weight"])
        assert torch.equal(before[f"{other}.weight"], after[f"{other}.weight"])
        assert all(p.grad is None for p in module.parameters())


def test_parts_have_optimizers_of_their_own() -> None:
    torch.manual_seed(0)
    module = Two()
    update = updater(module, {"first": module.first, "second": module.second}, name="adam")
    update(module(torch.randn(8, 4)).square().mean(), "second")
    steps = {name: value for name, value in update.state().items() if name.endswith("/step")}
    assert {name.split(".")[1] for name in steps} == {"second"}


def test_unknown_part_names_the_known_ones() -> None:
    module = Two()
    update = updater(module, {"generator": module.first, "critic": module.second})
    with pytest.raises(Misuse, match="generator, critic"):
        update(module(torch.randn(8, 4)).sum())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_never_reaches_the_weights(value: float) -> None:
    module = Two()
    before = weights(module)
    update = updater(module)
    with pytest.raises(NonFiniteError):
        update(module(torch.randn(8, 4)).sum() * value)
    after = weights(module)
    assert all(torch.equal(before[name], after[name]) for name, _ in module.named_parameters())


def test_state_continues_bit_for_bit() -> None:
    """In channels_last too: a fused optimizer walks raw memory, so restored state must lie as the weights do."""
    inputs = [torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(step)) for step in range(8)]
    for name in ("adamw", "adam", "momentum", "rmsprop", "adagrad", "muon"):
        for layout in (torch.contiguous_format, torch.channels_last):

            def fresh(layout: torch.memory_format = layout) -> nn.Module:
                torch.manual_seed(0)
                return nn.Sequential(nn.Conv2d(2, 8, 3), nn.Conv2d(8, 3, 3)).to(memory_format=layout)

            module = fresh()
            update = updater(module, name=name, lr=0.01, ema=0.9)
            saved = None
            for step, batch in enumerate(inputs):
                if step == 4:
                    # As a file holds it: copies in plain order.
                    saved = {k: v.detach().clone().contiguous() for k, v in update.state().items()}
                    updates = update.updates
                update(module(batch).square().mean())
            assert saved is not None
            other = fresh()
            resumed = updater(other, name=name, lr=0.01, ema=0.9)
            resumed.load(saved, updates)
            for batch in inputs[4:]:
                resumed(other(batch).square().mean())
            first, second = update.state(), resumed.state()
            assert first.keys() == second.keys()
            assert all(torch.equal(first[key], second[key]) for key in first), (name, layout)


def test_rate_follows_step_and_goal() -> None:
    module = Two()
    plateau = Schedule(name="plateau", patience=1, gamma=0.5)
    falling = Updater(module, {"model": module}, Optim(lr=1.0), plateau, Goal("loss", "min"), 10, CPU)
    falling.begin(5, [3.0, 2.0, 1.0])
    assert falling.lr == 1.0
    falling.begin(5, [1.0, 2.0])
    assert falling.lr == 0.5
    rising = Updater(module, {"model": module}, Optim(lr=1.0), plateau, Goal("accuracy", "max"), 10, CPU)
    rising.begin(5, [1.0, 2.0])
    assert rising.lr == 1.0


def test_autocast_leaves_gradients_and_weights_in_float32() -> None:
    torch.manual_seed(0)
    module = nn.Linear(4, 4)
    update = updater(module)
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(2):
            before = weights(module)
            answer = module(torch.ones(2, 4))
            assert answer.dtype == torch.bfloat16
            update(answer.float().square().mean())
            assert not torch.equal(before["weight"], module.weight)
        # The cast copy of the weights must not outlive the step.
        assert torch.equal(module(torch.ones(1, 4)), module(torch.ones(1, 4)))
        with torch.autocast("cpu", enabled=False):
            exact = module(torch.ones(1, 4))
        assert torch.allclose(module(torch.ones(1, 4)).float(), exact, rtol=0.02, atol=0.02)
    assert module.weight.dtype == torch.float32


def test_muon_rounds_where_the_step_does() -> None:
    module = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
    update = updater(module, name="muon")
    members = [member for member, _ in update.optimizers["model"].members if isinstance(member, Muon)]
    for bf16 in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = module(torch.ones(2, 4)).float().square().mean()
            update(loss)
        assert [member.bf16 for member in members] == [bf16]

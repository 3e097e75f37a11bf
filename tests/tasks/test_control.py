"""Control: advantages and the clipped objective against plain loops, acting as a function of seed and step."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from deepen.data.arrays import ArrayPreprocess
from deepen.data.dataset import Columns
from deepen.errors import Misuse, Problem
from deepen.spec import Action, Category, Observation, Spec, Table
from deepen.tasks import control

pytest.importorskip("gymnasium")

SPEC = Spec(Observation((4,), "CartPole-v1"), Action(("0", "1")))


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.actor, self.critic = nn.Linear(4, 2), nn.Linear(4, 1)

    def forward(self, seen: Tensor) -> Tensor:
        return self.actor(seen)

    def act_and_value(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        return self.actor(seen), self.critic(seen).squeeze(1)


class Balance(nn.Module):
    """Pushes to where the pole falls: a policy that keeps it up."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.1, 0.3, 3.0, 1.0]))

    def forward(self, seen: Tensor) -> Tensor:
        push = seen @ self.weight
        return torch.stack([-push, push], dim=1)


def task(**settings: object) -> control.Control:
    config = control.Config(**{"num_envs": 6, "rollout": 40, "passes": 2, "minibatch": 50, **settings})  # type: ignore[arg-type]
    return control.build(SPEC, config)


def plain_advantage(
    rewards: list[float], values: list[float], terminated: list[bool], ended: list[bool], gamma: float, trace: float
) -> list[float]:
    """The definition: a sum of temporal differences up to the end of the episode, for one environment."""
    steps, found = len(rewards), []
    for start in range(steps):
        total, weight = 0.0, 1.0
        for t in range(start, steps):
            total += weight * (rewards[t] + (0 if terminated[t] else gamma * values[t + 1]) - values[t])
            weight *= gamma * trace
            if ended[t]:
                break
        found.append(total)
    return found


def test_advantages_are_the_definition() -> None:
    random = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(30, 5, generator=random), torch.randn(31, 5, generator=random)
    terminated = torch.rand(30, 5, generator=random) < 0.1
    ended = terminated | (torch.rand(30, 5, generator=random) < 0.1)
    found = control.advantages(rewards, values, terminated, ended, 0.9, 0.8)
    for env in range(5):
        columns = (rewards, values, terminated, ended)
        expected = plain_advantage(*(column[:, env].tolist() for column in columns), 0.9, 0.8)  # type: ignore[arg-type]
        assert found[:, env].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_what_follows_a_time_limit_is_valued_and_what_follows_a_fall_is_not() -> None:
    rewards, values = torch.ones(1, 2), torch.tensor([[0.0, 0.0], [10.0, 10.0]])
    ended = torch.tensor([[True, True]])
    found = control.advantages(rewards, values, torch.tensor([[True, False]]), ended, 0.5, 0.9)
    assert found.tolist() == [[1.0, 6.0]]


def test_the_objective_is_clipped_like_the_plain_one() -> None:
    made, model = task(entropy_weight=0.3, value_weight=0.7), Small()
    random = torch.Generator().manual_seed(1)
    seen, advantage = torch.randn(20, 4, generator=random), torch.randn(20, generator=random)
    action = torch.randint(2, (20,), generator=random)
    old, target = torch.randn(20, generator=random) * 0.5 - 0.7, torch.randn(20, generator=random)
    loss, _ = made._loss(model, seen, action, old, advantage, target)
    expected = 0.0
    with torch.no_grad():
        logits, values = model.act_and_value(seen)
    for row in range(20):
        chances = logits[row].double().softmax(0).tolist()
        ratio = chances[action[row]] / math.exp(old[row])
        kept = min(max(ratio, 0.8), 1.2)
        gain = min(ratio * float(advantage[row]), kept * float(advantage[row]))
        entropy = -sum(p * math.log(p) for p in chances)
        expected += (-gain + 0.7 * 0.5 * float(values[row] - target[row]) ** 2 - 0.3 * entropy) / 20
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)


def test_a_rollout_leaves_out_the_steps_that_only_reset() -> None:
    made, model = task(rollout=60), Small()
    stream = made.stream(model, 0, 0)
    batch = next(stream)
    stream.close()
    size = len(batch["input"])
    assert size < 6 * 60  # a random policy falls within 60 steps
    assert all(len(batch[name]) == size for name in ("action", "log_prob", "value", "advantage"))
    with torch.no_grad():
        logits, values = model.act_and_value(batch["input"])
    expected = logits.log_softmax(1).gather(1, batch["action"].unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(batch["log_prob"], expected)
    torch.testing.assert_close(batch["value"], values)
    assert 5 < float(batch["return"]) < 60


def test_acting_is_a_function_of_seed_and_step() -> None:
    made, model = task(), Small()

    def two(seed: int, step: int) -> list[dict[str, Tensor]]:
        stream = made.stream(model, seed, step)
        found = list(itertools.islice(stream, 2))
        stream.close()
        return found

    for first, again in zip(two(1, 4), two(1, 4), strict=True):
        assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(two(1, 4)[0]["input"][:6], two(2, 4)[0]["input"][:6])
    assert not torch.equal(two(1, 4)[0]["input"][:6], two(1, 5)[0]["input"][:6])


def test_actions_are_drawn_from_the_policy() -> None:
    made, model = task(num_envs=50, rollout=40), Small()
    with torch.no_grad():
        model.actor.weight.zero_()
        model.actor.bias.copy_(torch.tensor([0.0, math.log(3)]))
    batch = next(made.stream(model, 0, 0))
    share = float(batch["action"].double().mean())
    assert abs(share - 0.75) < 5 * (0.75 * 0.25 / len(batch["action"])) ** 0.5


def test_one_step_works_through_the_batch_and_returns_detached_numbers() -> None:
    made, model = task(), Small()
    batch = next(made.stream(model, 0, 0))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    calls = 0

    class Update:
        step = 0

        def __call__(self, loss: Tensor, part: str = "model") -> None:
            nonlocal calls
            calls += 1
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    before = {name: value.clone() for name, value in model.state_dict().items()}
    numbers = made.step(model, batch, Update())
    assert calls == 2 * round(len(batch["input"]) / 50)
    assert all(not torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert {"loss", "return", "entropy", "moved"} <= numbers.keys()
    assert all(value.numel() == 1 and not value.requires_grad and value.isfinite() for value in numbers.values())


def test_episodes_are_played_to_their_end() -> None:
    made, seeds = task(), {"input": torch.arange(1_000_000, 1_000_010).float()}
    good = made.score(Balance(), seeds)
    assert good["return"].tolist() == [500.0] * 10
    bad = made.score(Small(), seeds)
    assert torch.equal(bad["return"], bad["length"])
    assert bad["return"].max() < 500
    assert all(torch.equal(bad[name], rows) for name, rows in made.score(Small(), seeds).items())
    baseline = made.baseline(good)
    assert 10 < baseline["return"] < 60


def test_environments_without_a_vectorised_form_are_played_too() -> None:
    spec = Spec(Observation((2,), "MountainCar-v0"), Action(("0", "1", "2")))
    made = control.build(spec, control.Config(num_envs=2, rollout=5))

    class Idle(nn.Module):
        def forward(self, seen: Tensor) -> Tensor:
            return torch.tensor([[0.0, 1.0, 0.0]]).expand(len(seen), -1)

    rows = made.score(Idle(), {"input": torch.tensor([5.0, 6.0])})
    assert rows["return"].tolist() == [-200.0, -200.0]


def test_answers_name_the_action() -> None:
    answers = task().answer(torch.tensor([[0.0, math.log(3)], [5.0, 0.0]]))
    assert [answer["action"] for answer in answers] == ["1", "0"]
    assert answers[0]["probability"] == pytest.approx(0.75)


def test_examples_are_first_observations() -> None:

    none = Columns({"input": torch.arange(3)})
    found = task().examples(Small(), none, ArrayPreprocess((4,)), 3)
    assert found.shape == (3, 4)
    assert found.abs().max() <= 0.05
    assert torch.equal(found, task().examples(Small(), none, ArrayPreprocess((4,)), 3))


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(Misuse, match="num_envs"):
        task(num_envs=0)
    with pytest.raises(Misuse, match="gamma"):
        task(gamma=1.5)
    with pytest.raises(Problem, match="act_and_value"):
        task().parts(nn.Linear(4, 2))
    with pytest.raises(Problem, match="data is none"):
        control.build(Spec(Table(("a",)), Category(("x", "y"))), control.Config())

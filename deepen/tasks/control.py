"""Control: an agent learns to act in an environment so that rewards add up.

Proximal policy optimization with a clipped objective (Schulman et al., 2017) on advantages by generalised estimation
(Schulman et al., 2016). Where an episode is cut off by a time limit, the value of its last observation stands for what
would have followed (Pardo et al., 2018). Many copies of the environment are stepped at once; log probabilities and
values of a rollout are computed afterwards in one pass.

Models answer observations [B, *size] with a logit per action, and `act_and_value` with (logits, values [B]).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepen.data.dataset import Columns
from deepen.data.environments import episode_limit, make
from deepen.data.preprocess import Preprocess
from deepen.errors import Misuse, Problem
from deepen.randomness import derive, generator
from deepen.spec import Action, Observation, Spec
from deepen.tasks.base import Acting, Answers, Batch, Goal, Rows, Update
from deepen.tasks.measures import Weighted, mean, once

SUMMARY = "Acting in an environment so that rewards add up"

RECENT = 100
"""Episodes behind the logged training return."""


@dataclass
class Config:
    """How much is acted between two improvements, and how bold those are."""

    num_envs: int = 64
    """Copies of the environment that are stepped at once."""
    rollout: int = 128
    """Steps of each copy in one batch."""
    passes: int = 6
    """Times that a batch is worked through."""
    minibatch: int = 1024
    """Steps in one update of the weights."""
    gamma: float = 0.99
    """What a reward of the next step is worth now."""
    trace: float = 0.95
    """Lambda of generalised advantage estimation: 0 trusts the value network, 1 the rewards alone."""
    clip_ratio: float = 0.2
    """How far an action's probability may move in one batch before the gradient stops."""
    value_weight: float = 0.5
    """Share of the value network's squared error in the loss."""
    reward_scale: float = 1.0
    """What rewards are multiplied by before learning, to bring values near one; returns are told unscaled."""
    entropy_weight: float = 0.0
    """Reward for staying undecided, against settling too early."""


def natural(spec: Spec) -> bool:
    return isinstance(spec.output, Action)


def build(spec: Spec, config: Config) -> Control:
    if not isinstance(spec.input, Observation) or not isinstance(spec.output, Action):
        raise Problem("control acts in an environment, such as CartPole-v1, and this data is none.")
    for name in ("num_envs", "rollout", "passes", "minibatch"):
        if getattr(config, name) < 1:
            raise Misuse(f"task.{name}={getattr(config, name)} is not usable: expected 1 or more.")
    for name in ("gamma", "trace"):
        if not 0 <= getattr(config, name) <= 1:
            raise Misuse(f"task.{name}={getattr(config, name)} is not usable: expected a number from 0 to 1.")
    return Control(spec, config)


@final
class Control(Acting, Answers, Weighted):
    """Batches hold the steps of a rollout, [M, ...] each: input, action, log_prob, value, advantage; and `return`."""

    def __init__(self, spec: Spec, config: Config) -> None:
        assert isinstance(spec.input, Observation)
        assert isinstance(spec.output, Action)
        self.spec = spec
        self.config = config
        self.batch_size = config.num_envs * config.rollout
        self.environment = spec.input.environment
        self.names = spec.output.names
        self.goal = Goal("return", "max")

    def study(self, train: Columns, preprocess: Preprocess) -> None:
        """There is nothing to look at before acting."""

    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        if not hasattr(model, "act_and_value"):
            raise Problem(f"control needs a model with 'act_and_value', and {type(model).__name__} has none.")
        return {"model": model}

    def stream(self, model: Any, seed: int, step: int) -> Iterator[Batch]:
        envs = make(self.environment, self.config.num_envs)
        try:
            acting = _Acting(envs, self.config, seed, step)
            while True:
                yield acting.rollout(model, generator(seed, "act", step))
                step += 1
        finally:
            envs.close()

    def step(self, model: Any, batch: Batch, update: Update) -> dict[str, Tensor]:
        config, size = self.config, len(batch["input"])
        advantage = batch["advantage"]
        columns = {
            **batch,
            "target": advantage + batch["value"],
            "advantage": (advantage - advantage.mean()) / (advantage.std() + 1e-8),
        }
        names = ("input", "action", "log_prob", "advantage", "target")
        pieces = max(1, round(size / config.minibatch))
        seen: list[Tensor] = []
        for _ in range(config.passes):
            for part in torch.randperm(size).to(advantage.device).chunk(pieces):
                loss, numbers = self._loss(model, *(columns[name].index_select(0, part) for name in names))
                update(loss)
                seen.append(torch.stack([loss.detach(), *numbers]))
        means = torch.stack(seen).mean(dim=0).unbind()
        words = ("loss", "policy_loss", "value_loss", "entropy", "moved")
        return dict(zip(words, means, strict=True)) | {"return": batch["return"]}

    def _loss(
        self, model: Any, seen: Tensor, action: Tensor, log_prob: Tensor, advantage: Tensor, target: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The loss and, detached, its terms and how far the policy moved (an estimate of the KL divergence)."""
        config = self.config
        logits, value = model.act_and_value(seen)
        log_probs = F.log_softmax(logits.float(), dim=1)
        change = log_probs.gather(1, action.unsqueeze(1)).squeeze(1) - log_prob
        ratio = change.exp()
        kept = ratio.clamp(1 - config.clip_ratio, 1 + config.clip_ratio)
        policy_loss = -torch.minimum(ratio * advantage, kept * advantage).mean()
        value_loss = 0.5 * F.mse_loss(value.float(), target)
        entropy = -(log_probs.exp() * log_probs).sum(dim=1).mean()
        loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * entropy
        moved = (ratio - 1 - change).mean()  # low-variance and never negative (Schulman, 2020)
        return loss, (policy_loss.detach(), value_loss.detach(), entropy.detach(), moved.detach())

    def score(self, model: Any, batch: Batch) -> Rows:
        """Rows: return and length [B] of an episode for each seed, played by the likeliest action.

        Where copies of an environment share one source of chance, the start of an episode depends on the seeds that it
        is batched with.
        """
        device = batch["input"].device

        def greedy(seen: Tensor) -> Tensor:
            return model(seen.to(device)).argmax(dim=1)

        return self._play(greedy, [int(seed) for seed in batch["input"].tolist()])

    def measure(self, rows: Rows) -> dict[str, float]:
        return once(self, rows)

    def weighted(self, rows: Rows, weights: Tensor) -> dict[str, Tensor]:
        return {"return": mean(rows["return"], weights), "length": mean(rows["length"], weights)}

    def baseline(self, rows: Rows) -> dict[str, float]:
        """Actions at random, in as many episodes."""
        random = generator(0, "random policy")
        count = len(rows["return"])

        def anything(seen: Tensor) -> Tensor:
            return torch.randint(len(self.names), (len(seen),), generator=random)

        return once(self, self._play(anything, list(range(count))))

    def examples(self, model: nn.Module, columns: Columns, preprocess: Preprocess, count: int) -> Tensor:
        envs = make(self.environment, count)
        try:
            seen, _ = envs.reset(seed=0)
        finally:
            envs.close()
        return preprocess.tensor(preprocess.encode(list(seen)))

    def answer(self, output: Tensor) -> list[dict[str, Any]]:
        """`action` and the `probability` that the policy gives it."""
        chances, actions = output.float().softmax(dim=1).max(dim=1)
        return [
            {"action": self.names[action], "probability": chance}
            for action, chance in zip(actions.tolist(), chances.tolist(), strict=True)
        ]

    def preview(self, model: nn.Module) -> dict[str, Tensor]:
        return {}

    @torch.no_grad()
    def _play(self, choose: Callable[[Tensor], Tensor], seeds: list[int]) -> Rows:
        """One episode a seed, all at once, each until it ends."""
        envs = make(self.environment, len(seeds))
        try:
            first = int(envs.single_action_space.start)
            seen, _ = envs.reset(seed=_seeds_for(envs, seeds))
            returns, lengths = np.zeros(len(seeds)), np.zeros(len(seeds))
            alive = np.ones(len(seeds), dtype=bool)
            for _ in range(episode_limit(self.environment)):
                actions = choose(_tensor(seen)).cpu().numpy() + first
                seen, reward, terminated, truncated, _ = envs.step(actions)
                returns += reward * alive
                lengths += alive
                alive &= ~(terminated | truncated)
                if not alive.any():
                    break
        finally:
            envs.close()
        return {"return": torch.from_numpy(returns).float(), "length": torch.from_numpy(lengths).float()}


class _Acting:
    """Copies of an environment in the midst of their episodes."""

    def __init__(self, envs: Any, config: Config, seed: int, step: int) -> None:
        self.envs, self.config = envs, config
        self.first = int(envs.single_action_space.start)
        self.seen, _ = envs.reset(seed=_seeds_for(envs, [derive(seed, "environment", step) % 2**31] * config.num_envs))
        self.ended = np.zeros(config.num_envs, dtype=bool)
        self.returns = np.zeros(config.num_envs)
        self.finished: list[float] = []

    @torch.no_grad()
    def rollout(self, model: Any, random: torch.Generator) -> Batch:
        """Act for `config.rollout` steps."""
        steps, count = self.config.rollout, self.config.num_envs
        device = next(model.parameters()).device
        num_actions = int(self.envs.single_action_space.n)
        # The likeliest action after adding Gumbel noise is a sample of the policy; all noise is drawn in one call.
        noise = -torch.empty(steps, count, num_actions).exponential_(generator=random).log()
        noise = noise.to(device)
        seen = torch.empty(steps + 1, count, *self.seen.shape[1:])
        taken = torch.empty(steps, count, dtype=torch.int64)
        rewards, terminated, ended = (np.empty((steps, count), dtype) for dtype in (np.float32, bool, bool))
        skipped = np.empty((steps, count), dtype=bool)
        for t in range(steps):
            seen[t] = _tensor(self.seen)
            taken[t] = (model(seen[t].to(device)).float() + noise[t]).argmax(dim=1)
            # The step after an end only resets: nothing was chosen and nothing is to be learnt from it.
            skipped[t] = self.ended
            self.seen, rewards[t], terminated[t], truncated, _ = self.envs.step(taken[t].numpy() + self.first)
            ended[t] = self.ended = terminated[t] | truncated
            self._count(rewards[t])
        seen[steps] = _tensor(self.seen)
        seen = seen.to(device)
        logits, values = model.act_and_value(seen.flatten(0, 1))
        logits, values = logits.float().unflatten(0, (steps + 1, count))[:-1], values.float().view(steps + 1, count)
        action = taken.to(device)
        log_prob = F.log_softmax(logits, dim=2).gather(2, action.unsqueeze(2)).squeeze(2)
        advantage = advantages(
            torch.from_numpy(rewards).to(device) * self.config.reward_scale,
            values,
            torch.from_numpy(terminated).to(device),
            torch.from_numpy(ended).to(device),
            self.config.gamma,
            self.config.trace,
        )
        chosen = torch.from_numpy(~skipped).flatten().nonzero().squeeze(1).to(device)
        rows = {
            "input": seen[:-1],
            "action": action,
            "log_prob": log_prob,
            "value": values[:-1],
            "advantage": advantage,
        }
        batch = {name: values.flatten(0, 1).index_select(0, chosen) for name, values in rows.items()}
        recent = self.finished[-RECENT:] or self.returns.tolist()
        return batch | {"return": torch.tensor(sum(recent) / len(recent), device=device)}

    def _count(self, reward: np.ndarray) -> None:
        self.returns += reward
        if self.ended.any():
            self.finished = (self.finished + self.returns[self.ended].tolist())[-RECENT:]
            self.returns[self.ended] = 0


def advantages(
    rewards: Tensor, values: Tensor, terminated: Tensor, ended: Tensor, gamma: float, trace: float
) -> Tensor:
    """Generalised advantage estimates [T, N] from rewards [T, N] and values [T + 1, N] of what was seen before each step
    and after the last.

    `terminated` [T, N] marks steps after which nothing more comes; `ended` also those cut off by a time limit, whose next
    value still counts. The advantage of the step after an end means nothing (it only resets).
    """
    delta = rewards + gamma * values[1:] * ~terminated - values[:-1]
    carried = gamma * trace * (~ended).to(delta.dtype)
    found = torch.empty_like(delta)
    later = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        later = torch.addcmul(delta[t], carried[t], later)
        found[t] = later
    return found


def _tensor(seen: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(seen, dtype=np.float32))


def _seeds_for(envs: Any, seeds: list[int]) -> Any:
    """A seed for each copy where copies have their own, else one for all, a function of the whole list."""
    if hasattr(envs, "envs"):
        return [derive(seed, number) % 2**31 for number, seed in enumerate(seeds)] if len(set(seeds)) == 1 else seeds
    return derive(0, *seeds) % 2**31

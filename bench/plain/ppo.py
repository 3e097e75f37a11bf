"""PPO on CartPole-v1 in one file, in the manner and with the settings of CleanRL's `ppo.py` (Huang et al., 2022).

`python -m bench.plain.ppo [STEPS]` trains for so many environment steps (500,000 unless told) and prints its speed and
the mean return of 100 greedy episodes afterwards. Written from the description of the algorithm; no TensorBoard writer.
"""

import sys
import time

import gymnasium as gym
import numpy as np
import torch
from torch import nn, optim
from torch.distributions.categorical import Categorical

NUM_ENVS, NUM_STEPS, EPOCHS, MINIBATCHES = 4, 128, 4, 4
LR, GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, MAX_NORM = 2.5e-4, 0.99, 0.95, 0.2, 0.01, 0.5, 0.5
BATCH = NUM_ENVS * NUM_STEPS


def make_env():
    return gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))


def layer(inputs, outputs, std=2**0.5):
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, std)
    nn.init.constant_(linear.bias, 0.0)
    return linear


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(layer(4, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, 1, std=1.0))
        self.actor = nn.Sequential(layer(4, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, 2, std=0.01))

    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action=None):
        distribution = Categorical(logits=self.actor(x))
        if action is None:
            action = distribution.sample()
        return action, distribution.log_prob(action), distribution.entropy(), self.critic(x)


class Trainer:
    def __init__(self, total_steps):
        self.num_updates = total_steps // BATCH
        same_step = gym.vector.AutoresetMode.SAME_STEP
        self.envs = gym.vector.SyncVectorEnv([make_env] * NUM_ENVS, autoreset_mode=same_step)
        self.agent = Agent()
        self.optimizer = optim.Adam(self.agent.parameters(), lr=LR, eps=1e-5)
        self.obs = torch.zeros(NUM_STEPS, NUM_ENVS, 4)
        self.actions = torch.zeros(NUM_STEPS, NUM_ENVS)
        self.logprobs = torch.zeros(NUM_STEPS, NUM_ENVS)
        self.rewards = torch.zeros(NUM_STEPS, NUM_ENVS)
        self.dones = torch.zeros(NUM_STEPS, NUM_ENVS)
        self.values = torch.zeros(NUM_STEPS, NUM_ENVS)
        self.next_obs = torch.Tensor(self.envs.reset(seed=1)[0])
        self.next_done = torch.zeros(NUM_ENVS)
        self.update_number = 0

    def rollout(self):
        for step in range(NUM_STEPS):
            self.obs[step] = self.next_obs
            self.dones[step] = self.next_done
            with torch.no_grad():
                action, logprob, _, value = self.agent.get_action_and_value(self.next_obs)
                self.values[step] = value.flatten()
            self.actions[step] = action
            self.logprobs[step] = logprob
            next_obs, reward, terminations, truncations, _ = self.envs.step(action.cpu().numpy())
            self.rewards[step] = torch.tensor(reward).view(-1)
            self.next_obs = torch.Tensor(next_obs)
            self.next_done = torch.Tensor(np.logical_or(terminations, truncations))

    def advantages(self):
        with torch.no_grad():
            next_value = self.agent.get_value(self.next_obs).reshape(1, -1)
            advantages = torch.zeros_like(self.rewards)
            last = 0
            for t in reversed(range(NUM_STEPS)):
                if t == NUM_STEPS - 1:
                    alive, value = 1.0 - self.next_done, next_value
                else:
                    alive, value = 1.0 - self.dones[t + 1], self.values[t + 1]
                delta = self.rewards[t] + GAMMA * value * alive - self.values[t]
                advantages[t] = last = delta + GAMMA * LAMBDA * alive * last
        return advantages

    def update(self):
        self.optimizer.param_groups[0]["lr"] = max(0.0, 1.0 - self.update_number / self.num_updates) * LR
        self.update_number += 1
        self.rollout()
        advantages = self.advantages().reshape(-1)
        obs, actions = self.obs.reshape(-1, 4), self.actions.reshape(-1)
        logprobs, values = self.logprobs.reshape(-1), self.values.reshape(-1)
        returns = advantages + values
        indices = np.arange(BATCH)
        clipped = []
        for _ in range(EPOCHS):
            np.random.shuffle(indices)
            for start in range(0, BATCH, BATCH // MINIBATCHES):
                rows = indices[start : start + BATCH // MINIBATCHES]
                _, newlogprob, entropy, newvalue = self.agent.get_action_and_value(obs[rows], actions.long()[rows])
                logratio = newlogprob - logprobs[rows]
                ratio = logratio.exp()
                with torch.no_grad():
                    approx_kl = ((ratio - 1) - logratio).mean()
                    clipped.append(((ratio - 1.0).abs() > CLIP).float().mean().item())
                gain = advantages[rows]
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                policy_loss = torch.max(-gain * ratio, -gain * torch.clamp(ratio, 1 - CLIP, 1 + CLIP)).mean()
                newvalue = newvalue.view(-1)
                v_clipped = values[rows] + torch.clamp(newvalue - values[rows], -CLIP, CLIP)
                v_loss = torch.max((newvalue - returns[rows]) ** 2, (v_clipped - returns[rows]) ** 2)
                loss = policy_loss - ENTROPY * entropy.mean() + VALUE * 0.5 * v_loss.mean()
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.agent.parameters(), MAX_NORM)
                self.optimizer.step()
        return loss.item(), approx_kl.item(), float(np.mean(clipped))

    def play(self, episodes=100):
        env, total = gym.make("CartPole-v1"), 0.0
        for episode in range(episodes):
            seen, over = env.reset(seed=10_000 + episode)[0], False
            while not over:
                with torch.no_grad():
                    action = self.agent.actor(torch.Tensor(seen)).argmax().item()
                seen, reward, terminated, truncated, _ = env.step(action)
                total += reward
                over = terminated or truncated
        return total / episodes


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    torch.manual_seed(1)
    np.random.seed(1)
    trainer = Trainer(steps)
    start = time.perf_counter()
    for _ in range(trainer.num_updates):
        trainer.update()
    seconds = time.perf_counter() - start
    speed = trainer.num_updates * BATCH / seconds
    print(f"seconds {seconds:.1f} steps per second {speed:.0f} mean return {trainer.play():.1f}")


if __name__ == "__main__":
    main()

"""Actor and critic: two small networks, one that chooses an action and one that values the situation.

PPO is used with this shape (Schulman et al., 2017, Proximal policy optimization algorithms): tanh, two layers of 64,
nothing shared. Orthogonal weights, with a small last layer of the actor so that all actions begin nearly equally likely
(Andrychowicz et al., 2020, What matters in on-policy reinforcement learning).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from deepen.errors import Problem
from deepen.nn.activations import Activation, activation
from deepen.nn.initialise import Initialisation, initialise
from deepen.nn.suits import positive
from deepen.spec import Action, Observation, Spec

SUMMARY = "a policy and a value network, for acting in an environment"


@dataclass
class Config:
    widths: tuple[int, ...] = (64, 64)
    """Units of each hidden layer, in both networks."""
    activation: Activation = "tanh"
    """Function after each hidden layer."""
    init: Initialisation = "orthogonal"
    """How the weights start."""


class ActorCritic(nn.Module):
    """Observation [B, *size] -> a logit for each action [B, A]."""

    def __init__(self, size: int, num_actions: int, config: Config) -> None:
        super().__init__()
        self.actor = _network(size, num_actions, config, last_gain=0.01)
        self.critic = _network(size, 1, config, last_gain=1.0)

    def forward(self, observation: Tensor) -> Tensor:
        return self.actor(observation)

    def act_and_value(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, A] and the expected return from here on [B]."""
        return self.actor(observation), self.critic(observation).squeeze(1)


def build(spec: Spec, config: Config) -> nn.Module:
    """[B, *size] -> [B, num_actions], with `act_and_value`."""
    if not isinstance(spec.input, Observation) or not isinstance(spec.output, Action):
        raise Problem(
            "Model 'actor-critic' acts in an environment and this data is none: choose --model mlp or quickcnn."
        )
    positive("widths", *config.widths)
    return ActorCritic(spec.input_size, spec.output.width, config)


def _network(size: int, width_out: int, config: Config, *, last_gain: float) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    before = size
    for width in config.widths:
        layers += [nn.Linear(before, width), activation(config.activation)]
        before = width
    hidden, last = nn.Sequential(*layers), nn.Linear(before, width_out)
    initialise(hidden, config.init, config.activation)
    initialise(last, config.init, "identity")
    if config.init != "default":
        last.weight.data.mul_(last_gain)
    return nn.Sequential(*hidden, last)

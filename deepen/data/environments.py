"""Environments that an agent acts in, by their gymnasium id: CartPole-v1, Acrobot-v1, LunarLander-v3 ...

Gymnasium: Towers et al., 2024. There are no samples here: training data comes from acting. The splits hold seeds, one
for each episode that is played to evaluate.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import torch

from deepen.data.arrays import ArrayPreprocess
from deepen.data.dataset import Columns, Dataset, Sealed
from deepen.errors import Misuse, Problem, did_you_mean
from deepen.recipe import Data
from deepen.spec import Action, Observation, Spec

SUMMARY = "environments of gymnasium, by id (CartPole-v1): an agent learns by acting"

ACTING = True
"""There is nothing to look at before something acts."""
ID = re.compile(r"^([\w-]+/)?[A-Za-z][\w-]*-v\d+$")
NUM_VALIDATION, NUM_TEST = 20, 100
"""Episodes of an evaluation."""
SEEDS = {"validation": 1_000_000, "test": 2_000_000}
"""First seed of a split's episodes; whole numbers of this size are exact in float32."""
NO_LIMIT = 10_000
"""Steps after which an episode is ended where the environment sets no limit itself."""


def recognise(source: str) -> str | None:
    """What lies on the disk is not an environment, whatever its name."""
    return "an environment of gymnasium" if ID.match(source) and not Path(source).exists() else None


def load(source: str, options: Data, seed: int) -> Dataset:
    """Raises `Misuse` for an unknown id and `Problem` for an environment whose spaces are of another kind."""
    gymnasium = _gymnasium(source)
    found = _find(gymnasium, source)
    envs = make(source, 1)
    try:
        seen, actions = envs.single_observation_space, envs.single_action_space
    finally:
        envs.close()
    spaces = gymnasium.spaces
    if not isinstance(actions, spaces.Discrete):
        raise Problem(
            f"{source} is acted in by {_kind(actions)} and only a choice between actions (Discrete) can be learnt so far. "
            "Environments with such actions: CartPole-v1, Acrobot-v1, MountainCar-v0, LunarLander-v3."
        )
    if not isinstance(seen, spaces.Box):
        raise Problem(f"{source} shows {_kind(seen)} and only arrays of numbers (Box) can be learnt from so far.")
    first = int(actions.start)
    names = tuple(str(first + number) for number in range(int(actions.n)))
    limit = found.max_episode_steps
    content = json.dumps([source, str(found.entry_point), limit, found.kwargs], sort_keys=True, default=str)
    size = tuple(int(side) for side in seen.shape)
    return Dataset(
        name=source,
        spec=Spec(Observation(size, environment=source), Action(names)),
        preprocess=ArrayPreprocess(size),
        train=_seeds(0, 0),
        validation=_seeds(SEEDS["validation"], NUM_VALIDATION),
        test=Sealed(_seeds(SEEDS["test"], NUM_TEST)),
        digest=hashlib.sha256(content.encode()).hexdigest(),
        facts=[
            f"{source}: {'x'.join(str(side) for side in size)} numbers are seen, {len(names)} actions can be taken, "
            + (
                f"an episode ends after {limit} steps." if limit else f"episodes are ended after {NO_LIMIT} steps here."
            ),
            f"Training data comes from acting; {NUM_VALIDATION} episodes validate and {NUM_TEST} others test.",
        ],
        acting=True,
    )


def make(name: str, count: int) -> Any:
    """`count` copies of an environment as one gymnasium `VectorEnv` that resets on the step after an episode's end.

    The environment's own vectorised form is used where it has one (no Python loop over copies), else copies are stepped
    one after the other.
    """
    gymnasium = _gymnasium(name)
    found = _find(gymnasium, name)
    mode = "vector_entry_point" if found.vector_entry_point is not None else "sync"
    try:
        envs = gymnasium.make_vec(name, num_envs=count, vectorization_mode=mode)
    except (gymnasium.error.DependencyNotInstalled, ModuleNotFoundError) as error:
        raise Problem(f"{name} needs a package that is not installed: {str(error).rstrip('.')}.") from None
    wanted = gymnasium.vector.AutoresetMode.NEXT_STEP
    if envs.metadata.get("autoreset_mode", wanted) != wanted:
        raise Problem(
            f"{name} resets its episodes in a way that is not supported: expected autoreset on the next step."
        )
    return envs


def episode_limit(name: str) -> int:
    """Steps after which an episode ends whatever happens."""
    return _find(_gymnasium(name), name).max_episode_steps or NO_LIMIT


def _gymnasium(source: str) -> Any:
    if importlib.util.find_spec("gymnasium") is None:
        raise Problem(f"{source} is an environment of gymnasium, which is not installed: pip install 'deepen[rl]'.")
    import gymnasium

    return gymnasium


def _find(gymnasium: Any, source: str) -> Any:
    """The registered specification. Raises `Misuse` with the nearest id when there is none."""
    known = gymnasium.registry
    if source not in known:
        near = did_you_mean(source, known)
        raise Misuse(
            f"Gymnasium knows no environment '{source}'.{near} Its own list: gymnasium.farama.org/environments."
        )
    return known[source]


def _seeds(first: int, count: int) -> Columns:
    seeds = torch.arange(first, first + count)
    return Columns({"input": seeds}, [f"episode {seed}" for seed in seeds.tolist()])


def _kind(space: Any) -> str:
    return type(space).__name__

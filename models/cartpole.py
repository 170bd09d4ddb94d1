"""The pole on a cart that a policy learns to balance: Gymnasium's CartPole-v1, many at once.

A step is worth 1 until the pole falls, and an episode ends after 500. Barto, Sutton and Anderson,
"Neuronlike Adaptive Elements That Can Solve Difficult Learning Control Problems", 1983.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from shipworthy.models.spec import Array

ENVIRONMENT = "CartPole-v1"
OBSERVED, PUSHES = 4, 2
POLES, STEPS = 16, 64  # of a rollout: 1,024 steps

_DISCOUNT, _SMOOTHING = 0.99, 0.95  # gamma and lambda of the advantages
_REWARD = 1 - _DISCOUNT  # of a step, so that values lie in 0..1
_TEST_SEED = 1_000_000  # of the test's episodes, far from the seeds of any training


class Game:
    """Poles that are balanced over and over; an episode ends with a fall, never with the clock."""

    def __init__(self, seed: int) -> None:
        import gymnasium
        from gymnasium.vector import AutoresetMode

        self.poles = gymnasium.make_vec(
            ENVIRONMENT,
            num_envs=POLES,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
            max_episode_steps=10_000_000,
        )
        self.seen, _ = self.poles.reset(seed=seed)
        self.lasted = np.zeros(POLES)
        self.returns: list[float] = []

    def play(self, run: Callable[..., tuple[Array, ...]], rng: np.random.Generator) -> list[Array]:
        """Play one rollout.

        Returns
        -------
        Observations, pushes, their log chances, advantages and returns; 1,024 rows each.
        """
        seen = np.zeros((STEPS, POLES, OBSERVED), np.float32)
        push = np.zeros((STEPS, POLES), np.int64)
        chance, value = np.zeros((2, STEPS, POLES), np.float32)
        falls = np.zeros((STEPS, POLES), bool)
        for i in range(STEPS):
            seen[i] = self.seen
            logits, values = run(self.seen)
            chances = logits - np.logaddexp(logits[:, 0], logits[:, 1])[:, None]
            push[i] = rng.random(POLES) < np.exp(chances[:, 1])
            chance[i], value[i] = chances[np.arange(POLES), push[i]], values[:, 0]
            self.seen, _, falls[i], _, _ = self.poles.step(push[i])
            self.lasted += 1
            self.returns += self.lasted[falls[i]].tolist()
            self.lasted[falls[i]] = 0
        advantage = _advantages(value, falls, run(self.seen)[1][:, 0])
        earned = advantage + value
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        return [array.reshape(-1, *array.shape[2:]) for array in (
            seen, push, chance, advantage, earned
        )]  # fmt: skip

    def recent_return(self) -> float:
        """Return the mean of the last episodes, those that go on with it."""
        return float(np.mean([*self.returns[-POLES:], *self.lasted]))


def _advantages(value: Array, falls: Array, last: Array) -> Array:
    """Return generalised advantages of a rollout.

    Parameters
    ----------
    value, falls : shape (steps, poles); a fall ends its episode.
    last : values after the last step, shape (poles,).
    """
    advantage = np.zeros_like(value)
    following, carried = last, np.zeros_like(last)
    for i in reversed(range(len(value))):
        goes_on = ~falls[i]
        surprise = _REWARD + _DISCOUNT * following * goes_on - value[i]
        carried = surprise + _DISCOUNT * _SMOOTHING * carried * goes_on
        advantage[i], following = carried, value[i]
    return advantage


def mean_return(act: Callable[[Array], Array], episodes: int) -> float:
    """Return the mean return over seeded episodes, 500 at most.

    Parameters
    ----------
    act : maps observations, float32 of shape (n, 4), to pushes, int of shape (n,).
    """
    import gymnasium

    poles = gymnasium.make_vec(ENVIRONMENT, num_envs=episodes, vectorization_mode="sync")
    seen, _ = poles.reset(seed=_TEST_SEED)
    stands = np.ones(episodes, bool)
    total = np.zeros(episodes)
    while stands.any():
        seen, reward, fell, stopped, _ = poles.step(act(seen))
        total += reward * stands
        stands &= ~(fell | stopped)
    poles.close()
    return float(total.mean())

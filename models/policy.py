"""A policy for CartPole that also values its state: an actor-critic, in PyTorch and in Keras.

    dense -> tanh -> dense -> tanh      64, 64
    dense                               2: the logits of pushing left and right
    dense                               1: the value, the discounted share of steps to come

It learns by proximal policy optimisation (Schulman et al., 2017) with generalised advantage
estimation (Schulman et al., 2015), on sixteen poles at once. The training requires a mean return of
195 over 100 seeded episodes in which the likelier push is taken; 500 is the most there is.

An export only ever sees a fixed set of observations. What is scored there is the *distilled
return*: the linear policy that fits its pushes best, by least squares, plays twenty episodes. An
export that answers another model's questions plays like a coin, about 20.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from shipworthy.models.cartpole import OBSERVED, POLES, PUSHES, STEPS, Game, mean_return
from shipworthy.models.journal import Journal
from shipworthy.models.learner import Learner, Loss
from shipworthy.models.spec import (
    Arrays,
    Case,
    Model,
    Signature,
    Source,
    Task,
    TensorSpec,
)
from shipworthy.models.training import Recipe, Training

if TYPE_CHECKING:
    from shipworthy.models.spec import Array

_HIDDEN = 64

_PASSES = 4  # over each rollout; an epoch plays one
_CLIP, _GRADIENT = 0.2, 0.5  # of the probability ratio; of the gradient's norm

_EPISODES, _TASK_EPISODES = 100, 20
_TEST_SEED = 1_000_000  # of the test's observations
_TEST_OBSERVATIONS = 512
# Of the test's observations: about as far as a good policy lets the cart and the pole go.
_SPREAD = (0.6, 0.6, 0.06, 0.6)
_RECIPE = Recipe(epochs=50, batch_size=128, learning_rate=5e-3, required=195.0, metric="return")


def build_pytorch() -> Any:
    """Return the untrained `torch.nn.Module`, in eval mode.

    (batch, 4) -> logits (batch, 2), value (batch, 1).
    """
    import torch
    from torch import nn

    class ActorCritic(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Linear(OBSERVED, _HIDDEN), nn.Tanh(), nn.Linear(_HIDDEN, _HIDDEN), nn.Tanh()
            )
            self.actor = nn.Linear(_HIDDEN, PUSHES)
            self.critic = nn.Linear(_HIDDEN, 1)

        def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = self.body(observation)
            return self.actor(x), self.critic(x)

    model = ActorCritic()
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model.eval()


def build_keras() -> Any:
    """Return the untrained `keras.Model`, whose outputs are a dict.

    (batch, 4) -> logits (batch, 2), value (batch, 1).
    """
    from keras import Input, Model, layers

    observation = Input((OBSERVED,), name="observation")
    x = layers.Dense(_HIDDEN, activation="tanh")(observation)
    x = layers.Dense(_HIDDEN, activation="tanh")(x)
    logits = layers.Dense(PUSHES, name="logits")(x)
    value = layers.Dense(1, name="value")(x)
    return Model(observation, {"logits": logits, "value": value}, name="policy")


def _loss_pytorch(model: Any) -> Loss:
    import torch
    from torch.nn.functional import log_softmax

    def loss(seen: Any, push: Any, before: Any, advantage: Any, earned: Any) -> tuple[Any, ...]:
        logits, value = model(seen)
        chances = log_softmax(logits, dim=1)
        ratio = torch.exp(chances.gather(1, push[:, None])[:, 0] - before)
        clipped = ratio.clamp(1 - _CLIP, 1 + _CLIP)
        gain = torch.minimum(ratio * advantage, clipped * advantage).mean()
        miss = (value[:, 0] - earned).square().mean()
        return (miss - gain,)

    return loss


def _loss_keras(model: Any) -> Loss:
    from keras import ops

    def loss(seen: Any, push: Any, before: Any, advantage: Any, earned: Any) -> tuple[Any, ...]:
        outputs = model(seen, training=True)
        chances = ops.log_softmax(outputs["logits"])
        taken = ops.take_along_axis(chances, push[:, None], axis=1)[:, 0]
        ratio = ops.exp(taken - before)
        clipped = ops.clip(ratio, 1 - _CLIP, 1 + _CLIP)
        gain = ops.mean(ops.minimum(ratio * advantage, clipped * advantage))
        miss = ops.mean(ops.square(outputs["value"][:, 0] - earned))
        return (miss - gain,)

    return loss


class _Practice:
    """Plays, and learns from what it played."""

    tags = ("loss/train", "return/train")

    def __call__(
        self, training: Training, learner: Learner, journal: Journal
    ) -> tuple[Any, dict[str, float]]:
        recipe = training.recipe
        model = training.build()
        loss = {"pytorch": _loss_pytorch, "tensorflow": _loss_keras}[learner.framework](model)
        batches = POLES * STEPS // recipe.batch_size
        step = learner.optimise(
            [model], loss, recipe.epochs * _PASSES * batches, recipe.learning_rate, clip=_GRADIENT
        )
        run = learner.run(model)
        rng = np.random.default_rng(recipe.seed)
        game = Game(recipe.seed)
        for number in range(recipe.epochs):
            rollout = game.play(run, rng)
            losses = [
                step(*(array[part] for array in rollout))[0]
                for _ in range(_PASSES)
                for part in np.split(rng.permutation(POLES * STEPS), batches)
            ]
            values = (float(np.mean(losses)), game.recent_return())
            journal.epoch(number + 1, dict(zip(self.tags, values, strict=True)))
        return model, {"return": mean_return(lambda seen: run(seen)[0].argmax(axis=1), _EPISODES)}


@cache
def _test_observations() -> Array:
    rng = np.random.default_rng(_TEST_SEED)
    return (rng.standard_normal((_TEST_OBSERVATIONS, OBSERVED)) * _SPREAD).astype(np.float32)


def distilled_return(logits: Array) -> float:
    """Return the mean return of the linear policy that fits pushes on the test's observations.

    Parameters
    ----------
    logits : shape (512, 2); a NaN gives NaN.
    """
    if not np.isfinite(logits).all():
        return float("nan")

    def extended(seen: Array) -> Array:
        return np.column_stack([seen.astype(np.float64), np.ones(len(seen))])

    sides = np.where(logits[:, 1] > logits[:, 0], 1.0, -1.0)
    weights, *_ = np.linalg.lstsq(extended(_test_observations()), sides, rcond=None)
    return mean_return(lambda seen: (extended(seen) @ weights > 0).astype(np.int64), _TASK_EPISODES)


def _source(framework: str, build: Any) -> Source:
    def test(start: int = 0, stop: int | None = None) -> Arrays:
        return {"observation": _test_observations()[start:stop].copy()}

    return Source(
        name="policy",
        framework=framework,
        signature=Signature(
            inputs=(TensorSpec("observation", "float32", ("batch", OBSERVED)),),
            outputs=(
                TensorSpec("logits", "float32", ("batch", PUSHES)),
                TensorSpec("value", "float32", ("batch", 1)),
            ),
        ),
        build=build,
        cases=lambda: [Case("real_64", test(0, 64)), Case("real_3", test(64, 67))],
        task=Task("distilled_return", test, lambda outputs: distilled_return(outputs["logits"])),
        train=Training("policy", framework, build, _RECIPE, _Practice(), tools=("gymnasium",)),
    )


MODEL = Model(
    "policy",
    "balances a pole: an actor-critic with two outputs",
    {
        "pytorch": _source("pytorch", build_pytorch),
        "tensorflow": _source("tensorflow", build_keras),
    },
)

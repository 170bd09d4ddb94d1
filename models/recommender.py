"""A two-tower recommender for generated feedback, written in PyTorch and in Keras.

    user -> embedding -> dense -> ReLU -> dense       200 users, 16, 32, 16
    item -> embedding -> dense -> ReLU -> dense       300 items, 16, 32, 16
    dot product + the item's popularity

The feedback is implicit (a user took an item, or nothing is known) and generated: users and items
have hidden tastes of four dimensions, items a hidden popularity, and each user takes the 45 of 300
items that suit them best, up to chance. What is learnt from is a part of what was taken, against
items drawn at random; the score is the ROC AUC on pairs that were kept back.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from shipworthy.models.spec import (
    Arrays,
    Case,
    Model,
    Signature,
    Source,
    Task,
    TensorSpec,
)
from shipworthy.models.training import Lesson, Recipe, Training

if TYPE_CHECKING:
    from shipworthy.models.spec import Array

_USERS, _ITEMS = 200, 300
_WIDTH = 16
_HIDDEN = 32
_DEVIATION = 0.2  # of the initial embeddings

_DATA_SEED = 0  # of the feedback: it belongs to the data, not to a training
_TASTES = 4
_TAKEN = 45  # items a user took
_KEPT_BACK = 2  # of them, for the test; each with an item that was not taken
_CHANCE = 0.1  # deviation of what neither taste nor popularity explains

_RECIPE = Recipe(epochs=15, batch_size=128, required=0.9, metric="roc_auc")
# What a framework's embedding takes by default.
_DTYPES = {"pytorch": "int64", "tensorflow": "int32"}


def build_pytorch() -> Any:
    """Return the untrained `torch.nn.Module`, in eval mode: (batch), (batch) -> (batch, 1)."""
    import torch
    from torch import nn

    def dense(inputs: int, outputs: int) -> nn.Linear:
        layer = nn.Linear(inputs, outputs)
        nn.init.xavier_uniform_(layer.weight)  # Keras' initial weights; PyTorch's own are smaller
        nn.init.zeros_(layer.bias)
        return layer

    def tower(count: int) -> nn.Sequential:
        embedding = nn.Embedding(count, _WIDTH)
        nn.init.normal_(embedding.weight, std=_DEVIATION)
        return nn.Sequential(embedding, dense(_WIDTH, _HIDDEN), nn.ReLU(), dense(_HIDDEN, _WIDTH))

    class Recommender(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.users = tower(_USERS)
            self.items = tower(_ITEMS)
            self.popularity = nn.Embedding(_ITEMS, 1)
            nn.init.zeros_(self.popularity.weight)

        def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
            match = (self.users(user) * self.items(item)).sum(dim=1, keepdim=True)
            return match + self.popularity(item)

    return Recommender().eval()


def build_keras() -> Any:
    """Return the untrained `keras.Model`: (batch), (batch) -> (batch, 1)."""
    from keras import Input, Model, initializers, layers

    def tower(index: Any, count: int) -> Any:
        normal = initializers.RandomNormal(stddev=_DEVIATION)
        x = layers.Embedding(count, _WIDTH, embeddings_initializer=normal)(index)
        x = layers.Dense(_HIDDEN, activation="relu")(x)
        return layers.Dense(_WIDTH)(x)

    user = Input((), dtype="int32", name="user")
    item = Input((), dtype="int32", name="item")
    match = layers.Dot(axes=1)([tower(user, _USERS), tower(item, _ITEMS)])
    popularity = layers.Embedding(_ITEMS, 1, embeddings_initializer="zeros")(item)
    score = layers.Add(name="score")([match, popularity])
    return Model([user, item], score, name="recommender")


@cache
def feedback() -> tuple[Array, Array]:
    """Return who took what, and the test's pairs.

    Returns
    -------
    taken : bool of shape (users, items); what was kept back for the test is not in it.
    test : int64 of shape (800, 3): user, item, and whether the item was taken.
    """
    rng = np.random.default_rng(_DATA_SEED)
    tastes = rng.standard_normal((_USERS, _TASTES)) @ rng.standard_normal((_TASTES, _ITEMS))
    suits = tastes / np.sqrt(_TASTES) + 0.5 * rng.standard_normal(_ITEMS)
    suits += _CHANCE * rng.standard_normal(suits.shape)
    order = np.argsort(-suits, axis=1)
    taken = np.zeros(suits.shape, bool)
    np.put_along_axis(taken, order[:, :_TAKEN], True, axis=1)
    rows = []
    for user in range(_USERS):
        back = rng.choice(order[user, :_TAKEN], _KEPT_BACK, replace=False)
        left = rng.choice(order[user, _TAKEN:], _KEPT_BACK, replace=False)
        rows += [(user, item, int(taken[user, item])) for item in (*back, *left)]
        taken[user, back] = False
    return taken, np.array(rows)


def roc_auc(scores: Array, taken: Array) -> float:
    """Return the chance that a taken item has a higher score than another one.

    Parameters
    ----------
    scores, taken : of the same shape; `taken` is 0 or 1. A NaN among the scores gives NaN.
    """
    taken, scores = taken.ravel() > 0.5, scores.ravel()
    if np.isnan(scores).any():
        return float("nan")
    others = np.sort(scores[~taken])
    # A tie counts half.
    below = sum(np.searchsorted(others, scores[taken], side) for side in ("left", "right"))
    return float(np.mean(below) / (2 * len(others)))


def _source(framework: str, build: Any) -> Source:
    dtype = _DTYPES[framework]

    def batches(rng: np.random.Generator, size: int) -> Iterator[tuple[Array, ...]]:
        taken, _ = feedback()
        users, items = np.nonzero(taken)
        users = np.concatenate([users, users])
        items = np.concatenate([items, rng.integers(0, _ITEMS, size=len(items))])
        order = rng.permutation(len(users))
        users, items = users[order], items[order]
        targets = taken[users, items].astype(np.float32)[:, None]
        for start in range(0, len(users), size):
            part = slice(start, start + size)
            yield users[part].astype(dtype), items[part].astype(dtype), targets[part]

    def test() -> tuple[Array, ...]:
        users, items, taken = feedback()[1].T
        return users.astype(dtype), items.astype(dtype), taken.astype(np.float32)[:, None]

    def pairs(start: int = 0, stop: int | None = None) -> Arrays:
        users, items, _ = test()
        return {"user": users[start:stop], "item": items[start:stop]}

    return Source(
        name="recommender",
        framework=framework,
        signature=Signature(
            inputs=(
                TensorSpec("user", dtype, ("batch",), low=0, high=_USERS - 1),
                TensorSpec("item", dtype, ("batch",), low=0, high=_ITEMS - 1),
            ),
            outputs=(TensorSpec("score", "float32", ("batch", 1)),),
        ),
        build=build,
        cases=lambda: [Case("real_64", pairs(0, 64)), Case("real_3", pairs(64, 67))],
        task=Task("roc_auc", pairs, lambda outputs: roc_auc(outputs["score"], test()[-1])),
        train=Training(
            "recommender",
            framework,
            build,
            _RECIPE,
            Lesson(
                "binary",
                2 * _USERS * (_TAKEN - _KEPT_BACK),
                batches,
                test,
                roc_auc,
                metric="roc_auc",
            ),
        ),
    )


MODEL = Model(
    "recommender",
    "two towers over embeddings of a user and an item: two integer inputs",
    {
        "pytorch": _source("pytorch", build_pytorch),
        "tensorflow": _source("tensorflow", build_keras),
    },
)

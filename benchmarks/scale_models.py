"""Multi-layer perceptrons of a size in the environment: ``SHIPWORTHY_SCALE_MB`` of weights."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

_SIDE = 2048  # a layer of 2048 x 2048 float32 is 16.8 MB
_LAYER_BYTES = 4 * _SIDE * (_SIDE + 1)


def _shape() -> tuple[int, int]:
    """Return the width and the number of hidden layers that give the size."""
    wanted = float(os.environ["SHIPWORTHY_SCALE_MB"]) * 1e6
    if wanted < 2 * _LAYER_BYTES:
        return round((wanted / 8) ** 0.5), 2
    return _SIDE, round(wanted / _LAYER_BYTES)


def _example() -> Any:
    return np.random.default_rng(0).standard_normal((2, _shape()[0]), dtype=np.float32)


def pytorch() -> Any:
    """Return a `torch.nn.Module` and an example."""
    import torch
    from torch import nn

    width, count = _shape()
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers), (torch.from_numpy(_example()),)


def tensorflow() -> Any:
    """Return a `keras.Model`."""
    import keras

    width, count = _shape()
    inputs = keras.Input((width,), name="x")
    x = inputs
    for _ in range(count):
        x = keras.layers.Dense(width, activation="relu")(x)
    return keras.Model(inputs, x)

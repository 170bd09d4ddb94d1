"""A multi-layer perceptron for the digits, written in PyTorch and in Keras.

    dense -> BatchNorm -> ReLU         256
    dense -> BatchNorm -> ReLU         128
    dense                              10

The pixels come flat, and the tensors have other names than the CNN's, so that nothing downstream
can be wired to either. Initial weights are Glorot uniform with zero biases in both frameworks.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from shipworthy.models.classifier import digits_classifier
from shipworthy.models.training import Recipe

_PIXELS = 64
_HIDDEN = (256, 128)
_CLASSES = 10
_BN_EPSILON = 1e-5
_BN_MOMENTUM = 0.1  # the share of the new batch, PyTorch's way; Keras states the share of the old


def build_pytorch() -> Any:
    """Return the untrained `torch.nn.Module`, in eval mode: (batch, 64) -> (batch, 10)."""
    from torch import nn

    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((_PIXELS, *_HIDDEN)):
        layers += [
            nn.Linear(inputs, outputs),
            nn.BatchNorm1d(outputs, eps=_BN_EPSILON, momentum=_BN_MOMENTUM),
            nn.ReLU(),
        ]
    model = nn.Sequential(*layers, nn.Linear(_HIDDEN[-1], _CLASSES))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model.eval()


def build_keras() -> Any:
    """Return the untrained `keras.Model`: (batch, 64) -> (batch, 10); follows the dtype policy."""
    from keras import Input, Model, layers

    pixels = Input((_PIXELS,), name="pixels")
    x = pixels
    for units in _HIDDEN:
        x = layers.Dense(units)(x)
        x = layers.BatchNormalization(epsilon=_BN_EPSILON, momentum=1 - _BN_MOMENTUM)(x)
        x = layers.ReLU()(x)
    return Model(pixels, layers.Dense(_CLASSES, name="scores")(x), name="mlp")


MODEL = digits_classifier(
    "mlp",
    "digits, 64 pixels: two dense layers with BatchNorm, and one without",
    image="pixels",
    logits="scores",
    layouts={"pytorch": "flat", "tensorflow": "flat"},
    builds={"pytorch": build_pytorch, "tensorflow": build_keras},
    recipe=Recipe(epochs=40),
)

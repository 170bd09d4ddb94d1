"""A small convolutional network for the digits, written in PyTorch and in Keras.

    conv 3x3 -> BatchNorm -> ReLU      16 channels, 8 x 8
    conv 3x3 -> BatchNorm -> ReLU      32 channels, 8 x 8
    max pool 2x2
    conv 3x3 -> BatchNorm -> ReLU      64 channels, 4 x 4
    max pool 2x2
    dense -> ReLU -> dense             64, 10

Initial weights are Glorot uniform with zero biases in both, and BatchNorm has the same epsilon and
momentum. The one difference left is upstream: PyTorch keeps the unbiased running variance, Keras
the biased one.
"""

from __future__ import annotations

from typing import Any

from shipworthy.models.classifier import digits_classifier
from shipworthy.models.training import Recipe

_CHANNELS = (16, 32, 64)
_HIDDEN = 64
_CLASSES = 10
_BN_EPSILON = 1e-5
_BN_MOMENTUM = 0.1  # the share of the new batch, PyTorch's way; Keras states the share of the old


def build_pytorch() -> Any:
    """Return the untrained `torch.nn.Module`, in eval mode: (batch, 1, 8, 8) -> (batch, 10)."""
    from torch import nn

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs, eps=_BN_EPSILON, momentum=_BN_MOMENTUM),
            nn.ReLU(),
        ]

    first, second, third = _CHANNELS
    model = nn.Sequential(
        *block(1, first),
        *block(first, second),
        nn.MaxPool2d(2),
        *block(second, third),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(third * 2 * 2, _HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, _CLASSES),
    )
    for layer in model:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model.eval()


def build_keras() -> Any:
    """Return the untrained `keras.Model`: (batch, 8, 8, 1) -> (batch, 10).

    Layers state their data format, because a user's ``keras.json`` may set another default; no
    layer states a dtype, so the model follows the dtype policy.
    """
    from keras import Input, Model, layers

    def block(x: Any, channels: int) -> Any:
        x = layers.Conv2D(channels, 3, padding="same", data_format="channels_last")(x)
        x = layers.BatchNormalization(epsilon=_BN_EPSILON, momentum=1 - _BN_MOMENTUM)(x)
        return layers.ReLU()(x)

    first, second, third = _CHANNELS
    image = Input((8, 8, 1), name="image")
    x = block(image, first)
    x = block(x, second)
    x = layers.MaxPooling2D(2, data_format="channels_last")(x)
    x = block(x, third)
    x = layers.MaxPooling2D(2, data_format="channels_last")(x)
    x = layers.Flatten(data_format="channels_last")(x)
    x = layers.Dense(_HIDDEN, activation="relu")(x)
    return Model(image, layers.Dense(_CLASSES, name="logits")(x), name="cnn")


MODEL = digits_classifier(
    "cnn",
    "digits, 8 x 8: three convolutions with BatchNorm, two poolings, two dense layers",
    image="image",
    logits="logits",
    layouts={"pytorch": "nchw", "tensorflow": "nhwc"},
    builds={"pytorch": build_pytorch, "tensorflow": build_keras},
    recipe=Recipe(epochs=15),
)

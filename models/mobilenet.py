"""A network of depthwise separable convolutions for the digits, in PyTorch and in Keras.

    conv 3x3 -> BatchNorm -> hard-swish         16 channels, 8 x 8
    inverted residual                           16 channels, 8 x 8
    inverted residual, stride 2                 24 channels, 4 x 4
    inverted residual                           24 channels, 4 x 4
    conv 1x1 -> BatchNorm -> hard-swish         96 channels, 4 x 4
    mean over the image -> dense                96, 10

An inverted residual widens its input by a 1x1 convolution, filters each channel by itself (3x3,
depthwise) and narrows it again by another 1x1, which nothing follows but BatchNorm; where it keeps
the shape, its input is added (Howard et al., "Searching for MobileNetV3", 2019).
"""

from __future__ import annotations

from typing import Any

from shipworthy.models.classifier import digits_classifier
from shipworthy.models.training import Recipe

_STEM = 16
_BLOCKS = ((16, 1), (24, 2), (24, 1))  # channels, stride
_WIDEN = 4
_HEAD = 96
_CLASSES = 10
_BN_EPSILON = 1e-3
_BN_MOMENTUM = 0.1  # the share of the new batch, PyTorch's way; Keras states the share of the old


def build_pytorch() -> Any:
    """Return the untrained `torch.nn.Module`, in eval mode: (batch, 1, 8, 8) -> (batch, 10)."""
    import torch
    from torch import nn

    def convolution(
        inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1
    ) -> list[nn.Module]:
        return [
            nn.Conv2d(
                inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False
            ),
            nn.BatchNorm2d(outputs, eps=_BN_EPSILON, momentum=_BN_MOMENTUM),
        ]  # fmt: skip

    class InvertedResidual(nn.Module):  # type: ignore[misc]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            wide = inputs * _WIDEN
            self.keeps_shape = stride == 1 and inputs == outputs
            self.layers = nn.Sequential(
                *convolution(inputs, wide, 1),
                nn.Hardswish(),
                *convolution(wide, wide, 3, stride, groups=wide),
                nn.Hardswish(),
                *convolution(wide, outputs, 1),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.layers(x)
            return x + y if self.keeps_shape else y

    blocks, inputs = [], _STEM
    for outputs, stride in _BLOCKS:
        blocks.append(InvertedResidual(inputs, outputs, stride))
        inputs = outputs
    return nn.Sequential(
        *convolution(1, _STEM, 3),
        nn.Hardswish(),
        *blocks,
        *convolution(inputs, _HEAD, 1),
        nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(_HEAD, _CLASSES),
    ).eval()


def build_keras() -> Any:
    """Return the untrained `keras.Model`: (batch, 8, 8, 1) -> (batch, 10)."""
    from keras import Input, Model, layers

    def normalised(x: Any) -> Any:
        return layers.BatchNormalization(epsilon=_BN_EPSILON, momentum=1 - _BN_MOMENTUM)(x)

    def convolution(x: Any, channels: int, size: int) -> Any:
        return normalised(
            layers.Conv2D(
                channels, size, padding="same", use_bias=False, data_format="channels_last"
            )(x)
        )

    def depthwise(x: Any, stride: int) -> Any:
        x = layers.ZeroPadding2D(1, data_format="channels_last")(x)
        return normalised(
            layers.DepthwiseConv2D(3, stride, use_bias=False, data_format="channels_last")(x)
        )

    def hard_swish(x: Any) -> Any:
        return layers.Activation("hard_swish")(x)

    def inverted_residual(x: Any, channels: int, stride: int) -> Any:
        y = hard_swish(convolution(x, x.shape[-1] * _WIDEN, 1))
        y = hard_swish(depthwise(y, stride))
        y = convolution(y, channels, 1)
        return layers.add([x, y]) if stride == 1 and x.shape[-1] == channels else y

    image = Input((8, 8, 1), name="image")
    x = hard_swish(convolution(image, _STEM, 3))
    for channels, stride in _BLOCKS:
        x = inverted_residual(x, channels, stride)
    x = hard_swish(convolution(x, _HEAD, 1))
    x = layers.GlobalAveragePooling2D(data_format="channels_last")(x)
    return Model(image, layers.Dense(_CLASSES, name="logits")(x), name="mobilenet")


MODEL = digits_classifier(
    "mobilenet",
    "digits, 8 x 8: three inverted residuals (depthwise convolutions) with hard-swish",
    image="image",
    logits="logits",
    layouts={"pytorch": "nchw", "tensorflow": "nhwc"},
    builds={"pytorch": build_pytorch, "tensorflow": build_keras},
    recipe=Recipe(epochs=15, required=0.97),
)

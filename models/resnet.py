"""A residual network for the digits, written in PyTorch and in Keras.

    conv 3x3 -> BatchNorm -> ReLU       16 channels, 8 x 8
    residual block                      16 channels, 8 x 8
    residual block, stride 2            32 channels, 4 x 4
    residual block, stride 2            64 channels, 2 x 2
    mean over the image -> dense        64, 10

A block is conv -> BatchNorm -> ReLU -> conv -> BatchNorm, added to its input and cut by a ReLU;
where it has a stride, the input goes through a 1x1 convolution of the same stride (He et al., "Deep
Residual Learning for Image Recognition", 2015). Keras pads before a strided convolution, because
its own "same" would pad on one side only.
"""

from __future__ import annotations

from typing import Any

from shipworthy.models.classifier import digits_classifier
from shipworthy.models.training import Recipe

_STEM = 16
_BLOCKS = ((16, 1), (32, 2), (64, 2))  # channels, stride
_CLASSES = 10
_BN_EPSILON = 1e-5
_BN_MOMENTUM = 0.1  # the share of the new batch, PyTorch's way; Keras states the share of the old


def build_pytorch() -> Any:
    """Return the untrained `torch.nn.Module`, in eval mode: (batch, 1, 8, 8) -> (batch, 10)."""
    import torch
    from torch import nn

    def convolution(inputs: int, outputs: int, size: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=_BN_EPSILON, momentum=_BN_MOMENTUM),
        )

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.first = convolution(inputs, outputs, 3, stride)
            self.second = convolution(outputs, outputs, 3, 1)
            self.shortcut = (
                convolution(inputs, outputs, 1, stride) if stride != 1 else nn.Identity()
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.second(torch.relu(self.first(x)))
            return torch.relu(y + self.shortcut(x))

    class ResNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(convolution(1, _STEM, 3, 1), nn.ReLU())
            blocks, inputs = [], _STEM
            for outputs, stride in _BLOCKS:
                blocks.append(Block(inputs, outputs, stride))
                inputs = outputs
            self.blocks = nn.Sequential(*blocks)
            self.head = nn.Linear(inputs, _CLASSES)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            x = self.blocks(self.stem(image))
            return self.head(x.mean(dim=(2, 3)))

    return ResNet().eval()


def build_keras() -> Any:
    """Return the untrained `keras.Model`: (batch, 8, 8, 1) -> (batch, 10)."""
    from keras import Input, Model, layers

    def convolution(x: Any, channels: int, size: int, stride: int) -> Any:
        if size > 1:
            x = layers.ZeroPadding2D(size // 2, data_format="channels_last")(x)
        x = layers.Conv2D(
            channels, size, stride, use_bias=False, data_format="channels_last"
        )(x)  # fmt: skip
        return layers.BatchNormalization(epsilon=_BN_EPSILON, momentum=1 - _BN_MOMENTUM)(x)

    def block(x: Any, channels: int, stride: int) -> Any:
        y = layers.ReLU()(convolution(x, channels, 3, stride))
        y = convolution(y, channels, 3, 1)
        shortcut = convolution(x, channels, 1, stride) if stride != 1 else x
        return layers.ReLU()(layers.add([y, shortcut]))

    image = Input((8, 8, 1), name="image")
    x = layers.ReLU()(convolution(image, _STEM, 3, 1))
    for channels, stride in _BLOCKS:
        x = block(x, channels, stride)
    x = layers.GlobalAveragePooling2D(data_format="channels_last")(x)
    return Model(image, layers.Dense(_CLASSES, name="logits")(x), name="resnet")


MODEL = digits_classifier(
    "resnet",
    "digits, 8 x 8: three residual blocks with BatchNorm, two of them strided",
    image="image",
    logits="logits",
    layouts={"pytorch": "nchw", "tensorflow": "nhwc"},
    builds={"pytorch": build_pytorch, "tensorflow": build_keras},
    recipe=Recipe(epochs=15),
)

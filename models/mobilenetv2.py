"""MobileNetV2 at its real size, untrained: Keras' application, and the same network in PyTorch.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, as Keras builds it:
what has a stride is padded below and on the right only, and BatchNorm's epsilon is 1e-3. 3,538,984
weights. Answers logits.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from shipworthy.models.untrained import CLASSES, IMAGE, fill_keras, fill_pytorch, image_classifier

# Widening, channels, blocks, stride of the first: table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
_STEM, _HEAD = 32, 1280
_EPSILON = 1e-3
_SCALES = (0.7, 1.1)


def build_pytorch() -> Any:
    """Return the `torch.nn.Module`, in eval mode: (batch, 3, 224, 224) -> (batch, 1000)."""
    import torch
    from torch import nn

    def convolution(
        inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1
    ) -> tuple[nn.Module, nn.Module]:
        padding = size // 2 if stride == 1 else 0
        layer = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False)
        return layer, nn.BatchNorm2d(outputs, eps=_EPSILON)

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, inputs: int, outputs: int, stride: int, widen: int) -> None:
            super().__init__()
            wide = inputs * widen
            self.widens = widen > 1
            if self.widens:
                self.expand, self.expand_BN = convolution(inputs, wide, 1)
            self.pad = nn.ZeroPad2d((0, 1, 0, 1)) if stride == 2 else nn.Identity()
            self.depthwise, self.depthwise_BN = convolution(wide, wide, 3, stride, groups=wide)
            self.project, self.project_BN = convolution(wide, outputs, 1)
            self.relu6 = nn.ReLU6()
            self.adds = stride == 1 and inputs == outputs

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.relu6(self.expand_BN(self.expand(x))) if self.widens else x
            y = self.relu6(self.depthwise_BN(self.depthwise(self.pad(y))))
            y = self.project_BN(self.project(y))
            return x + y if self.adds else y

    stem, norm = convolution(3, _STEM, 3, 2)
    layers = OrderedDict(
        pad=nn.ZeroPad2d((0, 1, 0, 1)), Conv1=stem, bn_Conv1=norm, relu1=nn.ReLU6()
    )
    inputs, number = _STEM, 0
    for widen, channels, blocks, first_stride in _STAGES:
        for block in range(blocks):
            name = f"block_{number}" if number else "expanded_conv"
            stride = first_stride if block == 0 else 1
            layers[name] = Block(inputs, channels, stride, widen)
            inputs, number = channels, number + 1
    layers["Conv_1"], layers["Conv_1_bn"] = convolution(inputs, _HEAD, 1)
    layers |= {
        "relu2": nn.ReLU6(), "mean": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(),
        "predictions": nn.Linear(_HEAD, CLASSES),
    }  # fmt: skip
    return fill_pytorch(nn.Sequential(layers), _SCALES)


def build_keras() -> Any:
    """Return the `keras.Model`: (batch, 224, 224, 3) -> (batch, 1000)."""
    from keras import applications, config

    config.set_image_data_format("channels_last")  # which applications take from keras.json
    shape = (IMAGE, IMAGE, 3)
    model = applications.MobileNetV2(weights=None, input_shape=shape, classifier_activation=None)
    return fill_keras(model, _SCALES)


MODEL = image_classifier(
    "mobilenetv2",
    "MobileNetV2 at its real size, 224 x 224: for speed",
    {"pytorch": build_pytorch, "tensorflow": build_keras},
)

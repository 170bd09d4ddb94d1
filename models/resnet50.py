"""ResNet-50 at its real size, untrained: Keras' application, and the same network in PyTorch.

He et al., "Deep Residual Learning for Image Recognition", 2015, as Keras builds it: the stride of a
stage is on the first 1x1 convolution of its first block, convolutions have biases, and BatchNorm's
epsilon is 1.001e-5. 25,636,712 weights. Answers logits.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from shipworthy.models.untrained import CLASSES, IMAGE, fill_keras, fill_pytorch, image_classifier

_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # channels, blocks
_WIDEN = 4
_EPSILON = 1.001e-5
# Each block adds to what goes by it; scales below 1 keep the sum of sixteen in bounds.
_SCALES = (0.6, 1.0)


def build_pytorch() -> Any:
    """Return the `torch.nn.Module`, in eval mode: (batch, 3, 224, 224) -> (batch, 1000)."""
    import torch
    from torch import nn

    def convolution(
        inputs: int, outputs: int, size: int, stride: int = 1
    ) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
        return (
            nn.Conv2d(inputs, outputs, size, stride, padding=size // 2),
            nn.BatchNorm2d(outputs, eps=_EPSILON),
        )

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, inputs: int, channels: int, stride: int, widens: bool) -> None:
            super().__init__()
            outputs = channels * _WIDEN
            plan = {
                "1": (inputs, channels, 1, stride),
                "2": (channels, channels, 3, 1),
                "3": (channels, outputs, 1, 1),
            }
            if widens:
                plan["0"] = (inputs, outputs, 1, stride)
            for name, sizes in plan.items():
                convolution_, norm = convolution(*sizes)
                self.add_module(f"{name}_conv", convolution_)
                self.add_module(f"{name}_bn", norm)
            self.widens = widens

        def apply_layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
            x = self.get_submodule(f"{name}_conv")(x)
            return self.get_submodule(f"{name}_bn")(x)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.apply_layer("1", x))
            y = torch.relu(self.apply_layer("2", y))
            y = self.apply_layer("3", y)
            return torch.relu(y + (self.apply_layer("0", x) if self.widens else x))

    stem, norm = convolution(3, 64, 7, 2)
    layers = OrderedDict(
        conv1_conv=stem, conv1_bn=norm, relu=nn.ReLU(), pool=nn.MaxPool2d(3, 2, padding=1)
    )
    inputs = 64
    for number, (channels, blocks) in enumerate(_STAGES, start=2):
        for block in range(1, blocks + 1):
            stride = 2 if block == 1 and number > 2 else 1
            layers[f"conv{number}_block{block}"] = Block(inputs, channels, stride, block == 1)
            inputs = channels * _WIDEN
    layers |= {
        "mean": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(),
        "predictions": nn.Linear(inputs, CLASSES),
    }  # fmt: skip
    return fill_pytorch(nn.Sequential(layers), _SCALES)


def build_keras() -> Any:
    """Return the `keras.Model`: (batch, 224, 224, 3) -> (batch, 1000)."""
    from keras import applications, config

    config.set_image_data_format("channels_last")  # which applications take from keras.json
    shape = (IMAGE, IMAGE, 3)
    model = applications.ResNet50(weights=None, input_shape=shape, classifier_activation=None)
    return fill_keras(model, _SCALES)


MODEL = image_classifier(
    "resnet50",
    "ResNet-50 at its real size, 224 x 224: for speed",
    {"pytorch": build_pytorch, "tensorflow": build_keras},
)

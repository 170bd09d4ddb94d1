"""A U-Net that takes the noise off digits, written in PyTorch and in Keras.

    2 x conv 3x3 -> ReLU                    16 channels, 8 x 8  ──────────┐
    max pool, 2 x conv 3x3 -> ReLU          32 channels, 4 x 4  ───────┐  │
    max pool, 2 x conv 3x3 -> ReLU          64 channels, 2 x 2         │  │
    transposed conv 2x2, stride 2           32 channels, 4 x 4, joined ┘  │
    2 x conv 3x3 -> ReLU                    32 channels                   │
    transposed conv 2x2, stride 2           16 channels, 8 x 8, joined ───┘
    2 x conv 3x3 -> ReLU                    16 channels
    conv 1x1 -> sigmoid                      1 channel

After Ronneberger et al., "U-Net", 2015. The score is the peak signal-to-noise ratio of the test
images, in decibels; the noise is seeded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from shipworthy.models import digits
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

_CHANNELS = (16, 32, 64)
_NOISE = 0.25  # standard deviation, of pixels in [0, 1]
_TEST_SEED = 1_000_000  # of the test's noise, far from the seeds of any training
# The noisy images have 14.4 dB.
_RECIPE = Recipe(epochs=12, required=16.5, metric="psnr")
_LAYOUTS = {"pytorch": "nchw", "tensorflow": "nhwc"}


def build_pytorch() -> Any:
    """Return the untrained `torch.nn.Module`, in eval mode: (batch, 1, 8, 8) to the same."""
    import torch
    from torch import nn

    def double(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.ReLU(),
        )

    class UNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            first, second, third = _CHANNELS
            self.down1 = double(1, first)
            self.down2 = double(first, second)
            self.bottom = double(second, third)
            self.pool = nn.MaxPool2d(2)
            self.rise2 = nn.ConvTranspose2d(third, second, 2, stride=2)
            self.up2 = double(2 * second, second)
            self.rise1 = nn.ConvTranspose2d(second, first, 2, stride=2)
            self.up1 = double(2 * first, first)
            self.head = nn.Conv2d(first, 1, 1)

        def forward(self, noisy: torch.Tensor) -> torch.Tensor:
            x1 = self.down1(noisy)
            x2 = self.down2(self.pool(x1))
            x = self.bottom(self.pool(x2))
            x = self.up2(torch.cat([x2, self.rise2(x)], dim=1))
            x = self.up1(torch.cat([x1, self.rise1(x)], dim=1))
            return torch.sigmoid(self.head(x))

    return UNet().eval()


def build_keras() -> Any:
    """Return the untrained `keras.Model`: (batch, 8, 8, 1) to the same."""
    from keras import Input, Model, layers

    last = {"data_format": "channels_last"}

    def double(x: Any, channels: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(channels, 3, padding="same", activation="relu", **last)(x)
        return x

    def joined(x: Any, skip: Any, channels: int) -> Any:
        x = layers.Conv2DTranspose(channels, 2, strides=2, **last)(x)
        return double(layers.concatenate([skip, x], axis=-1), channels)

    first, second, third = _CHANNELS
    noisy = Input((8, 8, 1), name="noisy")
    x1 = double(noisy, first)
    x2 = double(layers.MaxPooling2D(2, **last)(x1), second)
    x = double(layers.MaxPooling2D(2, **last)(x2), third)
    x = joined(x, x2, second)
    x = joined(x, x1, first)
    clean = layers.Conv2D(1, 1, activation="sigmoid", name="clean", **last)(x)
    return Model(noisy, clean, name="unet")


def psnr(clean: Array, wanted: Array) -> float:
    """Return the peak signal-to-noise ratio in dB, for pixels in [0, 1] of the same shape."""
    error = np.mean(np.square(clean.astype(np.float64) - wanted))
    return float(-10 * np.log10(error))


def _noisy(images: Array, rng: np.random.Generator) -> Array:
    noise = _NOISE * rng.standard_normal(images.shape)
    return np.clip(images + noise, 0, 1).astype(np.float32)


def _source(framework: str, build: Any) -> Source:
    layout = _LAYOUTS[framework]

    def batches(rng: np.random.Generator, size: int) -> Iterator[tuple[Array, ...]]:
        images = digits.shift(rng.permutation(digits.load().train_images), 1, rng)
        images = digits.arrange(images, layout)
        for start in range(0, len(images), size):
            wanted = images[start : start + size]
            yield _noisy(wanted, rng), wanted

    def test() -> tuple[Array, ...]:
        wanted = digits.load().test_images
        noisy = _noisy(wanted, np.random.default_rng(_TEST_SEED))
        return digits.arrange(noisy, layout), digits.arrange(wanted, layout)

    def images(start: int = 0, stop: int | None = None) -> Arrays:
        return {"noisy": test()[0][start:stop]}

    shape: tuple[int | str, ...] = ("batch", *digits.LAYOUTS[layout])
    return Source(
        name="unet",
        framework=framework,
        signature=Signature(
            inputs=(TensorSpec("noisy", "float32", shape, low=0.0, high=1.0),),
            outputs=(TensorSpec("clean", "float32", shape),),
        ),
        build=build,
        cases=lambda: [Case("real_64", images(0, 64)), Case("real_3", images(64, 67))],
        task=Task("psnr", images, lambda outputs: psnr(outputs["clean"], test()[1])),
        train=Training(
            "unet",
            framework,
            build,
            _RECIPE,
            Lesson("squares", digits.TRAIN_IMAGES, batches, test, psnr, metric="psnr"),
            tools=("scikit-learn",),
        ),
    )


MODEL = Model(
    "unet",
    "digits, 8 x 8: takes noise off by a U-Net (transposed convolutions, skip connections)",
    {
        "pytorch": _source("pytorch", build_pytorch),
        "tensorflow": _source("tensorflow", build_keras),
    },
)

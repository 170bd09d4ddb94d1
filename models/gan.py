"""A generator of digits, trained against a critic; written in PyTorch and in Keras.

    generator: latent -> dense -> BatchNorm -> ReLU        16 -> 64 channels, 2 x 2
               transposed conv 4x4, stride 2               32 channels, 4 x 4
               BatchNorm -> ReLU
               transposed conv 4x4, stride 2 -> sigmoid     1 channel, 8 x 8
    critic:    2 x (dense -> leaky ReLU) -> dense           256, 128, 1

The generator is what ships; the critic is forgotten (Goodfellow et al., "Generative Adversarial
Nets", 2014, with the non-saturating loss).

The score is the Inception Score (Salimans et al., "Improved Techniques for Training GANs", 2016)
with a logistic regression on the real digits in the place of the Inception network: the exponential
of the mean divergence of an image's predicted classes from those of all images. It is 1 for images
that are all alike or that nobody could name, and 10 for ten kinds of digits, each beyond doubt. The
real test images have 7.0.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from shipworthy.models import digits
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

_LATENT = 16
_CHANNELS = (64, 32)
_CRITIC = (256, 128)
_SLOPE = 0.2
_BN_EPSILON = 1e-5
_BN_MOMENTUM = 0.1  # the share of the new batch, PyTorch's way; Keras states the share of the old

_DECAY = (0.0, 0.9)  # of Adam: with the usual momentum the two players swing
_TEST_SEED = 1_000_000  # of the test's latents, far from the seeds of any training
_TEST_IMAGES = 512
_RECIPE = Recipe(epochs=40, learning_rate=2e-3, required=5.0, metric="classifier_score")
_LAYOUTS = {"pytorch": "nchw", "tensorflow": "nhwc"}


def build_pytorch() -> Any:
    """Return the untrained generator in PyTorch, in eval mode: (batch, 16) -> (batch, 1, 8, 8)."""
    from torch import nn

    def normalised(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels, eps=_BN_EPSILON, momentum=_BN_MOMENTUM)

    first, second = _CHANNELS
    return nn.Sequential(
        nn.Linear(_LATENT, first * 2 * 2, bias=False),
        nn.Unflatten(1, (first, 2, 2)),
        normalised(first),
        nn.ReLU(),
        nn.ConvTranspose2d(first, second, 4, stride=2, padding=1, bias=False),
        normalised(second),
        nn.ReLU(),
        nn.ConvTranspose2d(second, 1, 4, stride=2, padding=1),
        nn.Sigmoid(),
    ).eval()


def build_keras() -> Any:
    """Return the untrained generator in Keras: (batch, 16) -> (batch, 8, 8, 1)."""
    from keras import Input, Model, layers

    last = {"padding": "same", "data_format": "channels_last"}

    def normalised(x: Any) -> Any:
        x = layers.BatchNormalization(epsilon=_BN_EPSILON, momentum=1 - _BN_MOMENTUM)(x)
        return layers.ReLU()(x)

    first, second = _CHANNELS
    latent = Input((_LATENT,), name="latent")
    x = layers.Dense(2 * 2 * first, use_bias=False)(latent)
    x = normalised(layers.Reshape((2, 2, first))(x))
    x = normalised(layers.Conv2DTranspose(second, 4, strides=2, use_bias=False, **last)(x))
    image = layers.Conv2DTranspose(1, 4, strides=2, activation="sigmoid", name="image", **last)(x)
    return Model(latent, image, name="gan")


def _rivals_pytorch(generator: Any) -> tuple[Any, Loss, Loss]:
    """Return the critic, its loss (real images, latents) and the generator's (latents)."""
    from torch import nn
    from torch.nn.functional import softplus

    first, second = _CRITIC
    critic = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, first),
        nn.LeakyReLU(_SLOPE),
        nn.Linear(first, second),
        nn.LeakyReLU(_SLOPE),
        nn.Linear(second, 1),
    )

    def judge(real: Any, latent: Any) -> tuple[Any, ...]:
        fake = generator(latent).detach()
        return (softplus(-critic(real)).mean() + softplus(critic(fake)).mean(),)

    def fool(latent: Any) -> tuple[Any, ...]:
        return (softplus(-critic(generator(latent))).mean(),)

    return critic, judge, fool


def _rivals_keras(generator: Any) -> tuple[Any, Loss, Loss]:
    """Return the critic, its loss (real images, latents) and the generator's (latents)."""
    from keras import Input, Sequential, layers, ops

    first, second = _CRITIC
    critic = Sequential(
        [
            Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(first),
            layers.LeakyReLU(negative_slope=_SLOPE),
            layers.Dense(second),
            layers.LeakyReLU(negative_slope=_SLOPE),
            layers.Dense(1),
        ]
    )

    def judge(real: Any, latent: Any) -> tuple[Any, ...]:
        fake = generator(latent, training=True)
        wrong = ops.softplus(-critic(real)), ops.softplus(critic(fake))
        return (ops.mean(wrong[0]) + ops.mean(wrong[1]),)

    def fool(latent: Any) -> tuple[Any, ...]:
        return (ops.mean(ops.softplus(-critic(generator(latent, training=True)))),)

    return critic, judge, fool


class _Contest:
    """Generator against critic, turn by turn."""

    tags = ("loss/critic", "loss/generator", "classifier_score/test")

    def __call__(
        self, training: Training, learner: Learner, journal: Journal
    ) -> tuple[Any, dict[str, float]]:
        recipe = training.recipe
        layout = _LAYOUTS[learner.framework]
        generator = training.build()
        rivals = {"pytorch": _rivals_pytorch, "tensorflow": _rivals_keras}[learner.framework]
        critic, judge, fool = rivals(generator)
        batches = digits.TRAIN_IMAGES // recipe.batch_size
        steps, rate = recipe.epochs * batches, recipe.learning_rate
        criticise = learner.optimise([critic, generator], judge, steps, rate, decay=_DECAY)
        generate = learner.optimise([generator, critic], fool, steps, rate, decay=_DECAY)
        run = learner.run(generator)
        for number in range(recipe.epochs):
            rng = np.random.default_rng([recipe.seed, number])
            real = digits.arrange(rng.permutation(digits.load().train_images), layout)
            losses = np.zeros(2)
            for part in np.split(real[: batches * recipe.batch_size], batches):
                drawn = latents(rng, 2 * len(part))
                losses += (
                    criticise(part, drawn[: len(part)])[0],
                    generate(drawn[len(part) :])[0],
                )
            score = classifier_score(run(_test_latents())[0])
            values = (*(losses / batches), score)
            journal.epoch(number + 1, dict(zip(self.tags, values, strict=True)))
        return generator, {"classifier_score": score}


def latents(rng: np.random.Generator, count: int) -> Array:
    """Draw latents, standard normal float32 of shape (count, 16)."""
    return rng.standard_normal((count, _LATENT), dtype=np.float32)


def _test_latents() -> Array:
    return latents(np.random.default_rng(_TEST_SEED), _TEST_IMAGES)


@cache
def _classifier() -> Any:
    from sklearn.linear_model import LogisticRegression

    data = digits.load()
    images = data.train_images.reshape(-1, 64)
    return LogisticRegression(max_iter=1000).fit(images, data.train_labels)


def classifier_score(images: Array) -> float:
    """Return the Inception Score by a classifier of digits, 1..10.

    Parameters
    ----------
    images : one channel in any layout, shape (n, ...) with 64 pixels each; NaN gives NaN.
    """
    flat = images.reshape(len(images), 64).astype(np.float64)
    if not np.isfinite(flat).all():
        return float("nan")
    classes = np.clip(_classifier().predict_proba(flat), 1e-12, 1)
    divergence = (classes * (np.log(classes) - np.log(classes.mean(axis=0)))).sum(axis=1)
    return float(np.exp(divergence.mean()))


def _source(framework: str, build: Any) -> Source:
    def test(start: int = 0, stop: int | None = None) -> Arrays:
        return {"latent": _test_latents()[start:stop]}

    shape: tuple[int | str, ...] = ("batch", *digits.LAYOUTS[_LAYOUTS[framework]])
    return Source(
        name="gan",
        framework=framework,
        signature=Signature(
            inputs=(TensorSpec("latent", "float32", ("batch", _LATENT)),),
            outputs=(TensorSpec("image", "float32", shape),),
        ),
        build=build,
        cases=lambda: [Case("drawn_64", test(0, 64)), Case("drawn_3", test(64, 67))],
        task=Task("classifier_score", test, lambda outputs: classifier_score(outputs["image"])),
        train=Training("gan", framework, build, _RECIPE, _Contest(), tools=("scikit-learn",)),
    )


MODEL = Model(
    "gan",
    "generates digits, 8 x 8, from latents: transposed convolutions with BatchNorm",
    {
        "pytorch": _source("pytorch", build_pytorch),
        "tensorflow": _source("tensorflow", build_keras),
    },
)

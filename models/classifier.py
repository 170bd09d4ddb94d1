"""Puts a classifier's parts together, so that its own file holds the architecture alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from shipworthy.models import digits
from shipworthy.models.spec import (
    Array,
    Arrays,
    Case,
    Model,
    Signature,
    Source,
    Task,
    TensorSpec,
)
from shipworthy.models.training import Lesson, Recipe, Training, accuracy

_SHIFT = 1  # every training image is moved by up to that many pixels, anew in each epoch


def digits_classifier(
    name: str,
    about: str,
    *,
    image: str,
    logits: str,
    layouts: Mapping[str, str],
    builds: Mapping[str, Callable[[], Any]],
    recipe: Recipe,
) -> Model:
    """Return a model that maps images of digits to ten logits.

    Parameters
    ----------
    name, about : the model's name and one line about it.
    image, logits : canonical names of the input, float32 in [0, 1], and of the output, float32.
    layouts : framework -> one of `shipworthy.models.digits.LAYOUTS`.
    builds : framework -> returns the untrained model.
    recipe : how it is trained, in every framework.
    """
    return Model(
        name,
        about,
        {
            framework: _source(name, framework, build, layouts[framework], recipe, image, logits)
            for framework, build in builds.items()
        },
    )


def _source(
    name: str,
    framework: str,
    build: Callable[[], Any],
    layout: str,
    recipe: Recipe,
    image: str,
    logits: str,
) -> Source:
    def test_images(start: int = 0, stop: int | None = None) -> Arrays:
        images = digits.load().test_images[start:stop].copy()  # PyTorch warns of read-only memory
        return {image: digits.arrange(images, layout)}

    def cases() -> list[Case]:
        # The second one has an odd size of its own, and images that the first has not.
        return [Case("real_64", test_images(0, 64)), Case("real_3", test_images(64, 67))]

    def score(outputs: Arrays) -> float:
        return accuracy(outputs[logits], digits.load().test_labels)

    return Source(
        name=name,
        framework=framework,
        signature=Signature(
            inputs=(
                TensorSpec(image, "float32", ("batch", *digits.LAYOUTS[layout]), low=0.0, high=1.0),
            ),
            outputs=(TensorSpec(logits, "float32", ("batch", digits.CLASSES)),),
        ),
        build=build,
        cases=cases,
        task=Task("accuracy", test_images, score),
        train=Training(
            name, framework, build, recipe, digits_lesson(layout), tools=("scikit-learn",)
        ),
    )


def digits_lesson(layout: str) -> Lesson:
    """Return the lesson of naming digits.

    Parameters
    ----------
    layout : one of `shipworthy.models.digits.LAYOUTS`.
    """

    def batches(rng: np.random.Generator, size: int) -> Iterator[tuple[Array, ...]]:
        data = digits.load()
        order = rng.permutation(len(data.train_labels))
        images = digits.shift(data.train_images[order], _SHIFT, rng)
        images, labels = digits.arrange(images, layout), data.train_labels[order]
        for start in range(0, len(order), size):
            yield images[start : start + size], labels[start : start + size]

    def test() -> tuple[Array, ...]:
        data = digits.load()
        return digits.arrange(data.test_images, layout), data.test_labels

    return Lesson("classes", digits.TRAIN_IMAGES, batches, test, accuracy)

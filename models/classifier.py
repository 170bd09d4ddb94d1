"""Puts a digits classifier's parts together, so that its own file holds the architecture alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shipworthy.models import digits
from shipworthy.models.spec import Arrays, Case, Model, Signature, Source, Task, TensorSpec
from shipworthy.models.training import Recipe, Training, score


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
            framework: _source(
                Training(name, framework, layouts[framework], build, recipe), image, logits
            )
            for framework, build in builds.items()
        },
    )


def _source(training: Training, image: str, logits: str) -> Source:
    def test_images(start: int = 0, stop: int | None = None) -> Arrays:
        images = digits.load().test_images[start:stop].copy()  # PyTorch warns of read-only memory
        return {image: digits.arrange(images, training.layout)}

    def cases() -> list[Case]:
        # The second one has an odd size of its own, and images that the first has not.
        return [Case("real_64", test_images(0, 64)), Case("real_3", test_images(64, 67))]

    def accuracy(outputs: Arrays) -> float:
        return score(outputs[logits], digits.load().test_labels)

    shape = digits.LAYOUTS[training.layout]
    return Source(
        name=training.name,
        framework=training.framework,
        signature=Signature(
            inputs=(TensorSpec(image, "float32", ("batch", *shape), low=0.0, high=1.0),),
            outputs=(TensorSpec(logits, "float32", ("batch", digits.CLASSES)),),
        ),
        build=training.build,
        cases=cases,
        task=Task("accuracy", test_images, accuracy),
        train=training,
    )

"""Trains a model of the zoo by its own recipe until it is as good as it must be."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Source
from shipworthy.models.training import Lesson, Training
from shipworthy.serve.experiments.learners import FreeLearner


class QualityError(ShipworthyError):
    """A model that cannot be trained here, or did not become good enough."""


def lesson_of(source: Source) -> Lesson | None:
    """Return what a model of the zoo learns, if that is inputs and targets."""
    teach = source.train.teach if isinstance(source.train, Training) else None
    return teach if isinstance(teach, Lesson) else None


def train_to_quality(source: Source, learner: FreeLearner, seed: int) -> dict[str, Any]:
    """Train until the first epoch after which the test set's metric is what the recipe requires.

    The learning rate falls as if all epochs of the recipe were trained.

    Returns
    -------
    ``seconds_to_quality`` : of the training steps, the first (traced or compiled) among them;
        making the batches and evaluating are left out, as they are the same in both frameworks.
    ``rows_per_s`` : of the steps after the first epoch, or after the first step where there was one
        epoch only.
    ``quality``, ``metric``, ``required``, ``epochs``, ``first_step_seconds``, ``batch``,
    ``history`` (the metric after each epoch).

    Raises
    ------
    QualityError : a model without a lesson, or the recipe's epochs did not suffice.
    """
    lesson = lesson_of(source)
    if lesson is None or not isinstance(source.train, Training):
        raise QualityError(
            f"{source.name} learns in a way of its own; only models with inputs and targets are "
            "trained here, such as cnn, resnet, mobilenet, transformer, lstm, unet, recommender"
        )
    recipe = replace(source.train.recipe, seed=seed)
    model = source.train.build()
    steps = -(-lesson.rows // recipe.batch_size) * recipe.epochs
    loss = learner.supervised(model, lesson.kind)
    step = learner.optimise([model], loss, steps, recipe.learning_rate)
    run = learner.run(model)
    *inputs, targets = lesson.test()
    durations: list[float] = []
    rows: list[int] = []
    history: list[float] = []
    settled = 1  # the first step traces or compiles
    for number in range(recipe.epochs):
        for batch in lesson.epoch(recipe, number):
            start = time.perf_counter()
            step(*batch)
            durations.append(time.perf_counter() - start)
            rows.append(len(batch[0]))
        (answer,) = run(*inputs)
        history.append(float(lesson.score(answer, targets)))
        if history[-1] >= recipe.required:
            return {
                "seconds_to_quality": sum(durations),
                "rows_per_s": sum(rows[settled:]) / sum(durations[settled:]),
                "quality": history[-1],
                "metric": recipe.metric,
                "required": recipe.required,
                "epochs": number + 1,
                "first_step_seconds": durations[0],
                "batch": recipe.batch_size,
                "history": history,
            }
        if number == 0:
            settled = len(durations)  # as does the epoch's last batch, which is smaller
    best = float(np.max(history))
    raise QualityError(
        f"{source.name} ({source.framework}) reached {recipe.metric} {best:.4g} in "
        f"{recipe.epochs} epochs with seed {seed}; it needs {recipe.required:.4g}"
    )

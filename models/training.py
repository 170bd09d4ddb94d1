"""Trains a model by a recipe, checks what it reached, and keeps its weights.

What is learnt is a `Teacher`: a `Lesson` (inputs, targets, a loss) for most models, a function of
the model's own file for those that learn in another way. Both frameworks get the same batches in
the same order; see `shipworthy.models.learner` for what is each one's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shipworthy.models.journal import Journal, open_journal
from shipworthy.models.learner import Learner, TrainingError, open_learner
from shipworthy.models.weights import FILENAMES, save_weights

if TYPE_CHECKING:
    from shipworthy.models.spec import Array

__all__ = ["Lesson", "Recipe", "Teacher", "Training", "TrainingError", "accuracy"]

EVENTS = "events"


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Parameters
    ----------
    epochs : the last one's weights are kept, unconditionally.
    batch_size : examples a step.
    learning_rate : Adam's, at the start; it falls to zero along half a cosine.
    required : what the metric must reach on data that was not trained on, or the training is an
        error; more is better.
    metric : one of the scores that the teacher returns.
    seed : of the initial weights and of everything drawn.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 3e-3
    required: float = 0.98
    metric: str = "accuracy"
    seed: int = 0


class Teacher(Protocol):
    """Makes a trained model; its `tags` are the scalars that it reports every epoch."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the scalars."""

    def __call__(
        self, training: Training, learner: Learner, journal: Journal
    ) -> tuple[Any, dict[str, float]]:
        """Return the trained model and its scores on data that it was not trained on."""


@dataclass(frozen=True)
class Training:
    """One training: what, in which framework, by which recipe.

    Parameters
    ----------
    name : the model's, for messages.
    framework : ``"pytorch"`` or ``"tensorflow"``.
    build : returns the untrained model.
    teach : makes it a trained one.
    tools : distributions, beside the framework's own, whose versions shape the weights.
    """

    name: str
    framework: str
    build: Callable[[], Any]
    recipe: Recipe
    teach: Teacher
    tools: tuple[str, ...] = ()

    def __call__(self, folder: Path) -> dict[str, Any]:
        """Train, and write the weights and event files into a folder.

        Returns
        -------
        The scores, such as ``accuracy`` on the test set (0..1), and ``epochs``, ``seed``,
        ``weights`` and ``events`` (names inside the folder), ``seconds`` and ``cpu_seconds``.

        Raises
        ------
        TrainingError : the last epoch's weights miss what is required; nothing is written but the
            event files.
        """
        start, cpu_start = time.monotonic(), time.process_time()
        recipe = self.recipe
        learner = open_learner(self.framework, recipe.seed, f"{self.name} {self.framework}")
        title = f"training {self.name} ({self.framework})"
        with open_journal(title, recipe.epochs, folder / EVENTS, self.teach.tags) as journal:
            model, scores = self.teach(self, learner, journal)
        if not scores[recipe.metric] >= recipe.required:
            raise TrainingError(
                f"{self.name} ({self.framework}) reached {recipe.metric} "
                f"{scores[recipe.metric]:.4g} after {recipe.epochs} epochs with seed "
                f"{recipe.seed}; it needs {recipe.required:.4g}. Change its recipe in "
                f"models/{self.name}.py: more epochs, or another learning rate (now "
                f"{recipe.learning_rate:g})"
            )
        weights = FILENAMES[self.framework]
        save_weights(model, self.framework, folder / weights)
        return scores | {
            "epochs": recipe.epochs, "seed": recipe.seed, "weights": weights, "events": EVENTS,
            "seconds": round(time.monotonic() - start, 3),
            "cpu_seconds": round(time.process_time() - cpu_start, 3),
        }  # fmt: skip


@dataclass(frozen=True)
class Lesson:
    """Inputs and the targets to give for them; the same in any framework, but for the layout.

    Parameters
    ----------
    kind : the loss, see `shipworthy.models.learner.Learner.supervised`.
    rows : examples an epoch.
    batches : yields an epoch's batches, each the inputs followed by the targets; it is given what
        to draw with and the batch size.
    test : returns the test set, the inputs followed by the targets.
    score : maps the model's output and the targets to the metric.
    metric : its name.
    """

    kind: str
    rows: int
    batches: Callable[[np.random.Generator, int], Iterator[tuple[Array, ...]]]
    test: Callable[[], tuple[Array, ...]]
    score: Callable[[Array, Array], float]
    metric: str = "accuracy"

    @property
    def tags(self) -> tuple[str, ...]:
        """Loss and metric, of training and of test."""
        return ("loss/train", "loss/test", f"{self.metric}/train", f"{self.metric}/test")

    def epoch(self, recipe: Recipe, number: int) -> Iterator[tuple[Array, ...]]:
        """Yield the batches of an epoch; `number` counts from 0."""
        return self.batches(np.random.default_rng([recipe.seed, number]), recipe.batch_size)

    def __call__(
        self, training: Training, learner: Learner, journal: Journal
    ) -> tuple[Any, dict[str, float]]:
        """See `Teacher`."""
        recipe = training.recipe
        model = training.build()
        steps = -(-self.rows // recipe.batch_size) * recipe.epochs
        loss = learner.supervised(model, self.kind)
        step = learner.optimise([model], loss, steps, recipe.learning_rate)
        run = learner.run(model)
        *test_inputs, test_targets = self.test()
        for number in range(recipe.epochs):
            losses, outputs, targets = [], [], []
            for batch in self.epoch(recipe, number):
                loss_value, (output,) = step(*batch)
                losses.append(loss_value * len(output))
                outputs.append(output)
                targets.append(batch[-1])
            (test_output,) = run(*test_inputs)
            values = (
                sum(losses) / sum(map(len, outputs)),
                LOSSES[self.kind](test_output, test_targets),
                self.score(np.concatenate(outputs), np.concatenate(targets)),
                self.score(test_output, test_targets),
            )
            journal.epoch(number + 1, dict(zip(self.tags, values, strict=True)))
        return model, {self.metric: values[-1]}


def accuracy(logits: Array, labels: Array) -> float:
    """Return the share of right answers, 0..1.

    Parameters
    ----------
    logits : shape (n, classes); a row with a NaN is wrong.
    labels : shape (n,).

    Raises
    ------
    ValueError : shapes that do not fit.
    """
    if logits.ndim != 2 or logits.shape[:1] != labels.shape:
        raise ValueError(
            f"logits of shape {logits.shape} do not score labels of shape {labels.shape}; "
            f"allowed: ({len(labels)}, classes)"
        )
    right = (np.argmax(logits, axis=1) == labels) & ~np.isnan(logits).any(axis=1)
    return float(np.mean(right))


def _cross_entropy(logits: Array, labels: Array) -> float:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    right = shifted[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - right))


def _binary_cross_entropy(logits: Array, targets: Array) -> float:
    return float(np.mean(np.logaddexp(0.0, logits.astype(np.float64)) - logits * targets))


def _mean_square(output: Array, targets: Array) -> float:
    return float(np.mean(np.square(output.astype(np.float64) - targets)))


# The losses of `Learner.supervised` once more, for a test set: no framework, no gradient.
LOSSES: dict[str, Callable[[Array, Array], float]] = {
    "classes": _cross_entropy,
    "binary": _binary_cross_entropy,
    "squares": _mean_square,
}

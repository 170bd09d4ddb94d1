"""Trains classifiers of the digits: a written loop for PyTorch, `fit` for Keras.

Both see the same batches in the same order, the same optimiser and the same schedule, so that the
two frameworks' models differ by their initial weights only. Each training is meant to have a
process of its own: it seeds the framework and sets its threads.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shipworthy.models import digits
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.journal import TAGS, Journal, open_journal
from shipworthy.models.weights import FILENAMES, save_weights

if TYPE_CHECKING:
    from shipworthy.models.spec import Array

EVENTS = "events"

# These models are too small to gain from a second thread, and with one the order of every sum is
# fixed: the same seed gives the same weights, however many cores there are.
_THREADS = 1
_ADAM_EPSILON = 1e-7  # PyTorch's default is 1e-8, Keras' 1e-7


class TrainingError(ShipworthyError):
    """A training that did not give a model worth shipping."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Parameters
    ----------
    epochs : passes over the training set; the last one's weights are kept, unconditionally.
    batch_size : images a step.
    learning_rate : Adam's, at the start; it falls to zero along half a cosine.
    shift : every training image is moved by up to that many pixels, anew in each epoch.
    seed : of the initial weights, the order of the images and the shifts.
    required_accuracy : on the test set, 0..1; below it the training is an error.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 3e-3
    shift: int = 1
    seed: int = 0
    required_accuracy: float = 0.98


@dataclass(frozen=True)
class Training:
    """One training: what, by which recipe.

    Parameters
    ----------
    name : the model's, for messages.
    framework : ``"pytorch"`` or ``"tensorflow"``.
    layout : one of `shipworthy.models.digits.LAYOUTS`.
    build : returns the untrained model; its only input is the images, its only output the logits.
    """

    name: str
    framework: str
    layout: str
    build: Callable[[], Any]
    recipe: Recipe

    def __call__(self, folder: Path) -> dict[str, Any]:
        """Train, and write the weights and event files into a folder.

        Returns
        -------
        ``accuracy`` on the test set (0..1), ``epochs``, ``seconds``, ``seed``, ``weights`` and
        ``events`` (names inside the folder).

        Raises
        ------
        TrainingError : the last epoch's weights miss the required accuracy; nothing is written
            but the event files.
        """
        start = time.monotonic()
        recipe = self.recipe
        train = _train_pytorch if self.framework == "pytorch" else _train_keras
        title = f"training {self.name} ({self.framework})"
        with open_journal(title, recipe.epochs, folder / EVENTS) as journal:
            model, logits = train(self, journal)
        accuracy = score(logits, digits.load().test_labels)
        if not accuracy >= recipe.required_accuracy:
            raise TrainingError(
                f"{self.name} ({self.framework}) reached {accuracy:.2%} test accuracy after "
                f"{recipe.epochs} epochs with seed {recipe.seed}; it needs "
                f"{recipe.required_accuracy:.2%}. Change its recipe in models/{self.name}.py: "
                f"more epochs, or another learning rate (now {recipe.learning_rate:g})"
            )
        weights = FILENAMES[self.framework]
        save_weights(model, self.framework, folder / weights)
        return {
            "accuracy": accuracy, "epochs": recipe.epochs,
            "seconds": round(time.monotonic() - start, 3), "seed": recipe.seed,
            "weights": weights, "events": EVENTS,
        }  # fmt: skip

    def batches(self, epoch: int) -> Iterator[tuple[Array, Array]]:
        """Yield an epoch's images, in the model's layout, and labels; the same in any framework.

        Parameters
        ----------
        epoch : counts from 0.
        """
        data = digits.load()
        rng = np.random.default_rng([self.recipe.seed, epoch])
        order = rng.permutation(len(data.train_labels))
        images = digits.shift(data.train_images[order], self.recipe.shift, rng)
        images, labels = digits.arrange(images, self.layout), data.train_labels[order]
        for start in range(0, len(order), self.recipe.batch_size):
            stop = start + self.recipe.batch_size
            yield images[start:stop], labels[start:stop]

    @property
    def steps(self) -> int:
        """Batches an epoch; the last one may be smaller."""
        return -(-len(digits.load().train_labels) // self.recipe.batch_size)


def score(logits: Array, labels: Array) -> float:
    """Return the accuracy, 0..1.

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


def _train_pytorch(training: Training, journal: Journal) -> tuple[Any, Array]:
    import torch
    from torch.nn.functional import cross_entropy

    recipe = training.recipe
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(_THREADS)
    data = digits.load()
    # A copy, because PyTorch warns about read-only memory.
    test_images = torch.from_numpy(digits.arrange(data.test_images, training.layout).copy())
    test_labels = torch.from_numpy(data.test_labels.copy())

    model = training.build()
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, eps=_ADAM_EPSILON)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, T_max=recipe.epochs * training.steps
    )
    for epoch in range(recipe.epochs):
        model.train()
        loss_sum = right = count = 0.0
        for images, labels in training.batches(epoch):
            logits = model(torch.from_numpy(images))
            target = torch.from_numpy(labels)
            loss = cross_entropy(logits, target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            loss_sum += loss.item() * len(labels)
            right += (logits.argmax(dim=1) == target).sum().item()
            count += len(labels)
        model.eval()
        with torch.inference_mode():
            test_logits = model(test_images)
            test_loss = cross_entropy(test_logits, test_labels).item()
        test_accuracy = score(test_logits.numpy(), data.test_labels)
        values = (loss_sum / count, test_loss, right / count, test_accuracy)
        journal.epoch(epoch + 1, dict(zip(TAGS, values, strict=True)))
    return model, test_logits.numpy()


def _train_keras(training: Training, journal: Journal) -> tuple[Any, Array]:
    with _held_stderr():
        import keras
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(_THREADS)
            tf.config.threading.set_inter_op_parallelism_threads(_THREADS)
        except RuntimeError as e:
            raise TrainingError(
                "TensorFlow already runs in this process, with other threads than a training's; "
                f"give it its own: python -m shipworthy.models.train {training.name} tensorflow"
            ) from e
        tf.config.experimental.enable_op_determinism()
        tf.constant(0)  # the first operation starts the runtime

    recipe = training.recipe
    keras.config.set_floatx("float32")  # whatever the user's keras.json says
    keras.utils.set_random_seed(recipe.seed)
    data = digits.load()
    test_images = digits.arrange(data.test_images, training.layout)

    class Epochs(keras.utils.PyDataset):  # type: ignore[misc]
        epoch = 0

        def __init__(self) -> None:
            super().__init__()
            self.on_epoch_end()

        def __len__(self) -> int:
            return training.steps

        def __getitem__(self, step: int) -> tuple[Array, Array]:
            return self.batches[step]

        def on_epoch_end(self) -> None:
            self.batches = list(training.batches(self.epoch))
            self.epoch += 1

    def report(epoch: int, logs: dict[str, float]) -> None:
        values = (logs["loss"], logs["val_loss"], logs["accuracy"], logs["val_accuracy"])
        journal.epoch(epoch + 1, dict(zip(TAGS, values, strict=True)))

    model = training.build()
    schedule = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate, decay_steps=recipe.epochs * training.steps
    )
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, epsilon=_ADAM_EPSILON),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # XLA takes longer to compile than this training to run
    )
    model.fit(
        Epochs(),
        epochs=recipe.epochs,
        shuffle=False,  # the batches come shuffled
        validation_data=(test_images, data.test_labels),
        validation_batch_size=len(test_images),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
        verbose=0,
    )
    return model, np.asarray(model(test_images, training=False))


@contextmanager
def _held_stderr() -> Iterator[None]:
    """Hold back what native code writes to stderr, and show it only if the block fails.

    TensorFlow announces oneDNN when it is imported and again at its first operation, before any
    log level applies, in the midst of the progress bar.
    """
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)

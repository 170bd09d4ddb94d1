"""How a framework takes training steps: one small class each, so that every loop is written once.

A loop sees NumPy arrays only. What is the framework's own (the loss of a step, the gradient, the
optimiser) lies behind `Learner`; both take the same steps of the same optimiser along the same
schedule, so that the two frameworks' models differ by their initial weights only.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shipworthy.models.errors import ShipworthyError

if TYPE_CHECKING:
    from shipworthy.models.spec import Array

# These models are too small to gain from a second thread, and with one the order of every sum is
# fixed: the same seed gives the same weights, however many cores there are.
_THREADS = 1
_ADAM_EPSILON = 1e-7  # PyTorch's default is 1e-8, Keras' 1e-7

# Maps a step's tensors to the loss, a scalar tensor, followed by whatever else is worth keeping.
Loss = Callable[..., tuple[Any, ...]]
# Takes a step's arrays; returns the loss and the rest.
Step = Callable[..., tuple[float, tuple["Array", ...]]]


class TrainingError(ShipworthyError):
    """A training that did not give a model worth shipping."""


class Learner(Protocol):
    """One framework, seeded, on one thread."""

    framework: str

    def supervised(self, model: Any, kind: str) -> Loss:
        """Return the usual loss: the last tensor is the target, the ones before are the inputs.

        Parameters
        ----------
        kind : ``"classes"`` is the cross entropy of logits (n, classes) against int64 labels (n,),
            ``"binary"`` that of logits against targets in 0..1 of the same shape, ``"squares"`` the
            mean squared error.

        Returns
        -------
        Loss : gives the loss and the model's output.
        """

    def optimise(
        self,
        models: Sequence[Any],
        loss: Loss,
        steps: int,
        learning_rate: float,
        *,
        decay: tuple[float, float] = (0.9, 0.999),
        clip: float | None = None,
    ) -> Step:
        """Return a function that takes one step of Adam.

        Parameters
        ----------
        models : the first is changed; all are in training mode during a step.
        loss : is called with the step's arrays as tensors.
        steps : over them the learning rate falls to zero along half a cosine.
        decay : Adam's decay rates, of the gradient's mean and of its square's.
        clip : the gradient is scaled down to this norm where it is longer.
        """

    def run(self, model: Any) -> Callable[..., tuple[Array, ...]]:
        """Return the model as a function of arrays, for inference.

        Its outputs come in the model's order, those of a dict sorted by their keys.
        """


def open_learner(framework: str, seed: int, title: str) -> Learner:
    """Seed a framework and set its threads; for a process of its own.

    Parameters
    ----------
    title : what would start such a process, for the error: such as ``"mlp tensorflow"``.

    Raises
    ------
    TrainingError : TensorFlow already runs in this process, with other threads.
    """
    return TorchLearner(seed) if framework == "pytorch" else KerasLearner(seed, title)


class TorchLearner:
    """PyTorch, eagerly."""

    framework = "pytorch"

    def __init__(self, seed: int) -> None:
        import torch

        torch.manual_seed(seed)
        torch.set_num_threads(_THREADS)

    def supervised(self, model: Any, kind: str) -> Loss:
        """See `Learner.supervised`."""
        from torch.nn import functional

        measure: Any = {
            "classes": functional.cross_entropy,
            "binary": functional.binary_cross_entropy_with_logits,
            "squares": functional.mse_loss,
        }[kind]

        def loss(*tensors: Any) -> tuple[Any, ...]:
            *inputs, target = tensors
            output = model(*inputs)
            return measure(output, target), output

        return loss

    def optimise(
        self,
        models: Sequence[Any],
        loss: Loss,
        steps: int,
        learning_rate: float,
        *,
        decay: tuple[float, float] = (0.9, 0.999),
        clip: float | None = None,
    ) -> Step:
        """See `Learner.optimise`."""
        import torch

        parameters = list(models[0].parameters())
        optimiser = torch.optim.Adam(parameters, lr=learning_rate, betas=decay, eps=_ADAM_EPSILON)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)

        def step(*arrays: Array) -> tuple[float, tuple[Array, ...]]:
            for model in models:
                model.train()
            value, *rest = loss(*map(torch.from_numpy, arrays))
            optimiser.zero_grad()
            value.backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, clip)
            optimiser.step()
            schedule.step()
            return value.item(), tuple(tensor.detach().numpy() for tensor in rest)

        return step

    def run(self, model: Any) -> Callable[..., tuple[Array, ...]]:
        """See `Learner.run`."""
        import torch

        def call(*arrays: Array) -> tuple[Array, ...]:
            model.eval()
            with torch.inference_mode():
                outputs = model(*(torch.from_numpy(np.array(array)) for array in arrays))
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return tuple(tensor.numpy() for tensor in outputs)

        return call


class KerasLearner:
    """Keras on TensorFlow, each step one graph."""

    framework = "tensorflow"

    def __init__(self, seed: int, title: str) -> None:
        with _held_stderr():
            import keras
            import tensorflow as tf

            try:
                tf.config.threading.set_intra_op_parallelism_threads(_THREADS)
                tf.config.threading.set_inter_op_parallelism_threads(_THREADS)
            except RuntimeError as e:
                raise TrainingError(
                    "TensorFlow already runs in this process, with other threads than a "
                    f"training's; give it its own: python -m shipworthy.models.train {title}"
                ) from e
            tf.config.experimental.enable_op_determinism()
            tf.constant(0)  # the first operation starts the runtime
        keras.config.set_floatx("float32")  # whatever the user's keras.json says
        keras.utils.set_random_seed(seed)

    def supervised(self, model: Any, kind: str) -> Loss:
        """See `Learner.supervised`."""
        from keras import losses

        measure = {
            "classes": losses.SparseCategoricalCrossentropy(from_logits=True),
            "binary": losses.BinaryCrossentropy(from_logits=True),
            "squares": losses.MeanSquaredError(),
        }[kind]

        def loss(*tensors: Any) -> tuple[Any, ...]:
            *inputs, target = tensors
            output = model(_one_or_all(inputs), training=True)
            return measure(target, output), output

        return loss

    def optimise(
        self,
        models: Sequence[Any],
        loss: Loss,
        steps: int,
        learning_rate: float,
        *,
        decay: tuple[float, float] = (0.9, 0.999),
        clip: float | None = None,
    ) -> Step:
        """See `Learner.optimise`."""
        import keras
        import tensorflow as tf

        variables = models[0].trainable_variables
        optimiser = keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps=steps),
            beta_1=decay[0],
            beta_2=decay[1],
            epsilon=_ADAM_EPSILON,
            global_clipnorm=clip,
        )
        optimiser.build(variables)

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def graph(*tensors: Any) -> tuple[Any, ...]:
            with tf.GradientTape() as tape:
                value, *rest = loss(*tensors)
            optimiser.apply(tape.gradient(value, variables), variables)
            return value, *rest

        def step(*arrays: Array) -> tuple[float, tuple[Array, ...]]:
            value, *rest = graph(*map(tf.constant, arrays))
            return float(value), tuple(tensor.numpy() for tensor in rest)

        return step

    def run(self, model: Any) -> Callable[..., tuple[Array, ...]]:
        """See `Learner.run`."""
        import tensorflow as tf

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def graph(*tensors: Any) -> list[Any]:
            return list(tf.nest.flatten(model(_one_or_all(tensors), training=False)))

        def call(*arrays: Array) -> tuple[Array, ...]:
            return tuple(tensor.numpy() for tensor in graph(*map(tf.constant, arrays)))

        return call


def _one_or_all(tensors: Sequence[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else list(tensors)


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

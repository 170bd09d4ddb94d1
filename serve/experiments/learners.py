"""The zoo's learners without what a zoo needs: any number of threads, no forced determinism.

The zoo trains TensorFlow with its deterministic kernels, which are slower, so that a seed gives the
same weights again. Whoever compares the frameworks' speed must let each run as it is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shipworthy.models.learner import KerasLearner, Learner, Loss, TorchLearner
from shipworthy.models.spec import Array
from shipworthy.serve.python.originals import limit_threads

# So small that thousands of steps on one batch leave the model as it is: once it knows the batch by
# heart its gradients are zero, and the optimiser is full of denormal numbers, which PyTorch reckons
# with slowly and TensorFlow flushes to zero. The work of a step does not depend on it.
LEARNING_RATE = 1e-8
_ADAM_EPSILON = 1e-7

WAYS = {"pytorch": ("eager", "compiled"), "tensorflow": ("eager", "tf_function")}


class FreeTorchLearner(TorchLearner):
    """PyTorch, eagerly or with the model and its loss under ``torch.compile``.

    The optimiser's step stays outside, as in the loops that PyTorch's own guide to `torch.compile`
    shows.
    """

    def __init__(self, seed: int, threads: int, way: str) -> None:
        import torch

        limit_threads(self.framework, threads)
        torch.manual_seed(seed)
        self._compiled = way == "compiled"

    def supervised(self, model: Any, kind: str) -> Loss:
        """See `Learner.supervised`."""
        import torch

        loss = super().supervised(model, kind)
        return torch.compile(loss) if self._compiled else loss

    def step(self, model: Any, loss: Loss, arrays: tuple[Array, ...]) -> Callable[[], float]:
        """Return one step of Adam on one batch, which lies in tensors already."""
        import torch

        optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, eps=_ADAM_EPSILON)
        tensors = [torch.from_numpy(array) for array in arrays]
        model.train()

        def step() -> float:
            value = loss(*tensors)[0]
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            return float(value.item())

        return step


class FreeKerasLearner(KerasLearner):
    """Keras on TensorFlow: each step one ``tf.function``, or operation by operation."""

    def __init__(self, seed: int, threads: int, way: str) -> None:
        import keras
        import tensorflow as tf

        limit_threads(self.framework, threads)
        keras.config.set_floatx("float32")
        keras.utils.set_random_seed(seed)
        # What Keras' own run_eagerly does: every tf.function runs as plain Python.
        tf.config.run_functions_eagerly(way == "eager")

    def step(self, model: Any, loss: Loss, arrays: tuple[Array, ...]) -> Callable[[], float]:
        """Return one step of Adam on one batch, which lies in tensors already."""
        import keras
        import tensorflow as tf

        variables = model.trainable_variables
        optimiser = keras.optimizers.Adam(LEARNING_RATE, epsilon=_ADAM_EPSILON)
        optimiser.build(variables)
        tensors = [tf.constant(array) for array in arrays]

        @tf.function  # type: ignore[untyped-decorator]
        def graph(*given: Any) -> Any:
            with tf.GradientTape() as tape:
                value = loss(*given)[0]
            optimiser.apply(tape.gradient(value, variables), variables)
            return value

        return lambda: float(graph(*tensors))


FreeLearner = FreeTorchLearner | FreeKerasLearner


def open_free_learner(framework: str, way: str, threads: int, seed: int) -> FreeLearner:
    """Seed a framework and set its threads; for a process of its own."""
    made = FreeTorchLearner if framework == "pytorch" else FreeKerasLearner
    learner = made(seed, threads, way)
    _: Learner = learner
    return learner

"""The original in Python, one class a framework, behind the runners' interface.

`set_inputs` and `outputs` are not timed. `run` is: on its return the outputs are in host memory, as
with a runner's ``Session::Run``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from shipworthy.convert.calling import call_keras, call_torch
from shipworthy.convert.original import name_outputs
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Array, Arrays, Signature


class WayError(ShipworthyError):
    """A way that does not apply, or does not work here; the message says why."""


class Way(Protocol):
    """Something in this process that answers a model's inputs."""

    def set_inputs(self, inputs: Arrays) -> None:
        """Take the inputs of the runs to come, by canonical name."""

    def run(self) -> None:
        """Run once."""

    def outputs(self) -> dict[str, Array]:
        """Return the outputs of the last run, by canonical name."""


class TorchCall:
    """A `torch.nn.Module` in inference mode, as it is or compiled by ``torch.compile``."""

    def __init__(self, module: Any, signature: Signature, *, compiled: bool = False) -> None:
        import torch

        self._module = torch.compile(module) if compiled else module
        self._signature = signature
        self._mode = torch.inference_mode
        self._answer: Any = None

    def set_inputs(self, inputs: Arrays) -> None:
        """See `Way`."""
        import torch

        tensors = [
            torch.from_numpy(np.array(inputs[spec.name], order="C"))
            for spec in self._signature.inputs
        ]
        self._args, self._kwargs = bind(call_torch, self._module, tensors, self._signature)

    def run(self) -> None:
        """See `Way`."""
        with self._mode():
            self._answer = self._module(*self._args, **self._kwargs)

    def outputs(self) -> dict[str, Array]:
        """See `Way`."""
        return name_outputs(self._answer, self._signature, lambda value: np.array(value.numpy()))


class KerasCall:
    """A `keras.Model` under TensorFlow: called eagerly, inside a `tf.function`, or by ``predict``.

    Parameters
    ----------
    way : ``"keras_call"``, ``"tf_function"`` or ``"keras_predict"``.
    """

    def __init__(self, model: Any, signature: Signature, way: str) -> None:
        self._model, self._signature, self._way = model, signature, way
        self._answer: Any = None
        self._call: Callable[[], Any]

    def set_inputs(self, inputs: Arrays) -> None:
        """See `Way`.

        Raises
        ------
        WayError : ``predict`` takes one argument, and the model more.
        """
        import tensorflow as tf

        arrays = [np.array(inputs[spec.name], order="C") for spec in self._signature.inputs]
        if self._way == "keras_predict":
            args, kwargs = bind(call_keras, self._model, arrays, self._signature)
            if len(args) != 1 or set(kwargs) - {"training"}:
                raise WayError("Keras' predict takes one argument; the model is called with more")
            self._call = lambda: self._model.predict(args[0], verbose=0)
            return
        tensors = [tf.constant(array) for array in arrays]
        if self._way == "tf_function":
            function = tf.function(lambda *given: call_keras(self._model, given, self._signature))
            self._call = lambda: function(*tensors)
            return
        args, kwargs = bind(call_keras, self._model, tensors, self._signature)
        self._call = lambda: self._model(*args, **kwargs)

    def run(self) -> None:
        """See `Way`."""
        self._answer = self._call()

    def outputs(self) -> dict[str, Array]:
        """See `Way`."""
        return name_outputs(self._answer, self._signature, np.array)


class SignatureCall:
    """One signature of a SavedModel that has no Keras model behind it: a `tf.function`'s graph.

    Parameters
    ----------
    model : a `shipworthy.models.own.saved_model_folder.LoadedSignature`.
    """

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model, self._signature = model, signature

    def set_inputs(self, inputs: Arrays) -> None:
        """See `Way`."""
        import tensorflow as tf

        self._fed = {key: tf.constant(inputs[name]) for name, key in self._model.inputs.items()}

    def run(self) -> None:
        """See `Way`."""
        self._answer = self._model.function(**self._fed)

    def outputs(self) -> dict[str, Array]:
        """See `Way`."""
        return {
            spec.name: np.array(self._answer[self._model.outputs[spec.name]])
            for spec in self._signature.outputs
        }


def bind(
    call: Callable[[Any, Sequence[Any], Signature], Any],
    model: Any,
    values: Sequence[Any],
    signature: Signature,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments that `call` hands to the model, without calling it.

    What they are is found out once, so that the search for it is not timed.
    """
    recorder = _Recorder(model)
    call(recorder, values, signature)
    return recorder.arguments


class _Recorder:
    """Looks like a model and keeps what it is called with."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.arguments = (args, kwargs)


def limit_threads(framework: str, threads: int) -> None:
    """Give a framework its threads: so many an operation, one operation at a time.

    Call it before the framework's first operation.

    Parameters
    ----------
    framework : ``"pytorch"`` or ``"tensorflow"``; any other has its own way.
    """
    if framework == "pytorch":
        import torch

        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
    elif framework == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)

"""An artifact in the official Python package of its runtime, behind the runners' interface.

Set up as the runner is: the same threads, one operation at a time, every optimisation the package
has by default. See `shipworthy.serve.python.originals.Way` for what is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from shipworthy.convert.artifact import Artifact
from shipworthy.models.spec import Array, Arrays
from shipworthy.serve.python.originals import Way, limit_threads

Names = Mapping[str, str]  # canonical -> native


class OnnxRuntimePackage:
    """``onnxruntime.InferenceSession.run``: NumPy arrays in and out."""

    def __init__(self, path: Path, inputs: Names, outputs: Names, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._inputs, self._outputs = dict(inputs), dict(outputs)
        self._wanted = list(outputs.values())

    def set_inputs(self, inputs: Arrays) -> None:
        """See `Way`."""
        self._fed = {
            native: np.array(inputs[name], order="C") for name, native in self._inputs.items()
        }

    def run(self) -> None:
        """See `Way`."""
        self._answers = self._session.run(self._wanted, self._fed)

    def outputs(self) -> dict[str, Array]:
        """See `Way`."""
        return {
            name: np.array(value) for name, value in zip(self._outputs, self._answers, strict=True)
        }


class TorchScriptPackage:
    """``torch.jit.load``, called in inference mode."""

    def __init__(self, path: Path, inputs: Names, outputs: Names, threads: int) -> None:
        import torch

        limit_threads("pytorch", threads)
        self._module = torch.jit.load(str(path))
        arguments = [argument.name for argument in self._module.forward.schema.arguments[1:]]
        canonical = {native: name for name, native in inputs.items()}
        self._order = [canonical[argument] for argument in arguments]
        self._outputs = dict(outputs)
        self._mode = torch.inference_mode

    def set_inputs(self, inputs: Arrays) -> None:
        """See `Way`."""
        import torch

        self._tensors = [torch.from_numpy(np.array(inputs[k], order="C")) for k in self._order]

    def run(self) -> None:
        """See `Way`."""
        with self._mode():
            self._answer = self._module(*self._tensors)

    def outputs(self) -> dict[str, Array]:
        """See `Way`."""
        many = isinstance(self._answer, tuple)
        values = list(self._answer) if many else [self._answer]
        return {
            name: np.array(values[int(native.removeprefix("output_"))].numpy())
            for name, native in self._outputs.items()
        }


class SavedModelPackage:
    """``tf.saved_model.load``, called by its signature ``serving_default``."""

    def __init__(self, path: Path, inputs: Names, outputs: Names, threads: int) -> None:
        import tensorflow as tf

        from shipworthy.convert.formats.saved_model import SIGNATURE, native_names

        limit_threads("tensorflow", threads)
        self._root = tf.saved_model.load(str(path))  # keeps the variables alive
        self._function = self._root.signatures[SIGNATURE]
        self._inputs, self._outputs = (
            {name: _key_of(native, keys) for name, native in names.items()}
            for names, keys in zip((inputs, outputs), native_names(path), strict=True)
        )

    def set_inputs(self, inputs: Arrays) -> None:
        """See `Way`."""
        import tensorflow as tf

        self._fed = {key: tf.constant(inputs[name]) for name, key in self._inputs.items()}

    def run(self) -> None:
        """See `Way`."""
        self._answer = self._function(**self._fed)

    def outputs(self) -> dict[str, Array]:
        """See `Way`."""
        return {name: np.array(self._answer[key]) for name, key in self._outputs.items()}


def _key_of(native: str, keys: Mapping[str, str]) -> str:
    return next(key for key, tensor in keys.items() if tensor == native)


class LiteRtPackage:
    """``ai_edge_litert.interpreter.Interpreter``: allocate once, then invoke."""

    def __init__(self, path: Path, inputs: Names, outputs: Names, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
        signature = self._interpreter.get_signature_runner()
        self._inputs, self._outputs = (
            {name: details[native] for name, native in names.items()}
            for names, details in (
                (inputs, signature.get_input_details()),
                (outputs, signature.get_output_details()),
            )
        )
        self._given: dict[int, Array] = {}

    def set_inputs(self, inputs: Arrays) -> None:
        """See `Way`."""
        for name, details in self._inputs.items():
            array = np.array(inputs[name], order="C")
            if array.shape != tuple(details["shape"]):
                self._interpreter.resize_tensor_input(details["index"], array.shape)
            self._given[details["index"]] = array
        self._interpreter.allocate_tensors()
        self._feed()

    def _feed(self) -> None:
        for index, array in self._given.items():
            self._interpreter.set_tensor(index, array)

    def run(self) -> None:
        """See `Way`.

        A run may overwrite the inputs, so each takes them anew: the copy is a part of using this
        package.
        """
        self._feed()
        self._interpreter.invoke()

    def outputs(self) -> dict[str, Array]:
        """See `Way`."""
        return {
            name: np.array(self._interpreter.get_tensor(details["index"]))
            for name, details in self._outputs.items()
        }


# Format -> its package's class and the module that is imported.
PACKAGES: Mapping[str, tuple[Callable[[Path, Names, Names, int], Way], str]] = {
    "onnx": (OnnxRuntimePackage, "onnxruntime"),
    "torchscript": (TorchScriptPackage, "torch"),
    "saved_model": (SavedModelPackage, "tensorflow"),
    "tflite": (LiteRtPackage, "ai_edge_litert"),
}


def open_artifact(artifact: Artifact, threads: int) -> Way:
    """Load an artifact into its runtime's Python package."""
    make, _ = PACKAGES[artifact.format]
    names = artifact.native_names
    return make(artifact.path, names["inputs"], names["outputs"], threads)

"""The ways to run a model in Python, and which of them a model has. Plain values."""

from __future__ import annotations

from collections.abc import Mapping

RUNNER = "runner"
PACKAGE = "python_package"

# Way -> what the user reads.
TITLES: Mapping[str, str] = {
    RUNNER: "Python-free runner",
    PACKAGE: "Python package",
    "eager": "original, eager",
    "torch_compile": "original, torch.compile",
    "keras_call": "original, Keras __call__",
    "keras_predict": "original, Keras predict",
    "tf_function": "original, tf.function",
}

_TORCH = ("eager", "torch_compile")
_KERAS = ("keras_call", "keras_predict", "tf_function")

# Framework and kind of the source -> the ways of its original.
_ORIGINAL: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("pytorch", "module"): _TORCH,
    ("pytorch", "exported_program"): _TORCH,
    ("pytorch", "torchscript"): (PACKAGE,),
    ("tensorflow", "module"): _KERAS,
    ("tensorflow", "saved_model"): ("tf_function",),
    ("onnx", "onnx"): (PACKAGE,),
}

_REASONS: Mapping[str, str] = {
    "torchscript": "a TorchScript file holds a program of its own, no Python module that runs "
    "eagerly or can be compiled",
    "saved_model": "a SavedModel folder holds a graph, no Keras model",
    "onnx": "an ONNX file has no framework behind it",
}


def ways_of(framework: str, kind: str) -> tuple[str, ...]:
    """Return the ways in which an original can be run.

    Parameters
    ----------
    kind : as in `shipworthy.models.spec.Source`.
    """
    return _ORIGINAL[framework, kind]


def missing_ways(framework: str, kind: str) -> dict[str, str]:
    """Return the ways of the framework that this kind of original has not, and why."""
    usual = {"pytorch": _TORCH, "tensorflow": _KERAS, "onnx": ()}[framework]
    return {way: _REASONS[kind] for way in usual if way not in ways_of(framework, kind)}

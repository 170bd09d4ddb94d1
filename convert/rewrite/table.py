"""Rules: TensorFlow operator -> the same computed with other operators, by format."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from shipworthy.models.spec import Array

Tensor: TypeAlias = Any  # tensorflow.Tensor, which is not imported at module level

_MODULES = (
    "color", "contraction", "convolution", "elementwise", "indexing", "integers", "linear",
    "pooling", "resize", "tensor_list",
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """An operator that reads another's output.

    Parameters
    ----------
    kind : such as ``"Mul"``.
    beside : the operators that make its other inputs.
    """

    kind: str
    beside: tuple[str, ...]


@dataclass(frozen=True)
class Node:
    """One operator of the graph that is traced anew.

    Parameters
    ----------
    kind : such as ``"Erfc"``.
    name : as in the graph; Keras puts the layer's name into it.
    inputs : already computed in the new graph.
    attributes : protobuf `AttrValue` by name.
    readers : the operators of the same graph that read it.
    """

    kind: str
    name: str
    inputs: Sequence[Any]
    attributes: Mapping[str, Any]
    readers: Sequence[Reader] = ()

    def dtype(self, name: str) -> Any:
        """Return a dtype attribute as a `tf.DType`."""
        import tensorflow as tf

        return tf.dtypes.as_dtype(self.attributes[name].type)

    def flag(self, name: str) -> bool:
        """Return a boolean attribute, False where there is none."""
        return name in self.attributes and bool(self.attributes[name].b)

    def ints(self, name: str) -> list[int]:
        """Return a list of integers, empty where there is none."""
        return [int(i) for i in self.attributes[name].list.i] if name in self.attributes else []

    def text(self, name: str) -> str:
        """Return a string attribute, empty where there is none."""
        return str(self.attributes[name].s.decode()) if name in self.attributes else ""

    def constant(self, index: int) -> Array | None:
        """Return an input's value if it is known before the graph runs."""
        import tensorflow as tf

        value = tf.get_static_value(self.inputs[index])
        return None if value is None else np.asarray(value)


# Returns the operator's outputs (a tensor, or a list of them), or None to leave it as it is.
Rule = Callable[[Node], Any]

_RULES: dict[str, dict[str, Rule]] = {"onnx": {}, "tflite": {}, "lists": {}}


def rule(*kinds: str, formats: Sequence[str] = ("onnx", "tflite")) -> Callable[[Rule], Rule]:
    """Register a function as the rule for operators of these kinds on the way to these formats."""

    def register(function: Rule) -> Rule:
        for format_ in formats:
            for kind in kinds:
                if kind in _RULES[format_]:
                    raise ValueError(f"two rules for {kind} on the way to {format_}")
                _RULES[format_][kind] = function
        return function

    return register


def rules(format_: str) -> Mapping[str, Rule]:
    """Return the rules on the way to a format, by operator; ``"lists"`` are those for lists."""
    for module in _MODULES:
        importlib.import_module(f"shipworthy.convert.rewrite.{module}")
    return _RULES[format_]

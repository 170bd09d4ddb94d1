"""Large TensorFlow functions for tf2onnx: their weights as inputs, and constants again in the file.

tf2onnx holds some forty copies of every constant (measured with 200 MB of dense layers), so that a
large model is converted without its weights.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.formats.onnx_weights import take_in, write_beside
from shipworthy.convert.lift import Lifted, lift_variables
from shipworthy.models.spec import Array

LEAST_BYTES = 64 * 2**20
_NAME = "lifted_weight_"


def lift_large(concrete: Any) -> Lifted | None:
    """Return a concrete function with its variables lifted, if these are large and can be."""
    size = sum(v.shape.num_elements() * v.dtype.size for v in concrete.graph.variables)
    return lift_variables(concrete) if size >= LEAST_BYTES else None


def with_weights_as_inputs(concrete: Any, specs: Any, lifted: Lifted) -> Any:
    """Return a `tf.function` that takes the function's inputs, and then its weights.

    Parameters
    ----------
    specs : TensorSpecs of the function's own inputs.
    """
    import tensorflow as tf

    names = [*lifted.inputs, *(f"{name}:0" for name in lifted.weights)]
    variables = list(lifted.weights.values())
    # Of a known shape TensorFlow's optimizer would make a tensor, for a trial feed.
    held = [
        tf.TensorSpec([None] * variable.shape.rank, variable.dtype, f"{_NAME}{i}")
        for i, variable in enumerate(variables)
    ]

    def infer(*tensors: Any) -> Any:
        given, fed = tensors[: len(specs)], tensors[len(specs) :]
        sized = [tf.ensure_shape(w, v.shape) for w, v in zip(fed, variables, strict=True)]
        found = tf.graph_util.import_graph_def(
            lifted.graph,
            input_map=dict(zip(names, [*given, *sized], strict=True)),
            return_elements=lifted.outputs,
            name="",
        )
        return tf.nest.pack_sequence_as(concrete.structured_outputs, found)

    return tf.function(infer, input_signature=[*specs, *held], autograph=False)


def write_with_weights(model: Any, lifted: Lifted, path: Path) -> bool:
    """Write what tf2onnx made of `with_weights_as_inputs`; return whether it is one file.

    A weight that is only transposed (a kernel's layout) is written transposed.
    """
    variables = list(lifted.weights.values())
    weights: dict[str, Callable[[], Array]] = {}
    own = []
    for value in model.graph.input:
        if value.name.startswith(_NAME):
            number = int(value.name.removeprefix(_NAME).partition(":")[0])
            weights[value.name] = variables[number].numpy
        else:
            own.append(value)
    del model.graph.input[:]
    model.graph.input.extend(own)
    _fold_transposes(model.graph, weights)
    write_beside(model, weights, path)
    return take_in(path)


def _fold_transposes(graph: Any, weights: dict[str, Callable[[], Array]]) -> None:
    """Drop the nodes that transpose a weight; their results become weights."""
    left = {name for node in graph.node if node.op_type != "Transpose" for name in node.input}
    folded = [
        node for node in graph.node if node.op_type == "Transpose" and node.input[0] in weights
    ]
    for node in folded:
        order = list(node.attribute[0].ints) if node.attribute else None
        read = weights[node.input[0]]
        weights[node.output[0]] = lambda read=read, order=order: np.transpose(read(), order)  # type: ignore[misc]
        graph.node.remove(node)
    for name in {node.input[0] for node in folded} - left:
        weights.pop(name, None)

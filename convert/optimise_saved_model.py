"""Makes a TensorFlow function ready for inference: constants for variables, no BatchNorm.

TensorFlow fuses a convolution with its bias and activation, and keeps its filter in the kernel's own
layout, only where the filter is a constant: a variable might be assigned between two runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shipworthy.convert.fold_affine import fold_affine, prune

# Constants stand in the graph, which protobuf bounds at 2 GB and TensorFlow copies while loading.
MOST_CONSTANT_BYTES = 256 * 2**20
# What a graph may own beside variables: tables, iterators, random states. It stays as it is then.
_PLAIN_RESOURCES = ("variable",)


@dataclass(frozen=True)
class Optimised:
    """A function for inference, and what was done to it.

    Parameters
    ----------
    function : takes and gives what the original does.
    variables : those it still reads.
    options : for the manifest.
    """

    function: Any
    variables: list[Any]
    options: dict[str, Any]


def optimise(function: Any) -> Optimised:
    """Return a concrete function with its weights as constants, and BatchNorm folded into them.

    It is left as it is if it reads anything but variables, or has too many weights.
    """
    variables = list(function.graph.variables)
    size = sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)
    reason = ""
    if size > MOST_CONSTANT_BYTES:
        reason = f"its weights have {size} bytes; constants are used up to {MOST_CONSTANT_BYTES}"
    elif reads_more_than_variables(function):
        reason = "it reads tables or other resources"
    if reason:
        return Optimised(function, variables, {"constants": False, "constants_not_used": reason})
    frozen, folded = _frozen(function)
    return Optimised(frozen, [], {"constants": True, "operators_folded": folded})


def reads_more_than_variables(function: Any) -> bool:
    """Tell whether a function uses resources beside its variables."""
    handles = {id(variable.handle) for variable in function.graph.variables}
    captured = [t for t, _ in function.graph.captures if t.dtype.name in ("resource", "variant")]
    return any(id(tensor) not in handles for tensor in captured)


def _frozen(function: Any) -> tuple[Any, int]:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    graph = frozen.graph.as_graph_def()
    inputs = [tensor.name for tensor in frozen.inputs]
    results = [tensor.name for tensor in frozen.outputs]
    outputs = {name.partition(":")[0] for name in results}
    folded = fold_affine(graph, outputs)
    prune(graph, outputs, {name.partition(":")[0] for name in inputs})

    def infer(*tensors: Any) -> Any:
        given = dict(zip(inputs, tensors, strict=True))
        found = tf.graph_util.import_graph_def(
            graph, input_map=given, return_elements=results, name=""
        )
        return tf.nest.pack_sequence_as(function.structured_outputs, found)

    specs = tf.nest.flatten(function.structured_input_signature)
    return tf.function(infer, autograph=False).get_concrete_function(*specs), folded

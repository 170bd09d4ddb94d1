"""Makes a TensorFlow function ready for inference: BatchNorm folded, constants for variables.

TensorFlow fuses a convolution with its bias and activation, and keeps its filter in the layout of
its kernel, only where the filter is a constant: a variable might be assigned between two runs.
Constants stand in the graph, of which TensorFlow makes a dozen copies while it loads; large models
therefore keep their weights in variables, BatchNorm folded in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shipworthy.convert.fold_affine import fold_affine, prune

MOST_CONSTANT_BYTES = 128 * 2**20
MOST_FOLDED_BYTES = 2**30  # protobuf holds 2 GB, and folding adds a weight before it drops another
_SMALL_BYTES = 4096  # constants of a large model that stay constants
_CONVOLUTIONS = ("Conv2D", "Conv3D", "DepthwiseConv2dNative")


@dataclass(frozen=True)
class _Frozen:
    """A frozen graph, and where its values go in and come out."""

    graph: Any
    inputs: list[str]
    results: list[str]
    folded: int
    variables: list[Any] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)  # one a variable


def optimise(
    function: Any, variables: Sequence[Any] | None = None, *, wanted: bool = True
) -> tuple[Any, list[Any], dict[str, Any]]:
    """Return a concrete function with BatchNorm folded into weights, and these as constants.

    Parameters
    ----------
    function : a concrete function that reads variables, and no other resources.
    variables : those it reads; found in its graph by default.
    wanted : otherwise the function is returned as it is.

    Returns
    -------
    tuple
        The function, the variables that it reads now, and what was done, for the manifest.
    """
    kept = list(function.graph.variables if variables is None else variables)
    if not wanted:
        return function, kept, {"constants": False}
    size = sum(v.shape.num_elements() * v.dtype.size for v in kept)
    reason = _refusal(function, size)
    if reason:
        return function, kept, {"constants": False, "reason": reason}
    try:
        frozen = _freeze(function)
        if size > MOST_CONSTANT_BYTES:
            frozen = _with_variables(frozen)
        rebuilt = _rebuild(function, frozen)
    except Exception as e:  # many kinds; the plain function is as right as this one
        told = (str(e).strip().splitlines() or [""])[0]
        return function, kept, {"constants": False, "reason": f"{type(e).__name__}: {told}"}
    done = {"constants": not frozen.variables, "operators_folded": frozen.folded}
    return rebuilt, frozen.variables, done


def _refusal(function: Any, size: int) -> str:
    if size <= MOST_CONSTANT_BYTES:
        return ""
    told = f"its weights have {size} bytes, constants are used up to {MOST_CONSTANT_BYTES}"
    if size > MOST_FOLDED_BYTES:
        return f"{told}, operators are folded up to {MOST_FOLDED_BYTES}"
    if not any(operation.type in _CONVOLUTIONS for operation in function.graph.get_operations()):
        return f"{told}, and it has no convolution to fold into"
    return ""


def _freeze(function: Any) -> _Frozen:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    graph = frozen.graph.as_graph_def()
    inputs = [tensor.name for tensor in frozen.inputs]
    results = [tensor.name for tensor in frozen.outputs]
    outputs = {name.partition(":")[0] for name in results}
    folded = fold_affine(graph, outputs)
    prune(graph, outputs, {name.partition(":")[0] for name in inputs})
    return _Frozen(graph, inputs, results, folded)


def _with_variables(frozen: _Frozen) -> _Frozen:
    """Take the large constants out of the graph again."""
    import tensorflow as tf

    variables, names = [], []
    for node in frozen.graph.node:
        if node.op != "Const" or node.attr["value"].tensor.ByteSize() <= _SMALL_BYTES:
            continue
        array = tf.make_ndarray(node.attr["value"].tensor)
        if array.dtype.kind != "f":
            continue
        variables.append(tf.Variable(array, trainable=False, name=node.name.rpartition("/")[2]))
        names.append(f"{node.name}:0")
        node.attr["value"].tensor.Clear()
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array.flat[:1].reshape(())))
    return _Frozen(
        frozen.graph, frozen.inputs, frozen.results, frozen.folded, variables, names
    )  # fmt: skip


def _rebuild(function: Any, frozen: _Frozen) -> Any:
    """Return a concrete function of a frozen graph that is called as the original is."""
    import tensorflow as tf

    def infer(*tensors: Any) -> Any:
        given = dict(zip(frozen.inputs, tensors, strict=True))
        given |= dict(
            zip(frozen.constants, map(tf.convert_to_tensor, frozen.variables), strict=True)
        )
        found = tf.graph_util.import_graph_def(
            frozen.graph, input_map=given, return_elements=frozen.results, name=""
        )
        return tf.nest.pack_sequence_as(function.structured_outputs, found)

    specs = tf.nest.flatten(function.structured_input_signature)
    return tf.function(infer, autograph=False).get_concrete_function(*specs)

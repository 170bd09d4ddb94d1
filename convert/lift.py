"""A TensorFlow function's variables taken out of its graph, as inputs beside its own.

Freezing a function writes every weight into the graph, of which TensorFlow and its converters then
make a dozen copies; a graph beyond 2 GB cannot be written at all. Lifted weights stay where they
are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_READ = "ReadVariableOp"
_GATHER = "ResourceGather"


@dataclass(frozen=True)
class Lifted:
    """A function's graph with a placeholder a variable.

    Parameters
    ----------
    graph : GraphDef.
    inputs, outputs : tensor names of the function's own inputs, and of its outputs.
    weights : placeholder's node name -> the variable.
    """

    graph: Any
    inputs: list[str]
    outputs: list[str]
    weights: dict[str, Any]


def lift_variables(function: Any) -> Lifted | None:
    """Return a concrete function with its variables lifted, or None where they cannot be.

    That is so where a variable is used inside a nested function (a loop, a branch), or otherwise
    than by being read, and where the function uses resources that are no variables.
    """
    graph = function.graph.as_graph_def()
    captures = [(internal.op.name, external) for external, internal in function.graph.captures]
    variables = {id(variable.handle): variable for variable in function.graph.variables}
    resources = [(name, held) for name, held in captures if held.dtype.name == "resource"]
    if len(resources) < len(captures) or any(id(held) not in variables for _, held in resources):
        return None
    weights = {name: variables[id(held)] for name, held in resources}
    for node in graph.node:
        used = [name for name in node.input if name.lstrip("^").partition(":")[0] in weights]
        if used and (node.op not in (_READ, _GATHER) or used != [node.input[0]]):
            return None
    for node in list(graph.node):
        _rewrite(graph, node, weights)
    own = [tensor.name for tensor in function.inputs if tensor.op.name not in weights]
    return Lifted(graph, own, [tensor.name for tensor in function.outputs], weights)


def _rewrite(graph: Any, node: Any, weights: dict[str, Any]) -> None:
    if node.name in weights:
        variable = weights[node.name]
        node.op = "Placeholder"
        node.attr.clear()
        node.attr["dtype"].type = variable.dtype.as_datatype_enum
        node.attr["shape"].shape.CopyFrom(variable.shape.as_proto())
    elif node.op == _READ and node.input[0].partition(":")[0] in weights:
        kind = node.attr["dtype"].type
        node.op = "Identity"
        node.attr.clear()
        node.attr["T"].type = kind
    elif node.op == _GATHER and node.input[0].partition(":")[0] in weights:
        _rewrite_gather(graph, node)


def _rewrite_gather(graph: Any, node: Any) -> None:
    import numpy as np
    import tensorflow as tf

    rank = node.attr["batch_dims"].i
    kinds = node.attr["dtype"].type, node.attr["Tindices"].type
    axis = graph.node.add(name=f"{node.name}/lifted_axis", op="Const")
    axis.attr["dtype"].type = tf.int32.as_datatype_enum
    axis.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.int32(rank)))
    node.op = "GatherV2"
    node.input.insert(2, axis.name)
    node.attr.clear()
    node.attr["Tparams"].type, node.attr["Tindices"].type = kinds
    node.attr["Taxis"].type = tf.int32.as_datatype_enum
    node.attr["batch_dims"].i = rank

"""Traces a TensorFlow function anew, operator by operator, through a table of rules.

Functions that the graph calls are inlined, loops and conditions become `tf.while_loop` and
`tf.cond` around replayed bodies, and only what the outputs need is kept: assertions, and other
operators that run for their effect alone, are gone. Variables stay variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipworthy.convert.rewrite.body import Body, Replay, scope
from shipworthy.convert.rewrite.control import CONTROL
from shipworthy.convert.rewrite.table import Rule, Tensor

# Control flow of TensorFlow 1, whose cycles are not followed.
UNSTRUCTURED = ("Enter", "Exit", "Merge", "NextIteration", "Switch", "RefSwitch", "LoopCond")


def replay(function: Any, rules: Mapping[str, Rule], *, narrow: bool = False) -> tuple[Any, Replay]:
    """Trace a concrete function anew.

    Parameters
    ----------
    function : `tf.types.experimental.ConcreteFunction` whose inputs are keyword arguments and
        whose outputs are a flat dict, as a SavedModel's signatures are.
    rules : what `shipworthy.convert.rewrite.table.rules` gives.
    narrow : compute in float32 what the graph computes in float64; outputs keep their dtype.

    Returns
    -------
    tuple
        A traced `tf.function` of the same inputs, outputs and variables; and what was done.
    """
    import tensorflow as tf

    graph = function.graph.as_graph_def()
    library = {f.signature.name: f for f in graph.library.function}
    told = Replay(rules, CONTROL, library, narrow, {}, [])
    specs = function.structured_input_signature[1]
    outside = {inner.op.name: outer for outer, inner in function.graph.captures}
    arguments = _argument_names(function)
    # A flat dict's outputs stand in the order of its keys.
    results = dict(zip(sorted(function.structured_outputs), function.outputs, strict=True))

    def infer(*tensors: Tensor) -> dict[str, Tensor]:
        values: dict[str, Any] = {
            name: [t if t.dtype == tf.resource else tf.constant(t.numpy())]
            for name, t in outside.items()
        }
        values |= {n: [told_in(t)] for n, t in zip(arguments.values(), tensors, strict=True)}
        body = Body(told, graph.node, values)
        for variable in function.variables:  # for those who freeze them
            tf.compat.v1.get_default_graph().watch_variable(variable)
        with scope(""):
            found = {key: body.get(tensor.name) for key, tensor in results.items()}
            return {
                key: tf.cast(value, results[key].dtype)
                if value.dtype != results[key].dtype
                else tf.identity(value)
                for key, value in found.items()
            }

    def told_in(tensor: Tensor) -> Tensor:
        return tf.cast(tensor, tf.float32) if narrow and tensor.dtype == tf.float64 else tensor

    signature = [tf.TensorSpec(specs[key].shape, specs[key].dtype, key) for key in arguments]
    traced = tf.function(infer, signature, autograph=False)
    traced.get_concrete_function()
    return traced, told


def _argument_names(function: Any) -> dict[str, str]:
    """Return the placeholder's name by argument: a signature's inputs are in sorted order."""
    keys = sorted(function.structured_input_signature[1])
    captured = {id(inner) for _, inner in function.graph.captures}
    own = [tensor for tensor in function.graph.inputs if id(tensor) not in captured]
    return {key: tensor.op.name for key, tensor in zip(keys, own, strict=True)}

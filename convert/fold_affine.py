"""Folds what follows a convolution or a product in a TensorFlow graph into its weights.

At inference BatchNorm is a factor and an offset for every channel, however it is spelled: as one
operator, or as Keras does, in arithmetic on four vectors. Both go into the filter and one bias,
computed in float64 and rounded once, so the result is no further from the original's float64 run
than the original is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Wide = npt.NDArray[np.float64]

# The axis of a filter that counts the channels of the result; None is the last two together.
_FILTERS: Mapping[str, int | None] = {"Conv2D": -1, "Conv3D": -1, "DepthwiseConv2dNative": None}
_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "Add": np.add, "AddV2": np.add, "Sub": np.subtract, "Mul": np.multiply,
    "RealDiv": np.divide, "Neg": np.negative, "Sqrt": np.sqrt, "Square": np.square,
    "Rsqrt": lambda x: 1.0 / np.sqrt(x), "Maximum": np.maximum,
}  # fmt: skip
_PASSING = ("Identity", "ReadVariableOp", "StopGradient")


@dataclass
class _Affine:
    """What a chain of nodes does to every channel, and its last node."""

    scale: Wide
    offset: Wide
    end: Any
    nodes: int = 0


def fold_affine(graph: Any, outputs: set[str]) -> int:
    """Rewrite a ``GraphDef`` in place; return how many operators went into weights.

    Parameters
    ----------
    graph : frozen; only the main graph is rewritten, not the functions it calls.
    outputs : names of nodes whose results somebody outside reads.
    """
    return _Folding(graph, outputs).run()


class _Folding:
    def __init__(self, graph: Any, outputs: set[str]) -> None:
        self.graph = graph
        self.outputs = outputs
        self.nodes = {node.name: node for node in graph.node}
        self.readers: dict[str, list[Any]] = defaultdict(list)
        self.values: dict[str, Wide | None] = {}
        for node in graph.node:
            for name in node.input:
                self.readers[_node_of(name)].append(node)

    def run(self) -> int:
        folded = 0
        for node in list(self.graph.node):
            if node.op in (*_FILTERS, "MatMul") and _attribute(node, "T").type == _float32():
                folded += self._fold(node)
        return folded

    def _fold(self, node: Any) -> int:
        if _attribute(node, "data_format").s not in (b"", b"NHWC", b"NDHWC"):
            return 0
        filters = self.constant(node.input[1])
        if filters is None:
            return 0
        if node.op == "MatMul":
            channels = filters.shape[0 if _attribute(node, "transpose_b").b else 1]
        else:
            axis = _FILTERS[node.op]
            channels = filters.shape[-1] * (1 if axis else filters.shape[-2])
        chain = self._chain(node, channels, max(filters.ndim, 2))
        if chain.nodes == 0 or (chain.nodes == 1 and chain.end.op == "BiasAdd"):
            return 0
        changed = _scaled(node, filters, chain.scale)
        values = (changed.astype(np.float32), chain.offset.astype(np.float32))
        if not all(np.isfinite(value).all() for value in values):
            return 0
        if (chain.scale != 1).any():
            node.input[1] = self._add_constant(f"{node.name}/folded_weight", values[0])
        end = chain.end
        end.op = "BiasAdd"
        bias = self._add_constant(f"{node.name}/folded_bias", values[1])
        del end.input[:]
        end.input.extend([node.name, bias])
        for name in list(end.attr):
            if name != "T":
                del end.attr[name]
        end.attr["T"].type = _float32()
        return chain.nodes

    def _chain(self, node: Any, channels: int, rank: int) -> _Affine:
        """Follow a result as long as it has one reader that only scales and shifts channels."""
        found = _Affine(np.ones(channels), np.zeros(channels), node)
        while True:
            if found.end.name in self.outputs or len(self.readers[found.end.name]) != 1:
                return found
            reader = self.readers[found.end.name][0]
            step = self._step(reader, found.end.name, channels, rank)
            if step is None:
                return found
            scale, offset = step
            found = _Affine(
                found.scale * scale, found.offset * scale + offset, reader, found.nodes + 1
            )

    def _step(self, node: Any, read: str, channels: int, rank: int) -> tuple[Any, Any] | None:
        """Return the factor and the offset of one node, or None if it does something else."""
        if _attribute(node, "T").type != _float32() and node.op != "Identity":
            return None
        if node.op == "FusedBatchNormV3":
            return self._batch_norm(node)
        if node.op not in ("BiasAdd", "Add", "AddV2", "Sub", "Mul", "RealDiv"):
            return None
        first = _node_of(node.input[0]) == read
        value = self.channel_vector(node.input[1 if first else 0], channels, rank)
        if value is None or (not first and node.op in ("BiasAdd", "RealDiv")):
            return None
        if node.op == "Mul":
            return value, 0.0
        if node.op == "RealDiv":
            return 1.0 / value, 0.0
        if node.op == "Sub":
            return (1.0, -value) if first else (-1.0, value)
        return 1.0, value

    def _batch_norm(self, node: Any) -> tuple[Any, Any] | None:
        if _attribute(node, "is_training").b or _attribute(node, "data_format").s not in (
            b"",
            b"NHWC",
        ):
            return None
        others = [n for r in self.readers[node.name] for n in r.input if n != node.name]
        if any(_node_of(name) == node.name for name in others):  # a statistic is read
            return None
        parts = [self.constant(name) for name in list(node.input)[1:5]]
        if any(part is None for part in parts):
            return None
        gamma, beta, mean, variance = parts
        assert variance is not None, "all are there"
        scale = gamma / np.sqrt(variance + _attribute(node, "epsilon").f)
        return scale, beta - mean * scale

    def channel_vector(self, name: str, channels: int, rank: int) -> Wide | None:
        """Return a constant as one number a channel, if it is spread over the last axis only."""
        value = self.constant(name)
        if value is None or value.ndim > rank or np.prod(value.shape[:-1]) != 1:
            return None
        flat = value.reshape(-1)
        return np.broadcast_to(flat, (channels,)) if flat.size in (1, channels) else None

    def constant(self, name: str) -> Wide | None:
        """Return the value of a float32 tensor that no input has a part in, in float64."""
        if name not in self.values:
            self.values[name] = self._computed(name)
        return self.values[name]

    def _computed(self, name: str) -> Wide | None:
        from tensorflow import make_ndarray

        node = self.nodes.get(_node_of(name))
        if node is None or name.startswith("^") or (":" in name and not name.endswith(":0")):
            return None
        if node.op == "Const":
            if _attribute(node, "dtype").type != _float32():
                return None
            array: npt.NDArray[Any] = make_ndarray(node.attr["value"].tensor)
            return array.astype(np.float64)
        inputs = [n for n in node.input if not n.startswith("^")]
        if node.op in _PASSING:
            return self.constant(inputs[0])
        if node.op == "Reshape":
            return self._reshaped(inputs)
        if node.op == "Squeeze":
            value = self.constant(inputs[0])
            axes = tuple(_attribute(node, "squeeze_dims").list.i) or None
            return None if value is None else value.squeeze(axes)
        function = _ARITHMETIC.get(node.op)
        values = [self.constant(n) for n in inputs] if function else [None]
        if function is None or any(value is None for value in values):
            return None
        result: Wide = function(*values)
        return result

    def _reshaped(self, inputs: list[str]) -> Wide | None:
        from tensorflow import make_ndarray

        value, shape = self.constant(inputs[0]), self.nodes[_node_of(inputs[1])]
        if value is None or shape.op != "Const":
            return None
        return value.reshape(make_ndarray(shape.attr["value"].tensor))

    def _add_constant(self, name: str, array: npt.NDArray[np.float32]) -> str:
        from tensorflow import make_tensor_proto

        node = self.graph.node.add(name=name, op="Const")
        node.attr["dtype"].type = _float32()
        node.attr["value"].tensor.CopyFrom(make_tensor_proto(array))
        self.nodes[name] = node
        return name


def _scaled(node: Any, filters: Wide, scale: Wide) -> Wide:
    """Multiply the channels of a filter's result."""
    if node.op == "MatMul" and _attribute(node, "transpose_b").b:
        return filters * scale[:, None]
    if node.op == "DepthwiseConv2dNative":
        return filters * scale.reshape(filters.shape[-2:])
    return filters * scale


def prune(graph: Any, outputs: set[str], inputs: set[str]) -> None:
    """Drop the nodes of a ``GraphDef`` that no output depends on; `inputs` stay.

    That a variable is read before the end, which means nothing once it is a constant, is no
    dependence.
    """
    nodes = {node.name: node for node in graph.node}
    needed: set[str] = set()
    waiting = [*outputs, *inputs]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            node = nodes[name]
            kept = [n for n in node.input if not (n.startswith("^") and _is_idle(n, nodes))]
            del node.input[:]
            node.input.extend(kept)
            waiting += [_node_of(n) for n in kept]
    left = [node for node in graph.node if node.name in needed]
    del graph.node[:]
    graph.node.extend(left)


def _is_idle(name: str, nodes: Mapping[str, Any]) -> bool:
    """Tell whether a node does nothing but pass constants on."""
    node = nodes[_node_of(name)]
    return node.op in ("Const", "Identity", "NoOp") and all(
        _is_idle(other, nodes) for other in node.input
    )


def _node_of(name: str) -> str:
    return name.removeprefix("^").partition(":")[0]


def _attribute(node: Any, name: str) -> Any:
    """Return an attribute, or an empty one: reading a missing one from the map would make it."""
    from tensorflow.core.framework import attr_value_pb2

    return node.attr[name] if name in node.attr else attr_value_pb2.AttrValue()


def _float32() -> int:
    return 1  # DT_FLOAT of tensorflow/core/framework/types.proto

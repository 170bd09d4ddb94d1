"""Constant shapes for the reshapes of a TFLite file, in place of computed ones.

Where the batch is dynamic, the converter makes a Keras ``Flatten`` into ``SHAPE > STRIDED_SLICE >
PACK(batch, 256) > RESHAPE``. A shape that is known only once the graph runs makes a tensor
*dynamic* (the Prepare of tensorflow/lite/kernels/reshape.cc): after a resize ``allocate_tensors``
does not know its size nor any later one, XNNPACK does not take its consumers, and
``CompiledModel`` cannot size its output buffers. A ``RESHAPE`` to the constant ``[-1, 256]`` says
the same and is sized in advance.

It is the same because a reshape keeps the number of elements: where all sizes but one are known
and positive, the last has one possible value, and that is what -1 stands for
(https://www.tensorflow.org/api_docs/python/tf/reshape).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from shipworthy.convert.formats.tflite_file import (
    LARGEST_BYTES,
    Tree,
    lies_outside,
    operator_names,
    pack,
)

# This metadata names operators by their places, so that none may go.
CONTROL_DEPENDENCIES = b"model_control_dependencies"


@dataclass(frozen=True)
class Dim:
    """The size of a tensor along an axis, not known before the graph runs."""

    tensor: int
    axis: int


Size: TypeAlias = int | Dim | None  # None: computed in a way that is not followed


def fix_reshapes(content: bytes) -> tuple[bytes, int]:
    """Give each reshape of the first subgraph a constant shape where that is provably the same.

    Parameters
    ----------
    content : a TFLite file.

    Returns
    -------
    The file, and how many reshapes were rewritten; with none, the file is `content` itself. Size
    arithmetic that nobody uses any more is gone. Tensors, buffers, operator codes, signatures,
    metadata and further subgraphs (the bodies of control flow) keep their contents and places.
    Files above 2 GB and those with data outside the flatbuffer are left as they are.
    """
    from ai_edge_litert import schema_py_generated as schema

    if len(content) > LARGEST_BYTES:
        return content, 0
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    if lies_outside(model) or not model.subgraphs or not model.subgraphs[0].operators:
        return content, 0
    names = operator_names(model)
    computed = _follow(model, names)
    count = _rewrite(model, names, computed)
    if not count:
        return content, 0
    if all(entry.name != CONTROL_DEPENDENCIES for entry in model.metadata or ()):
        _drop_unused(model.subgraphs[0], computed)
    return pack(model, len(content)), count


def constant_shape(wanted: list[Size], given: list[Size]) -> list[int] | None:
    """Return the constant that means the same as a computed shape, or None if there is none.

    Parameters
    ----------
    wanted : the computed shape. An int -1 is one that the graph itself asks for.
    given : the sizes of the tensor that is reshaped.
    """
    unknown = [size for size in wanted if not isinstance(size, int)]
    shape = [size if isinstance(size, int) else -1 for size in wanted]
    known = math.prod(size for size in shape if size != -1)
    if len(unknown) != 1 or any(size < 1 and size != -1 for size in shape):
        return None
    if shape.count(-1) == 1:
        return shape
    # (batch, -1): when the batch is all that is unknown of the given sizes, the -1 is known.
    total = math.prod(size for size in given if isinstance(size, int))
    dynamic = [size for size in given if not isinstance(size, int)]
    if shape.count(-1) > 2 or unknown[0] is None or unknown != dynamic or total < 1:
        return None
    if total % known:
        return None
    return [
        size if size != -1 else -1 if isinstance(asked, Dim) else total // known
        for size, asked in zip(shape, wanted, strict=True)
    ]


def _follow(model: Tree, names: list[str | None]) -> dict[int, np.ndarray]:
    """Follow the size arithmetic; return object arrays of `Size` by computed tensor.

    Operators stand in the order in which they run, so that one pass is enough.
    """
    graph = model.subgraphs[0]
    constants = {
        i: value for i in range(len(graph.tensors)) if (value := _constant(model, i)) is not None
    }
    computed: dict[int, np.ndarray] = {}
    for op in graph.operators:
        name = names[op.opcodeIndex]
        if name == "SHAPE":
            sizes = _sizes(graph, int(op.inputs[0]))
            if sizes is not None:
                computed[int(op.outputs[0])] = _objects(sizes, (len(sizes),))
        elif name in FOLDS:
            values = [computed.get(int(i), constants.get(int(i))) for i in op.inputs]
            folded = _fold(FOLDS[name], values, op.builtinOptions)
            if folded is not None:
                computed[int(op.outputs[0])] = folded
    return computed


def _constant(model: Tree, index: int) -> np.ndarray | None:
    """Read a small constant tensor of integers, as objects."""
    from ai_edge_litert.schema_py_generated import TensorType

    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    dtypes = {TensorType.INT32: "<i4", TensorType.INT64: "<i8"}
    if tensor.type not in dtypes or tensor.isVariable or data is None or not 0 < len(data) <= 256:
        return None
    values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtypes[tensor.type])
    shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
    if values.size != math.prod(shape):
        return None
    return _objects(values.tolist(), tuple(shape))


def _sizes(graph: Tree, index: int) -> list[Size] | None:
    """Return a tensor's sizes, which its signature gives where any is dynamic."""
    tensor = graph.tensors[index]
    told = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    if told is None or not tensor.hasRank:
        return None
    return [int(size) if size >= 0 else Dim(index, axis) for axis, size in enumerate(told)]


def _fold(
    rule: Callable[[list[Any], Tree], Any], values: list[np.ndarray | None], options: Tree
) -> np.ndarray | None:
    """Apply a rule to what is known; None where it does not cover the case."""
    if any(value is None for value in values):
        return None
    try:
        found = rule(values, options)
    except (IndexError, TypeError, ValueError):  # such as a size for an index
        return None
    return None if found is None else np.asarray(found)


def _times(a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    return b if a == 1 else a if b == 1 else None


def _multiply(values: list[Any], options: Tree) -> Any:
    if options.fusedActivationFunction:
        return None
    a, b = np.broadcast_arrays(*values)
    return _objects([_times(i, j) for i, j in zip(a.flat, b.flat, strict=True)], a.shape)


def _objects(sizes: list[Size], shape: tuple[int, ...]) -> np.ndarray:
    found = np.empty(len(sizes), object)
    found[:] = sizes
    return found.reshape(shape)


def _product(values: list[Any], options: Tree) -> Any:
    entries, axes = values
    if entries.ndim != 1 or axes.size != 1 or axes.item() not in (0, -1):
        return None
    one: Size = 1
    return _objects([reduce(_times, entries, one)], (1,) if options.keepDims else ())


def _gather(values: list[Any], options: Tree) -> Any:
    entries, indices = values
    if options.axis or options.batchDims or entries.ndim != 1:
        return None
    return np.take(entries, indices.astype(np.int64))


def _slice(values: list[Any], options: Tree) -> Any:
    entries, *bounds = values
    if entries.ndim != 1 or any(bound.size != 1 for bound in bounds):
        return None
    if options.ellipsisMask or options.newAxisMask or options.offset:
        return None
    first, last, step = (int(bound.item()) for bound in bounds)
    if options.shrinkAxisMask:
        return entries[first : first + 1 or None].reshape(())
    return entries[None if options.beginMask else first : None if options.endMask else last : step]


def _pack_sizes(values: list[Any], options: Tree) -> Any:
    return None if options.axis else np.stack(values)


def _concatenate(values: list[Any], options: Tree) -> Any:
    one = all(value.ndim == 1 for value in values)
    return np.concatenate(values) if one and not options.fusedActivationFunction else None


FOLDS: dict[str, Callable[[list[Any], Tree], Any]] = {
    "CONCATENATION": _concatenate,
    "GATHER": _gather,
    "MUL": _multiply,
    "PACK": _pack_sizes,
    "REDUCE_PROD": _product,
    "STRIDED_SLICE": _slice,
}


def _rewrite(model: Tree, names: list[str | None], computed: dict[int, np.ndarray]) -> int:
    """Point reshapes to constants, which are appended to the file; return how many."""
    graph = model.subgraphs[0]
    count = 0
    for op in graph.operators:
        if names[op.opcodeIndex] != "RESHAPE" or len(op.inputs) != 2:
            continue
        data, shape = (int(i) for i in op.inputs)
        given, wanted = _sizes(graph, data), computed.get(shape)
        if given is None or wanted is None or wanted.ndim != 1:
            continue
        found = constant_shape(wanted.tolist(), given)
        if found is not None:
            op.inputs = np.array([data, _append_constant(model, shape, found)], np.int32)
            count += 1
    return count


def _append_constant(model: Tree, instead: int, values: list[int]) -> int:
    """Append an int32 tensor and its buffer; return the tensor's index."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    model.buffers.append(schema.BufferT(data=np.frombuffer(np.array(values, "<i4"), np.uint8)))
    graph.tensors.append(
        schema.TensorT(
            shape=np.array([len(values)], np.int32),
            type=schema.TensorType.INT32,
            buffer=len(model.buffers) - 1,
            name=(graph.tensors[instead].name or b"") + b"/constant",
            hasRank=True,
        )
    )
    return len(graph.tensors) - 1


def _drop_unused(graph: Tree, computed: dict[int, np.ndarray]) -> None:
    """Drop the size arithmetic that nobody uses, from its end to its beginning."""
    uses = Counter(int(i) for op in graph.operators for i in op.inputs)
    uses.update(int(i) for i in graph.outputs)
    kept = []
    for op in reversed(graph.operators):
        if all(int(i) in computed and not uses[int(i)] for i in op.outputs):
            uses.subtract(int(i) for i in op.inputs)
        else:
            kept.append(op)
    graph.operators = kept[::-1]

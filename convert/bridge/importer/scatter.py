"""Writing at places."""

from __future__ import annotations

from shipworthy.convert.bridge.importer.indexing import from_front, full_index
from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Tensor, product, sizes, torch
from shipworthy.convert.bridge.importer.table import onnx_op

_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@onnx_op("ScatterElements", "Scatter", since=9)
def scatter_elements(node: Node, x: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    """Write every element of the updates at its place of the axis."""
    axis = node.get("axis", 0) % x.dim()
    reduction = node.refuse_unless("reduction", ("none", *_REDUCTIONS), "none")
    places = from_front(places.to(torch.int64), node.shape(0, x)[axis])
    if reduction == "none":
        return torch.scatter(x, axis, places, updates)
    if reduction == "add":
        return torch.scatter_add(x, axis, places, updates)
    return torch.scatter_reduce(x, axis, places, updates, _REDUCTIONS[reduction])


@onnx_op("ScatterND", since=11)
def scatter_nd(node: Node, x: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    """Write elements, or slices, where the last axis of the places says."""
    reduction = node.refuse_unless("reduction", ("none", *_REDUCTIONS), "none")
    index = full_index(node, places)
    if reduction in ("none", "add"):
        return torch.index_put(x, index, updates, accumulate=reduction == "add")
    # As one axis, with one place for every element that is written.
    own = node.shape(0, x)
    depth = len(index)
    flat = x.reshape([product(own[:depth]), -1])
    row = torch.zeros_like(index[0])
    for part, size in zip(index, own, strict=False):
        row = row * size + from_front(part, size)
    row = row.reshape(-1, 1)
    values = updates.reshape([-1, product(own[depth:])])
    row = row.expand_as(values)
    written = torch.scatter_reduce(flat, 0, row, values, _REDUCTIONS[reduction])
    return written.reshape(sizes(x))

"""Looking up places."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.bridge.importer.evaluate import Value, as_tensor
from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import (
    Number,
    Numbers,
    Tensor,
    constant,
    is_plain,
    sizes,
    torch,
)
from shipworthy.convert.bridge.importer.table import onnx_op


def from_front(places: Tensor, size: Number) -> Tensor:
    """Return places counted from the front; ONNX also counts from behind, by negative ones."""
    return torch.where(places < 0, places + size, places)


@onnx_op("Gather", since=1, numbers=(1,), raw=True)
def gather(node: Node, x: Value, places: Numbers | Tensor) -> Tensor:
    """Take places of an axis; the axes of the places stand where the axis was."""
    x = as_tensor(x)
    axis = node.get("axis", 0) % x.dim()
    size = node.shape(0, x)[axis]
    if isinstance(places, Numbers) and places.is_plain:
        known = _known(places, size)
        if known is not None and places.array.ndim == 0:
            return x.select(axis, known[0])
        index = places.tensor if known is None else constant(known, torch.int64)
        index = index.reshape(places.array.shape)
        if known is None:
            index = from_front(index, size)
    else:
        index = from_front(as_tensor(places), size)
    return _taken(x, axis, index)


def _known(places: Numbers, size: Number) -> list[int] | None:
    """Return places counted from the front, or None where that depends on a dynamic size."""
    items = [int(n) for n in places.items]
    if all(n >= 0 for n in items) or (len(items) == 1 and places.array.ndim == 0):
        return items
    return [n % size for n in items] if is_plain(size) else None


def _taken(x: Tensor, axis: int, index: Tensor) -> Tensor:
    if index.dim() == 1:
        return x.index_select(axis, index)
    if index.dim() == 0:
        return x.index_select(axis, index.reshape(1)).squeeze(axis)
    if axis == 0 and x.dim() == 2 and x.is_floating_point():
        return torch.nn.functional.embedding(index, x)
    around = sizes(x)
    found = x.index_select(axis, index.reshape(-1))
    return found.reshape([*around[:axis], *sizes(index), *around[axis + 1 :]])


@onnx_op("GatherElements", since=11)
def gather_elements(node: Node, x: Tensor, places: Tensor) -> Tensor:
    """For every element of the places, the element of x at that place of the axis."""
    axis = node.get("axis", 0) % x.dim()
    return torch.gather(x, axis, from_front(places.to(torch.int64), node.shape(0, x)[axis]))


@onnx_op("GatherND", since=11)
def gather_nd(node: Node, x: Tensor, places: Tensor) -> Tensor:
    """Take the elements, or slices, that the last axis of the places names."""
    return x[full_index(node, places, node.get("batch_dims", 0))]


def full_index(node: Node, places: Tensor, batch_dims: int = 0) -> tuple[Any, ...]:
    """Return an index, one tensor an axis, from places whose last axis holds the coordinates."""
    known = node.shapes[1][-1] if node.shapes[1] else None
    parts = places.unbind(-1)
    if known is not None and known != len(parts):
        node.refuse("the last axis of its indices has another size than the file says")
    index = list(parts)
    rank = places.dim() - 1
    own = sizes(places)
    rows = []
    for axis in range(batch_dims):
        shape = [1] * rank
        shape[axis] = -1
        rows.append(torch.arange(own[axis]).reshape(shape))
    return (*rows, *index)


@onnx_op("NonZero", since=9)
def nonzero(node: Node, x: Tensor) -> Tensor:
    """Places of what is not zero, one column each."""
    return torch.nonzero(x).t()


@onnx_op("Unique", since=11)
def unique(node: Node, x: Tensor) -> Any:
    """Distinct elements, sorted; where each is first; which one each element is; how many."""
    if "axis" in node.attributes or not node.get("sorted", 1):
        node.refuse("an axis, or sorted=0; supported are distinct elements in order")
    values, inverse, counts = torch.unique(x, sorted=True, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    places = torch.arange(inverse.shape[0])
    first = torch.zeros_like(counts).scatter_reduce(0, inverse, places, "amin", include_self=False)
    return values, first, inverse, counts


@onnx_op("ReverseSequence", since=10)
def reverse_sequence(node: Node, x: Tensor, lengths: Tensor) -> Tensor:
    """Turn the first so many places of each row around."""
    time, batch = node.get("time_axis", 0), node.get("batch_axis", 1)
    turned = x.movedim((batch, time), (0, 1))
    return turned.gather(1, reversed_places(turned, lengths)).movedim((0, 1), (batch, time))


def reversed_places(x: Tensor, lengths: Tensor) -> Tensor:
    """Return for each place of axis 1 the one it comes from, expanded to x: rows on axis 0."""
    places = torch.arange(x.shape[1]).unsqueeze(0)
    lengths = lengths.to(torch.int64).unsqueeze(1)
    places = torch.where(places < lengths, lengths - 1 - places, places)
    return places.reshape(sizes(places) + [1] * (x.dim() - 2)).expand(sizes(x))

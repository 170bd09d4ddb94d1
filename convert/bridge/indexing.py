"""Looking up places, and writing to them.

Several indices are turned into one, into the axes they index taken together: TensorFlow and TFLite
gather along one axis faster than by coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import Out, UnsupportedUseError, aten
from shipworthy.convert.bridge.value import Size, Tensor, Value, aligned, reshape

Indices = Sequence[Value | None]


@aten("embedding.default")
def embedding(weight: Value, indices: Value, *settings: Any) -> Value:
    """Rows of a table; padding and sparsity only matter for gradients."""
    return Value(tf.gather(weight.plain, indices.tensor), (*indices.order, indices.rank))


@aten("index_select.default")
def index_select(x: Value, dim: int, index: Value) -> Value:
    """Places of an axis."""
    if not x.rank:
        return x
    return x.like(tf.gather(x.tensor, tf.reshape(index.tensor, [-1]), axis=x.axis(dim)))


@aten("gather.default")
def gather(x: Value, dim: int, index: Value, sparse_grad: bool = False) -> Value:
    """For every element of the index, the element of x at that place of an axis."""
    if not x.rank:
        return x
    dim = x.dim(dim)
    order = [*(d for d in range(x.rank) if d != dim), dim]
    t, places = x.arranged(order), index.arranged(order)
    # The index may be shorter than x along the other axes.
    cut: Sequence[slice] = [slice(0, index.size(d)) for d in order[:-1]]
    if index.shape[:dim] + index.shape[dim + 1 :] != x.shape[:dim] + x.shape[dim + 1 :]:
        t = t[tuple(cut)]
    return Value(tf.gather(t, places, axis=-1, batch_dims=x.rank - 1), order)


class _Places:
    """Axes of a tensor that are indexed together, brought into one axis.

    Parameters
    ----------
    indices : for every axis its index, or None; those left out at the end are None.

    Attributes
    ----------
    flat : x with the indexed axes as one.
    index : places along that axis; its axes are those that the indices have after broadcasting.
    first : number of axes before it.
    """

    def __init__(self, x: Value, indices: Indices) -> None:
        self.indexed = [dim for dim, index in enumerate(indices) if index is not None]
        rest = [dim for dim in range(x.rank) if dim not in self.indexed]
        start, count = self.indexed[0], len(self.indexed)
        beside = self.indexed == list(range(start, start + count))
        # Where they are apart, PyTorch puts the new axes in front.
        self.first = start if beside else 0
        self.order = [*rest[: self.first], *self.indexed, *rest[self.first :]]
        self.before = [x.size(dim) for dim in rest[: self.first]]
        self.after = [x.size(dim) for dim in rest[self.first :]]
        self.sizes = [x.size(dim) for dim in self.indexed]
        self.x = x
        self.index = self._linear([index for index in indices if index is not None])

    @property
    def flat(self) -> Tensor:
        """The tensor with the indexed axes as one."""
        t = self.x.arranged(self.order)
        if len(self.indexed) == 1:
            return t
        return reshape(t, [*self.before, self.count, *self.after])

    @property
    def count(self) -> Size:
        """Number of places."""
        return math.prod(self.sizes)

    def _linear(self, indices: Sequence[Value]) -> Tensor:
        if len(indices) == 1:
            return _from_front(indices[0].plain, self.sizes[0])
        total = None
        for index, size in zip(indices, self.sizes, strict=True):
            place = _from_front(index.plain, size)
            total = place if total is None else total * size + place
        return total


def _from_front(index: Tensor, size: Size) -> Tensor:
    """Return places as int32, those from the end counted from the front."""
    known = tf.get_static_value(index)
    if known is not None and (isinstance(size, int) or (known >= 0).all()):
        return tf.constant(np.where(known < 0, known + size, known).astype(np.int32))
    index = tf.cast(index, tf.int32)
    return tf.where(index < 0, index + size, index)


@aten("index.Tensor", "_unsafe_index.Tensor")
def index_(x: Value, indices: Indices) -> Value:
    """Return the elements that tensors point at (``x[:, rows, columns]``, ``x[mask]``)."""
    places = _Places(x, _expanded(indices))
    return Value(tf.gather(places.flat, places.index, axis=places.first))


def _expanded(indices: Indices) -> list[Value | None]:
    """Replace masks by the places where they hold, one index for each axis of the mask."""
    found: list[Value | None] = []
    for index in indices:
        if index is not None and index.dtype == tf.bool:
            places = tf.where(index.plain)
            found += [Value(places[:, axis]) for axis in range(index.rank)]
        else:
            found.append(index)
    return found


@aten("index_put.default", "_unsafe_index_put.default")
def index_put(x: Value, indices: Indices, values: Value, accumulate: bool = False) -> Value:
    """Return x with other elements where tensors point (``x[rows, columns] = values``)."""
    values = values.cast(x.dtype)
    given = [index for index in indices if index is not None]
    first = next(dim for dim, index in enumerate(indices) if index is not None)
    mask = given[0]
    one = math.prod(size or 0 for size in values.shape) == 1
    if len(given) == 1 and mask.dtype == tf.bool and one and not accumulate:
        # One value under a mask needs no places.
        after = x.rank - first - mask.rank
        shape = [1] * first + mask.sizes() + [1] * after
        wide = Value(reshape(mask.plain, shape) if first or after else mask.plain)
        chosen, new, old = _alike(wide, Value(tf.reshape(values.plain, [1] * x.rank)), x)
        return x.like(tf.where(chosen, new, old))
    places = _Places(x, _expanded(indices))
    shape = places.index.shape.rank
    # The indexed axis in front, as TensorFlow's scatter wants it, and the values' axes with it.
    t = places.flat
    front = [places.first, *(a for a in range(t.shape.rank) if a != places.first)]
    sizes = [*places.before, *_sizes(places.index), *places.after]
    wide = tf.broadcast_to(values.plain, tf.stack(sizes)) if values.rank < len(sizes) else None
    if wide is None or values.shape != tuple(s if isinstance(s, int) else None for s in sizes):
        wide = tf.broadcast_to(values.plain, tf.stack(sizes))
    turn = [places.first + i for i in range(shape)]
    turn = [*turn, *(a for a in range(len(sizes)) if a not in turn)]
    moved = places.first != 0
    t, wide = (tf.transpose(t, front), tf.transpose(wide, turn)) if moved else (t, wide)
    t = _scattered(t, tf.expand_dims(places.index, -1), wide, "add" if accumulate else "update")
    if moved:
        t = tf.transpose(t, np.argsort(front))
    if len(places.indexed) > 1:
        t = reshape(t, [*places.before, *places.sizes, *places.after])
    return Value(tf.transpose(t, np.argsort(places.order)) if list(places.order) != sorted(places.order) else t)


def _alike(*values: Value) -> list[Tensor]:
    order = values[-1].order
    return [value.arranged(order) for value in values]


def _sizes(t: Tensor) -> list[Size]:
    return [Value(t).size(dim) for dim in range(t.shape.rank)]

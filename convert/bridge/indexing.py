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
from shipworthy.convert.bridge.scattering import written
from shipworthy.convert.bridge.table import Missing, aten
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
    one = math.prod(size or 0 for size in values.shape) == 1
    if len(given) == 1 and given[0].dtype == tf.bool and one and not accumulate:
        return _filled(x, given[0], indices.index(given[0]), values)
    places = _Places(x, _expanded(indices))
    first, count = places.first, places.index.shape.rank
    new_axes = [Value(places.index).size(dim) for dim in range(count)]
    wide = tf.broadcast_to(values.plain, tf.stack([*places.before, *new_axes, *places.after]))
    # TensorFlow's scatter wants the indexed axis in front.
    t, moved = _to_front(places.flat, first, 1), _to_front(wide, first, count)
    moved = reshape(moved, [-1, *(Value(t).size(dim) for dim in range(1, t.shape.rank))])
    t = written(t, tf.reshape(places.index, [-1]), moved, accumulate)
    t = tf.transpose(t, [*range(1, first + 1), 0, *range(first + 1, t.shape.rank)]) if first else t
    if len(places.indexed) > 1:
        t = reshape(t, [*places.before, *places.sizes, *places.after])
    return Value(t, places.order)


def _filled(x: Value, mask: Value, first: int, one: Value) -> Value:
    """Return x with one value under a mask over some of its axes: it needs no places."""
    wide = mask
    if mask.rank < x.rank:
        sizes = [1] * first + mask.sizes() + [1] * (x.rank - first - mask.rank)
        wide = Value(reshape(mask.plain, sizes))
    return x.like(tf.where(wide.arranged(x.order), tf.reshape(one.plain, []), x.tensor))


def _to_front(t: Tensor, first: int, count: int) -> Tensor:
    if not first:
        return t
    chosen = list(range(first, first + count))
    return tf.transpose(t, chosen + [axis for axis in range(t.shape.rank) if axis not in chosen])


@aten("masked_select.default")
def masked_select(x: Value, mask: Value) -> Value:
    """Return the elements where a mask holds, one after the other."""
    (chosen, values), order = aligned([mask, x])
    sizes = tf.broadcast_dynamic_shape(tf.shape(chosen), tf.shape(values))
    wide = [Value(tf.broadcast_to(t, sizes), order).plain for t in (chosen, values)]
    return index_(Value(tf.reshape(wide[1], [-1])), [Value(tf.reshape(wide[0], [-1]))])


@aten("repeat_interleave.Tensor")
def repeat_interleave(counts: Value, output_size: Size | None = None) -> Value:
    """Return every place as often as it counts."""
    ends = tf.cumsum(tf.cast(counts.plain, tf.int32))
    places = tf.range(ends[-1])
    before = tf.cast(ends[None, :] <= places[:, None], tf.int32)
    return Value(tf.cast(tf.reduce_sum(before, axis=1), counts.dtype))


@aten("nonzero.default")
def nonzero(x: Value) -> Value:
    """Return the places of all elements that are not zero, one a row."""
    return Value(tf.where(x.cast(tf.bool).plain))


@aten("_embedding_bag.default")
def embedding_bag(
    weight: Value,
    indices: Value,
    offsets: Value,
    scale_grad: bool = False,
    mode: int = 0,
    sparse: bool = False,
    factors: Value | None = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> tuple[Value | Missing, ...]:
    """Sum (0), mean (1) or maximum (2) of the rows of each bag; bags begin at the offsets."""
    place = tf.cast(indices.plain, tf.int32)
    starts = tf.cast(offsets.plain, tf.int32)
    starts = starts[:-1] if include_last_offset else starts
    # An element's bag is the last one that begins at it or before.
    begun = starts[None, :] <= tf.range(tf.size(place))[:, None]
    bag = tf.reduce_sum(tf.cast(begun, tf.int32), axis=1) - 1
    bags = tf.size(starts)
    rows = tf.gather(weight.plain, place)
    if factors is not None:
        rows = rows * tf.expand_dims(factors.plain, 1)
    # What counts for nothing falls into a bag behind the last, which is then left off.
    bag = tf.where(place == padding_idx, bags, bag)
    function = tf.math.unsorted_segment_max if mode == 2 else tf.math.unsorted_segment_sum
    y = function(rows, bag, bags + 1)[:-1]
    count = tf.math.unsorted_segment_sum(tf.ones_like(bag), bag, bags + 1)[:-1, None]
    if mode == 1:
        y = y / tf.cast(tf.maximum(count, 1), y.dtype)
    if mode == 2:
        y = tf.where(count > 0, y, tf.zeros_like(y))
    unused = Missing("what embedding_bag saves for training is not computed")
    return Value(y), unused, unused, unused

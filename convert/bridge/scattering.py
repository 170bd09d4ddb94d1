"""Writing to places that are only known when the model runs."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import UnsupportedUseError, aten
from shipworthy.convert.bridge.value import Tensor, Value, aligned, reshape


def written(t: Tensor, places: Tensor, updates: Tensor, accumulate: bool) -> Tensor:
    """Write along axis 0: where places repeat, add up, or take the last, as PyTorch does on a CPU.

    TensorFlow's own update takes the last too, but what TFLite makes of it adds them up.

    Parameters
    ----------
    places : of one axis, as many as `updates` has along its first.
    """
    if accumulate:
        return t + tf.scatter_nd(tf.expand_dims(places, 1), updates, tf.shape(t))
    size, count = Value(t).size(0), tf.size(places)
    last = tf.math.unsorted_segment_max(tf.range(count), places, size)
    # There may be no updates at all; what is not written to takes the row behind them.
    rows = tf.pad(updates, [[0, 1]] + [[0, 0]] * (updates.shape.rank - 1))
    taken = tf.gather(rows, tf.where(last < 0, count, last))
    is_written = tf.reshape(last >= 0, [-1] + [1] * (t.shape.rank - 1))
    return tf.where(is_written, taken, t)


class _Spread:
    """What the scatter ops share: x as a vector, and for every element of an index its place."""

    def __init__(self, x: Value, dim: int, index: Value) -> None:
        self.x = x
        self.index = index
        sizes = [index.size(axis) for axis in range(x.rank)]
        places = tf.zeros([], tf.int32)
        for axis in range(x.rank):
            along = tf.cast(index.plain, tf.int32)
            if axis != x.dim(dim):
                along = tf.reshape(tf.range(sizes[axis]), [-1] + [1] * (x.rank - axis - 1))
            places = places * x.size(axis) + along
        self.places = tf.reshape(places, [-1])
        self.vector = tf.reshape(x.plain, [-1])

    def updates(self, source: Any) -> Tensor:
        """Return what is written, one element a place; the source may be larger than the index."""
        if not isinstance(source, Value):
            return tf.fill(tf.shape(self.places), tf.cast(source, self.x.dtype))
        t = source.cast(self.x.dtype).plain
        if source.shape != self.index.shape or None in source.shape:
            t = t[tuple(slice(0, self.index.size(dim)) for dim in range(source.rank))]
        return tf.reshape(t, [-1])

    def shaped(self, vector: Tensor) -> Value:
        """Return a vector in x's shape."""
        return Value(reshape(vector, self.x.sizes()))


@aten("scatter.src", "scatter.value")
def scatter(x: Value, dim: int, index: Value, source: Any) -> Value:
    """For every element of the index, write the source's to that place of an axis."""
    if not x.rank:
        return source if isinstance(source, Value) else full_value(x, source)
    spread = _Spread(x, dim, index)
    return spread.shaped(written(spread.vector, spread.places, spread.updates(source), False))


def full_value(x: Value, number: Any) -> Value:
    """Return a value like x with one number everywhere."""
    return x.like(tf.fill(tf.shape(x.tensor), tf.cast(number, x.dtype)))


@aten("scatter_add.default")
def scatter_add(x: Value, dim: int, index: Value, source: Value) -> Value:
    """For every element of the index, add the source's to that place of an axis."""
    return scatter_reduce(x, dim, index, source, "sum")


@aten("scatter_reduce.two", "scatter.reduce", "scatter.value_reduce")
def scatter_reduce(
    x: Value, dim: int, index: Value, source: Any, reduce: str, include_self: bool = True
) -> Value:
    """Reduce what falls on the same place, and what was there before unless told otherwise."""
    if not x.rank:
        raise UnsupportedUseError("a scatter with a reduction on a tensor without axes")
    spread = _Spread(x, dim, index)
    kind = {"add": "sum", "multiply": "prod", "amax": "max", "amin": "min", "mean": "sum"}
    old, size = spread.vector, tf.size(spread.vector)

    def segments(name: str, values: Tensor) -> Tensor:
        return getattr(tf.math, f"unsorted_segment_{name}")(values, spread.places, size)

    updates = spread.updates(source)
    new = segments(kind.get(reduce, reduce), updates)
    count = segments("sum", tf.ones_like(updates))
    if not include_self:
        new = new / tf.maximum(count, 1) if reduce == "mean" else new
        return spread.shaped(tf.where(count > 0, new, old))
    if reduce == "mean":
        return spread.shaped((old + new) / (count + 1))
    join = {"sum": tf.add, "prod": tf.multiply, "max": tf.maximum, "min": tf.minimum}
    return spread.shaped(join[kind.get(reduce, reduce)](old, new))


@aten("masked_scatter.default")
def masked_scatter(x: Value, mask: Value, source: Value) -> Value:
    """Write the source's elements, one after the other, to where the mask holds."""
    (chosen, old), order = aligned([mask, x])
    chosen, old = Value(chosen, order).plain, Value(old, order).plain
    chosen = tf.broadcast_to(chosen, tf.shape(old))
    nth = tf.cumsum(tf.cast(tf.reshape(chosen, [-1]), tf.int32)) - 1
    values = tf.gather(tf.reshape(source.plain, [-1]), tf.maximum(nth, 0))
    return Value(tf.where(chosen, tf.reshape(values, tf.shape(old)), old))

"""Cutting tensors apart and putting them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.shape import inserted
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Size, Tensor, Value, aligned, without

_END = 2**63 - 1  # how PyTorch writes "to the end"


@aten("cat.default")
def cat(values: Sequence[Value], dim: int = 0, *, out: Out) -> Value:
    """Join along an axis."""
    # PyTorch still lets an empty tensor of one axis stand beside tensors of any rank.
    parts = [value.cast(out.dtype) for value in values if value.shape != (0,)] or list(values)
    tensors, order = aligned(parts)
    return Value(tf.concat(tensors, axis=order.index(parts[0].dim(dim))), order)


@aten("stack.default")
def stack(values: Sequence[Value], dim: int = 0, *, out: Out) -> Value:
    """Join along a new axis."""
    tensors, order = aligned([value.cast(out.dtype) for value in values])
    new, place = inserted(Value(tensors[0], order), dim)
    return Value(tf.stack(tensors, axis=place), new)


@aten("split_with_sizes.default")
def split_with_sizes(x: Value, sizes: Sequence[Size], dim: int = 0) -> list[Value]:
    """Cut an axis into pieces."""
    return [x.like(part) for part in tf.split(x.tensor, list(sizes), axis=x.axis(dim))]


@aten("select.int")
def select(x: Value, dim: int, index: Size) -> Value:
    """Take one place of an axis, and drop the axis."""
    return Value(_cut(x.tensor, x.axis(dim), index), without(x.order, [x.dim(dim)]))


@aten("slice.Tensor")
def slice_(
    x: Value, dim: int = 0, start: Size | None = None, end: Size | None = None, step: int = 1
) -> Value:
    """Take places of an axis."""
    end = None if isinstance(end, int) and end == _END else end
    if step == 1 and end is None and (start is None or (isinstance(start, int) and start == 0)):
        return x
    return x.like(_cut(x.tensor, x.axis(dim), slice(start, end, step)))


def _cut(tensor: Tensor, axis: int, index: Any) -> Tensor:
    return tensor[(*[slice(None)] * axis, index)]


@aten("slice_scatter.default")
def slice_scatter(
    x: Value,
    source: Value,
    dim: int = 0,
    start: Size | None = None,
    end: Size | None = None,
    step: int = 1,
) -> Value:
    """Return x with places of an axis taken from the source (``x[:, a:b] = source``)."""
    size, axis = x.size(dim), x.axis(dim)
    places = tf.range(size)
    chosen = places[slice(start, None if isinstance(end, int) and end == _END else end, step)]
    # For every place of x: is it chosen, and where in the source does it lie?
    first = tf.concat([chosen, [size]], 0)[0]
    nearest = tf.clip_by_value((places - first) // step, 0, tf.maximum(tf.size(chosen) - 1, 0))
    inside = tf.reduce_any(places[:, None] == chosen[None, :], axis=1)
    taken = tf.gather(source.cast(x.dtype).arranged(x.order), nearest, axis=axis)
    return x.like(tf.where(_column(inside, x.rank - axis - 1), taken, x.tensor))


@aten("select_scatter.default")
def select_scatter(x: Value, source: Value, dim: int, index: Size) -> Value:
    """Return x with one place of an axis taken from the source (``x[:, i] = source``)."""
    size, axis = x.size(dim), x.axis(dim)
    inside = tf.range(size) == (index + size if isinstance(index, int) and index < 0 else index)
    order = without(x.order, [x.dim(dim)])
    taken = tf.expand_dims(source.cast(x.dtype).arranged(order), axis)
    return x.like(tf.where(_column(inside, x.rank - axis - 1), taken, x.tensor))


def _column(vector: Tensor, after: int) -> Tensor:
    """Let a vector run along the axis that has `after` axes behind it."""
    return tf.reshape(vector, [-1] + [1] * after)

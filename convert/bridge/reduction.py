"""Reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Size, Tensor, Value, without

Dims = int | Sequence[int] | None


def _reduced(x: Value, dims: Dims, keepdim: bool, function: Callable[..., Tensor]) -> Value:
    """Apply a function of TensorFlow's that takes `axis` and `keepdims`."""
    gone = x.dims(dims)
    y = function(x.tensor, axis=x.axes(gone), keepdims=keepdim)
    return Value(y, x.order if keepdim else without(x.order, gone))


@aten("mean.dim", "mean.default")
def mean(
    x: Value, dims: Dims = None, keepdim: bool = False, dtype: Any = None, *, out: Out
) -> Value:
    """Mean."""
    return _reduced(x.cast(out.dtype), dims, keepdim, tf.reduce_mean)


@aten("sum.dim_IntList", "sum.default")
def sum_(
    x: Value, dims: Dims = None, keepdim: bool = False, dtype: Any = None, *, out: Out
) -> Value:
    """Sum; of integers and booleans, an int64."""
    return _reduced(x.cast(out.dtype), dims, keepdim, tf.reduce_sum)


@aten("prod.dim_int", "prod.default")
def prod(
    x: Value, dims: Dims = None, keepdim: bool = False, dtype: Any = None, *, out: Out
) -> Value:
    """Product; of integers and booleans, an int64."""
    return _reduced(x.cast(out.dtype), dims, keepdim, tf.reduce_prod)


@aten("amax.default", "max.default")
def amax(x: Value, dims: Dims = (), keepdim: bool = False) -> Value:
    """Maximum."""
    return _reduced(x, dims, keepdim, tf.reduce_max)


@aten("amin.default", "min.default")
def amin(x: Value, dims: Dims = (), keepdim: bool = False) -> Value:
    """Minimum."""
    return _reduced(x, dims, keepdim, tf.reduce_min)


@aten("max.dim")
def max_dim(x: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    """Maximum along an axis, and where it is."""
    return amax(x, dim, keepdim), argmax(x, dim, keepdim)


@aten("min.dim")
def min_dim(x: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    """Minimum along an axis, and where it is."""
    return amin(x, dim, keepdim), argmin(x, dim, keepdim)


@aten("argmax.default")
def argmax(x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """Place of the first maximum; without an axis, in the flattened tensor."""
    return _place(x, dim, keepdim, tf.argmax)


@aten("argmin.default")
def argmin(x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """Place of the first minimum; without an axis, in the flattened tensor."""
    return _place(x, dim, keepdim, tf.argmin)


def _place(x: Value, dim: int | None, keepdim: bool, function: Callable[..., Tensor]) -> Value:
    if dim is None:
        place = function(tf.reshape(x.plain, [-1]), output_type=tf.int64)
        return Value(tf.reshape(place, [1] * x.rank) if keepdim else place)
    place = function(x.tensor, axis=x.axis(dim), output_type=tf.int64)
    if keepdim:
        return x.like(tf.expand_dims(place, x.axis(dim)))
    return Value(place, without(x.order, [x.dim(dim)]))


@aten("any.default", "any.dim", "any.dims")
def any_(x: Value, dims: Dims = None, keepdim: bool = False) -> Value:
    """Tell whether any element is true."""
    return _reduced(x.cast(tf.bool), dims, keepdim, tf.reduce_any)


@aten("var.correction")
def var(
    x: Value, dims: Dims = None, correction: float | None = None, keepdim: bool = False
) -> Value:
    """Variance, with a divisor of count - correction."""
    correction = 1 if correction is None else correction
    count: Size = math.prod(x.size(dim) for dim in x.dims(dims))
    centred = x.tensor - tf.reduce_mean(x.tensor, axis=x.axes(dims), keepdims=True)
    squares = _reduced(x.like(tf.square(centred)), dims, keepdim, tf.reduce_sum)
    divisor = tf.maximum(tf.cast(count, x.dtype) - correction, 0)
    return squares.like(squares.tensor / divisor)


@aten("var_mean.correction")
def var_mean(
    x: Value, dims: Dims = None, correction: float | None = None, keepdim: bool = False
) -> tuple[Value, Value]:
    """Variance, with a divisor of count - correction, and mean."""
    return var(x, dims, correction, keepdim), _reduced(x, dims, keepdim, tf.reduce_mean)


@aten("linalg_vector_norm.default")
def vector_norm(
    x: Value, order: float = 2, dims: Dims = None, keepdim: bool = False, dtype: Any = None,
    *, out: Out,
) -> Value:  # fmt: skip
    """Norm of a vector, or of all elements."""
    size = x.cast(out.dtype)
    size = size.like(tf.abs(size.tensor))
    if math.isinf(order):
        return _reduced(size, dims, keepdim, tf.reduce_max if order > 0 else tf.reduce_min)
    if order == 2:
        total = _reduced(size.like(tf.square(size.tensor)), dims, keepdim, tf.reduce_sum)
        return total.like(tf.sqrt(total.tensor))
    if order == 0:
        nonzero = tf.cast(size.tensor != 0, out.dtype)
        return _reduced(size.like(nonzero), dims, keepdim, tf.reduce_sum)
    powers = size if order == 1 else size.like(size.tensor**order)
    total = _reduced(powers, dims, keepdim, tf.reduce_sum)
    return total if order == 1 else total.like(total.tensor ** (1 / order))


@aten("cumsum.default")
def cumsum(x: Value, dim: int, dtype: Any = None, *, out: Out) -> Value:
    """Sum up along an axis, place by place; of integers and booleans, an int64."""
    x = x.cast(out.dtype)
    return x.like(tf.cumsum(x.tensor, axis=x.axis(dim))) if x.rank else x


@aten("_cdist_forward.default")
def cdist(x: Value, y: Value, order: float, mode: int | None = None, *, out: Out) -> Value:
    """Distance of every row of x from every row of y: the norm of their difference."""
    apart = tf.expand_dims(x.plain, -2) - tf.expand_dims(y.plain, -3)
    return vector_norm(Value(apart), order, -1, out=out)

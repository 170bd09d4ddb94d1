"""Running totals that neither TensorFlow nor TFLite has an op for in all their forms.

Each is a scan by doubling: after the step with shift s a place holds what the 2 s places up to it
come to. Only joining and cutting is needed, and the logarithm of the size in steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Size, Tensor, Value

Join = Callable[[Tensor, Tensor], Tensor]


@aten("cumprod.default")
def cumprod(x: Value, dim: int, dtype: Any = None, *, out: Out) -> Value:
    """Multiply along an axis, place by place; of integers and booleans, an int64."""
    return _scan(x.cast(out.dtype), dim, 1, tf.multiply)


@aten("logcumsumexp.default")
def logcumsumexp(x: Value, dim: int) -> Value:
    """Logarithm of the running sum of exponentials."""
    return _scan(x, dim, -math.inf, _logaddexp)


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    high, low = tf.maximum(a, b), tf.minimum(a, b)
    # Two infinities have no difference; what is far apart adds nothing.
    apart = tf.where(low == high, tf.zeros_like(low), tf.maximum(low - high, -200.0))
    return high + tf.math.log1p(tf.exp(apart))


@aten("cummax.default")
def cummax(x: Value, dim: int) -> tuple[Value, Value]:
    """Return the running maximum, and the last place that has it."""
    return _running(x, dim, tf.maximum, x.dtype.min)


@aten("cummin.default")
def cummin(x: Value, dim: int) -> tuple[Value, Value]:
    """Return the running minimum, and the last place that has it."""
    return _running(x, dim, tf.minimum, x.dtype.max)


def _running(x: Value, dim: int, join: Join, start: Any) -> tuple[Value, Value]:
    if not x.rank:
        return x, x.like(tf.zeros_like(x.tensor, tf.int64))
    limit = math.copysign(math.inf, start) if x.dtype.is_floating else start
    values = _scan(x, dim, limit, join)
    places = tf.range(x.size(dim))
    places = tf.reshape(places, [-1] + [1] * (x.rank - x.axis(dim) - 1))
    reached = tf.where(x.tensor == values.tensor, places, tf.zeros_like(places))
    last = _scan(x.like(reached), dim, 0, tf.maximum)
    return values, last.cast(tf.int64)


def _scan(x: Value, dim: int, neutral: Any, join: Join) -> Value:
    if not x.rank:
        return x
    axis, size = x.axis(dim), x.size(dim)
    filling = tf.fill(tf.shape(x.tensor), tf.cast(neutral, x.dtype))

    def step(shift: Size, t: Tensor) -> Tensor:
        kept = _cut(t, axis, slice(0, size - shift))
        return join(tf.concat([_cut(filling, axis, slice(0, shift)), kept], axis), t)

    if isinstance(size, int):
        t, shift = x.tensor, 1
        while shift < size:
            t, shift = step(shift, t), 2 * shift
        return x.like(t)
    shape = x.tensor.shape

    def body(shift: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        t = step(shift, t)
        t.set_shape(shape)
        return 2 * shift, t

    _, t = tf.while_loop(
        lambda shift, t: shift < size,
        body,
        (tf.constant(1), x.tensor),
        shape_invariants=(tf.TensorShape([]), shape),
    )
    return x.like(t)


def _cut(tensor: Tensor, axis: int, places: slice) -> Tensor:
    return tensor[(*[slice(None)] * axis, places)]

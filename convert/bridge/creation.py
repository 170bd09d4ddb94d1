"""New tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Size, Value, fixed


@aten("full.default")
def full(sizes: Sequence[Size], fill: Any, dtype: Any = None, *, out: Out) -> Value:
    """Return a tensor with one value everywhere."""
    known = [
        size if static is None else static for static, size in zip(out.shape, sizes, strict=True)
    ]
    shape = tf.stack(known) if known else []
    return Value(fixed(tf.fill(shape, tf.cast(fill, out.dtype)), known))


@aten("empty.memory_format")
def empty(sizes: Sequence[Size], dtype: Any = None, *, out: Out) -> Value:
    """Return a tensor whose elements are all written later; zeros until then."""
    return full(sizes, 0, out=out)


@aten("full_like.default", "fill.Scalar")
def full_like(x: Value, fill: Any, dtype: Any = None, *, out: Out) -> Value:
    """Return a tensor as large as x, with one value everywhere."""
    return x.like(tf.fill(tf.shape(x.tensor), tf.cast(fill, out.dtype)))


@aten("scalar_tensor.default")
def scalar_tensor(number: Any, dtype: Any = None, *, out: Out) -> Value:
    """Return a tensor without axes."""
    return Value(tf.cast(number, out.dtype))


@aten("arange.start_step")
def arange(start: Any, end: Any, step: Any = 1, dtype: Any = None, *, out: Out) -> Value:
    """Count from start to end."""
    if any(isinstance(n, float) for n in (start, end, step)):
        # The count of steps is taken in float64, as PyTorch does, then rounded.
        return Value(
            tf.cast(tf.range(*(tf.cast(n, tf.float64) for n in (start, end, step))), out.dtype)
        )
    return Value(tf.cast(tf.range(start, end, step, dtype=_wide(out)), out.dtype))


def _wide(out: Out) -> Any:
    return out.dtype if out.dtype in (tf.int32, tf.int64) else tf.int64

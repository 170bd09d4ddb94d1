"""New tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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


@aten("tril_indices.default")
def tril_indices(rows: int, columns: int, offset: int = 0, **settings: Any) -> Value:
    """Places of a matrix on and below a diagonal, row by row."""
    return _triangle(rows, columns, lambda row, column: column - row <= offset)


@aten("triu_indices.default")
def triu_indices(rows: int, columns: int, offset: int = 0, **settings: Any) -> Value:
    """Places of a matrix on and above a diagonal, row by row."""
    return _triangle(rows, columns, lambda row, column: column - row >= offset)


def _triangle(rows: int, columns: int, inside: Callable[[Any, Any], Any]) -> Value:
    grid = np.indices((rows, columns))
    return Value(tf.constant(grid[:, inside(*grid)], tf.int64))


def _wide(out: Out) -> Any:
    return out.dtype if out.dtype in (tf.int32, tf.int64) else tf.int64

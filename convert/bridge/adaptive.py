"""Adaptive pooling: as many windows as asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.pooling import OnDemand, avg_pool, max_pool
from shipworthy.convert.bridge.spatial import channels_last, mixed, sizes, spatial, value
from shipworthy.convert.bridge.table import Missing, aten
from shipworthy.convert.bridge.value import Size, Tensor, Value
from shipworthy.models.spec import Array

_NO_INDICES = Missing("the indices of adaptive max pooling are not computed")


@aten("adaptive_avg_pool1d.default", "_adaptive_avg_pool2d.default", "_adaptive_avg_pool3d.default")
def adaptive_avg_pool(x: Value, output: Sequence[Size]) -> Value:
    """Mean over as many windows as asked for."""
    window = _window(x, output)
    if window is not None and len(output) > 1:
        return avg_pool(x, window) if max(window) > 1 else x
    return _adaptive(x, output, tf.reduce_mean)


@aten("adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
def adaptive_max_pool(x: Value, output: Sequence[Size]) -> OnDemand:
    """Maximum over as many windows as asked for; only the values."""
    window = _window(x, output)

    def values() -> Value:
        if window is not None:
            return max_pool(x, window) if max(window) > 1 else x
        return _adaptive(x, output, tf.reduce_max)

    return OnDemand(values, lambda: _NO_INDICES)


def _window(x: Value, output: Sequence[Size]) -> list[int] | None:
    """Return the one window that there is if all sizes are known and divide evenly."""
    pairs = list(zip(x.shape[2:], output, strict=True))
    if all(isinstance(count, int) and count == 1 for count in output):
        return None  # a reduction of whole axes is simpler
    window = []
    for size, count in pairs:
        if size is None or not isinstance(count, int) or size % count:
            return None
        window.append(size // count)
    return window


def _adaptive(x: Value, output: Sequence[Size], reduce: Callable[..., Tensor]) -> Value:
    """Reduce window `i` of `n`, from ``floor(i size / n)`` to ``ceil((i + 1) size / n)``.

    One axis after the other, which is the same for a mean too: the windows are rectangles.
    """
    n = len(output)
    t = spatial(x, n, "adaptive pooling")
    if all(isinstance(size, int) and size == 1 for size in output):
        axes = [channels_last(n).index(dim) for dim in range(2, n + 2)]
        return value(reduce(t, axis=axes, keepdims=True))
    for axis, (size, count) in enumerate(zip(sizes(t), output, strict=True), start=1):
        t = _adaptive_axis(t, axis, size, count, reduce)
    return value(t)


def _adaptive_axis(
    t: Tensor, axis: int, size: Size, count: Size, reduce: Callable[..., Tensor]
) -> Tensor:
    if isinstance(count, int) and count == 1:
        return reduce(t, axis=axis, keepdims=True)
    if count is size or (isinstance(size, int) and isinstance(count, int) and size == count):
        return t
    if not isinstance(count, int):
        return mixed(t, axis, _dynamic_means(size, count, t.dtype))
    bounds = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
    if isinstance(size, int) and reduce is tf.reduce_mean:
        return mixed(t, axis, _means(size, bounds).astype(t.dtype.as_numpy_dtype))
    before = [slice(None)] * axis
    windows = [
        reduce(t[(*before, slice(low, high))], axis=axis, keepdims=True) for low, high in bounds
    ]
    return tf.concat(windows, axis=axis)


def _means(size: int, bounds: Sequence[tuple[int, int]]) -> Array:
    """Return the matrix (windows, size) that takes the mean of every window."""
    matrix = np.zeros((len(bounds), size))
    for row, (low, high) in zip(matrix, bounds, strict=True):
        row[low:high] = 1 / (high - low)
    return matrix


def _dynamic_means(size: Size, count: Tensor, dtype: Any) -> Tensor:
    """Return that matrix for a number of windows that is only known when the model runs.

    PyTorch's tracer gives one to mean pooling only: that of maxima takes plain numbers.
    """
    i, j = tf.range(count)[:, None], tf.range(size)[None, :]
    inside = (j >= i * size // count) & (j < -(-(i + 1) * size // count))
    share = tf.cast(inside, dtype)
    return share / tf.reduce_sum(share, axis=1, keepdims=True)

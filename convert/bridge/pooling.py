"""Max and average pooling, with every rounding, padding and divisor PyTorch knows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.spatial import (
    Pads,
    channels_last,
    is_same,
    padded,
    per_axis,
    sizes,
    spatial,
    value,
)
from shipworthy.convert.bridge.table import Missing, UnsupportedUseError, aten
from shipworthy.convert.bridge.value import Size, Tensor, Value

_NO_INDICES = Missing("the indices of max pooling are not computed")


@aten("max_pool2d.default", "max_pool3d.default")
def max_pool(
    x: Value,
    window: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Value:
    """Maximum over windows; the padding never wins."""
    n = x.rank - 2
    window, dilation = per_axis(window, n), per_axis(dilation, n)
    stride = per_axis(stride or window, n)
    t = spatial(x, n, "max pooling")
    spans = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    pads = _pads(t, spans, stride, per_axis(padding, n), ceil_mode)
    if any(d != 1 for d in dilation) or not t.dtype.is_floating:
        low = -math.inf if t.dtype.is_floating else t.dtype.min
        return value(_shifted_max(padded(t, pads, low), window, stride, dilation))
    same = is_same(t, window, stride, pads)
    t = t if same else padded(t, pads, -math.inf)
    pool = tf.nn.max_pool2d if n == 2 else tf.nn.max_pool3d
    return value(pool(t, window, stride, "SAME" if same else "VALID"))


@aten("max_pool2d_with_indices.default", "max_pool3d_with_indices.default")
def max_pool_with_indices(*args: Any, **settings: Any) -> tuple[Value, Missing]:
    """Maximum over windows; only the values."""
    return max_pool(*args, **settings), _NO_INDICES


def _shifted_max(
    t: Tensor, window: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """Take the maximum of one strided view for every place in the window."""
    settings = list(zip(sizes(t), window, stride, dilation, strict=True))
    result = None
    for place in itertools.product(*(range(k) for k in window)):
        cuts = [
            slice(i * d, size - (k - 1 - i) * d, s)
            for i, (size, k, s, d) in zip(place, settings, strict=True)
        ]
        view = t[(slice(None), *cuts)]
        result = view if result is None else tf.maximum(result, view)
    return result


def _pads(
    t: Tensor, spans: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil: bool
) -> Pads:
    """Return the padding of every axis, with what rounding up adds at its end.

    The last window must begin inside the input or its padding at the front (PyTorch,
    *torch.nn.MaxPool2d*, note on ``ceil_mode``).
    """
    if not ceil:
        return [(p, p) for p in padding]
    pads: Pads = []
    for size, k, s, p in zip(sizes(t), spans, stride, padding, strict=True):
        count = -(-(size + 2 * p - k) // s) + 1
        outside = (count - 1) * s >= size + p
        count = count - (int(outside) if isinstance(outside, bool) else tf.cast(outside, tf.int32))
        reach = (count - 1) * s + k - size - p
        pads.append((p, max(reach, p) if isinstance(reach, int) else tf.maximum(reach, p)))
    return pads


@aten("avg_pool1d.default", "avg_pool2d.default", "avg_pool3d.default")
def avg_pool(
    x: Value,
    window: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    """Mean over windows; what counts as an element of a window is PyTorch's choice."""
    n = x.rank - 2
    window = per_axis(window, n)
    stride, padding = per_axis(stride or window, n), per_axis(padding, n)
    t = spatial(x, n, "average pooling")
    pads = _pads(t, window, stride, padding, ceil_mode)
    if divisor_override:
        return value(
            _mean(padded(t, pads), window, stride) * (math.prod(window) / divisor_override)
        )
    if not count_include_pad and is_same(t, window, stride, pads):
        return value(_mean(t, window, stride, "SAME"))
    mean = _mean(padded(t, pads), window, stride)
    counted: Pads = [(p if count_include_pad else 0,) * 2 for p in padding]
    if counted == pads:
        return value(mean)
    # Share of each window that counts; TensorFlow folds it into a constant.
    ones = tf.ones(tf.stack([1, *sizes(t), 1]), t.dtype)
    rest: Pads = [(a - c, b - d) for (a, b), (c, d) in zip(pads, counted, strict=True)]
    inside = padded(tf.ones(tf.shape(padded(ones, counted)), t.dtype), rest)
    return value(mean / _mean(inside, window, stride))


def _mean(
    t: Tensor, window: Sequence[int], stride: Sequence[int], padding: str = "VALID"
) -> Tensor:
    n = len(window)
    if n == 1:
        return tf.squeeze(_mean(tf.expand_dims(t, 1), [1, *window], [1, *stride], padding), 1)
    pool = tf.nn.avg_pool2d if n == 2 else tf.nn.avg_pool3d
    return pool(t, window, stride, padding)


@aten("adaptive_avg_pool1d.default", "_adaptive_avg_pool2d.default", "_adaptive_avg_pool3d.default")
def adaptive_avg_pool(x: Value, output: Sequence[int]) -> Value:
    """Mean over as many windows as asked for."""
    return _adaptive(x, output, tf.reduce_mean)


@aten("adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
def adaptive_max_pool(x: Value, output: Sequence[int]) -> tuple[Value, Missing]:
    """Maximum over as many windows as asked for; only the values."""
    return _adaptive(x, output, tf.reduce_max), _NO_INDICES


def _adaptive(x: Value, output: Sequence[int], reduce: Callable[..., Tensor]) -> Value:
    """Reduce window `i` of `n`, from ``floor(i size / n)`` to ``ceil((i + 1) size / n)``.

    One axis after the other, which is the same for a mean too: the windows are rectangles.
    """
    n = len(output)
    t = spatial(x, n, "adaptive pooling")
    if all(size == 1 for size in output):
        axes = [channels_last(n).index(dim) for dim in range(2, n + 2)]
        return value(reduce(t, axis=axes, keepdims=True))
    for axis, (size, count) in enumerate(zip(t.shape[1:-1], output, strict=True), start=1):
        t = _adaptive_axis(t, axis, size, count, reduce)
    return value(t)


def _adaptive_axis(
    t: Tensor, axis: int, size: Size | None, count: int, reduce: Callable[..., Tensor]
) -> Tensor:
    if count == 1:
        return reduce(t, axis=axis, keepdims=True)
    if size is None:
        raise UnsupportedUseError(
            "adaptive pooling to more than one window over an axis of dynamic size; fix that axis"
        )
    if size == count:
        return t
    windows = [
        reduce(tf.gather(t, range(i * size // count, -(-(i + 1) * size // count)), axis=axis),
               axis=axis, keepdims=True)
        for i in range(count)
    ]  # fmt: skip
    return tf.concat(windows, axis=axis)

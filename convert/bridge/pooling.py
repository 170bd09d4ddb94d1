"""Max and average pooling, with every rounding, padding and divisor PyTorch knows.

TFLite pools images only. Windows are rectangles, so a volume is pooled in its planes first, then
along its depth.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.spatial import (
    Pads,
    all_sizes,
    is_same,
    on_depth,
    on_planes,
    padded,
    per_axis,
    sizes,
    spatial,
    value,
)
from shipworthy.convert.bridge.table import aten
from shipworthy.convert.bridge.value import Size, Tensor, Value

Cuts = Sequence[slice]


class OnDemand(Sequence[Any]):
    """Several results, each written into the graph only if it is used."""

    def __init__(self, *functions: Callable[[], Any]) -> None:
        self._functions = functions

    def __len__(self) -> int:
        return len(self._functions)

    def __getitem__(self, place: Any) -> Any:
        return self._functions[place]()


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
    pads = _pads(t, _spans(window, dilation), stride, per_axis(padding, n), ceil_mode)
    if any(d != 1 for d in dilation) or not t.dtype.is_floating:
        t = padded(t, pads, _lowest(t.dtype))
        return value(_most(t, views(sizes(t), window, stride, dilation)))
    same = is_same(t, window, stride, pads)
    t = t if same else padded(t, pads, -math.inf)
    return value(_pooled(tf.nn.max_pool2d, t, window, stride, "SAME" if same else "VALID"))


def _most(t: Tensor, cuts: Sequence[Cuts]) -> Tensor:
    result = None
    for cut in cuts:
        view = t[(slice(None), *cut)]
        result = view if result is None else tf.maximum(result, view)
    return result


def _lowest(dtype: Any) -> Any:
    return -math.inf if dtype.is_floating else dtype.min


def _spans(window: Sequence[int], dilation: Sequence[int]) -> list[int]:
    return [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]


@aten("max_pool2d_with_indices.default", "max_pool3d_with_indices.default")
def max_pool_with_indices(
    x: Value,
    window: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> OnDemand:
    """Maximum over windows, and where it is in the flattened image."""
    settings = (x, window, stride, padding, dilation, ceil_mode)
    return OnDemand(lambda: max_pool(*settings), lambda: _max_indices(*settings))


def _max_indices(
    x: Value,
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Value:
    n = x.rank - 2
    window, dilation = per_axis(window, n), per_axis(dilation, n)
    stride = per_axis(stride or window, n)
    t = spatial(x, n, "max pooling")
    pads = _pads(t, _spans(window, dilation), stride, per_axis(padding, n), ceil_mode)
    places = padded(_numbered(t), pads)
    t = padded(t, pads, _lowest(t.dtype))
    best, where = None, None
    for cut in views(sizes(t), window, stride, dilation):
        view, number = t[(slice(None), *cut)], places[(slice(None), *cut)]
        if best is None:
            best, where = view, tf.zeros_like(view, tf.int32) + number
        else:
            # The first of equal ones counts, but padding, which comes first, never does.
            wins = view > best
            best, where = tf.where(wins, view, best), tf.where(wins, number, where)
    return value(tf.cast(where, tf.int64))


def _numbered(t: Tensor) -> Tensor:
    """Return (1, *spatial, 1): the number of every place in the flattened image."""
    size = sizes(t)
    total = tf.reshape(tf.range(size[-1]), [1] * len(size) + [-1, 1])
    step: Size = 1
    for axis in reversed(range(len(size) - 1)):
        step = step * size[axis + 1]
        line = [1] * (axis + 1) + [-1] + [1] * (len(size) - axis)
        total = total + tf.reshape(tf.range(size[axis]) * step, line)
    return total


def views(
    size: Sequence[Size], window: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[Cuts]:
    """Return, for every place in the window, what each of the windows has there."""
    settings = list(zip(size, window, stride, dilation, strict=True))
    return [
        [
            slice(i * d, size - (k - 1 - i) * d, s)
            for i, (size, k, s, d) in zip(place, settings, strict=True)
        ]
        for place in itertools.product(*(range(k) for k in window))
    ]


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
    return _pooled(tf.nn.avg_pool2d, t, window, stride, padding)


def _pooled(
    pool: Callable[..., Tensor],
    t: Tensor,
    window: Sequence[int],
    stride: Sequence[int],
    padding: str,
) -> Tensor:
    """Pool one, two or three axes with a kernel that pools two."""
    if len(window) == 1:
        return tf.squeeze(pool(tf.expand_dims(t, 1), [1, *window], [1, *stride], padding), 1)
    if len(window) == 2:
        return pool(t, window, stride, padding)
    if max(*window[1:], *stride[1:]) > 1:
        t = on_planes(t, lambda planes: pool(planes, window[1:], stride[1:], padding))
    if max(window[0], stride[0]) == 1:
        return t
    return on_depth(t, lambda rows: pool(rows, [window[0], 1], [stride[0], 1], padding))


@aten("max_unpool2d.default", "max_unpool3d.default")
def max_unpool(x: Value, indices: Value, output_size: Sequence[Size], *settings: Any) -> Value:
    """Put every element back to where max pooling took it from; zeros elsewhere."""
    n = len(output_size)
    t = spatial(x, n, "max unpooling")
    batch, *size, channels = all_sizes(t)
    count: Size = math.prod(size)
    places = tf.reshape(tf.cast(spatial(indices, n, "max unpooling"), tf.int32), [-1])
    # The number of each element's image, and of its channel there.
    image = tf.range(tf.size(t)) // (count * channels)
    number = (image * math.prod(output_size) + places) * channels + tf.tile(
        tf.range(channels), [batch * count]
    )
    target = number[:, None]
    total = batch * math.prod(output_size) * channels
    # Where windows overlap, one place may be met more than once: it takes the mean, which is its
    # value, because all that meet there are the same maximum.
    flat = tf.scatter_nd(target, tf.reshape(t, [-1]), [total])
    met = tf.scatter_nd(target, tf.ones([tf.size(t)], t.dtype), [total])
    flat = flat / tf.maximum(met, 1)
    return value(tf.reshape(flat, tf.stack([batch, *output_size, channels])))

"""Moves between channels and space: pixel and channel shuffling, patches cut out and put back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.pooling import views
from shipworthy.convert.bridge.spatial import all_sizes, padded, per_axis, sizes, spatial, value
from shipworthy.convert.bridge.table import UnsupportedUseError, aten
from shipworthy.convert.bridge.transposed import transposed
from shipworthy.convert.bridge.value import Size, Tensor, Value, reshape


@aten("pixel_shuffle.default")
def pixel_shuffle(x: Value, factor: int) -> Value:
    """Spread channels (channel, row, column) over squares of pixels."""
    t = spatial(x, 2, "pixel_shuffle")
    if t.shape[-1] == factor**2:
        return value(tf.nn.depth_to_space(t, factor) if factor > 1 else t)
    return value(_spread(t, factor, factor))


def _spread(t: Tensor, rows: int, columns: int) -> Tensor:
    batch, height, width, channels = all_sizes(t)
    count = channels // (rows * columns)
    t = reshape(t, [batch * height, width, count, rows, columns])
    t = tf.transpose(t, [0, 3, 1, 4, 2])
    return reshape(t, [batch, height * rows, width * columns, count])


@aten("pixel_unshuffle.default")
def pixel_unshuffle(x: Value, factor: int) -> Value:
    """Gather squares of pixels into channels (channel, row, column)."""
    t = spatial(x, 2, "pixel_unshuffle")
    if t.shape[-1] == 1:
        return value(tf.nn.space_to_depth(t, factor) if factor > 1 else t)
    return value(_gathered(t, factor, factor))


def _gathered(t: Tensor, rows: int, columns: int) -> Tensor:
    batch, height, width, channels = all_sizes(t)
    t = reshape(t, [batch * (height // rows), rows, width // columns, columns, channels])
    t = tf.transpose(t, [0, 2, 4, 1, 3])
    return reshape(t, [batch, height // rows, width // columns, channels * rows * columns])


@aten("channel_shuffle.default")
def channel_shuffle(x: Value, groups: int) -> Value:
    """Reorder channels (group, channel) as (channel, group)."""
    t = spatial(x, x.rank - 2, "channel_shuffle")
    shape = all_sizes(t)
    channels = shape[-1]
    t = tf.transpose(tf.reshape(t, [-1, groups, channels // groups]), [0, 2, 1])
    return value(reshape(t, shape))


@aten("im2col.default")
def unfold(
    x: Value,
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """Cut out patches: (batch, channels * kernel, patches)."""
    given = (kernel, dilation, padding, stride)
    kernel, dilation, padding, stride = (per_axis(setting, 2) for setting in given)
    t = padded(spatial(x, 2, "unfold"), [(p, p) for p in padding])
    if kernel == stride and dilation == [1, 1]:
        whole = [size // k * k for size, k in zip(sizes(t), kernel, strict=True)]
        patches = _gathered(t[:, : whole[0], : whole[1]], *kernel)
    else:
        places = views(sizes(t), kernel, stride, dilation)
        patches = tf.stack([t[(slice(None), *cut)] for cut in places], axis=-1)
    batch, rows, columns, *_ = all_sizes(patches)
    channels = int(x.shape[1] or 0) * kernel[0] * kernel[1]
    return Value(reshape(patches, [batch, rows * columns, channels]), (0, 2, 1))


@aten("col2im.default")
def fold(
    x: Value,
    output: Sequence[Size],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """Put patches back, and add up where they overlap."""
    given = (kernel, dilation, padding, stride)
    kernel, dilation, padding, stride = (per_axis(setting, 2) for setting in given)
    if x.rank != 3:
        raise UnsupportedUseError("fold takes 3 axes here; give the model a batch axis")
    counts: list[Size] = []
    extra: list[Size] = []
    for size, k, d, p, s in zip(output, kernel, dilation, padding, stride, strict=True):
        reach = size + 2 * p - d * (k - 1) - 1
        counts.append(reach // s + 1)
        extra.append(reach % s)
    channels = int(x.shape[1] or 0)
    t = reshape(x.arranged((0, 2, 1)), [x.size(0), *counts, channels])
    if kernel == stride and dilation == [1, 1] and padding == [0, 0]:
        t = _spread(t, *kernel)
        return value(padded(t, [(0, e % k) for e, k in zip(extra, kernel, strict=True)]))
    if not all(isinstance(e, int) for e in extra):
        raise UnsupportedUseError("overlapping patches of an image of dynamic size; fix that size")
    count = channels // (kernel[0] * kernel[1])
    ones = Value(tf.constant(_placing(count, kernel), t.dtype))
    y = transposed(t, ones, None, stride, padding, dilation, [int(e) for e in extra], count)
    return value(y)


def _placing(channels: int, kernel: Sequence[int]) -> np.ndarray:
    """Return the weight of a transposed convolution that puts every element to its place."""
    weight = np.zeros((channels, *kernel, *kernel))
    for row, column in itertools.product(*map(range, kernel)):
        weight[:, row, column, row, column] = 1
    return weight.reshape(-1, 1, *kernel)

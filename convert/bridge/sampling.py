"""Looking an image up at places that are computed: spatial transformers, optical flow, warping."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shipworthy.convert.bridge.lazy import Lazy, tf
from shipworthy.convert.bridge.resize import cubic_kernel
from shipworthy.convert.bridge.spatial import all_sizes, spatial, value
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Size, Tensor, Value, reshape

tnp: Any = Lazy("tensorflow.experimental.numpy")
BILINEAR, NEAREST, BICUBIC = range(3)  # as torch.nn.functional.grid_sample numbers them
ZEROS, BORDER, REFLECTION = range(3)


@dataclass(frozen=True)
class Tap:
    """One place that is looked at along an axis: int32, and how much it counts."""

    place: Tensor
    weight: Tensor


@aten("grid_sampler_2d.default", "grid_sampler_3d.default")
def grid_sample(x: Value, grid: Value, mode: int, padding: int, corners: bool) -> Value:
    """Look x up at the places of a grid, where -1 and 1 are its edges."""
    n = x.rank - 2
    t = spatial(x, n, "grid_sample")
    batch, *size, channels = all_sizes(t)
    points = _coordinates(grid)
    target = all_sizes(points[0])[1:]
    taps = [
        _taps(mode, _unnormalised(point, s, corners), s, padding, corners)
        for point, s in zip(reversed(points), size, strict=True)
    ]
    flat = reshape(t, [batch, math.prod(size), channels])
    total = None
    for corner in itertools.product(*taps):
        place = corner[0].place
        for tap, s in zip(corner[1:], size[1:], strict=True):
            place = place * s + tap.place
        weight = corner[0].weight
        for tap in corner[1:]:
            weight = weight * tap.weight
        found = tf.gather(flat, reshape(place, [batch, math.prod(target)]), batch_dims=1)
        found = found * reshape(weight, [batch, math.prod(target), 1])
        total = found if total is None else total + found
    return value(reshape(total, [batch, *target, channels]))


def _coordinates(grid: Value) -> list[Tensor]:
    """Return x, y and z of the grid's points, each (batch, *target)."""
    rest = [dim for dim in grid.order if dim != grid.rank - 1]
    kept = grid if rest == sorted(rest) else Value(grid.plain)
    axis = kept.axis(grid.rank - 1)
    cuts = (slice(None),) * axis
    return [kept.tensor[(*cuts, i)] for i in range(int(grid.shape[-1] or 0))]


def _float(size: Size, dtype: Any) -> Any:
    return float(size) if isinstance(size, int) else tf.cast(size, dtype)


def _unnormalised(point: Tensor, size: Size, corners: bool) -> Tensor:
    full = _float(size, point.dtype)
    if corners:
        return (point + 1) * ((full - 1) / 2)
    return ((point + 1) * full - 1) / 2


def _inside(point: Tensor, size: Size, padding: int, corners: bool) -> Tensor:
    """Bring places outside of the image into it, unless they count as zeros."""
    if padding == ZEROS:
        return point
    last = _float(size, point.dtype) - 1
    if padding == REFLECTION:
        # Mirrors stand at the middles of the outer pixels, or at their outer edges.
        first, span = (0.0, last) if corners else (-0.5, last + 1)
        span = max(span, 1.0) if isinstance(span, float) else tf.maximum(span, 1)
        away = tf.abs(point - first)
        turns = tf.floor(away / span)
        rest = away - turns * span
        even = turns - 2 * tf.floor(turns / 2) < 0.5
        point = tf.where(even, rest, span - rest) + first
    return tf.clip_by_value(point, 0, last)


def _taps(mode: int, point: Tensor, size: Size, padding: int, corners: bool) -> list[Tap]:
    if mode == BICUBIC:
        first = tf.floor(point)
        return [
            _tap(
                _inside(first + i, size, padding, corners),
                cubic_kernel(tnp, tf.abs(point - first - i), -0.75),
                size,
                padding,
            )
            for i in (-1, 0, 1, 2)
        ]
    point = _inside(point, size, padding, corners)
    if mode == NEAREST:
        nearest = tf.round(point)
        return [_tap(nearest, tf.ones_like(nearest), size, padding)]
    low = tf.floor(point)
    share = point - low
    return [_tap(low, 1 - share, size, padding), _tap(low + 1, share, size, padding)]


def _tap(place: Tensor, weight: Tensor, size: Size, padding: int) -> Tap:
    last = _float(size, place.dtype) - 1
    if padding == ZEROS:
        weight = tf.where((place >= 0) & (place <= last), weight, tf.zeros_like(weight))
    return Tap(tf.cast(tf.clip_by_value(place, 0, last), tf.int32), weight)


@aten("affine_grid_generator.default")
def affine_grid(theta: Value, size: Sequence[Size], corners: bool, *, out: Out) -> Value:
    """Return the grid for `grid_sample` that an affine map of the target's points gives."""
    target = [
        known if known is not None else asked
        for known, asked in zip(out.shape[1:-1], size[2:], strict=True)
    ]
    n = len(target)
    lines = [_line(s, corners, out.dtype) for s in reversed(target)]
    columns = [1] * n
    axes = []
    for i, line in enumerate(lines):  # x runs along the last axis of the target
        shape = [*columns[: n - 1 - i], target[n - 1 - i], *columns[n - i :]]
        axes.append(_spread(line, shape, target))
    axes.append(_spread(tf.ones([1], out.dtype), columns, target))
    points = tf.stack(axes)  # (n + 1, points)
    rows = reshape(theta.plain, [-1, n + 1])
    grid = reshape(tf.matmul(rows, points), [theta.size(0), n, *target])
    return Value(grid, (0, n + 1, *range(1, n + 1)))


def _line(size: Size, corners: bool, dtype: Any) -> Tensor:
    """Return the middles of pixels between -1 and 1, the outer ones on the edge if asked for."""
    if isinstance(size, int):
        places = np.arange(size)
        line = 2 * places / max(size - 1, 1) - 1 if corners else (2 * places + 1) / size - 1
        return tf.constant(line if size > 1 else np.zeros(1), dtype)
    places, full = tf.cast(tf.range(size), dtype), tf.cast(size, dtype)
    if not corners:
        return (2 * places + 1) / full - 1
    return tf.where(full > 1, 2 * places / tf.maximum(full - 1, 1) - 1, tf.zeros_like(places))


def _spread(line: Tensor, shape: Sequence[Size], target: Sequence[Size]) -> Tensor:
    """Repeat a line along the other axes of the target, and flatten it."""
    wide = reshape(line, list(shape))
    return tf.reshape(tf.broadcast_to(wide, tf.stack(list(target))), [-1])

"""Resizing along one, two or three axes: nearest, linear, cubic, with and without antialiasing.

TensorFlow's and TFLite's own kernels are used where they take the same places as PyTorch does;
else every axis is looked up, or multiplied by the matrix that says how much each old place counts
in each new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from shipworthy.convert.bridge.lazy import Lazy, tf
from shipworthy.convert.bridge.spatial import mixed, on_depth, on_planes, sizes, spatial, value
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Size, Tensor, Value
from shipworthy.models.spec import Array

tnp: Any = Lazy("tensorflow.experimental.numpy")
Factors = Sequence[float] | None
LARGEST_SIZE = 1 << 14  # of a dynamic axis that is resized by a fraction


@dataclass(frozen=True)
class Axis:
    """One axis that is resized.

    Parameters
    ----------
    old, new : its sizes; scalar tensors where they are dynamic.
    factor : what the user wrote; None where sizes were given.
    """

    old: Size
    new: Size
    factor: float | None

    @property
    def fixed(self) -> bool:
        """Whether both sizes are known."""
        return isinstance(self.old, int) and isinstance(self.new, int)

    @property
    def by_sizes(self) -> bool:
        """Whether the sizes' ratio is the scale, as TensorFlow's kernels take for granted."""
        if self.factor is None or (self.fixed and self.factor * self.old == self.new):
            return True
        return not self.fixed and self.factor == int(self.factor)

    @property
    def scale(self) -> Any:
        """The step in the old axis: a number, or a float32 scalar tensor."""
        if self.factor:
            return 1 / self.factor
        return self.old / self.new if self.fixed else _divided(self.old, self.new)


def _divided(a: Size, b: Size) -> Tensor:
    return tf.cast(a, tf.float32) / tf.cast(b, tf.float32)


def _axes(t: Tensor, wanted: Sequence[Size] | None, factors: Factors, out: Out) -> list[Axis]:
    axes = []
    for i, (old, known) in enumerate(zip(sizes(t), out.shape[2:], strict=True)):
        factor = factors[i] if factors else None
        new = known
        if new is None:
            new = wanted[i] if wanted else _grown(old, factor or 1.0)
        axes.append(Axis(old, new, factor))
    return axes


def _grown(old: Tensor, factor: float) -> Tensor:
    """Return floor(old * factor) of a dynamic size, as float64 would round the product.

    In integers, because TFLite knows no arithmetic in float64.
    """
    ratio = Fraction(factor).limit_denominator(10000)
    top, bottom = ratio.numerator, ratio.denominator
    places = np.arange(LARGEST_SIZE)
    exact = np.floor(places * factor).astype(np.int64)
    new = old * top // bottom
    wrong = np.flatnonzero(exact != places * top // bottom)
    if not len(wrong):
        return new
    shift = (exact - places * top // bottom).astype(np.int32)
    return new + tf.gather(shift, tf.minimum(old, LARGEST_SIZE - 1))


@aten("upsample_nearest1d.vec", "upsample_nearest2d.vec", "upsample_nearest3d.vec")
def nearest(x: Value, output_size: Sequence[Size] | None, factors: Factors, *, out: Out) -> Value:
    """Take the element at ``floor(i * scale)``."""
    return _nearest(x, output_size, factors, out, 0.0)


@aten(
    "_upsample_nearest_exact1d.vec",
    "_upsample_nearest_exact2d.vec",
    "_upsample_nearest_exact3d.vec",
)
def nearest_exact(
    x: Value, output_size: Sequence[Size] | None, factors: Factors, *, out: Out
) -> Value:
    """Take the element at ``floor((i + 0.5) * scale)``."""
    return _nearest(x, output_size, factors, out, 0.5)


def _nearest(
    x: Value, output_size: Sequence[Size] | None, factors: Factors, out: Out, half: float
) -> Value:
    t = spatial(x, x.rank - 2, "resizing")
    axes = _axes(t, output_size, factors, out)
    if t.dtype.is_floating and all(_kernel_agrees(axis, half) for axis in axes):

        def kernel(image: Tensor, size: Sequence[Size]) -> Tensor:
            return tf.raw_ops.ResizeNearestNeighbor(
                images=image, size=_stacked(size), half_pixel_centers=half > 0
            )

        return value(_on_images(t, axes, kernel))
    for place, axis in enumerate(axes, start=1):
        if not axis.fixed or axis.old != axis.new:
            t = tf.gather(t, _nearest_places(axis, half), axis=place)
    return value(t)


def _kernel_agrees(axis: Axis, half: float) -> bool:
    if not axis.fixed:
        return axis.by_sizes
    # TensorFlow counts in float32 throughout.
    ratio = np.float32(axis.old) / np.float32(axis.new)
    theirs = np.floor((np.arange(axis.new, dtype=np.float32) + np.float32(half)) * ratio)
    return np.array_equal(np.minimum(theirs, axis.old - 1), _nearest_places(axis, half))


def _nearest_places(axis: Axis, half: float) -> Any:
    """Return the old place for every new one, with a scale in float32 as PyTorch has."""
    if axis.fixed:
        scale = np.float32(axis.scale)
        kind: Any = np.float64 if half else np.float32
        places = np.floor((np.arange(axis.new, dtype=kind) + kind(half)) * scale)
        return np.minimum(places.astype(np.int32), axis.old - 1)
    places = tf.floor((tf.cast(tf.range(axis.new), tf.float32) + half) * axis.scale)
    return tf.minimum(tf.cast(places, tf.int32), axis.old - 1)


@aten("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_trilinear3d.vec")
def linear(
    x: Value, output_size: Sequence[Size] | None, align_corners: bool, factors: Factors, *, out: Out
) -> Value:
    """Mix the two neighbours of every place, one axis after the other."""
    t = spatial(x, x.rank - 2, "resizing")
    axes = _axes(t, output_size, factors, out)
    if t.dtype == tf.float32 and (align_corners or all(axis.by_sizes for axis in axes)):

        def kernel(image: Tensor, size: Sequence[Size]) -> Tensor:
            return tf.raw_ops.ResizeBilinear(
                images=image,
                size=_stacked(size),
                align_corners=align_corners,
                half_pixel_centers=not align_corners,
            )

        return value(_on_images(t, axes, kernel))
    return _by_matrices(t, axes, align_corners, _linear)


@aten("upsample_bicubic2d.vec")
def cubic(
    x: Value, output_size: Sequence[Size] | None, align_corners: bool, factors: Factors, *, out: Out
) -> Value:
    """Mix the four neighbours of every place, one axis after the other."""
    t = spatial(x, 2, "resizing")
    return _by_matrices(t, _axes(t, output_size, factors, out), align_corners, _cubic)


@aten("_upsample_bilinear2d_aa.vec")
def linear_antialiased(
    x: Value, output_size: Sequence[Size] | None, align_corners: bool, factors: Factors, *, out: Out
) -> Value:
    """Mix all places under a triangle as wide as the scale."""
    t = spatial(x, 2, "resizing")
    return _by_matrices(t, _axes(t, output_size, factors, out), align_corners, _wide_linear)


@aten("_upsample_bicubic2d_aa.vec")
def cubic_antialiased(
    x: Value, output_size: Sequence[Size] | None, align_corners: bool, factors: Factors, *, out: Out
) -> Value:
    """Mix all places under a cubic as wide as the scale."""
    t = spatial(x, 2, "resizing")
    return _by_matrices(t, _axes(t, output_size, factors, out), align_corners, _wide_cubic)


def _stacked(size: Sequence[Size]) -> Any:
    return list(size) if all(isinstance(s, int) for s in size) else tf.stack(list(size))


def _on_images(
    t: Tensor, axes: Sequence[Axis], kernel: Callable[[Tensor, Sequence[Size]], Tensor]
) -> Tensor:
    """Resize with a kernel for images whatever the number of axes."""
    new = [axis.new for axis in axes]
    if len(axes) == 1:
        return tf.squeeze(kernel(tf.expand_dims(t, 1), [1, *new]), 1)
    if len(axes) == 2:
        return kernel(t, new)
    t = on_planes(t, lambda planes: kernel(planes, new[1:]))
    return on_depth(t, lambda rows: kernel(rows, [new[0], sizes(rows)[1]]))


def _by_matrices(
    t: Tensor, axes: Sequence[Axis], corners: bool, weights: Callable[..., Any]
) -> Value:
    for place, axis in enumerate(axes, start=1):
        t = mixed(t, place, _matrix(axis, corners, weights, t.dtype))
    return value(t)


def _matrix(axis: Axis, corners: bool, weights: Callable[..., Any], dtype: Any) -> Any:
    """Return the weights (new size, old size) of one axis: in float64 where it is fixed."""
    if axis.fixed:
        new, old = (np.arange(size, dtype=np.float64) for size in (axis.new, axis.old))
        step = (axis.old - 1) / max(axis.new - 1, 1) if corners else axis.scale
        matrix: Array = weights(np, new[:, None], old[None, :], step, corners)
        return matrix.astype(dtype.as_numpy_dtype)
    new, old = (tf.cast(tf.range(size), tf.float32) for size in (axis.new, axis.old))
    step = axis.scale
    if corners:
        step = _divided(axis.old - 1, tf.maximum(axis.new - 1, 1))
    return tf.cast(weights(tnp, new[:, None], old[None, :], step, corners), dtype)


# Weights: where new place i looks at old place j, `step` apart (PyTorch, *interpolate*).
# `xp` is NumPy, or what has its names in TensorFlow.


def _looked_at(i: Any, step: Any, corners: bool) -> Any:
    return i * step if corners else (i + 0.5) * step - 0.5


def _linear(xp: Any, i: Any, j: Any, step: Any, corners: bool) -> Any:
    place = xp.clip(_looked_at(i, step, corners), 0, xp.max(j))
    return xp.maximum(1 - xp.abs(place - j), 0)


def _cubic(xp: Any, i: Any, j: Any, step: Any, corners: bool) -> Any:
    place = _looked_at(i, step, corners)
    first = xp.floor(place)
    total = 0
    for neighbour in (-1, 0, 1, 2):
        at = xp.clip(first + neighbour, 0, xp.max(j))  # the edge counts for what lies beyond
        weight = cubic_kernel(xp, xp.abs(place - first - neighbour), -0.75)
        total = total + xp.where(at == j, weight, 0 * weight)
    return total


def cubic_kernel(xp: Any, d: Any, a: float) -> Any:
    """Return the cubic convolution kernel (Keys, 1981) at distances d."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return xp.where(d < 1, near, xp.where(d < 2, far, 0 * d))


def _wide_linear(xp: Any, i: Any, j: Any, step: Any, corners: bool) -> Any:
    return _wide(xp, i, j, step, 1, lambda d: xp.maximum(1 - d, 0))


def _wide_cubic(xp: Any, i: Any, j: Any, step: Any, corners: bool) -> Any:
    return _wide(xp, i, j, step, 2, lambda d: cubic_kernel(xp, d, -0.5))


def _wide(
    xp: Any, i: Any, j: Any, step: Any, support: int, kernel: Callable[[Any], Any]
) -> Any:  # fmt: skip
    """Stretch a kernel over the step, cut it at whole places and make its sum 1."""
    width = max(step, 1.0) if isinstance(step, float) else xp.maximum(step, 0 * step + 1)
    centre = (i + 0.5) * step
    reach = support * width
    low, high = xp.floor(centre - reach + 0.5), xp.floor(centre + reach + 0.5)
    inside = (j >= low) & (j < high)
    weights = kernel(xp.abs(j + 0.5 - centre) / width)
    weights = xp.where(inside, weights, 0 * weights)
    return weights / xp.sum(weights, axis=1, keepdims=True)

"""Resizing as two products with a matrix of weights, for the kinds a converter has not or wrong.

The weights are TensorFlow's own (``tensorflow/core/kernels/image/resize_bicubic_op.cc`` and
``scale_and_translate_op.cc``), computed in float32 and in the same order, because a rounding
decides which pixels are taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from shipworthy.convert.rewrite.table import Node, Tensor, rule

_STEPS = 1024  # the cubic kernel is tabulated


@rule("ResizeBicubic")
def resize_bicubic(node: Node) -> Any:
    """Resize with the tabulated cubic kernel."""
    import tensorflow as tf

    x, size = node.inputs
    corners, centres = node.flag("align_corners"), node.flag("half_pixel_centers")

    def weights(before: Tensor, after: Tensor) -> Tensor:
        old, new = tf.cast(before, tf.float32), tf.cast(after, tf.float32)
        scale = old / new
        if corners:
            scale = tf.where(after > 1, (old - 1.0) / tf.maximum(new - 1.0, 1.0), scale)
        place = tf.range(new)
        place = (place + 0.5) * scale - 0.5 if centres else place * scale
        first = tf.floor(place)
        step = tf.round((place - first) * _STEPS) / _STEPS
        total, a = 0.0, -0.5 if centres else -0.75
        for i, away in enumerate((step + 1.0, step, 1.0 - step, 2.0 - step)):
            index = tf.cast(first, tf.int32) + i - 1
            inside = tf.clip_by_value(index, 0, before - 1)
            weight = _cubic(away, a, inner=i in (1, 2))
            if centres:  # what lies outside does not count; else the margin is repeated
                weight = tf.where(tf.equal(index, inside), weight, 0.0)
            total += tf.one_hot(inside, before) * weight[:, tf.newaxis]
        return total / tf.reduce_sum(total, 1, keepdims=True) if centres else total

    return _resize(x, size, weights)


def _cubic(x: Tensor, a: float, *, inner: bool) -> Tensor:
    """Return Keys' cubic convolution kernel within 1 (inner), or from 1 to 2."""
    if inner:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a


@rule("ResizeBilinear")
def resize_bilinear(node: Node) -> Any:
    """Blend neighbours, where a runtime rounds the places between them otherwise than TensorFlow.

    They agree where a step is a fraction of a power of two.
    """
    import tensorflow as tf

    x, size = node.inputs[0], node.constant(1)
    before = [int(n) for n in x.shape[1:3] if n is not None]
    if size is None or len(before) != 2 or node.flag("align_corners"):
        return None
    steps = [Fraction(old, int(new)) for old, new in zip(before, size, strict=True)]
    if all(step.denominator & (step.denominator - 1) == 0 for step in steps):
        return None
    x = tf.cast(x, tf.float32)
    for axis, old, new in ((2, before[1], size[1]), (1, before[0], size[0])):
        place = np.arange(new, dtype=np.float32)
        scale = np.float32(old) / np.float32(new)
        centres = node.flag("half_pixel_centers")
        half = np.float32(0.5 if centres else 0)
        place = (place + half) * scale - half
        first = np.floor(place)
        share = (place - first).reshape([-1 if i == axis else 1 for i in range(4)])
        low = tf.gather(x, np.maximum(first, 0).astype(np.int32), axis=axis)
        high = tf.gather(x, np.minimum(np.ceil(place), old - 1).astype(np.int32), axis=axis)
        x = low + (high - low) * tf.constant(share)
    return x


@rule("ResizeArea")
def resize_area(node: Node) -> Any:
    """Weigh each pixel by the share of it that an answer's pixel covers."""
    import tensorflow as tf

    x, size = node.inputs
    corners = node.flag("align_corners")

    def weights(before: Tensor, after: Tensor) -> Tensor:
        old, new = tf.cast(before, tf.float32), tf.cast(after, tf.float32)
        scale = old / new
        if corners:
            scale = tf.where(after > 1, (old - 1.0) / tf.maximum(new - 1.0, 1.0), scale)
        low = (tf.range(new) * scale)[:, tf.newaxis]
        pixels = tf.range(old)[tf.newaxis, :]
        covered = tf.minimum(pixels + 1.0, low + scale) - tf.maximum(pixels, low)
        beyond = tf.maximum(low + scale - old, 0.0) * tf.cast(
            tf.equal(pixels, old - 1.0), tf.float32
        )
        return (tf.maximum(covered, 0.0) + beyond) / scale

    return _resize(x, size, weights)


@rule("ScaleAndTranslate")
def scale_and_translate(node: Node) -> Any:
    """Resize with a kernel that is widened where the image shrinks (``antialias=True``)."""
    import tensorflow as tf

    x, size, scales, moves = node.inputs
    kernel, radius = _kernels().get(node.text("kernel_type"), (None, 0.0))
    if kernel is None:
        return None
    antialias = node.flag("antialias")

    def weights(before: Tensor, after: Tensor, scale: Tensor, move: Tensor) -> Tensor:
        inverse = 1.0 / scale
        widened = tf.maximum(inverse, 1.0) if antialias else tf.ones_like(inverse)
        place = (tf.range(tf.cast(after, tf.float32)) + 0.5) * inverse - move * inverse
        centres = tf.range(tf.cast(before, tf.float32)) + 0.5
        away = tf.abs(centres[tf.newaxis, :] - place[:, tf.newaxis]) / widened
        found = tf.where(away <= radius, kernel(away), 0.0)
        total = tf.reduce_sum(found, 1, keepdims=True)
        found = tf.math.divide_no_nan(found, total)
        inside = (place >= 0.0) & (place <= tf.cast(before, tf.float32))
        return tf.where(inside[:, tf.newaxis], found, 0.0)

    return _resize(x, size, weights, scales, moves)


def _kernels() -> dict[str, tuple[Callable[[Tensor], Tensor], float]]:
    """Return kernel and radius by name; `x` is not negative."""
    import tensorflow as tf

    def lanczos(radius: float) -> Callable[[Tensor], Tensor]:
        def kernel(x: Tensor) -> Tensor:
            safe = tf.where(x < 1e-3, tf.ones_like(x), x)
            found = radius * tf.sin(math.pi * safe) * tf.sin(math.pi * safe / radius)
            return tf.where(x < 1e-3, 1.0, found / (math.pi**2 * safe * safe))

        return kernel

    def mitchell(x: Tensor) -> Tensor:
        near = (7.0 * x - 12.0) * x * x + 16.0 / 3.0
        far = ((-7.0 / 3.0 * x + 12.0) * x - 20.0) * x + 32.0 / 3.0
        return tf.where(x < 1.0, near, far) / 6.0

    def keys(x: Tensor) -> Tensor:
        return tf.where(x < 1.0, _cubic(x, -0.5, inner=True), _cubic(x, -0.5, inner=False))

    return {
        "lanczos1": (lanczos(1.0), 1.0),
        "lanczos3": (lanczos(3.0), 3.0),
        "lanczos5": (lanczos(5.0), 5.0),
        "triangle": (lambda x: tf.maximum(1.0 - x, 0.0), 1.0),
        "keyscubic": (keys, 2.0),
        "mitchellcubic": (mitchell, 2.0),
        "box": (lambda x: tf.where(x < 0.5, 1.0, 0.5), 0.5),
    }


def _resize(x: Tensor, size: Tensor, weights: Callable[..., Tensor], *by_axis: Tensor) -> Tensor:
    """Multiply height and width by their weights, which are a constant where all is known."""
    import tensorflow as tf

    channels, shape, x = x.shape[-1], tf.shape(x), tf.cast(x, tf.float32)
    rows = _weights(weights, x.shape[1], shape[1], size, 0, by_axis)
    columns = _weights(weights, x.shape[2], shape[2], size, 1, by_axis)
    wide = tf.reshape(x, [-1, shape[1], shape[2] * channels])
    tall = tf.matmul(rows, wide)
    lines = tf.reshape(tall, [-1, shape[2], channels])
    found = tf.matmul(columns, lines)
    found = tf.reshape(found, [-1, tf.shape(rows)[0], tf.shape(columns)[0], channels])
    found.set_shape([None, rows.shape[0], columns.shape[0], channels])
    return found


def _weights(
    weights: Callable[..., Tensor],
    known: int | None,
    before: Tensor,
    size: Tensor,
    axis: int,
    by_axis: tuple[Tensor, ...],
) -> Tensor:
    import tensorflow as tf

    after, *rest = (tf.get_static_value(value) for value in (size, *by_axis))
    if known is not None and all(value is not None for value in (after, *rest)):
        with tf.init_scope():
            told = [tf.constant(value[axis]) for value in (after, *rest)]
            found = weights(tf.constant(known), *told).numpy()
        return tf.constant(found)
    return weights(before, *(value[axis] for value in (size, *by_axis)))

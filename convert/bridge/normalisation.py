"""Normalisation, as it is at inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.spatial import channels_last
from shipworthy.convert.bridge.table import Missing, UnsupportedUseError, aten
from shipworthy.convert.bridge.value import Tensor, Value, along, reshape
from shipworthy.convert.bridge.weight import Weight, derived
from shipworthy.models.spec import Array

_NO_STATISTICS = Missing("the statistics that normalisation saves for training are not computed")


@aten("_native_batch_norm_legit_no_training.default")
def batch_norm(
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    variance: Value,
    momentum: float,
    epsilon: float,
) -> tuple[Value, Missing, Missing]:
    """Normalise by stored statistics."""
    parts = (weight, bias, mean, variance)
    if x.order == channels_last(2) and x.dtype == tf.float32 and None not in parts:
        # One kernel, which TensorFlow fuses with a convolution before it.
        names = ("scale", "offset", "mean", "variance")
        settings = {n: p.tensor for n, p in zip(names, parts, strict=True) if p is not None}
        y = tf.raw_ops.FusedBatchNormV3(
            x=x.tensor, epsilon=epsilon, is_training=False, **settings
        ).y
        return x.like(y), _NO_STATISTICS, _NO_STATISTICS
    scale, offset = _scale_and_offset(weight, bias, mean, variance, epsilon)
    y = x.tensor * along(x, scale, [1]) + along(x, offset, [1])
    return x.like(y), _NO_STATISTICS, _NO_STATISTICS


def _scale_and_offset(
    weight: Value | None, bias: Value | None, mean: Value, variance: Value, epsilon: float
) -> tuple[Value, Value]:
    """Reduce four vectors to two; in float64, once, if all four are stored."""
    parts = [part for part in (variance, mean, weight, bias) if part is not None]
    stored = [part for part in parts if isinstance(part, Weight)]
    if len(stored) < len(parts):
        scale = tf.math.rsqrt(variance.tensor + epsilon)
        scale = scale if weight is None else scale * weight.tensor
        offset = -mean.tensor * scale
        return Value(scale), Value(offset if bias is None else offset + bias.tensor)

    def scale_of(variance: Array, mean: Array, *rest: Array) -> Array:
        return (rest[0] if weight is not None else 1.0) / np.sqrt(variance + epsilon)

    def offset_of(variance: Array, mean: Array, *rest: Array) -> Array:
        return (rest[-1] if bias is not None else 0.0) - mean * scale_of(variance, mean, *rest)

    name = stored[0].stored.name.rpartition(".")[0]
    return derived(f"{name}.scale", scale_of, *stored), derived(
        f"{name}.offset", offset_of, *stored
    )


@aten("_native_batch_norm_legit.no_stats")
def batch_norm_no_stats(
    x: Value,
    weight: Value | None,
    bias: Value | None,
    training: bool,
    momentum: float,
    epsilon: float,
) -> tuple[Value, Missing, Missing]:
    """Normalise by the statistics of the batch at hand (``track_running_stats=False``)."""
    y = _standardised(x.tensor, _over([x.axis(dim) for dim in range(x.rank) if dim != 1]), epsilon)
    return x.like(_affine(x, y, weight, bias, [1])), _NO_STATISTICS, _NO_STATISTICS


@aten("instance_norm.default")
def instance_norm(
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_variance: Value | None,
    use_input_stats: bool,
    momentum: float,
    epsilon: float,
    cudnn_enabled: bool = True,
) -> Value:
    """Normalise every channel of every item by itself, or by stored statistics."""
    if not use_input_stats:
        if running_mean is None or running_variance is None:
            raise UnsupportedUseError("instance_norm without statistics")
        return batch_norm(
            x, weight, bias, running_mean, running_variance, momentum, epsilon
        )[0]  # fmt: skip
    y = _standardised(x.tensor, _over(x.axes(list(range(2, x.rank)))), epsilon)
    return x.like(_affine(x, y, weight, bias, [1]))


@aten("native_layer_norm.default")
def layer_norm(
    x: Value, shape: Sequence[int], weight: Value | None, bias: Value | None, epsilon: float
) -> tuple[Value, Missing, Missing]:
    """Normalise over the last axes."""
    dims = list(range(x.rank - len(shape), x.rank))
    y = _standardised(x.tensor, _over(x.axes(dims)), epsilon)
    return x.like(_affine(x, y, weight, bias, dims)), _NO_STATISTICS, _NO_STATISTICS


@aten("native_group_norm.default")
def group_norm(
    x: Value,
    weight: Value | None,
    bias: Value | None,
    batch: object,
    channels: int,
    spatial: object,
    groups: int,
    epsilon: float,
) -> tuple[Value, Missing, Missing]:
    """Normalise over groups of channels.

    The mean of a group is that of its channels' means, so that no large tensor needs an axis of
    groups.
    """
    within = [x.axis(dim) for dim in range(2, x.rank)]

    def mean(t: Tensor) -> Tensor:
        by_channel = tf.reduce_mean(t, axis=within, keepdims=True) if within else t
        if groups == channels:
            return by_channel
        split = tf.reshape(by_channel, [-1, groups, channels // groups])
        whole = tf.reduce_mean(split, axis=2, keepdims=True)
        spread = whole * tf.ones([1, 1, channels // groups], t.dtype)
        shape = [-1 if dim == 0 else channels if dim == 1 else 1 for dim in x.order]
        return reshape(spread, shape)

    if x.axis(0):  # the split above counts on the batch to come first
        x = Value(x.plain)
        within = list(range(2, x.rank))
    y = _standardised(x.tensor, mean, epsilon)
    return x.like(_affine(x, y, weight, bias, [1])), _NO_STATISTICS, _NO_STATISTICS


@aten("rms_norm.default")
def rms_norm(
    x: Value, shape: Sequence[int], weight: Value | None = None, epsilon: float | None = None
) -> Value:
    """Divide by the root of the mean square over the last axes."""
    dims = list(range(x.rank - len(shape), x.rank))
    epsilon = np.finfo(x.dtype.name).eps if epsilon is None else epsilon
    square = tf.reduce_mean(tf.square(x.tensor), axis=x.axes(dims), keepdims=True)
    y = x.tensor * tf.math.rsqrt(square + epsilon)
    return x.like(_affine(x, y, weight, None, dims))


def _over(axes: Sequence[int]) -> Callable[[Tensor], Tensor]:
    return lambda t: tf.reduce_mean(t, axis=axes, keepdims=True)


def _standardised(t: Tensor, mean: Callable[[Tensor], Tensor], epsilon: float) -> Tensor:
    """Subtract the mean, divide by the standard deviation (biased)."""
    centred = t - mean(t)
    return centred * tf.math.rsqrt(mean(tf.square(centred)) + epsilon)


def _affine(
    x: Value, y: Tensor, weight: Value | None, bias: Value | None, dims: Sequence[int]
) -> Tensor:
    """Scale and shift y, which lies as x, along x's axes `dims`."""
    if weight is not None:
        y = y * along(x, weight, dims)
    return y if bias is None else y + along(x, bias, dims)

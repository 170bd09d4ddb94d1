"""Activations, written so that float32 rounds as it does in PyTorch."""

from __future__ import annotations

import math
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import Out, UnsupportedUseError, aten
from shipworthy.convert.bridge.value import Tensor, Value, along


@aten("relu.default")
def relu(x: Value) -> Value:
    """max(x, 0)."""
    return x.like(tf.nn.relu(x.tensor))


@aten("hardtanh.default")
def hardtanh(x: Value, low: float = -1.0, high: float = 1.0) -> Value:
    """Limit x to a range; `relu6` is one of them."""
    if (low, high) == (0, 6):
        return x.like(tf.nn.relu6(x.tensor))
    return x.like(tf.minimum(tf.maximum(x.tensor, low), high))


@aten("relu6.default")
def relu6(x: Value) -> Value:
    """Limit x to 0 ... 6."""
    return x.like(tf.nn.relu6(x.tensor))


@aten("leaky_relu.default")
def leaky_relu(x: Value, slope: float = 0.01) -> Value:
    """Return x, and slope * x below 0."""
    return x.like(tf.raw_ops.LeakyRelu(features=x.tensor, alpha=slope))


@aten("rrelu_with_noise_functional.default")
def rrelu(
    x: Value,
    noise: Value,
    low: float = 0.125,
    high: float = 1 / 3,
    training: bool = False,
    generator: Any = None,
) -> tuple[Value, Value]:
    """Return x, and below 0 the mean of the slopes that training draws from, times x."""
    if training:
        raise UnsupportedUseError("rrelu in training mode is random; call .eval() on the model")
    return leaky_relu(x, (low + high) / 2), noise


@aten("prelu.default")
def prelu(x: Value, weight: Value) -> Value:
    """Return x, and weight * x below 0, with a weight a channel or a single one."""
    slope = along(x, weight, [1]) if x.rank > 1 and weight.shape != (1,) else weight.tensor
    return x.like(tf.where(x.tensor > 0, x.tensor, x.tensor * slope))


@aten("elu.default")
def elu(x: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Value:
    """Return x, and alpha * (exp(x) - 1) below 0."""
    low = _expm1(x.tensor * input_scale if input_scale != 1 else x.tensor) * (alpha * scale)
    high = x.tensor * scale if scale != 1 else x.tensor
    return x.like(tf.where(x.tensor > 0, high, low))


@aten("celu.default")
def celu(x: Value, alpha: float = 1.0) -> Value:
    """Return x, and alpha * (exp(x / alpha) - 1) below 0."""
    return elu(x, alpha, 1, 1 / alpha)


@aten("selu.default")
def selu(x: Value) -> Value:
    """`elu` with the constants of self-normalising networks."""
    return elu(x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def _expm1(x: Tensor) -> Tensor:
    # Only its values at and below 0 are used; elsewhere it must not overflow.
    return tf.math.expm1(tf.minimum(x, 0))


@aten("gelu.default")
def gelu(x: Value, approximate: str = "none") -> Value:
    """Multiply x by the normal distribution function of x, or its approximation by tanh."""
    t = x.tensor
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (t + 0.044715 * t * t * t)
        return x.like(0.5 * t * (1 + tf.tanh(inner)))
    return x.like(0.5 * t * (1 + tf.math.erf(t * math.sqrt(0.5))))


@aten("sigmoid.default")
def sigmoid(x: Value, *, out: Out) -> Value:
    """1 / (1 + exp(-x))."""
    x = x.cast(out.dtype)
    return x.like(tf.sigmoid(x.tensor))


@aten("hardsigmoid.default")
def hardsigmoid(x: Value) -> Value:
    """relu6(x + 3) / 6."""
    return x.like(tf.nn.relu6(x.tensor + 3) / 6)


@aten("hardswish.default")
def hardswish(x: Value) -> Value:
    """Return x * relu6(x + 3) / 6."""
    return x.like(x.tensor * tf.nn.relu6(x.tensor + 3) / 6)


@aten("silu.default")
def silu(x: Value) -> Value:
    """Return x * sigmoid(x)."""
    return x.like(x.tensor * tf.sigmoid(x.tensor))


@aten("softplus.default")
def softplus(x: Value, beta: float = 1, threshold: float = 20) -> Value:
    """log(1 + exp(beta * x)) / beta, and x itself beyond the threshold."""
    return x.like(_softplus(x.tensor, beta, threshold))


def _softplus(t: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    scaled = t * beta if beta != 1 else t
    soft = tf.math.softplus(scaled)
    return tf.where(scaled > threshold, t, soft / beta if beta != 1 else soft)


@aten("mish.default")
def mish(x: Value) -> Value:
    """Return x * tanh(softplus(x))."""
    return x.like(x.tensor * tf.tanh(_softplus(x.tensor)))


@aten("glu.default")
def glu(x: Value, dim: int = -1) -> Value:
    """Return the first half times the sigmoid of the second."""
    first, second = tf.split(x.tensor, 2, axis=x.axis(dim))
    return x.like(first * tf.sigmoid(second))


@aten("_softmax.default")
def softmax(x: Value, dim: int, half_to_float: bool = False) -> Value:
    """exp(x) over its sum along an axis."""
    return x.like(tf.nn.softmax(x.tensor, axis=x.axis(dim)))


@aten("_safe_softmax.default")
def safe_softmax(x: Value, dim: int, dtype: Any = None, *, out: Out) -> Value:
    """Softmax, and 0 where the whole row is minus infinity (a mask that leaves nothing)."""
    x = x.cast(out.dtype)
    axis = x.axis(dim)
    empty = tf.reduce_all(x.tensor == -math.inf, axis=axis, keepdims=True)
    rows = tf.nn.softmax(x.tensor, axis=axis)
    return x.like(tf.where(empty, tf.zeros_like(rows), rows))


@aten("_log_softmax.default")
def log_softmax(x: Value, dim: int, half_to_float: bool = False) -> Value:
    """Logarithm of softmax."""
    return x.like(tf.nn.log_softmax(x.tensor, axis=x.axis(dim)))


@aten("native_dropout.default")
def native_dropout(x: Value, p: float, train: bool | None) -> tuple[Value, Value]:
    """Return x: dropout is for training."""
    if train is None or train:
        raise UnsupportedUseError("dropout in training mode is random; call .eval() on the model")
    return x, x.like(tf.ones_like(x.tensor, tf.bool))

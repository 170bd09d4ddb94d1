"""Arithmetic on two tensors, or a tensor and a number, with PyTorch's type promotion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shipworthy.convert.bridge.elementwise import truncated
from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Tensor, Value, aligned


def elementwise(function: Callable[..., Tensor], x: Any, y: Any, dtype: Any) -> Value:
    """Apply a TensorFlow function of two tensors.

    Parameters
    ----------
    x, y : values, Python numbers, or scalar tensors (sizes known only when the model runs).
    dtype : both are converted to this `tf.DType` first.
    """
    # TFLite computes on narrow integers only if they stand for quantised numbers.
    wide = tf.int32 if dtype in (tf.uint8, tf.int8, tf.int16) else dtype
    tensors, order = aligned([as_value(operand, dtype).cast(wide) for operand in (x, y)])
    result = function(*tensors)
    narrow = wide != dtype and result.dtype == wide
    return Value(tf.cast(result, dtype) if narrow else result, order)


def as_value(operand: Any, dtype: Any) -> Value:
    """Return a value, number or scalar tensor as a value of the dtype given."""
    if isinstance(operand, Value):
        return operand.cast(dtype)
    if isinstance(operand, bool | int | float):
        return Value(tf.constant(operand, dtype))
    return Value(tf.cast(operand, dtype))


def promoted(x: Any, y: Any) -> Any:
    """Return the dtype in which PyTorch computes with x and y.

    Numbers and tensors without axes give way to tensors with axes of the same kind (PyTorch,
    *Tensor Attributes*, "Type Promotion"); PyTorch itself is asked.
    """
    import torch

    def stand_in(operand: Any) -> Any:
        if isinstance(operand, bool | int | float):
            return operand
        rank = operand.rank if isinstance(operand, Value) else 0
        return torch.empty((1,) * rank, dtype=getattr(torch, operand.dtype.name))

    return tf.as_dtype(str(torch.result_type(stand_in(x), stand_in(y))).removeprefix("torch."))


def _scaled(y: Any, alpha: Any, dtype: Any) -> Any:
    return y if alpha == 1 else elementwise(tf.multiply, y, alpha, dtype)


@aten("add.Tensor", "add.Scalar")
def add(x: Any, y: Any, alpha: Any = 1, *, out: Out) -> Value:
    """Sum of x and alpha * y."""
    if out.dtype == tf.bool:
        return elementwise(tf.logical_or, x, y, tf.bool)
    return elementwise(tf.add, x, _scaled(y, alpha, out.dtype), out.dtype)


@aten("sub.Tensor", "sub.Scalar")
def sub(x: Any, y: Any, alpha: Any = 1, *, out: Out) -> Value:
    """Difference of x and alpha * y."""
    return _uneven(tf.subtract, x, _scaled(y, alpha, out.dtype), out.dtype)


@aten("mul.Tensor", "mul.Scalar")
def mul(x: Any, y: Any, *, out: Out) -> Value:
    """Product."""
    if out.dtype == tf.bool:
        return elementwise(tf.logical_and, x, y, tf.bool)
    return elementwise(tf.multiply, x, y, out.dtype)


@aten("div.Tensor", "div.Scalar")
def div(x: Any, y: Any, *, out: Out) -> Value:
    """Quotient; of integers, a float."""
    return _uneven(tf.divide, x, y, out.dtype)


@aten("reciprocal.default")
def reciprocal(x: Value, *, out: Out) -> Value:
    """1 / x."""
    return _uneven(tf.divide, 1, x, out.dtype)


def _uneven(function: Callable[..., Tensor], x: Any, y: Any, dtype: Any) -> Value:
    """Apply a function of two tensors whose order matters.

    TFLite's converter (TensorFlow 2.21) pulls transposes through such a function where the first
    operand is a single constant, and swaps the operands then: ``1 - transpose(x)`` becomes
    ``transpose(x - 1)``. One constant a place of the last axis is left alone.
    """
    first, second = as_value(x, dtype), as_value(y, dtype)
    if any(size != 1 for size in first.shape) or second.rank < max(2, first.rank):
        return elementwise(function, first, second, dtype)
    size = second.shape[second.order[-1]]
    places = [size] if isinstance(size, int) and size > 1 else tf.shape(second.tensor)
    same = tf.broadcast_to(tf.reshape(first.tensor, []), places)
    return second.like(function(same, second.tensor))


@aten("div.Tensor_mode", "div.Scalar_mode")
def div_mode(x: Any, y: Any, rounding_mode: str | None = None, *, out: Out) -> Value:
    """Quotient, rounded down ("floor") or towards zero ("trunc")."""
    if rounding_mode is None:
        return _uneven(tf.divide, x, y, out.dtype)
    if not out.dtype.is_floating:
        function = tf.math.floordiv if rounding_mode == "floor" else _truncated_quotient
        return elementwise(function, x, y, out.dtype)
    if rounding_mode == "trunc":
        quotient = _uneven(tf.divide, x, y, out.dtype)
        return quotient.like(truncated(quotient.tensor))
    return elementwise(_floor_divide, x, y, out.dtype)


def _floor_divide(a: Tensor, b: Tensor) -> Tensor:
    # The remainder is exact where a / b would round up to a whole number: floor(1 / 0.1) is 9.
    remainder = tf.math.floormod(a, b)
    return tf.where(b == 0, a / b, tf.round((a - remainder) / b))


@aten("remainder.Tensor", "remainder.Scalar")
def remainder(x: Any, y: Any, *, out: Out) -> Value:
    """Remainder with the sign of y."""
    return elementwise(tf.math.floormod, x, y, out.dtype)


@aten("fmod.Tensor", "fmod.Scalar")
def fmod(x: Any, y: Any, *, out: Out) -> Value:
    """Remainder with the sign of x."""
    return elementwise(_fmod, x, y, out.dtype)


def _fmod(a: Tensor, b: Tensor) -> Tensor:
    # TFLite rounds down only.
    rest = tf.math.floormod(_size(a), _size(b))
    return tf.where(a < 0, -rest, rest)


def _truncated_quotient(a: Tensor, b: Tensor) -> Tensor:
    quotient = tf.math.floordiv(_size(a), _size(b))
    return tf.where((a < 0) != (b < 0), -quotient, quotient)


def _size(t: Tensor) -> Tensor:
    return tf.abs(t) if t.dtype.is_floating else tf.maximum(t, -t)


@aten("__lshift__.Scalar", "__lshift__.Tensor", "bitwise_left_shift.Tensor")
def left_shift(x: Value, places: Any, *, out: Out) -> Value:
    """Move the bits to the left."""
    if isinstance(places, int):
        return elementwise(tf.multiply, x, 2**places, out.dtype)
    return elementwise(tf.bitwise.left_shift, x, places, out.dtype)


@aten("__rshift__.Scalar", "__rshift__.Tensor", "bitwise_right_shift.Tensor")
def right_shift(x: Value, places: Any, *, out: Out) -> Value:
    """Move the bits to the right; the sign stays."""
    if isinstance(places, int):
        return elementwise(tf.math.floordiv, x, 2**places, out.dtype)
    return elementwise(tf.bitwise.right_shift, x, places, out.dtype)


@aten("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar")
def power(x: Any, exponent: Any, *, out: Out) -> Value:
    """Raise x to a power."""
    simple = {2: tf.square, 0.5: tf.sqrt, -0.5: tf.math.rsqrt}
    if isinstance(exponent, int | float) and exponent in simple and out.dtype.is_floating:
        base = as_value(x, out.dtype)
        return base.like(simple[exponent](base.tensor))
    return elementwise(tf.pow, x, exponent, out.dtype)


@aten("maximum.default")
def maximum(x: Value, y: Value, *, out: Out) -> Value:
    """Return the larger."""
    return elementwise(tf.maximum, x, y, out.dtype)


@aten("minimum.default")
def minimum(x: Value, y: Value, *, out: Out) -> Value:
    """Return the smaller."""
    return elementwise(tf.minimum, x, y, out.dtype)


@aten("fmax.default")
def fmax(x: Value, y: Value, *, out: Out) -> Value:
    """Return the larger, and the number of the two where only one is a number."""
    return elementwise(lambda a, b: tf.maximum(*_numbers(a, b)), x, y, out.dtype)


@aten("fmin.default")
def fmin(x: Value, y: Value, *, out: Out) -> Value:
    """Return the smaller, and the number of the two where only one is a number."""
    return elementwise(lambda a, b: tf.minimum(*_numbers(a, b)), x, y, out.dtype)


def _numbers(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return tf.where(a != a, b, a), tf.where(b != b, a, b)


@aten("hypot.default")
def hypot(x: Value, y: Value, *, out: Out) -> Value:
    """Length of the hypotenuse; both are scaled by the larger, so that no square overflows."""

    def length(a: Tensor, b: Tensor) -> Tensor:
        high = tf.maximum(tf.abs(a), tf.abs(b))
        low = tf.minimum(tf.abs(a), tf.abs(b))
        return high * tf.sqrt(1 + tf.square(tf.math.divide_no_nan(low, high)))

    return elementwise(length, x, y, out.dtype)


@aten("copysign.Tensor", "copysign.Scalar")
def copysign(x: Any, y: Any, *, out: Out) -> Value:
    """Return x with the sign of y."""
    return elementwise(
        lambda a, b: tf.where(_is_negative(b), -tf.abs(a), tf.abs(a)), x, y, out.dtype
    )


@aten("signbit.default")
def signbit(x: Value) -> Value:
    """Tell whether the sign is minus, that of a zero too."""
    return x.like(_is_negative(x.tensor) if x.dtype.is_floating else x.tensor < 0)


def _is_negative(t: Tensor) -> Tensor:
    # Minus zero is told by its reciprocal. A vector of ones, see `_uneven`.
    return (t < 0) | ((t == 0) & (tf.ones_like(t) / t < 0))


@aten("clamp.default", "clamp.Tensor")
def clamp(x: Value, low: Any = None, high: Any = None, *, out: Out) -> Value:
    """Limit x from below, then from above."""
    for limit, function in ((low, tf.maximum), (high, tf.minimum)):
        if limit is not None:
            x = elementwise(function, x, limit, out.dtype)
    return x.cast(out.dtype)


@aten("atan2.default")
def atan2(x: Value, y: Value, *, out: Out) -> Value:
    """Angle of the point (y, x)."""
    return elementwise(tf.math.atan2, x, y, out.dtype)

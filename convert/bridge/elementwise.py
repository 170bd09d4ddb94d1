"""Functions of one tensor, element by element, that are no activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Tensor, Value

# The same function under the same name, in tf.math.
for _name in (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "digamma", "erf", "erfc",
    "erfinv", "exp", "expm1", "lgamma", "log", "log1p", "rsqrt", "sign", "sin", "sinh", "sqrt",
    "square", "tan", "tanh",
):  # fmt: skip

    def _unary(x: Value, *, out: Out, _name: str = _name) -> Value:
        x = x.cast(out.dtype)
        return x.like(getattr(tf.math, _name)(x.tensor))

    aten(f"{_name}.default")(_unary)


@aten("abs.default")
def absolute(x: Value) -> Value:
    """Size of x; TFLite has it for some dtypes only."""
    t = x.tensor
    return x.like(tf.abs(t) if t.dtype.is_floating else tf.maximum(t, -t))


@aten("neg.default")
def neg(x: Value) -> Value:
    """Minus x."""
    return x.like(-x.tensor)


@aten("exp2.default")
def exp2(x: Value, *, out: Out) -> Value:
    """Return 2 to the power of x."""
    x = x.cast(out.dtype)
    return x.like(tf.pow(tf.constant(2, out.dtype), x.tensor))


@aten("log2.default")
def log2(x: Value, *, out: Out) -> Value:
    """Logarithm to base 2."""
    return _log(x.cast(out.dtype), 2.0)


@aten("log10.default")
def log10(x: Value, *, out: Out) -> Value:
    """Logarithm to base 10."""
    return _log(x.cast(out.dtype), 10.0)


def _log(x: Value, to: float) -> Value:
    return x.like(tf.math.log(x.tensor) / tf.math.log(tf.constant(to, x.dtype)))


def _rounding(function: Callable[[Tensor], Tensor]) -> Callable[[Value], Value]:
    def rounded(x: Value) -> Value:
        return x.like(function(x.tensor)) if x.dtype.is_floating else x

    return rounded


aten("floor.default")(_rounding(lambda x: tf.floor(x)))
aten("ceil.default")(_rounding(lambda x: tf.math.ceil(x)))
aten("round.default")(_rounding(lambda x: tf.round(x)))  # both round half to even
aten("trunc.default")(_rounding(lambda x: truncated(x)))


def truncated(x: Tensor) -> Tensor:
    """Round towards zero."""
    return tf.where(x < 0, tf.math.ceil(x), tf.floor(x))


@aten("isnan.default")
def isnan(x: Value) -> Value:
    """Tell where x is not a number."""
    return x.like(
        tf.math.is_nan(x.tensor) if x.dtype.is_floating else tf.zeros_like(x.tensor, "bool")
    )


@aten("isinf.default")
def isinf(x: Value) -> Value:
    """Tell where x is infinite."""
    return x.like(
        tf.math.is_inf(x.tensor) if x.dtype.is_floating else tf.zeros_like(x.tensor, "bool")
    )


@aten("logical_not.default")
def logical_not(x: Value) -> Value:
    """Tell where x is zero."""
    return x.like(~x.cast(tf.bool).tensor)


@aten("bitwise_not.default")
def bitwise_not(x: Value) -> Value:
    """Flip every bit; for booleans, not."""
    return x.like(~x.tensor if x.dtype == tf.bool else tf.bitwise.invert(x.tensor))


@aten("_to_copy.default")
def to_copy(x: Value, dtype: Any = None, *, out: Out) -> Value:
    """Convert to another dtype; floats are cut towards zero, and all but 0 is true."""
    return x.cast(out.dtype)


@aten("clone.default", "alias.default")
def clone(x: Value) -> Value:
    """Return x: TensorFlow's tensors never change."""
    return x

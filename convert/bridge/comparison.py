"""Comparisons, logic and choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shipworthy.convert.bridge.binary import as_value, elementwise, promoted
from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Tensor, Value, aligned


def _compared(x: Any, y: Any, function: Callable[..., Tensor]) -> Value:
    return elementwise(function, x, y, promoted(x, y))


@aten("eq.Tensor", "eq.Scalar")
def eq(x: Any, y: Any) -> Value:
    """Tell where x equals y."""
    return _compared(x, y, tf.equal)


@aten("ne.Tensor", "ne.Scalar")
def ne(x: Any, y: Any) -> Value:
    """Tell where x differs from y."""
    return _compared(x, y, tf.not_equal)


@aten("lt.Tensor", "lt.Scalar")
def lt(x: Any, y: Any) -> Value:
    """Tell where x is below y."""
    return _compared(x, y, tf.less)


@aten("le.Tensor", "le.Scalar")
def le(x: Any, y: Any) -> Value:
    """Tell where x is at most y."""
    return _compared(x, y, tf.less_equal)


@aten("gt.Tensor", "gt.Scalar")
def gt(x: Any, y: Any) -> Value:
    """Tell where x is above y."""
    return _compared(x, y, tf.greater)


@aten("ge.Tensor", "ge.Scalar")
def ge(x: Any, y: Any) -> Value:
    """Tell where x is at least y."""
    return _compared(x, y, tf.greater_equal)


@aten("logical_and.default")
def logical_and(x: Any, y: Any) -> Value:
    """Tell where both are true."""
    return elementwise(tf.logical_and, x, y, tf.bool)


@aten("logical_or.default")
def logical_or(x: Any, y: Any) -> Value:
    """Tell where one is true, or both."""
    return elementwise(tf.logical_or, x, y, tf.bool)


@aten("logical_xor.default")
def logical_xor(x: Any, y: Any) -> Value:
    """Tell where exactly one is true."""
    return elementwise(tf.math.logical_xor, x, y, tf.bool)


def _bitwise(x: Any, y: Any, out: Out, bits: str, logic: str) -> Value:
    function = getattr(tf.math, logic) if out.dtype == tf.bool else getattr(tf.bitwise, bits)
    return elementwise(function, x, y, out.dtype)


@aten("bitwise_and.Tensor", "bitwise_and.Scalar")
def bitwise_and(x: Any, y: Any, *, out: Out) -> Value:
    """And, bit by bit."""
    return _bitwise(x, y, out, "bitwise_and", "logical_and")


@aten("bitwise_or.Tensor", "bitwise_or.Scalar")
def bitwise_or(x: Any, y: Any, *, out: Out) -> Value:
    """Or, bit by bit."""
    return _bitwise(x, y, out, "bitwise_or", "logical_or")


@aten("bitwise_xor.Tensor", "bitwise_xor.Scalar")
def bitwise_xor(x: Any, y: Any, *, out: Out) -> Value:
    """Exclusive or, bit by bit."""
    return _bitwise(x, y, out, "bitwise_xor", "logical_xor")


@aten("where.self")
def where(condition: Value, x: Any, y: Any, *, out: Out) -> Value:
    """Take x where the condition holds, else y."""
    values = [condition.cast(tf.bool), as_value(x, out.dtype), as_value(y, out.dtype)]
    tensors, order = aligned(values)
    return Value(tf.where(*tensors), order)

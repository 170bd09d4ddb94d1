"""Bits and shifts, which ONNX and TFLite have for few dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.convert.rewrite.elementwise import floor_quotient
from shipworthy.convert.rewrite.table import Node, Tensor, rule

ONNX, TFLITE = ("onnx",), ("tflite",)
_SIGN = np.iinfo(np.int32).min


@rule("BitwiseAnd", formats=ONNX)
def sign_bit(node: Node) -> Any:
    """Tell the sign bit of a float32 without looking at its bits; see `_sign_bit`."""
    return _sign_bit(node)


@rule("BitwiseAnd", formats=TFLITE)
def bitwise_and(node: Node) -> Any:
    """Tell a sign bit, or compute the bits that are common."""
    found = _sign_bit(node)
    return _in_int32(node, _and) if found is None else found


@rule("BitwiseOr", formats=TFLITE)
def bitwise_or(node: Node) -> Any:
    """Add the bits that differ to those that are common."""
    import tensorflow as tf

    return _in_int32(node, lambda a, b: tf.bitwise.bitwise_xor(a, b) + _and(a, b))


@rule("Invert", formats=TFLITE)
def invert(node: Node) -> Any:
    """Count from the other end: ``-1 - x``."""
    x = node.inputs[0]
    return -1 - x if x.dtype.min < 0 else x.dtype.max - x


@rule("LeftShift")
def left_shift(node: Node) -> Any:
    """Multiply by a power of two."""
    import tensorflow as tf

    x, places = node.inputs
    return x * tf.gather(_powers(x.dtype), places)


@rule("RightShift", formats=ONNX)
def right_shift(node: Node) -> Any:
    """Divide by a power of two, rounding down."""
    import tensorflow as tf

    x, places = node.inputs
    return floor_quotient(x, tf.gather(_powers(x.dtype), places))


def _powers(dtype: Any) -> Tensor:
    import tensorflow as tf

    kind = dtype.as_numpy_dtype
    return tf.constant(np.left_shift(kind(1), np.arange(dtype.size * 8, dtype=kind)))


def _sign_bit(node: Node) -> Any:
    """Return the sign bit in place, zero elsewhere, of a float32 whose bits are asked for it.

    ``keras.ops.argmax`` asks so, to tell -0 from 0. One divided by -0 is negative.
    """
    import tensorflow as tf

    bits, mask = node.inputs[0], node.constant(1)
    if bits.dtype != tf.int32 or bits.op.type != "Bitcast" or mask is None:
        return None
    x = bits.op.inputs[0]
    if x.dtype != tf.float32 or (mask != _SIGN).any():
        return None
    negative = (x < 0.0) | (tf.equal(x, 0.0) & (1.0 / x < 0.0))
    return tf.where(negative, tf.constant(_SIGN, tf.int32), tf.constant(0, tf.int32))


def _in_int32(node: Node, function: Any) -> Any:
    """Compute in int32, the one dtype for which TFLite shifts; None for a wider one."""
    import tensorflow as tf

    a, b = node.inputs
    if a.dtype.size > 4 or a.dtype == tf.uint32:
        return None
    found = function(tf.cast(a, tf.int32), tf.cast(b, tf.int32))
    return tf.cast(found, a.dtype)


def _and(a: Tensor, b: Tensor) -> Tensor:
    """Return the common bits of two int32, from exclusive or and shifts.

    A sum holds the common bits twice and the others once: ``a + b = 2 (a & b) + (a ^ b)``. For the
    halves ``a >> 1`` and ``b >> 1`` the doubled part is all but the last bit of the answer, and
    no sum overflows.
    """
    import tensorflow as tf

    one = tf.constant(1, tf.int32)
    half_a = tf.bitwise.right_shift(a, tf.ones_like(a) * one)
    half_b = tf.bitwise.right_shift(b, tf.ones_like(b) * one)
    upper = half_a + half_b - tf.bitwise.bitwise_xor(half_a, half_b)
    return upper + (a - half_a * 2) * (b - half_b * 2)

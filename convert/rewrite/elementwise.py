"""Elementwise functions that a format has no operator for."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.rewrite.table import Node, rule

ONNX, TFLITE = ("onnx",), ("tflite",)


@rule("Erfc", formats=ONNX)
def erfc(node: Node) -> Any:
    """Subtract `erf` from one."""
    import tensorflow as tf

    return 1.0 - tf.math.erf(node.inputs[0])


@rule("Expm1", formats=ONNX)
def expm1(node: Node) -> Any:
    """Compute ``exp(x) - 1`` from a hyperbolic sine's halves, which does not cancel near zero.

    ``exp(x) - 1 = 2 tanh(x/2) / (1 - tanh(x/2))`` where x is small.
    """
    import tensorflow as tf

    x = node.inputs[0]
    small = tf.clip_by_value(x, -0.5, 0.5)
    half = tf.tanh(0.5 * small)
    return tf.where(tf.abs(x) < 0.5, 2.0 * half / (1.0 - half), tf.exp(x) - 1.0)


@rule("Log1p", formats=ONNX)
def log1p(node: Node) -> Any:
    """Compute ``log(1 + x)`` as twice an inverse hyperbolic tangent where x is small.

    ``log(1 + x) = 2 artanh(x / (2 + x))``.
    """
    import tensorflow as tf

    x = node.inputs[0]
    small = tf.clip_by_value(x, -0.3, 0.3)
    near = 2.0 * tf.math.atanh(small / (2.0 + small))
    return tf.where(tf.abs(x) < 0.3, near, tf.math.log(1.0 + x))

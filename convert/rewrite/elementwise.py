"""Elementwise functions that a format has no operator for, or has wrong.

Each is written so that it keeps float32's precision: nothing near zero is the difference of two
numbers near one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from shipworthy.convert.rewrite.table import Node, Tensor, rule

ONNX, TFLITE = ("onnx",), ("tflite",)


def _expm1(x: Tensor) -> Tensor:
    """Compute ``exp(x) - 1``, near zero as ``2 tanh(x/2) / (1 - tanh(x/2))``."""
    import tensorflow as tf

    half = tf.tanh(0.5 * tf.clip_by_value(x, -0.5, 0.5))
    return tf.where(tf.abs(x) < 0.5, 2.0 * half / (1.0 - half), tf.exp(x) - 1.0)


def _log1p(x: Tensor) -> Tensor:
    """Compute ``log(1 + x)``, near zero as the series of ``2 artanh(x / (2 + x))``."""
    import tensorflow as tf

    small = tf.clip_by_value(x, -0.25, 0.25)
    y = small / (2.0 + small)
    y2 = y * y
    series = 1 / 11
    for n in (9, 7, 5, 3, 1):
        series = series * y2 + 1 / n
    return tf.where(tf.abs(x) < 0.25, 2.0 * y * series, tf.math.log(1.0 + x))


def _erf(x: Tensor) -> Tensor:
    """Compute `erf` from the one form TFLite has of it, GELU; near zero as its Taylor series.

    ``gelu(t) = t/2 (1 + erf(t / sqrt 2))``, so that ``erf(z) = 2 gelu(z sqrt 2) / (z sqrt 2) - 1``.
    """
    import tensorflow as tf

    small = tf.clip_by_value(x, -0.5, 0.5)
    x2 = small * small
    series = 0.0
    for n in (7, 6, 5, 4, 3, 2, 1, 0):
        series = series * x2 + (-1) ** n * 2 / math.sqrt(math.pi) / math.factorial(n) / (2 * n + 1)
    # Beyond 6, erf is 1 in float32.
    t = math.sqrt(2.0) * tf.clip_by_value(tf.abs(x), 0.4, 6.0)
    far = tf.sign(x) * (2.0 * tf.nn.gelu(t) / t - 1.0)
    return tf.where(tf.abs(x) < 0.5, small * series, far)


def _sinh(x: Tensor) -> Tensor:
    u = _expm1(x)
    return 0.5 * (u + u / (u + 1.0))


def _asinh(x: Tensor) -> Tensor:
    import tensorflow as tf

    a = tf.abs(x)
    return tf.sign(x) * _log1p(a + a * a / (1.0 + tf.sqrt(1.0 + a * a)))


def _acosh(x: Tensor) -> Tensor:
    import tensorflow as tf

    t = x - 1.0
    return _log1p(t + tf.sqrt(2.0 * t + t * t))


def _atanh(x: Tensor) -> Tensor:
    import tensorflow as tf

    a = tf.abs(x)
    return 0.5 * tf.sign(x) * _log1p(2.0 * a / (1.0 - a))


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[[Node], Tensor]:
    return lambda node: function(node.inputs[0])


def _trigonometric() -> dict[str, Callable[[Tensor], Tensor]]:
    import tensorflow as tf

    return {
        "Acos": lambda x: tf.atan2(tf.sqrt((1.0 - x) * (1.0 + x)), x),
        "Asin": lambda x: tf.atan2(x, tf.sqrt((1.0 - x) * (1.0 + x))),
        "Atan": lambda x: tf.atan2(x, tf.ones_like(x)),
        "Cosh": lambda x: 0.5 * (tf.exp(x) + tf.exp(-x)),
        "Tan": lambda x: tf.sin(x) / tf.cos(x),
    }


rule("Expm1")(_unary(_expm1))
rule("Log1p")(_unary(_log1p))
rule("Erf", formats=TFLITE)(_unary(_erf))
rule("Sinh", formats=TFLITE)(_unary(_sinh))
rule("Asinh", formats=TFLITE)(_unary(_asinh))
rule("Acosh", formats=TFLITE)(_unary(_acosh))
rule("Atanh", formats=TFLITE)(_unary(_atanh))


@rule("Acos", "Asin", "Atan", "Cosh", "Tan", formats=TFLITE)
def trigonometric(node: Node) -> Any:
    """Write it in sine, cosine, exponential and `atan2`."""
    return _trigonometric()[node.kind](node.inputs[0])


@rule("Erfc", formats=ONNX)
def erfc(node: Node) -> Any:
    """Subtract `erf` from one."""
    import tensorflow as tf

    return 1.0 - tf.math.erf(node.inputs[0])


@rule("Erfc", formats=TFLITE)
def erfc_outside_gelu(node: Node) -> Any:
    """Subtract `erf` from one, unless it is a part of GELU, which TFLite has as a whole.

    `tf.nn.gelu` is ``(0.5 * x) * erfc(-x * sqrt(0.5))``.
    """
    if any(reader.kind == "Mul" and "Mul" in reader.beside for reader in node.readers):
        return None
    return 1.0 - _erf(node.inputs[0])


@rule("MulNoNan", "Xdivy", "Xlog1py", "Xlogy")
def no_nan(node: Node) -> Any:
    """Answer zero where the factor that decides is zero."""
    import tensorflow as tf

    x, y = node.inputs
    if node.kind == "MulNoNan":
        x, y = y, x
    zero = tf.equal(x, 0.0)
    safe = tf.where(zero, 1.0, y)
    found = {
        "MulNoNan": lambda: x * safe,
        "Xdivy": lambda: x / safe,
        "Xlog1py": lambda: x * _log1p(safe),
        "Xlogy": lambda: x * tf.math.log(safe),
    }[node.kind]()
    return tf.where(zero, 0.0, found)


@rule("TruncateMod")
def truncate_mod(node: Node) -> Any:
    """Take the sign of the dividend: ``sign(x) (|x| mod |y|)``."""
    import tensorflow as tf

    x, y = node.inputs
    return tf.sign(x) * tf.math.floormod(tf.abs(x), tf.abs(y))


@rule("FloorDiv", "FloorMod", formats=ONNX)
def floor_integers(node: Node) -> Any:
    """Round integers' quotient down; tf2onnx rounds it towards zero, and the rest likewise."""
    x, y = node.inputs
    if not x.dtype.is_integer:
        return None
    quotient = floor_quotient(x, y)
    return quotient if node.kind == "FloorDiv" else x - quotient * y


def floor_quotient(x: Tensor, y: Tensor) -> Tensor:
    """Return integers' quotient rounded down, from a division that rounds towards zero."""
    import tensorflow as tf

    quotient = tf.truncatediv(x, y)
    too_high = tf.not_equal(quotient * y, x) & tf.not_equal(x < 0, y < 0)
    return quotient - tf.cast(too_high, x.dtype)


@rule("TruncateDiv", formats=ONNX)
def truncate_div(node: Node) -> Any:
    """Divide floats' magnitudes, rounding down, and give the sign back."""
    import tensorflow as tf

    x, y = node.inputs
    if x.dtype.is_integer:
        return None
    return tf.sign(x) * tf.sign(y) * tf.math.floordiv(tf.abs(x), tf.abs(y))

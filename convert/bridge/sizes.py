"""Arithmetic on sizes: a size is a Python number, or a scalar tensor if it is dynamic."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import UnsupportedUseError, aten
from shipworthy.convert.bridge.value import Size, Value


@aten("sym_size.int")
def sym_size(x: Value, dim: int) -> Size:
    """Size of an axis."""
    return x.size(dim)


@aten("_local_scalar_dense.default")
def local_scalar_dense(x: Value) -> Size:
    """Return a number that is used as a size (``x[:, : lengths.max()]``) or as a factor."""
    if x.dtype == tf.bool:
        raise UnsupportedUseError("a choice by a value; it has to become torch.where")
    scalar = tf.reshape(x.plain, [])
    return tf.cast(scalar, tf.int32) if x.dtype.is_integer else scalar


def _extreme(plain: Callable[..., Any], symbolic: str) -> Callable[..., Any]:
    def function(a: Any, b: Any) -> Any:
        numbers = isinstance(a, int | float) and isinstance(b, int | float)
        return plain(a, b) if numbers else getattr(tf, symbolic)(a, b)

    return function


def _float(size: Size) -> Any:
    return float(size) if isinstance(size, int) else tf.cast(size, tf.float64)


def _power(base: Any, exponent: Any) -> Any:
    numbers = isinstance(base, int | float) and isinstance(exponent, int | float)
    if numbers or isinstance(exponent, int):
        return base**exponent
    # TFLite has no power of float64.
    return tf.pow(tf.cast(base, tf.float32), tf.cast(exponent, tf.float32))


# Functions that are no ATen ops. Python's operators work on numbers and tensors alike.
ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    f"_operator.{name}": getattr(operator, name)
    for name in ("add", "sub", "mul", "floordiv", "mod", "truediv", "neg", "getitem")
} | {
    "_operator.pow": _power,
    "torch.sym_max": _extreme(max, "maximum"),
    "torch.sym_min": _extreme(min, "minimum"),
    "torch.sym_float": _float,
    "math.trunc": lambda a: int(a) if isinstance(a, int | float) else tf.cast(a, tf.int32),
}

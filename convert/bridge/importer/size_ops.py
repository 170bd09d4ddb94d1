"""What ops do on values that carry shapes; see `number`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import (
    NotNumbersError,
    Number,
    Numbers,
    constant,
    elementwise,
    is_plain,
    product,
    torch,
)
from shipworthy.convert.bridge.importer.table import on_numbers


def _is_tensor(*numbers: Number) -> bool:
    return any(isinstance(number, torch.Tensor) for number in numbers)


def _known(condition: Any) -> bool:
    """Tell whether a comparison of sizes holds for every size there can be."""
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return bool(condition is True or statically_known_true(condition))


def _truncated(a: Number, b: Number) -> Number:
    """Divide integers as ONNX does: towards zero."""
    if is_plain(a) and is_plain(b):
        return (
            math.trunc(a / b) if abs(a) < 2**52 else (abs(a) // abs(b)) * (1 if a * b > 0 else -1)
        )
    if _is_tensor(a, b):
        return torch.div(*_tensors(a, b), rounding_mode="trunc")
    if _known(a >= 0) and _known(b > 0):
        return a // b
    if _known(a <= 0) and _known(b > 0):
        return -((-a) // b)
    raise NotNumbersError


def _is_float(n: Number) -> bool:
    return isinstance(n, torch.SymFloat) or (_is_tensor(n) and n.dtype.is_floating_point)


def _tensors(*numbers: Number) -> list[Any]:
    return [n if isinstance(n, torch.Tensor) else constant(n) for n in numbers]


def _extreme(plain: Callable[..., Any], traced: str, symbolic: str) -> Callable[..., Number]:
    def function(a: Number, b: Number) -> Number:
        if is_plain(a) and is_plain(b):
            return plain(a, b)
        if _is_tensor(a, b):
            return getattr(torch, traced)(*_tensors(a, b))
        return getattr(torch, symbolic)(a, b)

    return function


def _compare(function: Callable[[Any, Any], Any]) -> Callable[..., Number]:
    def compare(a: Number, b: Number) -> Number:
        result = function(a, b)
        if is_plain(result) or _is_tensor(a, b):
            return result
        if _known(result):
            return True
        if _known(_OPPOSITE[function](a, b)):
            return False
        raise NotNumbersError

    return compare


_OPPOSITE = {
    operator.eq: operator.ne, operator.lt: operator.ge, operator.le: operator.gt,
    operator.gt: operator.le, operator.ge: operator.lt,
}  # fmt: skip
_SAME = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Max": _extreme(max, "maximum", "sym_max"),
    "Min": _extreme(min, "minimum", "sym_min"),
}
_COMPARISONS = {
    "Equal": _compare(operator.eq),
    "Less": _compare(operator.lt),
    "LessOrEqual": _compare(operator.le),
    "Greater": _compare(operator.gt),
    "GreaterOrEqual": _compare(operator.ge),
}


@on_numbers(*_SAME)
def arithmetic(node: Node, first: Numbers, *others: Numbers) -> Numbers:
    """Two operands; Max and Min take any number."""
    for other in others:
        first = _rounded(elementwise(_SAME[node.op], first, other))
    return first


def _rounded(numbers: Numbers) -> Numbers:
    """Round known floats to their dtype, as ONNX computes."""
    if numbers.dtype != torch.float32:
        return numbers
    return elementwise(lambda n: float(np.float32(n)) if is_plain(n) else n, numbers)


@on_numbers("Div")
def divide(node: Node, a: Numbers, b: Numbers) -> Numbers:
    """Integers are cut towards zero."""
    if a.dtype.is_floating_point:
        return _rounded(elementwise(operator.truediv, a, b))
    return elementwise(_truncated, a, b)


@on_numbers("Mod")
def modulo(node: Node, a: Numbers, b: Numbers) -> Numbers:
    """Give the rest, with the divisor's sign."""
    if node.get("fmod", 0):
        raise NotNumbersError
    return elementwise(operator.mod, a, b)


@on_numbers("Neg")
def negative(node: Node, a: Numbers) -> Numbers:
    """Turn the sign."""
    return elementwise(operator.neg, a)


@on_numbers("Floor", "Ceil")
def rounded(node: Node, a: Numbers) -> Numbers:
    """Round to an integer that stays a float."""
    name = node.op.lower()

    def function(n: Number) -> Number:
        if is_plain(n):
            return float(getattr(math, name)(n))
        if _is_tensor(n):
            return getattr(torch, name)(n)
        raise NotNumbersError

    return elementwise(function, a)


@on_numbers(*_COMPARISONS)
def compare(node: Node, a: Numbers, b: Numbers) -> Numbers:
    """Compare."""
    return elementwise(_COMPARISONS[node.op], a, b, dtype=torch.bool)


@on_numbers("And", "Or")
def logical(node: Node, a: Numbers, b: Numbers) -> Numbers:
    """Combine conditions."""
    function = operator.and_ if node.op == "And" else operator.or_
    return elementwise(function, a, b)


@on_numbers("Not")
def invert(node: Node, a: Numbers) -> Numbers:
    """Negate a condition."""
    return elementwise(lambda n: not n if is_plain(n) else torch.logical_not(n), a)


@on_numbers("Where")
def where(node: Node, condition: Numbers, a: Numbers, b: Numbers) -> Numbers:
    """Choose."""

    def choose(c: Number, x: Number, y: Number) -> Number:
        if is_plain(c):
            return x if c else y
        if _is_tensor(c):
            return torch.where(c, *_tensors(x, y))
        raise NotNumbersError

    return elementwise(choose, condition, a, b, dtype=a.dtype)


@on_numbers("Cast")
def cast(node: Node, a: Numbers) -> Numbers:
    """Change the dtype."""
    dtype = node.get("to")
    kind: Callable[[Any], Any] = int
    if dtype == torch.bool:
        kind = bool
    elif dtype.is_floating_point:
        kind = float

    def function(n: Number) -> Number:
        if is_plain(n):
            return kind(n)
        if kind is int and (isinstance(n, torch.SymInt) or not _is_float(n)):
            return n  # sizes fit any integer
        if _is_tensor(n):
            return n.to(dtype)
        if kind is float:
            return torch.sym_float(n)
        raise NotNumbersError

    return _rounded(elementwise(function, a, dtype=dtype))


@on_numbers("Identity")
def identity(node: Node, a: Numbers) -> Numbers:
    """Hand on."""
    return a


@on_numbers("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin")
def reduce(node: Node, a: Numbers, axes: Numbers | None = None) -> Numbers:
    """Reduce a list to one number."""
    given = node.axes(axes, a.array.ndim)
    if a.array.ndim != 1 or given not in (None, [], [0]):
        raise NotNumbersError
    if given in (None, []) and node.get("noop_with_empty_axes", 0):
        return a
    items = a.items
    if node.op == "ReduceProd":
        result = product(items)
    else:
        function = _SAME[{"ReduceSum": "Add", "ReduceMax": "Max", "ReduceMin": "Min"}[node.op]]
        result = items[0]
        for item in items[1:]:
            result = function(result, item)
    one = Numbers.of([result], a.dtype)
    return one if node.get("keepdims", 1) else one.with_array(one.array.reshape(()))

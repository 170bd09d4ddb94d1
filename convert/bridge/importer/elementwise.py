"""What works element by element."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import (
    Numbers,
    Tensor,
    constant,
    torch,
)
from shipworthy.convert.bridge.importer.table import onnx_op

# ONNX op -> (PyTorch function, first opset).
_UNARY = {
    "Abs": ("abs", 1), "Acos": ("acos", 7), "Acosh": ("acosh", 9), "Asin": ("asin", 7),
    "Asinh": ("asinh", 9), "Atan": ("atan", 7), "Atanh": ("atanh", 9), "Ceil": ("ceil", 1),
    "Cos": ("cos", 7), "Cosh": ("cosh", 9), "Erf": ("erf", 9), "Exp": ("exp", 1),
    "Floor": ("floor", 1), "Log": ("log", 1), "Neg": ("neg", 1), "Not": ("logical_not", 1),
    "Reciprocal": ("reciprocal", 1), "Round": ("round", 11), "Sign": ("sign", 9),
    "Sin": ("sin", 7), "Sinh": ("sinh", 9), "Sqrt": ("sqrt", 1), "Tan": ("tan", 7),
    "IsNaN": ("isnan", 9), "BitwiseNot": ("bitwise_not", 18),
}  # fmt: skip
# Since opset 7 operands are broadcast as NumPy does.
_BINARY = {
    "Add": ("add", 7), "Sub": ("sub", 7), "Mul": ("mul", 7), "And": ("logical_and", 7),
    "Or": ("logical_or", 7), "Xor": ("logical_xor", 7), "Equal": ("eq", 7), "Greater": ("gt", 7),
    "Less": ("lt", 7), "GreaterOrEqual": ("ge", 12), "LessOrEqual": ("le", 12),
    "BitwiseAnd": ("bitwise_and", 18), "BitwiseOr": ("bitwise_or", 18),
    "BitwiseXor": ("bitwise_xor", 18),
}  # fmt: skip


def _unary(name: str) -> Callable[..., Any]:
    def function(node: Node, x: Tensor) -> Tensor:
        return getattr(torch, name)(x)

    return function


def _binary(name: str) -> Callable[..., Any]:
    def function(node: Node, a: Tensor, b: Tensor) -> Tensor:
        return getattr(torch, name)(a, b)

    return function


for _make, _ops in ((_unary, _UNARY), (_binary, _BINARY)):
    for _name, (_torch, _since) in _ops.items():
        _function = _make(_torch)
        _function.__module__ = __name__
        onnx_op(_name, since=_since)(_function)


@onnx_op("Div", since=7)
def divide(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Integers are cut towards zero."""
    if a.is_floating_point():
        return torch.div(a, b)
    return torch.div(a, b, rounding_mode="trunc")


@onnx_op("Mod", since=10)
def modulo(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """With ``fmod`` the sign is the first operand's, as in C; else the second's, as in Python."""
    return torch.fmod(a, b) if node.get("fmod", 0) else torch.remainder(a, b)


@onnx_op("Pow", since=7)
def power(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Raise to a power; the result has the dtype of the first operand."""
    return torch.pow(a, b).to(a.dtype)


@onnx_op("BitShift", since=11)
def bit_shift(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Shift bits."""
    left = node.get("direction") == "LEFT"
    return (torch.bitwise_left_shift if left else torch.bitwise_right_shift)(a, b)


@onnx_op("IsInf", since=10)
def is_infinite(node: Node, x: Tensor) -> Tensor:
    """Tell which elements are infinite, of either sign or of one."""
    found = torch.isinf(x)
    if not node.get("detect_negative", 1):
        found = torch.logical_and(found, x > 0)
    if not node.get("detect_positive", 1):
        found = torch.logical_and(found, x < 0)
    return found


def _folded(function: str) -> Callable[..., Any]:
    def variadic(node: Node, *tensors: Tensor) -> Tensor:
        return functools.reduce(getattr(torch, function), tensors)

    variadic.__module__ = __name__
    return variadic


onnx_op("Max", since=8)(_folded("maximum"))
onnx_op("Min", since=8)(_folded("minimum"))
onnx_op("Sum", since=8)(_folded("add"))


@onnx_op("Mean", since=8)
def mean(node: Node, *tensors: Tensor) -> Tensor:
    """Mean of the inputs."""
    return functools.reduce(torch.add, tensors) / len(tensors)


@onnx_op("Where", since=9)
def where(node: Node, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Choose."""
    return torch.where(condition, a, b)


@onnx_op("Clip", since=1, numbers=(1, 2))
def clip(node: Node, x: Tensor, low: Numbers | None = None, high: Numbers | None = None) -> Tensor:
    """Keep within bounds: attributes before opset 11, inputs since."""
    bounds = []
    for name, given in (("min", low), ("max", high)):
        bounds.append(node.get(name) if given is None else given.items[0])
    if bounds == [None, None]:
        return x
    if any(isinstance(bound, torch.Tensor) for bound in bounds):
        least, most = (
            b if b is None or isinstance(b, torch.Tensor) else constant(b, x.dtype) for b in bounds
        )
        x = x if least is None else torch.maximum(x, least)
        return x if most is None else torch.minimum(x, most)
    return torch.clamp(x, *bounds)


@onnx_op("Cast", since=6)
def cast(node: Node, x: Tensor) -> Tensor:
    """Change the dtype; floats are cut towards zero."""
    return x.to(node.get("to"))


@onnx_op("CastLike", since=15)
def cast_like(node: Node, x: Tensor, like: Tensor) -> Tensor:
    """Change the dtype to another tensor's."""
    return x.to(like.dtype)

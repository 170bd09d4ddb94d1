"""What TorchScript computes outside PyTorch's operators, and how it writes their arguments."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

# What TorchScript computes on numbers, lists and texts, by the operator's name.
PLAIN: Mapping[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "floordiv": operator.floordiv, "floor_divide": operator.floordiv, "remainder": operator.mod,
    "neg": operator.neg, "pow": operator.pow, "eq": operator.eq, "ne": operator.ne,
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "__not__": operator.not_, "__is__": operator.is_, "__isnot__": operator.is_not,
    "__and__": operator.and_, "__or__": operator.or_, "__getitem__": operator.getitem,
    "__contains__": operator.contains, "len": len, "list": list, "append": list.append,
    "Int": lambda value: value, "Float": float, "Bool": bool, "ScalarImplicit": lambda value: value,
    "IntImplicit": lambda value: value, "FloatImplicit": float, "abs": abs,
    "__range_length": lambda low, high, step: len(range(low, high, step)),
    "__derive_index": lambda index, start, step: start + index * step,
    "slice": lambda values, start, stop, step: values[start:stop:step],
    "warn": lambda *_: None, "format": lambda text, *values: text.format(*values),
    "min": min, "max": max, "copy": lambda values: values.copy(),
    "keys": lambda values: list(values), "values": lambda values: list(values.values()),
    "items": lambda values: list(values.items()), "get": lambda values, *k: values.get(*k),
    "_set_item": operator.setitem, "extend": list.extend, "pop": lambda values, *k: values.pop(*k),
}  # fmt: skip
# A tensor's facts, which are plain values.
FACTS: Mapping[str, Callable[..., Any]] = {
    "aten::dim": lambda tensor: tensor.dim(),
    "aten::len": lambda tensor: tensor.shape[0],
    "aten::numel": lambda tensor: tensor.numel(),
    "aten::is_floating_point": lambda tensor: tensor.is_floating_point(),
    "prim::dtype": lambda tensor: tensor.dtype,
    "prim::device": lambda tensor: tensor.device,
    "prim::layout": lambda tensor: tensor.layout,
    "prim::shape": lambda tensor: list(tensor.shape),
    "prim::is_cuda": lambda tensor: False,
    "prim::is_nested": lambda tensor: tensor.is_nested,
    "prim::is_quantized": lambda tensor: tensor.is_quantized,
    "prim::requires_grad": lambda tensor: False,
    "prim::data": lambda tensor: tensor,
    "prim::type": lambda device: device.type,
}


def fit(argument: Any, value: Any) -> Any:
    """Give an argument the type that Python's side of the operators takes."""
    import torch

    kind = str(argument.type)
    if "Tensor" in kind and "List" not in kind and isinstance(value, int | float | torch.SymInt):
        dtype = torch.float32 if isinstance(value, float) else torch.int64
        return torch.scalar_tensor(value, dtype=dtype)
    if type(value) is int and argument.name in _ENUMERATIONS:
        return _ENUMERATIONS[argument.name](value)
    return value


def _dtype(number: int) -> Any:
    """Return the dtype with a number of c10's ScalarType, as TorchScript stores it."""
    import torch

    names = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
             "complex32", "complex64", "complex128", "bool", "qint8", "quint8", "qint32",
             "bfloat16")  # fmt: skip
    return getattr(torch, names[number])


def _memory_format(number: int) -> Any:
    import torch

    names = ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")
    return getattr(torch, names[number])


def _layout(number: int) -> Any:
    import torch

    return torch.strided if number == 0 else None


_ENUMERATIONS: Mapping[str, Callable[[int], Any]] = {
    "dtype": _dtype, "memory_format": _memory_format, "layout": _layout,
}  # fmt: skip


def is_tensor(value: Any) -> bool:
    """Tell whether a value is a tensor."""
    import torch

    return isinstance(value, torch.Tensor)


def is_number(value: Any) -> bool:
    """Tell whether a value is a number, or a constant tensor of one integer."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.dim() == 0 and value.dtype == torch.int64 and type(value) is torch.Tensor
    return isinstance(value, int | float | torch.SymInt | torch.SymFloat)

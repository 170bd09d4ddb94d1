"""New tensors."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import (
    Numbers,
    Tensor,
    constant,
    is_plain,
    torch,
)
from shipworthy.convert.bridge.importer.table import onnx_op


@onnx_op("Constant", since=1)
def from_file(node: Node) -> Tensor:
    """Return what the file says."""
    kinds = {"value_float": torch.float32, "value_floats": torch.float32,
             "value_int": torch.int64, "value_ints": torch.int64}  # fmt: skip
    for name, dtype in kinds.items():
        if name in node.attributes:
            return constant(node.get(name), dtype)
    if "value" not in node.attributes:
        node.refuse(f"a constant given as {', '.join(node.attributes)}; supported: numbers, dense")
    return node.get("value")


@onnx_op("ConstantOfShape", since=9, numbers=(0,))
def constant_of_shape(node: Node, shape: Numbers) -> Any:
    """One value everywhere."""
    value = node.get("value")
    number, dtype = 0.0, torch.float32
    if value is not None:
        number, dtype = Numbers.read_constant(value).items[0], value.dtype
    if shape.is_plain and shape.array.size == 1 and shape.items[0] <= 8:
        # So few may become a shape.
        return Numbers.of([number] * shape.items[0], dtype)
    return torch.full(shape.items, number, dtype=dtype)


@onnx_op("Range", since=11, numbers=(0, 1, 2))
def arange(node: Node, start: Numbers, limit: Numbers, delta: Numbers) -> Tensor:
    """Count from start to limit."""
    return torch.arange(start.items[0], limit.items[0], delta.items[0], dtype=start.dtype)


@onnx_op("EyeLike", since=9)
def eye_like(node: Node, x: Tensor) -> Tensor:
    """Ones on a diagonal."""
    rows, columns = node.shape(0, x)
    dtype = node.get("dtype", x.dtype)
    places = torch.arange(rows).unsqueeze(1) + node.get("k", 0) == torch.arange(columns)
    return places.to(dtype)


@onnx_op("Trilu", since=14, numbers=(1,))
def trilu(node: Node, x: Tensor, k: Numbers | None = None) -> Tensor:
    """Keep the upper or the lower triangle of matrices."""
    diagonal = 0 if k is None else node.integers(k, "k")[0]
    return (torch.triu if node.get("upper", 1) else torch.tril)(x, diagonal)


@onnx_op("OneHot", since=9, numbers=(1,))
def one_hot(node: Node, places: Tensor, depth: Numbers, values: Tensor) -> Tensor:
    """Write one value at a place of a new axis, another elsewhere; places may be negative."""
    size = depth.items[0]
    size = int(size) if is_plain(size) else size
    axis = node.get("axis", -1) % (places.dim() + 1)
    places = places.to(torch.int64)
    places = torch.where(places < 0, places + size, places).unsqueeze(axis)
    shape = [-1] + [1] * (places.dim() - axis - 1)
    return torch.where(places == torch.arange(size).reshape(shape), values[1], values[0])

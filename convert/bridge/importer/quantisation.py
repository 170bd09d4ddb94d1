"""Numbers of 8 bits that stand for floats: computed as the floats they stand for."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Tensor, torch
from shipworthy.convert.bridge.importer.table import onnx_op


def _along(node: Node, one: Tensor, x: Tensor) -> Tensor:
    """Bring one number an axis' place into the shape that broadcasts to x."""
    if node.get("block_size", 0):
        node.refuse("block_size")
    if one.dim() != 1:
        return one
    axis = node.get("axis", 1) % x.dim()
    return one.reshape([-1 if i == axis else 1 for i in range(x.dim())])


@onnx_op("DequantizeLinear", since=10)
def dequantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """``(x - zero) scale``."""
    wide = x.to(torch.int32)
    if zero is not None:
        wide = wide - _along(node, zero.to(torch.int32), x)
    return wide.to(scale.dtype) * _along(node, scale, x)


@onnx_op("QuantizeLinear", since=10)
def quantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """``round(x / scale) + zero``, kept within what the dtype holds."""
    dtype = torch.uint8 if zero is None else zero.dtype
    if "output_dtype" in node.attributes or dtype not in (torch.uint8, torch.int8):
        node.refuse("an output dtype other than that of zero points of 8 bits")
    y = torch.round(x / _along(node, scale, x))
    if zero is not None:
        y = y + _along(node, zero.to(x.dtype), x)
    limits = torch.iinfo(dtype)
    return torch.clamp(y, limits.min, limits.max).to(dtype)


@onnx_op("DynamicQuantizeLinear", since=11)
def dynamic_quantize(node: Node, x: Tensor) -> Any:
    """Quantise to the range that x has, zero within it."""
    low, high = torch.clamp(x.amin(), max=0.0), torch.clamp(x.amax(), min=0.0)
    scale = (high - low) / 255.0
    zero = torch.clamp(torch.round(-low / scale), 0, 255)
    y = torch.clamp(torch.round(x / scale) + zero, 0, 255)
    return y.to(torch.uint8), scale, zero.to(torch.uint8)

"""Pooling."""

from __future__ import annotations

import math
from typing import Any

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Tensor, torch
from shipworthy.convert.bridge.importer.table import onnx_op
from shipworthy.convert.bridge.importer.windows import Window, padded, window


def _window(node: Node, x: Tensor) -> Window:
    kernel = node.get("kernel_shape")
    if len(kernel) not in (1, 2, 3):
        node.refuse(f"it pools over {len(kernel)} axes; supported: 1, 2, 3")
    return window(node, x, kernel)


def _fits(one: Window) -> bool:
    """Tell whether PyTorch can pad by itself: evenly, by half a window at most."""
    return one.even and all(2 * p <= k for p, k in zip(one.before, one.kernel, strict=True))


@onnx_op("MaxPool", since=1)
def max_pool(node: Node, x: Tensor) -> Any:
    """Greatest element of each window, and its place in the whole tensor."""
    one = _window(node, x)
    places = node.wants(1)
    if places and (node.get("storage_order", 0) or not _fits(one)):
        node.refuse("Indices with uneven padding or storage_order=1")
    ceil = bool(node.get("ceil_mode", 0))
    pads = one.before
    dtype = x.dtype
    if not dtype.is_floating_point:
        x = x.to(torch.float32)  # 8 bits, as ONNX allows, are exact in it
    if not _fits(one):
        # A window that begins in the padding behind the input does not count, there as here.
        x, pads = padded(x, one, -math.inf), (0,) * one.rank
    lists = (one.kernel, one.strides, pads, one.dilations)
    if not places and one.rank == 1:
        # torch.export makes a constant of the length in max_pool1d.
        flat = [(fill, *given) for fill, given in zip((1, 1, 0, 1), lists, strict=True)]
        return torch.max_pool2d(x.unsqueeze(2), *flat, ceil).squeeze(2).to(dtype)
    if not places:
        return getattr(torch, f"max_pool{one.rank}d")(x, *lists, ceil).to(dtype)
    y, index = getattr(torch.nn.functional, f"max_pool{one.rank}d_with_indices")(x, *lists, ceil)
    # PyTorch counts within each channel.
    sizes = node.shape(0, x)
    planes = torch.arange(sizes[0] * sizes[1]).reshape([sizes[0], sizes[1]] + [1] * one.rank)
    size: Any = 1
    for n in sizes[2:]:
        size = size * n
    return y.to(dtype), index + planes * size


@onnx_op("AveragePool", since=1)
def average_pool(node: Node, x: Tensor) -> Tensor:
    """Mean of each window; the padding counts only with ``count_include_pad``."""
    one = _window(node, x)
    ceil = bool(node.get("ceil_mode", 0))
    counts = bool(node.get("count_include_pad", 0))
    if any(d != 1 for d in one.dilations):
        node.refuse("dilations other than 1")
    pool = getattr(torch.nn.functional, f"avg_pool{one.rank}d")
    if _fits(one):
        return pool(x, one.kernel, one.strides, one.before, ceil, counts)
    mean = pool(padded(x, one), one.kernel, one.strides, 0, ceil, True)
    if counts:
        return mean
    ones = torch.ones_like(x[:1, :1])
    return mean / pool(padded(ones, one), one.kernel, one.strides, 0, ceil, True)


@onnx_op("LpPool", since=2)
def lp_pool(node: Node, x: Tensor) -> Tensor:
    """p-norm of each window."""
    one = _window(node, x)
    if any(d != 1 for d in one.dilations) or node.get("ceil_mode", 0):
        node.refuse("dilations or ceil_mode")
    p = node.get("p", 2)
    pool = getattr(torch.nn.functional, f"avg_pool{one.rank}d")
    mean = pool(padded(x, one).abs() ** p, one.kernel, one.strides)
    return (mean * math.prod(one.kernel)) ** (1 / p)


def _space(x: Tensor) -> list[int]:
    return list(range(2, x.dim()))


@onnx_op("GlobalAveragePool", since=1)
def global_average_pool(node: Node, x: Tensor) -> Tensor:
    """Mean of each channel."""
    return x.mean(_space(x), keepdim=True)


@onnx_op("GlobalMaxPool", since=1)
def global_max_pool(node: Node, x: Tensor) -> Tensor:
    """Greatest element of each channel."""
    return x.amax(_space(x), keepdim=True)


@onnx_op("GlobalLpPool", since=2)
def global_lp_pool(node: Node, x: Tensor) -> Tensor:
    """p-norm of each channel."""
    p = node.get("p", 2)
    return (x.abs() ** p).sum(_space(x), keepdim=True) ** (1 / p)

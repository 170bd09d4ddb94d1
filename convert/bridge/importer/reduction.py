"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Numbers, Tensor, is_plain, torch
from shipworthy.convert.bridge.importer.table import onnx_op


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(axes, keepdim=keep, dtype=x.dtype)


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if x.is_floating_point():
        return x.mean(axes, keepdim=keep)
    return x.to(torch.float64).mean(axes, keepdim=keep).to(x.dtype)


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keep, dtype=x.dtype)
    return x


def _log_sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return _sum(x, axes, keep).log()


_REDUCTIONS: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "ReduceSum": _sum,
    "ReduceMean": _mean,
    "ReduceProd": _product,
    "ReduceMax": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "ReduceMin": lambda x, axes, keep: x.amin(axes, keepdim=keep),
    "ReduceL1": lambda x, axes, keep: _sum(x.abs(), axes, keep),
    "ReduceL2": lambda x, axes, keep: _sum(x * x, axes, keep).sqrt(),
    "ReduceSumSquare": lambda x, axes, keep: _sum(x * x, axes, keep),
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": lambda x, axes, keep: x.logsumexp(axes, keepdim=keep),
}


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(node: Node, x: Tensor, axes: Numbers | None = None) -> Tensor:
        given = node.axes(axes, x.dim())
        if not given:
            if node.get("noop_with_empty_axes", 0):
                return x
            given = list(range(x.dim()))
        return function(x, given, bool(node.get("keepdims", 1))) if given else x

    reduce.__module__ = __name__
    return reduce


for _name, _function in _REDUCTIONS.items():
    onnx_op(_name, since=1, numbers=(1,))(_reduction(_function))


def _best(node: Node, x: Tensor, name: str) -> Tensor:
    axis, keep = node.get("axis", 0), bool(node.get("keepdims", 1))
    if not node.get("select_last_index", 0):
        return getattr(torch, name)(x, axis, keepdim=keep)
    last = node.shape(0, x)[axis] - 1
    return last - getattr(torch, name)(x.flip(axis), axis, keepdim=keep)


@onnx_op("ArgMax", since=1)
def argmax(node: Node, x: Tensor) -> Tensor:
    """Place of the greatest element."""
    return _best(node, x, "argmax")


@onnx_op("ArgMin", since=1)
def argmin(node: Node, x: Tensor) -> Tensor:
    """Place of the smallest element."""
    return _best(node, x, "argmin")


@onnx_op("TopK", since=1, numbers=(1,))
def top_k(node: Node, x: Tensor, k: Numbers | None = None) -> Any:
    """Greatest or smallest elements and their places; of equal ones the first come first."""
    count = node.get("k") if k is None else k.items[0]
    axis, largest = node.get("axis", -1), bool(node.get("largest", 1))
    if x.is_floating_point() and is_plain(count):
        # Equal floats are rare enough not to sort everything for them.
        return tuple(torch.topk(x, count, axis, largest, True))
    values, places = torch.sort(x, dim=axis, descending=largest, stable=True)
    index = (slice(None),) * (axis % x.dim()) + (slice(0, count),)
    return values[index], places[index]


@onnx_op("CumSum", since=11, numbers=(1,))
def cumulative_sum(node: Node, x: Tensor, axis: Numbers) -> Tensor:
    """Sum up so far; from behind with ``reverse``, without the last with ``exclusive``."""
    along = node.integers(axis, "axis")[0] % x.dim()
    reverse = node.get("reverse", 0)
    y = x.flip(along) if reverse else x
    y = torch.cumsum(y, along, dtype=x.dtype)
    if node.get("exclusive", 0):
        first = torch.zeros_like(torch.ops.aten.slice.Tensor(y, along, 0, 1))
        y = torch.cat([first, torch.ops.aten.slice.Tensor(y, along, 0, -1)], along)
    return y.flip(along) if reverse else y

"""ATen ops that `torch.onnx` has no translation for, in standard operators."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Tensor = Any  # a value in the ONNX graph


def translations() -> dict[Any, Callable[..., Any]]:
    """Return, by op, the function that writes it; for ``custom_translation_table``."""
    import torch

    aten = torch.ops.aten
    return {
        aten._cdist_forward.default: _cdist,
        aten.cumprod.default: _cumprod,
        aten.kthvalue.default: _kthvalue,
        aten.median.default: _median,
        aten.median.dim: _median_dim,
    }


def _ints(*numbers: int) -> Tensor:
    from onnxscript import opset20 as op

    return op.Constant(value_ints=list(numbers))


def _cdist(x, y, p, compute_mode):  # type: ignore[no-untyped-def]
    """Distance of every row of x from every row of y: the norm of their difference."""
    from onnxscript import opset20 as op

    apart = op.Sub(op.Unsqueeze(x, _ints(-2)), op.Unsqueeze(y, _ints(-3)))
    last = _ints(-1)
    if p == 2:
        return op.ReduceL2(apart, last, keepdims=0)
    size = op.Abs(apart)
    if p == 1:
        return op.ReduceSum(size, last, keepdims=0)
    if math.isinf(p):
        return op.ReduceMax(size, last, keepdims=0)
    if p == 0:
        return op.ReduceSum(op.Sign(size), last, keepdims=0)
    total = op.ReduceSum(
        op.Pow(size, op.CastLike(op.Constant(value_float=p), size)), last, keepdims=0
    )
    return op.Pow(total, op.CastLike(op.Constant(value_float=1 / p), total))


def _cumprod(x, dim, dtype=None):  # type: ignore[no-untyped-def]
    """Multiply along an axis: at every place the product of all up to it."""
    from onnxscript import opset20 as op

    if dtype is not None:
        x = op.Cast(x, to=dtype)
    rank = len(x.shape)
    dim = dim % rank
    last = [axis for axis in range(rank) if axis != dim] + [dim]
    x = op.Transpose(x, perm=last)
    size = op.Shape(x, start=rank - 1, end=rank)
    square = op.Concat(size, size, axis=0)
    one = op.CastLike(op.Constant(value_float=1.0), x)
    # Ones on and below the diagonal: row i takes the places up to i.
    taken = op.Trilu(op.Expand(op.Constant(value_int=1), square), upper=0)
    rows = op.Where(op.Cast(taken, to=9), op.Unsqueeze(x, _ints(-2)), one)
    back = [last.index(axis) for axis in range(rank)]
    return op.Transpose(op.ReduceProd(rows, _ints(-1), keepdims=0), perm=back)


def _kthvalue(x, k, dim=-1, keepdim=False):  # type: ignore[no-untyped-def]
    """Return the k-th smallest element along an axis, and where it is."""
    return _last_of(x, _ints(k), dim, keepdim)


def _median_dim(x, dim, keepdim=False):  # type: ignore[no-untyped-def]
    """Return the middle element along an axis (of two, the lower), and where it is."""
    return _last_of(x, _half(x, dim), dim, keepdim)


def _median(x):  # type: ignore[no-untyped-def]
    """Return the middle element of all; of two, the lower."""
    from onnxscript import opset20 as op

    flat = op.Reshape(x, _ints(-1))
    count = op.Div(op.Add(op.Shape(flat), _ints(1)), _ints(2))
    return _last_of(flat, count, 0, False)[0]


def _half(x: Tensor, dim: int) -> Tensor:
    """Return how many elements along an axis go up to the middle one."""
    from onnxscript import opset20 as op

    dim = dim % len(x.shape)
    return op.Div(op.Add(op.Shape(x, start=dim, end=dim + 1), _ints(1)), _ints(2))


def _last_of(x: Tensor, count: Tensor, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    """Return the largest of the smallest `count` elements along an axis, and where it is."""
    from onnxscript import opset20 as op

    found = op.TopK(x, count, axis=dim, largest=0, sorted=1)
    parts = [op.Gather(part, _ints(-1), axis=dim) for part in found]
    return tuple(part if keepdim else op.Squeeze(part, _ints(dim)) for part in parts)

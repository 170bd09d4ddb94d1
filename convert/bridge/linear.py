"""Matrix products."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.bridge.binary import elementwise
from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Tensor, Value, reshape
from shipworthy.convert.bridge.weight import Weight


@aten("linear.default")
def linear(x: Value, weight: Value, bias: Value | None = None) -> Value:
    """Multiply x by the transpose of the weight, and add the bias."""
    last = x.rank - 1
    # The axes before the last are all alike to a matrix product: they stay as they lie.
    order = x.order if x.order[-1] == last else tuple(range(x.rank))
    rows = x.arranged(order)
    if x.rank != 2:
        rows = reshape(rows, [-1, x.shape[last]])
    y = _product(rows, weight.permuted((1, 0)) if weight.rank == 2 else weight)
    if bias is not None:
        y = tf.nn.bias_add(y, bias.tensor)
    if x.rank != 2:
        y = reshape(y, [*x.sizes(order[:-1]), y.shape[-1]])
    return Value(y, order)


def _product(a: Tensor, b: Value) -> Tensor:
    """Multiply matrices; the second may lie transposed."""
    b_tensor, swapped = _matrix(b)
    return tf.matmul(a, b_tensor, transpose_b=swapped)


def _matrix(x: Value) -> tuple[Tensor, bool]:
    """Return a matrix, or a stack of them, and whether its last two axes are swapped."""
    *rest, row, column = range(x.rank)
    flipped = (*rest, column, row)
    swapped = x.lies_transposed() if isinstance(x, Weight) else x.order == flipped
    return (x.arranged(flipped), True) if swapped else (x.plain, False)


@aten("mm.default", "bmm.default")
def mm(a: Value, b: Value) -> Value:
    """Product of two matrices, or of two stacks of them."""
    (a_tensor, a_swapped), (b_tensor, b_swapped) = _matrix(a), _matrix(b)
    return Value(tf.matmul(a_tensor, b_tensor, transpose_a=a_swapped, transpose_b=b_swapped))


@aten("matmul.default")
def matmul(a: Value, b: Value) -> Value:
    """Product of vectors, matrices or stacks of matrices; stacks are broadcast."""
    if a.rank == 2 and b.rank == 1:
        return Value(tf.linalg.matvec(a.plain, b.tensor))
    first = Value(tf.expand_dims(a.tensor, 0)) if a.rank == 1 else a
    second = Value(tf.expand_dims(b.tensor, 1)) if b.rank == 1 else b
    y = linear(first, second.permuted((1, 0))) if second.rank == 2 else mm(first, second)
    drop = [-2] * (a.rank == 1) + [-1] * (b.rank == 1)
    return Value(tf.squeeze(y.plain, drop)) if drop else y


@aten("addmm.default", "baddbmm.default")
def addmm(c: Value, a: Value, b: Value, beta: Any = 1, alpha: Any = 1, *, out: Out) -> Value:
    """Beta * c + alpha * (a times b)."""
    y = mm(a, b)
    if alpha != 1:
        y = elementwise(tf.multiply, y, alpha, out.dtype)
    if beta == 0:
        return y
    if beta == 1 and c.rank == 1:
        return y.like(tf.nn.bias_add(y.tensor, c.tensor)) if c.shape != (1,) else _plus(y, c, out)
    return _plus(y, c if beta == 1 else elementwise(tf.multiply, c, beta, out.dtype), out)


def _plus(y: Value, c: Value, out: Out) -> Value:
    return elementwise(tf.add, y, c, out.dtype)

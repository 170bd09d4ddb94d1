"""Looking up places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import aten
from shipworthy.convert.bridge.value import Value


@aten("embedding.default")
def embedding(weight: Value, indices: Value, *settings: Any) -> Value:
    """Rows of a table; padding and sparsity only matter for gradients."""
    return Value(tf.gather(weight.plain, indices.tensor), (*indices.order, indices.rank))


@aten("index_select.default")
def index_select(x: Value, dim: int, index: Value) -> Value:
    """Places of an axis."""
    return x.like(tf.gather(x.tensor, tf.reshape(index.tensor, [-1]), axis=x.axis(dim)))


@aten("gather.default")
def gather(x: Value, dim: int, index: Value, sparse_grad: bool = False) -> Value:
    """For every element of the index, the element of x at that place of an axis."""
    dim = x.dim(dim)
    order = [*(d for d in range(x.rank) if d != dim), dim]
    t, places = x.arranged(order), index.arranged(order)
    # The index may be shorter than x along the other axes.
    cut: Sequence[slice] = [slice(0, index.size(d)) for d in order[:-1]]
    if index.shape[:dim] + index.shape[dim + 1 :] != x.shape[:dim] + x.shape[dim + 1 :]:
        t = t[tuple(cut)]
    return Value(tf.gather(t, places, axis=-1, batch_dims=x.rank - 1), order)

"""Order: sorting, the largest, the middle, and where a value belongs.

`tf.math.top_k` is what TFLite has too, and takes the first of equal elements, as PyTorch's stable
sort does.
"""

from __future__ import annotations

from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import aten
from shipworthy.convert.bridge.value import Size, Tensor, Value, without


@aten("sort.default", "sort.stable")
def sort(
    x: Value, dim: int = -1, descending: bool = False, *, stable: bool | None = None
) -> tuple[Value, Value]:
    """Return elements along an axis in order, and where they came from."""
    if not x.rank:
        return x, _first_place(x)
    return _ranked(x, x.size(dim), dim, descending)


@aten("topk.default")
def topk(
    x: Value, k: Size, dim: int = -1, largest: bool = True, is_sorted: bool = True
) -> tuple[Value, Value]:
    """Return the k largest (or smallest) elements along an axis, and where they are."""
    if not x.rank:
        return x, _first_place(x)
    return _ranked(x, k, dim, largest)


def _first_place(x: Value) -> Value:
    return x.like(tf.zeros_like(x.tensor, tf.int64))


def _ranked(x: Value, k: Size, dim: int, descending: bool) -> tuple[Value, Value]:
    order = [*(d for d in range(x.rank) if d != x.dim(dim)), x.dim(dim)]
    t = x.arranged(order)
    narrow = t if t.dtype not in (tf.bool, tf.uint8) else tf.cast(t, tf.int32)
    values, places = tf.math.top_k(narrow if descending else _turned(narrow), k)
    values = tf.cast(values if descending else _turned(values), x.dtype)
    return Value(values, order), Value(tf.cast(places, tf.int64), order)


def _turned(t: Tensor) -> Tensor:
    """Return what is largest where t is smallest; twice is t again."""
    return -t if t.dtype.is_floating else -t - 1


@aten("median.dim")
def median_dim(x: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    """Return the middle element along an axis (of two, the lower), and where it is."""
    size = x.size(dim) if x.rank else 1
    return _nth(x, (size - 1) // 2, dim, keepdim)


@aten("median.default")
def median(x: Value) -> Value:
    """Return the middle element of all; of two, the lower."""
    flat = Value(tf.reshape(x.plain, [-1]))
    return median_dim(flat, 0)[0]


@aten("kthvalue.default")
def kthvalue(x: Value, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Value, Value]:
    """Return the k-th smallest element along an axis, and where it is."""
    return _nth(x, k - 1, dim, keepdim)


def _nth(x: Value, place: Size, dim: int, keepdim: bool) -> tuple[Value, Value]:
    if not x.rank:
        return x, _first_place(x)
    values, places = _ranked(x, place + 1, dim, False)
    results = []
    for found in (values, places):
        t = tf.gather(found.tensor, place, axis=-1)
        if keepdim:
            results.append(Value(tf.expand_dims(t, -1), found.order))
        else:
            results.append(Value(t, without(found.order, [x.dim(dim)])))
    return results[0], results[1]


@aten("bucketize.Tensor", "bucketize.Scalar")
def bucketize(x: Any, boundaries: Value, *, out_int32: bool = False, right: bool = False) -> Value:
    """Return the number of the bin that each element falls into."""
    value = x if isinstance(x, Value) else Value(tf.cast(x, boundaries.dtype))
    return value.like(_count(value.tensor, boundaries.tensor, out_int32, right))


@aten("searchsorted.Tensor", "searchsorted.Scalar")
def searchsorted(
    ordered: Value,
    x: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Value | None = None,
) -> Value:
    """Return where each element would be put into a sorted sequence, row by row."""
    value = x if isinstance(x, Value) else Value(tf.cast(x, ordered.dtype))
    sequence = ordered.plain
    if sorter is not None:
        sequence = tf.gather(sequence, sorter.plain, axis=-1, batch_dims=ordered.rank - 1)
    if ordered.rank > 1:
        sequence = tf.expand_dims(sequence, -2)
    after = right or side == "right"
    return Value(_count(value.plain, sequence, out_int32, after))


def _count(t: Tensor, boundaries: Tensor, narrow: bool, right: bool) -> Tensor:
    """Count the boundaries before each element: all of them for what is no number."""
    t = tf.expand_dims(t, -1)
    if t.dtype != boundaries.dtype:
        wide = tf.float64 if tf.float64 in (t.dtype, boundaries.dtype) else tf.float32
        wide = tf.int64 if not (t.dtype.is_floating or boundaries.dtype.is_floating) else wide
        t, boundaries = tf.cast(t, wide), tf.cast(boundaries, wide)
    not_before = boundaries > t if right else boundaries >= t
    before = tf.cast(tf.logical_not(not_before), tf.int32)
    count = tf.reduce_sum(before, axis=-1)
    return count if narrow else tf.cast(count, tf.int64)

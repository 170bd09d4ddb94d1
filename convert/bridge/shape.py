"""Views: reshape, permute, expand, squeeze. Most of them move no data."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import Out, aten
from shipworthy.convert.bridge.value import Order, Size, Tensor, Value, reshape, without

Groups = list[tuple[list[int], list[int]]]


@aten("permute.default")
def permute(x: Value, dims: Sequence[int]) -> Value:
    """Rename the axes; the data stays where it is until an op needs another order."""
    return x.permuted(dims)


@aten("view.default", "_unsafe_view.default")
def view(x: Value, sizes: Sequence[Size], *, out: Out) -> Value:
    """Read the same elements, in PyTorch's order, under another shape.

    An axis, or a run of axes, that the new shape cuts or merges by itself stays where it lies:
    channels-last survives where the view leaves channels and space apart.
    """
    known = [
        size if static is None else static for static, size in zip(out.shape, sizes, strict=True)
    ]
    groups = _groups(x.shape, out.shape)
    if groups is None:
        return Value(reshape(x.plain, known))
    place = {dim: i for i, dim in enumerate(x.order)}
    groups.sort(key=lambda group: min(place[dim] for dim in group[0]))
    wanted = [dim for before, _ in groups for dim in before]
    lies = [dim for dim in x.order if x.shape[dim] != 1]
    units = [dim for dim in range(x.rank) if x.shape[dim] == 1]
    tensor = x.tensor if wanted == lies else x.arranged((*wanted, *units))
    order = [dim for _, after in groups for dim in after]
    for dim in reversed(range(len(known))):
        if out.shape[dim] == 1:
            order.insert(order.index(dim + 1) if dim + 1 in order else len(order), dim)
    return Value(reshape(tensor, [known[dim] for dim in order]), order)


def _groups(before: Sequence[int | None], after: Sequence[int | None]) -> Groups | None:
    """Cut two shapes of the same elements into runs of axes with as many elements each.

    Axes of size 1 belong to no run. Returns None where that cannot be told, because more than one
    size is unknown on a side.
    """
    if before.count(None) > 1 or after.count(None) > 1 or 0 in (*before, *after):
        return None
    left = [dim for dim, size in enumerate(before) if size != 1]
    right = [dim for dim, size in enumerate(after) if size != 1]
    groups: Groups = []
    while left and right:
        group = [left.pop(0)], [right.pop(0)]
        while (a := _count(before, group[0])) != (b := _count(after, group[1])):
            side, source = (group[0], left) if a < b else (group[1], right)
            if not source:
                return None
            side.append(source.pop(0))
        groups.append(group)
    return None if left or right else groups


def _count(shape: Sequence[int | None], dims: Sequence[int]) -> tuple[int, int]:
    """Return how many sizes are unknown, and the product of the others."""
    sizes = [shape[dim] for dim in dims]
    return sizes.count(None), math.prod(size for size in sizes if size is not None)


@aten("expand.default")
def expand(x: Value, sizes: Sequence[Size], implicit: bool = False, *, out: Out) -> Value:
    """Repeat axes of size 1."""
    missing = len(sizes) - x.rank
    if not missing and x.shape == out.shape:
        return x
    if missing:
        order: Order = (*range(missing), *(dim + missing for dim in x.order))
        x = Value(reshape(x.tensor, [1] * missing + x.sizes(x.order)), order)
    known = [
        static if static is not None else (x.size(dim) if x.shape[dim] is None else size)
        for dim, (static, size) in enumerate(zip(out.shape, sizes, strict=True))
    ]
    return x.like(_broadcast(x.tensor, [known[dim] for dim in x.order]))


def _broadcast(tensor: Tensor, sizes: Sequence[Size]) -> Tensor:
    return tf.broadcast_to(tensor, tf.stack(sizes))


@aten("repeat.default")
def repeat(x: Value, repeats: Sequence[Size]) -> Value:
    """Lay copies next to each other."""
    missing = len(repeats) - x.rank
    t = reshape(x.plain, [1] * missing + x.sizes())
    return Value(tf.tile(t, tf.stack(repeats)))


@aten("unsqueeze.default")
def unsqueeze(x: Value, dim: int) -> Value:
    """Insert an axis of size 1."""
    order, place = inserted(x, dim)
    return Value(tf.expand_dims(x.tensor, place), order)


def inserted(x: Value, dim: int) -> tuple[Order, int]:
    """Return the order with a new logical axis, and the physical axis where it lies."""
    dim = dim + x.rank + 1 if dim < 0 else dim
    place = x.order.index(dim) if dim < x.rank else x.rank
    order = [old + (old >= dim) for old in x.order]
    return (*order[:place], dim, *order[place:]), place


@aten("squeeze.dims", "squeeze.dim")
def squeeze(x: Value, dims: int | Sequence[int]) -> Value:
    """Drop those of the axes that have size 1."""
    drop = [dim for dim in x.dims(dims) if x.shape[dim] == 1] if dims != [] else []
    return Value(_dropped(x.tensor, x.axes(drop)), without(x.order, drop)) if drop else x


def _dropped(tensor: Tensor, axes: Sequence[int]) -> Tensor:
    """Drop axes of size 1; TFLite's converter fails on `tf.squeeze` behind some transposes."""
    left = [size for axis, size in enumerate(tensor.shape) if axis not in axes]
    if left.count(None) < 2:
        return reshape(tensor, [-1 if size is None else size for size in left])
    return tensor[tuple(0 if axis in axes else slice(None) for axis in range(len(tensor.shape)))]


@aten("unfold.default")
def unfold(x: Value, dim: int, size: int, step: int) -> Value:
    """Cut an axis into windows, which may overlap; what is in a window becomes the last axis."""
    if not x.rank:
        return Value(tf.reshape(x.tensor, [1]))
    axis, dim = x.axis(dim), x.dim(dim)
    count = (x.size(dim) - size) // step + 1
    places = tf.range(count)[:, None] * step + tf.range(size)[None, :]
    order = [*x.order[: axis + 1], x.rank, *x.order[axis + 1 :]]
    return Value(tf.gather(x.tensor, places, axis=axis), order)


@aten("flip.default")
def flip(x: Value, dims: Sequence[int]) -> Value:
    """Turn axes round."""
    return x.like(tf.reverse(x.tensor, x.axes(dims))) if dims else x


@aten("copy.default")
def copy(x: Value, source: Value, non_blocking: bool = False, *, out: Out) -> Value:
    """Return the source with the shape and dtype of x."""
    source = source.cast(out.dtype)
    return expand(source, [x.size(dim) for dim in range(x.rank)], out=out)


@aten("diagonal.default")
def diagonal(x: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """Return the diagonal of two axes, as the last axis."""
    rest = [dim for dim in range(x.rank) if dim not in (x.dim(dim1), x.dim(dim2))]
    return Value(tf.linalg.diag_part(x.arranged([*rest, x.dim(dim1), x.dim(dim2)]), k=offset))

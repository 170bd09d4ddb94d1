"""How ops rearrange values that carry shapes; see `number`."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import NotNumbersError, Numbers
from shipworthy.convert.bridge.importer.table import on_numbers


@on_numbers("Gather")
def gather(node: Node, a: Numbers, places: Numbers) -> Numbers:
    """Take elements."""
    chosen = _plain_array(places)
    return a.with_array(np.take(a.array, chosen, axis=node.get("axis", 0)))


@on_numbers("Concat")
def concat(node: Node, *parts: Numbers) -> Numbers:
    """Join."""
    return parts[0].with_array(np.concatenate([p.array for p in parts], axis=node.get("axis")))


@on_numbers("Slice")
def cut(node: Node, a: Numbers, *bounds: Numbers) -> Numbers:
    """Take a range."""
    lists = [[int(n) for n in _plain_array(one)] for one in bounds]
    if not lists:
        lists = [node.get("starts"), node.get("ends"), *([a] if (a := node.get("axes")) else [])]
    starts, ends = lists[:2]
    axes = lists[2] if len(lists) > 2 else list(range(len(starts)))
    steps = lists[3] if len(lists) > 3 else [1] * len(starts)
    index = [slice(None)] * a.array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # A negative end that is far out means: down to and with the first.
        stop = None if step < 0 and end < -a.array.shape[axis] else end
        index[axis] = slice(start, stop, step)
    return a.with_array(a.array[tuple(index)])


@on_numbers("Squeeze")
def squeeze(node: Node, a: Numbers, axes: Numbers | None = None) -> Numbers:
    """Drop axes of size 1."""
    dropped = node.axes(axes, a.array.ndim)
    return a.with_array(np.squeeze(a.array, None if dropped is None else tuple(dropped)))


@on_numbers("Unsqueeze")
def unsqueeze(node: Node, a: Numbers, axes: Numbers | None = None) -> Numbers:
    """Insert axes of size 1."""
    given = node.integers(axes, "axes") if axes is not None else node.get("axes")
    return a.with_array(np.expand_dims(a.array, tuple(given)))


@on_numbers("Reshape")
def reshape(node: Node, a: Numbers, shape: Numbers) -> Numbers:
    """Lay out anew."""
    wanted = [int(n) for n in _plain_array(shape)]
    if not node.get("allowzero", 0):
        wanted = [a.array.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return a.with_array(a.array.reshape(wanted))


@on_numbers("Transpose")
def transpose(node: Node, a: Numbers) -> Numbers:
    """Permute axes."""
    return a.with_array(a.array.transpose(node.get("perm")))


@on_numbers("Expand")
def expand(node: Node, a: Numbers, shape: Numbers) -> Numbers:
    """Repeat along axes of size 1."""
    wanted = np.broadcast_shapes(a.array.shape, tuple(int(n) for n in _plain_array(shape)))
    return a.with_array(np.broadcast_to(a.array, wanted).copy())


@on_numbers("Tile")
def tile(node: Node, a: Numbers, repeats: Numbers) -> Numbers:
    """Repeat."""
    return a.with_array(np.tile(a.array, [int(n) for n in _plain_array(repeats)]))


def _plain_array(numbers: Numbers) -> Any:
    """Return known integers as an array.

    Raises
    ------
    NotNumbersError : some are not known.
    """
    if not numbers.is_plain:
        raise NotNumbersError
    return numbers.array.astype(np.int64)

"""Shapes, cutting and joining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shipworthy.convert.bridge.importer.evaluate import Value
from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import (
    Number,
    Numbers,
    Tensor,
    as_scalar,
    constant,
    is_plain,
    product,
    torch,
)
from shipworthy.convert.bridge.importer.table import onnx_op

_FAR = 2**31 - 2  # ONNX says "to the end" by numbers beyond this
_ALL = 2**63 - 1


@onnx_op("Shape", since=1, raw=True)
def shape(node: Node, x: Value) -> Numbers:
    """Sizes, or some of them since opset 15."""
    sizes = list(x.array.shape) if isinstance(x, Numbers) else node.shape(0, x)
    return Numbers.of(sizes[slice(node.get("start", 0), node.get("end"))])


@onnx_op("Size", since=1, raw=True)
def size(node: Node, x: Value) -> Numbers:
    """Count elements."""
    sizes = list(x.array.shape) if isinstance(x, Numbers) else node.shape(0, x)
    one = Numbers.of([product(sizes)])
    return one.with_array(one.array.reshape(()))


@onnx_op("Reshape", since=5, numbers=(1,))
def reshape(node: Node, x: Tensor, wanted: Numbers) -> Tensor:
    """Lay out anew: 0 keeps an axis, -1 is what is left."""
    sizes = wanted.items
    if not node.get("allowzero", 0) and any(is_plain(n) and n == 0 for n in sizes):
        own = node.shape(0, x)
        sizes = [own[i] if is_plain(n) and n == 0 else n for i, n in enumerate(sizes)]
    return x.reshape(with_rest(sizes))


def with_rest(sizes: Sequence[Number]) -> list[Number]:
    """Let PyTorch find the one size that is not known, rather than compute it."""
    unknown = [i for i, n in enumerate(sizes) if isinstance(n, torch.Tensor)]
    if len(unknown) == 1 and all(n > 0 for n in sizes if is_plain(n)):
        return [-1 if i in unknown else n for i, n in enumerate(sizes)]
    return list(sizes)


@onnx_op("Flatten", since=1)
def flatten(node: Node, x: Tensor) -> Tensor:
    """Two axes: those before ``axis`` as one, the others as one."""
    axis = node.get("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    if axis == 0:
        return x.reshape(1, -1)
    if axis == x.dim():
        return x.reshape(-1, 1)
    x = x.flatten(axis)
    return x if axis == 1 else x.flatten(0, axis - 1)


@onnx_op("Transpose", since=1)
def transpose(node: Node, x: Tensor) -> Tensor:
    """Permute axes; backwards if it is not said how."""
    return x.permute(node.get("perm") or list(range(x.dim()))[::-1])


@onnx_op("Squeeze", since=1, numbers=(1,))
def squeeze(node: Node, x: Tensor, axes: Numbers | None = None) -> Tensor:
    """Drop axes of size 1."""
    dropped = node.axes(axes, x.dim())
    if dropped is None:
        sizes = node.shape(0, x)
        if not all(is_plain(n) for n in sizes):
            node.refuse("it drops all axes of size 1, and some sizes are dynamic; name the axes")
        dropped = [i for i, n in enumerate(sizes) if n == 1]
    return x.squeeze(dropped) if dropped else x


@onnx_op("Unsqueeze", since=1, numbers=(1,))
def unsqueeze(node: Node, x: Tensor, axes: Numbers | None = None) -> Tensor:
    """Insert axes of size 1; they are counted in the result."""
    given = node.get("axes") if axes is None else node.integers(axes, "axes")
    rank = x.dim() + len(given)
    for axis in sorted(a % rank for a in given):
        x = x.unsqueeze(axis)
    return x


@onnx_op("Expand", since=8, numbers=(1,))
def expand(node: Node, x: Tensor, wanted: Numbers) -> Tensor:
    """Repeat along axes of size 1; where the shape says 1, the axis stays."""
    own = node.shape(0, x)
    target = wanted.items
    more = len(target) - len(own)
    own = [1] * more + own
    target = [1] * -more + target
    return x.expand(
        [_wider(a, b, i < more) for i, (a, b) in enumerate(zip(own, target, strict=True))]
    )


def _wider(own: Number, wanted: Number, new: bool) -> Number:
    if new:
        return wanted
    if is_plain(wanted):
        return -1 if wanted == 1 else wanted
    if is_plain(own) and own != 1:
        return -1
    if is_plain(own):
        return wanted
    if isinstance(wanted, torch.Tensor):
        return torch.maximum(as_scalar(own), wanted)
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return -1 if statically_known_true(own == wanted) else wanted


@onnx_op("Tile", since=6, numbers=(1,))
def tile(node: Node, x: Tensor, repeats: Numbers) -> Tensor:
    """Repeat whole."""
    return x.repeat(repeats.items)


@onnx_op("Concat", since=4)
def concat(node: Node, *tensors: Tensor) -> Tensor:
    """Join along an axis."""
    return torch.cat(tensors, node.get("axis"))


@onnx_op("Split", since=2, numbers=(1,))
def split(node: Node, x: Tensor, parts: Numbers | None = None) -> Any:
    """Cut along an axis: into the sizes given, or evenly, the last part being what is left."""
    axis = node.get("axis", 0)
    given: list[Number] | None = node.get("split") if parts is None else parts.items
    if given is None:
        count = node.get("num_outputs", len(node.outputs))
        whole = node.shape(0, x)[axis]
        each = (whole + (count - 1)) // count
        given = [each] * (count - 1) + [whole - each * (count - 1)]
    return tuple(torch.split_with_sizes(x, given, axis))


@onnx_op("Slice", since=10, numbers=(1, 2, 3, 4))
def cut(
    node: Node,
    x: Tensor,
    starts: Numbers,
    ends: Numbers,
    axes: Numbers | None = None,
    steps: Numbers | None = None,
) -> Tensor:
    """Take ranges of axes."""
    first = starts.items
    along = list(range(len(first))) if axes is None else node.integers(axes, "axes")
    by = [1] * len(first) if steps is None else node.integers(steps, "steps")
    return _cut(node, x, zip(first, ends.items, along, by, strict=True))


@onnx_op("Slice", since=1)
def cut_by_attributes(node: Node, x: Tensor) -> Tensor:
    """Take ranges of axes."""
    starts = node.get("starts")
    axes = node.get("axes") or list(range(len(starts)))
    return _cut(node, x, zip(starts, node.get("ends"), axes, [1] * len(starts), strict=True))


def _cut(node: Node, x: Tensor, ranges: Any) -> Tensor:
    own = node.shape(0, x)
    for start, end, axis, step in ranges:
        axis %= x.dim()
        if step < 0:
            x = _backwards(node, x, own[axis], (start, end, axis, step))
        elif is_plain(start) and is_plain(end):
            if start == 0 and end > _FAR and step == 1:
                continue
            x = torch.ops.aten.slice.Tensor(x, axis, start, end, step)
        else:
            x = x[(slice(None),) * axis + (slice(start, end, step),)]
    return x


def _backwards(node: Node, x: Tensor, size: Number, part: tuple[Any, ...]) -> Tensor:
    """Take a range from behind: PyTorch has no negative steps."""
    start, end, axis, step = part
    if not (is_plain(start) and is_plain(end)):
        node.refuse("a negative step with bounds that depend on the input")
    if is_plain(size):
        begin = min(start, size - 1) if start >= 0 else start + size
        stop = max(end + size, -1) if end < 0 else end
        places = list(range(begin, stop, step))
        if places == list(range(size))[::-1]:
            return x.flip(axis)
        return x.index_select(axis, constant(places, torch.int64))
    if start != -1 and start <= _FAR:
        node.refuse("a negative step from the middle of an axis of dynamic size")
    if end >= 0:
        x = torch.ops.aten.slice.Tensor(x, axis, end + 1, _ALL)
    # From behind, the last element is number 0.
    stop = -end - 1 if -_FAR <= end < 0 else _ALL
    return torch.ops.aten.slice.Tensor(x.flip(axis), axis, 0, stop, -step)


@onnx_op("Identity", since=1, raw=True)
def identity(node: Node, x: Value) -> Value:
    """Hand on."""
    return x


@onnx_op("Compress", since=9)
def compress(node: Node, x: Tensor, condition: Tensor) -> Tensor:
    """Keep the places of an axis where a condition holds."""
    axis = node.get("axis")
    if axis is None:
        x, axis = x.reshape(-1), 0
    return x.index_select(axis, torch.nonzero(condition).squeeze(1))

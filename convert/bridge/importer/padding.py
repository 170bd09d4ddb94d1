"""Padding."""

from __future__ import annotations

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import (
    Number,
    Numbers,
    Tensor,
    as_scalar,
    is_plain,
    torch,
)
from shipworthy.convert.bridge.importer.table import onnx_op
from shipworthy.convert.bridge.importer.windows import pad_list

_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@onnx_op("Pad", since=2, numbers=(1, 2, 3))
def pad(
    node: Node,
    x: Tensor,
    pads: Numbers | None = None,
    value: Numbers | None = None,
    axes: Numbers | None = None,
) -> Tensor:
    """Add to, or with negative numbers take from, both ends of axes."""
    mode = node.refuse_unless("mode", tuple(_MODES), "constant")
    rank = x.dim()
    listed = node.get("pads") if pads is None else pads.items
    count = len(listed) // 2
    along = node.axes(axes, rank) if axes is not None else list(range(rank))
    before: list[Number] = [0] * rank
    after: list[Number] = [0] * rank
    for axis, low, high in zip(along or [], listed[:count], listed[count:], strict=True):
        before[axis], after[axis] = low, high
    if mode == "constant":
        fill = node.get("value", 0.0) if value is None else value.items[0]
        # PyTorch pads the last axes; the first that need nothing are left out.
        first = next((i for i in range(rank) if not _nothing(before[i], after[i])), rank)
        listing = pad_list(before[first:], after[first:])
        if not is_plain(fill):
            node.refuse("the value it pads with is computed from the model's inputs")
        return torch.nn.functional.pad(x, listing, "constant", fill) if listing else x
    return _mirrored(node, x, mode, before, after)


def _nothing(*numbers: Number) -> bool:
    return all(is_plain(n) and n == 0 for n in numbers)


def _mirrored(
    node: Node, x: Tensor, mode: str, before: list[Number], after: list[Number]
) -> Tensor:
    """Pad with the tensor's own elements."""
    rank = x.dim()
    plain = all(is_plain(n) and n >= 0 for n in (*before, *after))
    moved = [i for i in range(rank) if not _nothing(before[i], after[i])]
    if plain and x.is_floating_point() and 3 <= rank <= 5 and all(axis >= 2 for axis in moved):
        listing = pad_list(before[2:], after[2:])
        return torch.nn.functional.pad(x, listing, _MODES[mode])
    sizes = node.shape(0, x)
    for axis in moved:
        size = sizes[axis]
        # In place of every element of the result, the element of x that stands there.
        places = torch.arange(-before[axis], size + after[axis])
        if mode == "edge":
            places = torch.clamp(places, min=0)
            places = torch.minimum(places, as_scalar(size - 1))
        elif mode == "wrap":
            places = torch.remainder(places, size)
        else:
            places = places.abs()
            last = as_scalar(size - 1)
            places = last - (last - places).abs()
        x = x.index_select(axis, places)
    return x

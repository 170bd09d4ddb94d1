"""Windows that slide over spatial axes: how far the input is padded on each side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Number, Tensor, at_least, torch


@dataclass(frozen=True)
class Window:
    """Settings of a convolution or a pooling, one number a spatial axis.

    Parameters
    ----------
    before, after : padding; a size that is not known yet where ``auto_pad`` depends on one.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[Number, ...]
    after: tuple[Number, ...]

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel)

    @property
    def reach(self) -> tuple[int, ...]:
        """Places from a window's first element to its last, both counted."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def even(self) -> bool:
        """Whether both sides are padded alike, by amounts known now."""
        return all(isinstance(n, int) for n in self.before) and self.before == self.after


def window(node: Node, x: Tensor, kernel: Sequence[int]) -> Window:
    """Return the window of a node that slides over its first input.

    ``auto_pad`` is as ``onnx.ai/onnx/operators/onnx__Conv.html`` says.
    """
    rank = len(kernel)
    strides = tuple(node.get("strides") or [1] * rank)
    dilations = tuple(node.get("dilations") or [1] * rank)
    mode = node.refuse_unless("auto_pad", ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), "NOTSET")
    if not mode.startswith("SAME"):
        pads = (node.get("pads") if mode == "NOTSET" else None) or [0] * 2 * rank
        before, after = tuple(pads[:rank]), tuple(pads[rank:])
        return Window(tuple(kernel), strides, dilations, before, after)
    bare = Window(tuple(kernel), strides, dilations, (), ())
    totals = [
        _same(size, stride, reach)
        for size, stride, reach in zip(node.shape(0, x)[2:], strides, bare.reach, strict=True)
    ]
    small = tuple(total // 2 for total in totals)
    large = tuple(total - half for total, half in zip(totals, small, strict=True))
    pads = (small, large) if mode == "SAME_UPPER" else (large, small)
    return Window(tuple(kernel), strides, dilations, *pads)


def _same(size: Number, stride: int, reach: int) -> Number:
    """Return the padding with which there are as many windows as strides fit into the input."""
    if stride == 1:
        return reach - 1
    steps = (size + (stride - 1)) // stride
    return at_least((steps - 1) * stride + reach - size, 0)


def pad_list(before: Sequence[Number], after: Sequence[Number]) -> list[Number]:
    """Return padding as PyTorch lists it: last axis first."""
    pairs = zip(reversed(list(before)), reversed(list(after)), strict=True)
    return [number for pair in pairs for number in pair]


def padded(x: Tensor, one: Window, value: Any = 0.0) -> Tensor:
    """Pad the spatial axes with a value."""
    return torch.nn.functional.pad(x, pad_list(one.before, one.after), "constant", value)

"""Resizing, as ``onnx.ai/onnx/operators/onnx__Resize.html`` defines it.

Where PyTorch's own interpolation means the same it is used; else each axis is looked up, or mixed,
by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

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

_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
# Before opset 11 ONNX did not say how; ONNX Runtime rounds down to enlarge and up to reduce.
_ONCE = "as before opset 11"
_COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_half_pixel_for_nn",
)  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """One axis that is resized.

    Parameters
    ----------
    old, new : sizes.
    factor : new over old, as far as the file says it; None where it gives a size.
    """

    dim: int
    old: Number
    new: Number
    factor: float | None

    @property
    def scale(self) -> Any:
        """The factor, in float32 as ONNX computes it."""
        if self.factor is not None:
            return np.float32(self.factor).item()
        if is_plain(self.old) and is_plain(self.new):
            return np.float32(np.float32(self.new) / np.float32(self.old)).item()
        wide = [as_scalar(n).to(torch.float32) for n in (self.new, self.old)]
        return wide[0] / wide[1]

    @property
    def times(self) -> int | None:
        """The factor where it is known to be whole."""
        if self.factor is not None:
            return int(self.factor) if self.factor == int(self.factor) else None
        if is_plain(self.old) and is_plain(self.new) and self.new % self.old == 0:
            return int(self.new // self.old)
        return None


@onnx_op("Resize", since=11, numbers=(2, 3))
def resize(
    node: Node, x: Tensor, roi: Any = None, scales: Numbers | None = None,
    wanted: Numbers | None = None,
) -> Tensor:  # fmt: skip
    """Resize to sizes, or by factors."""
    if node.get("antialias", 0):
        node.refuse("antialias=1; resize without")
    if wanted is not None:
        node.refuse_unless("keep_aspect_ratio_policy", ("stretch",), "stretch")
    scales = None if scales is None or scales.array.size == 0 else scales
    axes = _axes(node, x, scales, wanted)
    return _resized(node, x, axes, node.get("coordinate_transformation_mode", "half_pixel"))


@onnx_op("Resize", "Upsample", since=9, numbers=(1,))
def upsample(node: Node, x: Tensor, scales: Numbers) -> Tensor:
    """Resize by factors, counting from the corner."""
    return _resized(node, x, _axes(node, x, scales, None), "asymmetric", _ONCE)


@onnx_op("Upsample", since=7)
def upsample_by_attribute(node: Node, x: Tensor) -> Tensor:
    """Resize by factors, counting from the corner."""
    scales = Numbers.of(node.get("scales"), torch.float32)
    return _resized(node, x, _axes(node, x, scales, None), "asymmetric", _ONCE)


def _axes(node: Node, x: Tensor, scales: Numbers | None, wanted: Numbers | None) -> list[Axis]:
    """Return the axes that change."""
    along = node.get("axes") or list(range(x.dim()))
    own = node.shape(0, x)
    found = []
    for i, dim in enumerate(along):
        dim %= x.dim()
        if wanted is not None:
            axis = Axis(dim, own[dim], wanted.items[i], None)
        else:
            assert scales is not None, "ONNX's checker asks for one of both"
            factor = scales.items[i]
            if not is_plain(factor):
                node.refuse("its factors are computed from the model's inputs; give it sizes")
            axis = Axis(dim, own[dim], _times(own[dim], factor), float(factor))
        if not _is_same(axis):
            found.append(axis)
    return found


def _is_same(axis: Axis) -> bool:
    """Tell whether an axis keeps its size, for every size there can be."""
    if axis.factor is not None:
        return axis.factor == 1
    if is_plain(axis.new) and is_plain(axis.old):
        return bool(axis.new == axis.old)
    if isinstance(axis.new, torch.Tensor) or isinstance(axis.old, torch.Tensor):
        return False
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return bool(statically_known_true(axis.new == axis.old))


def _times(size: Number, factor: float) -> Number:
    """Return the size times the factor, rounded down."""
    ratio = Fraction(factor).limit_denominator(1000)
    if np.float32(float(ratio)) != np.float32(factor):
        ratio = Fraction(float(np.float32(factor)))
    return size * ratio.numerator // ratio.denominator


def _resized(
    node: Node, x: Tensor, axes: Sequence[Axis], coordinates: str, nearest: str | None = None
) -> Tensor:
    if axes and axes[0].dim == 0 and isinstance(axes[0].new, torch.Tensor):
        # A traced size cannot be compared, but no one resizes a batch: PyTorch then tells when run.
        x = x.expand([axes[0].new] + [-1] * (x.dim() - 1))
        axes = axes[1:]
    if not axes:
        return x
    mode = node.refuse_unless("mode", ("nearest", "linear", "cubic"), "nearest")
    if coordinates not in _COORDINATES:
        node.refuse(
            f"coordinate_transformation_mode={coordinates!r}; supported: {', '.join(_COORDINATES)}"
        )
    rounding = nearest or node.refuse_unless("nearest_mode", _NEAREST, _NEAREST[0])
    native = _native(node, x, axes, mode, coordinates, rounding)
    if native is not None:
        return native
    for axis in axes:
        places = _places(axis, coordinates)
        if mode == "nearest":
            x = x.index_select(axis.dim, _within(_rounded(places, axis, rounding), axis.old))
        elif mode == "linear":
            x = _mixed(x, axis, *_linear(places, axis.old))
        else:
            x = _mixed(x, axis, *_cubic(node, places, axis.old))
    return x


def _native(
    node: Node, x: Tensor, axes: Sequence[Axis], mode: str, coordinates: str, rounding: str
) -> Tensor | None:
    """Resize with PyTorch's own interpolation; None where it means something else."""
    rank = x.dim() - 2
    if rank not in (1, 2, 3) or min(axis.dim for axis in axes) < 2 or not x.is_floating_point():
        return None
    if mode == "nearest":
        if not _repeats(axes, coordinates, rounding):
            return None
        times = {axis.dim: axis.times for axis in axes}
        factors = [float(times.get(dim) or 1) for dim in range(2, rank + 2)]
        return torch.nn.functional.interpolate(x, scale_factor=factors, mode="nearest")
    halves = ("half_pixel", "pytorch_half_pixel")
    single = coordinates == "pytorch_half_pixel" and any(
        is_plain(axis.new) and axis.new == 1 for axis in axes
    )
    if coordinates not in (*halves, "align_corners") or single:
        return None
    if mode == "cubic" and (
        rank != 2 or node.get("cubic_coeff_a", -0.75) != -0.75 or node.get("exclude_outside", 0)
    ):
        return None
    names = {"cubic": "bicubic", "linear": ("linear", "bilinear", "trilinear")[rank - 1]}
    settings: dict[str, Any] = {"mode": names[mode], "align_corners": coordinates not in halves}
    if all(axis.factor is not None for axis in axes):
        scales = {axis.dim: axis.factor for axis in axes}
        factors = [scales.get(dim) or 1.0 for dim in range(2, rank + 2)]
        return torch.nn.functional.interpolate(
            x, scale_factor=factors, recompute_scale_factor=False, **settings
        )
    new = {axis.dim: axis.new for axis in axes}
    own = node.shape(0, x)
    sizes = [new.get(dim, own[dim]) for dim in range(2, rank + 2)]
    return torch.nn.functional.interpolate(x, size=sizes, **settings)


def _repeats(axes: Sequence[Axis], coordinates: str, rounding: str) -> bool:
    """Tell whether nearest means: every element so many times."""
    whole = all(axis.times is not None and axis.times <= 32 for axis in axes)
    if coordinates in ("asymmetric", "tf_half_pixel_for_nn"):
        return whole and rounding in ("floor", _ONCE)
    return (
        whole and coordinates in ("half_pixel", "pytorch_half_pixel") and rounding in _NEAREST[:2]
    )


def _places(axis: Axis, coordinates: str) -> Tensor:
    """Return where in the old axis each place of the new one lies, float32."""
    new = torch.arange(axis.new).to(torch.float32)
    scale = axis.scale
    if coordinates == "asymmetric":
        return new / scale
    if coordinates == "align_corners":
        last = torch.clamp(as_scalar(axis.new) - 1, min=1).to(torch.float32)
        return new * as_scalar(axis.old - 1).to(torch.float32) / last
    middle = (new + 0.5) / scale
    if coordinates == "tf_half_pixel_for_nn":
        return middle
    if coordinates == "half_pixel_symmetric":
        old = as_scalar(axis.old).to(torch.float32)
        share = as_scalar(axis.new).to(torch.float32) / (scale * old)
        return old / 2 * (1 - share) + middle - 0.5
    if coordinates == "pytorch_half_pixel" and is_plain(axis.new) and axis.new == 1:
        return torch.zeros(1)
    return middle - 0.5


def _rounded(places: Tensor, axis: Axis, rounding: str) -> Tensor:
    if rounding == _ONCE:
        rounding = "ceil" if axis.factor is not None and axis.factor < 1 else "floor"
    if rounding == "round_prefer_floor":
        return torch.ceil(places - 0.5)
    if rounding == "round_prefer_ceil":
        return torch.floor(places + 0.5)
    return torch.floor(places) if rounding == "floor" else torch.ceil(places)


def _within(places: Tensor, size: Number) -> Tensor:
    """Return places as indices; those outside are moved to the border."""
    return torch.minimum(torch.clamp(places.to(torch.int64), min=0), as_scalar(size - 1))


def _linear(places: Tensor, size: Number) -> tuple[list[Tensor], list[Tensor]]:
    last = as_scalar(size - 1).to(torch.float32)
    places = torch.minimum(torch.clamp(places, min=0.0), last)
    low = torch.floor(places)
    share = places - low
    return [_within(low, size), _within(low + 1, size)], [1 - share, share]


def _cubic(node: Node, places: Tensor, size: Number) -> tuple[list[Tensor], list[Tensor]]:
    a = node.get("cubic_coeff_a", -0.75)
    low = torch.floor(places)
    share = places - low

    def near(t: Tensor) -> Tensor:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def far(t: Tensor) -> Tensor:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    weights = [far(1 + share), near(share), near(1 - share), far(2 - share)]
    taps = [low + i for i in (-1, 0, 1, 2)]
    if node.get("exclude_outside", 0):
        last = as_scalar(size - 1).to(torch.float32)
        inside = [torch.logical_and(tap >= 0, tap <= last).to(torch.float32) for tap in taps]
        weights = [w * i for w, i in zip(weights, inside, strict=True)]
        total = weights[0] + weights[1] + weights[2] + weights[3]
        weights = [w / total for w in weights]
    return [_within(tap, size) for tap in taps], weights


def _mixed(x: Tensor, axis: Axis, taps: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    shape = [-1] + [1] * (x.dim() - axis.dim - 1)
    parts = [
        x.index_select(axis.dim, tap) * weight.to(x.dtype).reshape(shape)
        for tap, weight in zip(taps, weights, strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total

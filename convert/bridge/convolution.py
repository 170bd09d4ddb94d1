"""Convolutions: one, two and three spatial axes, strided, dilated, grouped, transposed."""

from __future__ import annotations

from collections.abc import Sequence

from shipworthy.convert.bridge.convolve import convolved, window_of
from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.spatial import Pads, per_axis, spatial, value
from shipworthy.convert.bridge.table import aten
from shipworthy.convert.bridge.transposed import transposed as transposed_convolution
from shipworthy.convert.bridge.value import Value


@aten("convolution.default")
def convolution(
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    """Convolution, or transposed convolution, with symmetric zero padding."""
    n = weight.rank - 2
    t = spatial(x, n, "convolution")
    stride, padding, dilation = (per_axis(s, n) for s in (stride, padding, dilation))
    if transposed:
        extra = per_axis(output_padding, n)
        return value(
            transposed_convolution(t, weight, bias, stride, padding, dilation, extra, groups)
        )
    pads: Pads = [(p, p) for p in padding]
    y = convolved(t, weight, stride, pads, dilation, groups)
    return value(y if bias is None else tf.nn.bias_add(y, bias.tensor))


@aten("conv1d.padding", "conv2d.padding", "conv3d.padding")
def convolution_same(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sequence[int] = (1,),
    padding: str = "valid",
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Value:
    """Convolution with padding "same" or "valid"; an odd one is padded at the end."""
    n = weight.rank - 2
    stride, dilation = per_axis(stride, n), per_axis(dilation, n)
    same = padding == "same"
    pads: Pads = [((k - 1) // 2, k // 2) if same else (0, 0) for k in window_of(weight, dilation)]
    y = convolved(spatial(x, n, "convolution"), weight, stride, pads, dilation, groups)
    return value(y if bias is None else tf.nn.bias_add(y, bias.tensor))

"""Convolutions: one, two and three spatial axes, strided, dilated, grouped, transposed."""

from __future__ import annotations

from collections.abc import Sequence

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.spatial import (
    Pads,
    is_same,
    padded,
    per_axis,
    sizes,
    spatial,
    value,
)
from shipworthy.convert.bridge.table import UnsupportedUseError, aten
from shipworthy.convert.bridge.value import Size, Tensor, Value


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
    stride, dilation = per_axis(stride, n), per_axis(dilation, n)
    pads: Pads = [(p, p) for p in per_axis(padding, n)]
    if transposed:
        if any(d != 1 for d in dilation) or n == 3:
            raise UnsupportedUseError("a transposed convolution that is dilated, or has three axes")
        extra = per_axis(output_padding, n)
        y = _transposed(spatial(x, n, "convolution"), weight, stride, pads, extra, groups)
    else:
        y = _forward(spatial(x, n, "convolution"), weight, stride, pads, dilation, groups)
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
    window = _window(weight, dilation)
    same = padding == "same"
    pads: Pads = [((k - 1) // 2, k // 2) if same else (0, 0) for k in window]
    y = _forward(spatial(x, n, "convolution"), weight, stride, pads, dilation, groups)
    return value(y if bias is None else tf.nn.bias_add(y, bias.tensor))


def _window(weight: Value, dilation: Sequence[int]) -> list[int]:
    return [d * (int(k or 0) - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]


def _forward(
    x: Tensor,
    weight: Value,
    stride: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    n = weight.rank - 2
    window = _window(weight, dilation)
    if n == 1:  # as two axes, the first of size 1
        y = _forward_2d(
            tf.expand_dims(x, 1), weight, [1, *stride], [(0, 0), *pads], [1, *dilation],
            [1, *window], groups,
        )  # fmt: skip
        return tf.squeeze(y, 1)
    if n == 2:
        return _forward_2d(x, weight, stride, pads, dilation, window, groups)
    filters = weight.arranged((2, 3, 4, 1, 0))
    same = is_same(x, window, stride, pads)
    x = x if same else padded(x, pads)
    parts = zip(_split(x, groups, -1), _split(filters, groups, -1), strict=True)
    settings = {
        "strides": [1, *stride, 1],
        "padding": "SAME" if same else "VALID",
        "dilations": [1, *dilation, 1],
    }
    return _joined([tf.nn.conv3d(part, part_filter, **settings) for part, part_filter in parts])


def _forward_2d(
    x: Tensor,
    weight: Value,
    stride: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
    window: Sequence[int],
    groups: int,
) -> Tensor:
    # TensorFlow's depthwise kernel without oneDNN takes one stride for both axes, undilated; the
    # grouped one takes all.
    if groups == x.shape[-1] > 1 and stride[0] == stride[1] and list(dilation) == [1, 1]:
        return _depthwise(x, weight, stride, pads, window)
    settings = {"strides": [1, *stride, 1], **_padding(x, window, stride, pads)}
    filters = weight.arranged((*range(2, weight.rank), 1, 0))
    filters = filters if weight.rank == 4 else tf.expand_dims(filters, 0)
    return tf.raw_ops.Conv2D(input=x, filter=filters, dilations=[1, *dilation, 1], **settings)


def _depthwise(
    x: Tensor, weight: Value, stride: Sequence[int], pads: Pads, window: Sequence[int]
) -> Tensor:
    out, _, *kernel = (int(k or 0) for k in weight.shape)
    groups, last = x.shape[-1], len(kernel)
    filters = weight.formed([groups, out // groups, *kernel], [*range(2, last + 2), 0, 1])
    filters = filters if last == 2 else tf.expand_dims(filters, 0)
    # Explicit padding ends the process once TensorFlow 2.21 fuses this kernel with a bias.
    same = is_same(x, window, stride, pads)
    return tf.raw_ops.DepthwiseConv2dNative(
        input=x if same else padded(x, pads),
        filter=filters,
        strides=[1, *stride, 1],
        padding="SAME" if same else "VALID",
    )


def _padding(
    x: Tensor, window: Sequence[int], stride: Sequence[int], pads: Pads
) -> dict[str, object]:
    if all(pair == (0, 0) for pair in pads):
        return {"padding": "VALID"}
    if is_same(x, window, stride, pads):
        return {"padding": "SAME"}
    flat = [p for pair in [(0, 0), *pads, (0, 0)] for p in pair]
    return {"padding": "EXPLICIT", "explicit_paddings": flat}


def _transposed(
    x: Tensor,
    weight: Value,
    stride: Sequence[int],
    pads: Pads,
    extra: Sequence[int],
    groups: int,
) -> Tensor:
    """Write the gradient of a convolution with respect to its input, which is what it is."""
    filters = weight.arranged((*range(2, weight.rank), 1, 0))
    one_axis = weight.rank == 3
    if one_axis:
        x, filters = tf.expand_dims(x, 1), tf.expand_dims(filters, 0)
        stride, pads, extra = [1, *stride], [(0, 0), *pads], [0, *extra]
    kernel = filters.shape[:2]
    full: list[Size] = [
        (size - 1) * s + k - sum(pair) + e
        for size, s, k, pair, e in zip(sizes(x), stride, kernel, pads, extra, strict=True)
    ]
    batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    output = tf.stack([batch, *full, filters.shape[2]])
    parts = zip(_split(x, groups, -1), _split(filters, groups, -1), strict=True)
    flat = [p for pair in [(0, 0), *pads, (0, 0)] for p in pair]
    padding = {"padding": "EXPLICIT", "explicit_paddings": flat} if any(flat) else {}
    settings = {"strides": [1, *stride, 1], "padding": "VALID", **padding}
    y = _joined(
        [
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=output, filter=part_filter, out_backprop=part, **settings
            )
            for part, part_filter in parts
        ]
    )
    return tf.squeeze(y, 1) if one_axis else y


def _split(tensor: Tensor, groups: int, axis: int) -> list[Tensor]:
    return [tensor] if groups == 1 else list(tf.split(tensor, groups, axis=axis))


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)

"""The convolution of a channels-last tensor, in the kernels TensorFlow and TFLite both have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shipworthy.convert.bridge.lazy import Lazy, tf
from shipworthy.convert.bridge.spatial import Pads, all_sizes, is_same, padded
from shipworthy.convert.bridge.value import Size, Tensor, Value, reshape
from shipworthy.convert.bridge.weight import Weight, derived

tnp: Any = Lazy("tensorflow.experimental.numpy")


def rewritten(name: str, function: Callable[[Any, Any], Any], weight: Value) -> Value:
    """Return a weight in another form: once if it is stored, else whenever the model runs.

    Parameters
    ----------
    name : tells the form apart; with `weight` it decides which function this is.
    function : takes NumPy, or what has its names, and an array of it.
    """
    if isinstance(weight, Weight):
        full = f"{weight.stored.name}.{name}"
        return derived(full, lambda array: function(np, array), weight)
    return Value(function(tnp, weight.plain))


def window_of(weight: Value, dilation: Sequence[int]) -> list[int]:
    """Return how many places the dilated kernel spans along each axis."""
    return [d * (int(k or 0) - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]


def convolved(
    x: Tensor,
    weight: Value,
    stride: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Return the convolution of a channels-last tensor with one, two or three spatial axes.

    Parameters
    ----------
    weight : (channels out, channels in / groups, *kernel), as PyTorch keeps it.
    """
    n = weight.rank - 2
    window = window_of(weight, dilation)
    if n == 1:  # as two axes, the first of size 1
        y = _image(
            tf.expand_dims(x, 1), weight, [1, *stride], [(0, 0), *pads], [1, *dilation],
            [1, *window], groups,
        )  # fmt: skip
        return tf.squeeze(y, 1)
    if n == 2:
        return _image(x, weight, stride, pads, dilation, window, groups)
    return _volume(x, weight, stride, pads, dilation, window, groups)


def _volume(
    x: Tensor,
    weight: Value,
    stride: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
    window: Sequence[int],
    groups: int,
) -> Tensor:
    """Convolve planes: the depths under the kernel are channels side by side.

    TFLite's kernel for volumes is not XNNPACK's and takes two to three times as long; TensorFlow's
    knows no groups.
    """
    out, _, depth, *kernel = (int(k or 0) for k in weight.shape)
    x = padded(x, [pads[0], (0, 0), (0, 0)])
    batch, size, height, width, _ = all_sizes(x)
    count = (size - window[0]) // stride[0] + 1
    views = [x[:, cut] for cut in _cuts(size, depth, dilation[0], stride[0])]

    def stacked(xp: Any, array: Any) -> Any:
        """Put the kernel's depths side by side in every group."""
        return xp.reshape(xp.transpose(array, (0, 2, 1, 3, 4)), (out, -1, *kernel))

    if groups == 1:
        joined = views[0] if depth == 1 else tf.concat(views, -1)
        parts, filters = [joined], [rewritten("stacked", stacked, weight)]
    else:
        parts = views
        filters = [rewritten(f"depth{i}", _depth(i), weight) for i in range(depth)]
    total = None
    for part, one in zip(parts, filters, strict=True):
        planes = reshape(part, [batch * count, height, width, part.shape[-1]])
        y = _image(planes, one, stride[1:], pads[1:], dilation[1:], window[1:], groups)
        total = y if total is None else total + y
    return reshape(total, [batch, count, *all_sizes(total)[1:]])


def _cuts(size: Size, kernel: int, dilation: int, stride: int) -> list[slice]:
    """Return, for every place of a kernel along an axis, the places of the input it meets."""
    return [slice(i * dilation, size - (kernel - 1 - i) * dilation, stride) for i in range(kernel)]


def _depth(place: int) -> Callable[[Any, Any], Any]:
    return lambda xp, array: array[:, :, place]


def _image(
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

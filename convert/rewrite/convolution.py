"""Convolutions and patches that a converter refuses."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.convert.rewrite.table import Node, Tensor, rule

ONNX, TFLITE = ("onnx",), ("tflite",)


@rule("ExtractImagePatches")
def patches(node: Node) -> Any:
    """Rearrange pixels where patches are tiles, else convolve with one-hot kernels.

    The last axis of both is ordered by row, column and channel of the patch.
    """
    import tensorflow as tf

    x = node.inputs[0]
    (_, *window, _), (_, *strides, _) = node.ints("ksizes"), node.ints("strides")
    rates, padding, channels = node.ints("rates")[1:3], node.text("padding"), x.shape[-1]
    if channels is None:
        return None
    height, width = x.shape[1:3]
    tiles = window == strides and window[0] == window[1] > 1 and rates == [1, 1]
    if tiles and padding == "VALID" and height and width:
        side = window[0]
        return tf.nn.space_to_depth(x[:, : height // side * side, : width // side * side], side)
    count = window[0] * window[1] * channels
    one_hot = np.eye(count, dtype=x.dtype.as_numpy_dtype).reshape(*window, channels, count)
    return tf.nn.conv2d(x, one_hot, strides, padding, dilations=rates)


@rule("Conv2DBackpropInput", formats=ONNX)
def transposed_onnx(node: Node) -> Any:
    """Add the rows and columns that no kernel reaches as zeros, by hand."""
    return _padded_transpose(node, node.inputs[1], node.ints("dilations"))


@rule("Conv2DBackpropInput", formats=TFLITE)
def transposed_tflite(node: Node) -> Any:
    """Write the dilation into the kernel, as zeros between its weights."""
    import tensorflow as tf

    dilations = node.ints("dilations")
    if node.text("data_format") != "NHWC" or set(dilations) <= {1}:
        return None
    kernel = node.inputs[1]
    for axis in (0, 1):
        kernel = _spread(kernel, axis, dilations[1 + axis])
    sizes, _, x = node.inputs
    return tf.nn.conv2d_transpose(
        x, kernel, sizes, node.ints("strides"), _padding(node), data_format="NHWC"
    )


def _padding(node: Node) -> Any:
    if node.text("padding") != "EXPLICIT":
        return node.text("padding")
    told = node.ints("explicit_paddings")
    return [[told[2 * i], told[2 * i + 1]] for i in range(4)]


def _spread(kernel: Tensor, axis: int, step: int) -> Tensor:
    """Put ``step - 1`` zeros between neighbours along an axis."""
    import tensorflow as tf

    if step == 1:
        return kernel
    shape = kernel.shape.as_list()
    apart = tf.expand_dims(kernel, axis + 1)
    margins = [[0, step - 1 if i == axis + 1 else 0] for i in range(len(shape) + 1)]
    wide = [*shape[:axis], shape[axis] * step, *shape[axis + 1 :]]
    spread = tf.reshape(tf.pad(apart, margins), wide)
    kept = [slice(None)] * axis + [slice(0, (shape[axis] - 1) * step + 1)]
    return spread[tuple(kept)]


def _padded_transpose(node: Node, kernel: Tensor, dilations: list[int]) -> Any:
    """Compute what the kernels reach, and pad it to the size that is asked for.

    Only where the answer is larger than that, which tf2onnx writes as a negative padding.
    """
    import tensorflow as tf

    sizes, _, x = node.inputs
    wanted = tf.get_static_value(sizes, partial=True)
    if node.text("data_format") != "NHWC" or node.text("padding") == "EXPLICIT" or wanted is None:
        return None
    strides = node.ints("strides")[1:3]
    reached = [
        None if size is None else (size - 1) * stride + (side - 1) * rate + 1
        for size, stride, side, rate in zip(
            x.shape[1:3], strides, kernel.shape[:2], dilations[1:3], strict=True
        )
    ]
    asked = [wanted[1], wanted[2]]
    if any(size is None for size in (*asked, *reached)):
        return None
    missing = [int(a) - int(r) for a, r in zip(asked, reached, strict=True) if r is not None]
    if max(missing) <= 0 or min(missing) < 0:
        return None
    plain = tf.nn.conv2d_transpose(
        x,
        kernel,
        tf.stack([sizes[0], *reached, sizes[3]]),
        strides,
        "VALID",
        dilations=dilations[1:3],
    )
    return tf.pad(plain, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])

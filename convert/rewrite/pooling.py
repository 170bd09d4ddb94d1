"""Pooling that TFLite has no operator for."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.rewrite.table import Node, Tensor, rule

TFLITE = ("tflite",)


@rule("AvgPool3D", "MaxPool3D", formats=TFLITE)
def pool_volume(node: Node) -> Any:
    """Pool over height and width, then over depth: averages and maxima of a box are separable.

    With ``SAME`` each average leaves the margin out, and so does their product.
    """
    import tensorflow as tf

    x, window, strides = node.inputs[0], node.ints("ksize"), node.ints("strides")
    if node.text("data_format") not in ("", "NDHWC"):
        return None
    pool = tf.nn.avg_pool2d if node.kind == "AvgPool3D" else tf.nn.max_pool2d
    padding = node.text("padding")
    _, depth, height, width, channels = _sizes(x)
    planes = tf.reshape(x, [-1, height, width, channels])
    planes = pool(planes, window[2:4], strides[2:4], padding)
    _, height, width, _ = _sizes(planes)
    columns = tf.reshape(planes, [-1, depth, height * width, channels])
    columns = pool(columns, [window[1], 1], [strides[1], 1], padding)
    return tf.reshape(columns, [-1, _sizes(columns)[1], height, width, channels])


def _sizes(x: Tensor) -> list[Any]:
    """Return each size as a number where it is known, else as a tensor."""
    import tensorflow as tf

    computed = tf.shape(x)
    return [computed[i] if size is None else size for i, size in enumerate(x.shape)]


@rule("MaxPool", formats=TFLITE)
def padded_max_pool(node: Node) -> Any:
    """Pad with the lowest value first, where the margins are told one by one."""
    import tensorflow as tf

    x = node.inputs[0]
    if node.text("padding") != "EXPLICIT" or node.text("data_format") not in ("", "NHWC"):
        return None
    told = node.ints("explicit_paddings")
    margins = [[told[2 * i], told[2 * i + 1]] for i in range(4)]
    padded = tf.pad(x, margins, constant_values=x.dtype.min)
    return tf.nn.max_pool2d(padded, node.ints("ksize"), node.ints("strides"), "VALID")

"""Colours in hue, saturation and value."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.rewrite.table import Node, Tensor, rule


def _to_hsv(rgb: Tensor) -> Tensor:
    import tensorflow as tf

    r, g, b = tf.unstack(rgb, 3, axis=-1)
    value = tf.reduce_max(rgb, -1)
    spread = value - tf.reduce_min(rgb, -1)
    saturation = tf.where(value > 0.0, spread / tf.where(value > 0.0, value, 1.0), 0.0)
    sixth = 6.0 * tf.where(spread > 0.0, spread, 1.0)
    hue = tf.where(
        tf.equal(r, value),
        (g - b) / sixth,
        tf.where(tf.equal(g, value), (b - r) / sixth + 2.0 / 6.0, (r - g) / sixth + 4.0 / 6.0),
    )
    hue = tf.where(spread > 0.0, tf.where(hue < 0.0, hue + 1.0, hue), 0.0)
    return tf.stack([hue, saturation, value], -1)


def _to_rgb(hsv: Tensor) -> Tensor:
    import tensorflow as tf

    hue, saturation, value = tf.unstack(hsv, 3, axis=-1)
    turn = hue * 6.0
    shares = (tf.abs(turn - 3.0) - 1.0, 2.0 - tf.abs(turn - 2.0), 2.0 - tf.abs(turn - 4.0))
    return tf.stack(
        [(1.0 - saturation + saturation * tf.clip_by_value(d, 0.0, 1.0)) * value for d in shares],
        -1,
    )


@rule("RGBToHSV")
def rgb_to_hsv(node: Node) -> Any:
    """Find hue, saturation and value of the strongest colour."""
    return _to_hsv(node.inputs[0])


@rule("HSVToRGB")
def hsv_to_rgb(node: Node) -> Any:
    """Mix each colour from its distance to the hue."""
    return _to_rgb(node.inputs[0])


@rule("AdjustSaturation", "AdjustHue")
def adjust(node: Node) -> Any:
    """Scale the saturation, or turn the hue."""
    import tensorflow as tf

    x, amount = node.inputs
    hue, saturation, value = tf.unstack(_to_hsv(x), 3, axis=-1)
    if node.kind == "AdjustHue":
        hue = tf.math.floormod(hue + amount, 1.0)
    else:
        saturation = tf.clip_by_value(saturation * amount, 0.0, 1.0)
    return _to_rgb(tf.stack([hue, saturation, value], -1))


@rule("AdjustContrastv2")
def adjust_contrast(node: Node) -> Any:
    """Scale the distance to each channel's mean."""
    import tensorflow as tf

    x, factor = node.inputs
    mean = tf.reduce_mean(x, [-3, -2], keepdims=True)
    return (x - mean) * factor + mean

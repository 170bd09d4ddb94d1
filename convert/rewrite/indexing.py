"""Places, counts and orders that a format has no operator for."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.convert.rewrite.table import Node, rule

ONNX, TFLITE = ("onnx",), ("tflite",)


@rule("Roll", formats=TFLITE)
def roll(node: Node) -> Any:
    """Put the end before the beginning, axis by axis."""
    import tensorflow as tf

    x, shifts, axes = node.inputs[0], node.inputs[1], node.constant(2)
    if axes is None or x.shape.rank is None:
        return None
    for i, axis in enumerate(axes.reshape(-1)):
        place = int(axis) % x.shape.rank
        size = tf.shape(x)[place]
        shift = tf.math.floormod(tf.cast(tf.reshape(shifts, [-1])[i], tf.int32), size)
        before = [slice(None)] * place
        x = tf.concat([x[(*before, slice(size - shift, None))],
                       x[(*before, slice(0, size - shift))]], place)  # fmt: skip
    return x


@rule("Bucketize", formats=ONNX)
def bucketize(node: Node) -> Any:
    """Count the boundaries that are not above."""
    import tensorflow as tf

    bounds = tf.constant(list(node.attributes["boundaries"].list.f), tf.float32)
    above = tf.cast(node.inputs[0], tf.float32)[..., tf.newaxis] >= bounds
    return tf.reduce_sum(tf.cast(above, tf.int32), -1)


@rule("LowerBound", "UpperBound")
def searchsorted(node: Node) -> Any:
    """Count the smaller ones (with those that equal, for the upper bound)."""
    import tensorflow as tf

    ordered, values = tf.expand_dims(node.inputs[0], 1), tf.expand_dims(node.inputs[1], 2)
    before = ordered < values if node.kind == "LowerBound" else ordered <= values
    return tf.reduce_sum(tf.cast(before, node.dtype("out_type")), -1)


@rule("InTopKV2")
def in_top_k(node: Node) -> Any:
    """Count what is predicted above the target."""
    import tensorflow as tf

    predictions, targets, k = node.inputs
    own = tf.gather(predictions, targets, batch_dims=1)[:, tf.newaxis]
    above = tf.reduce_sum(tf.cast(predictions > own, k.dtype), 1)
    return above < k


@rule("DenseBincount")
def dense_bincount(node: Node) -> Any:
    """Sum one-hot rows."""
    import tensorflow as tf

    x, size, weights = node.inputs
    hot = tf.cast(tf.equal(tf.expand_dims(x, -1), tf.range(size)), weights.dtype)
    if 0 not in weights.shape.as_list():
        hot = hot * weights[..., tf.newaxis]
    if node.flag("binary_output"):
        return tf.reduce_max(hot, -2)
    return tf.reduce_sum(hot, -2)


@rule("LookupTableFindV2")
def lookup(node: Node) -> Any:
    """Compare with every key of the table, whose contents are known."""
    import tensorflow as tf

    table, x, default = node.inputs
    if x.dtype == tf.string or default.dtype == tf.string:
        return None
    with tf.init_scope():
        keys, values = tf.raw_ops.LookupTableExportV2(
            table_handle=table, Tkeys=x.dtype, Tvalues=default.dtype
        )
    order = np.argsort(keys.numpy(), kind="stable")
    known, told = (tf.constant(v.numpy()[order]) for v in (keys, values))
    same = tf.equal(x[..., tf.newaxis], known)
    found = tf.reduce_sum(tf.where(same, told, tf.zeros([], told.dtype)), -1)
    return tf.where(tf.reduce_any(same, -1), found, default)


@rule("StridedSlice")
def slice_with_new_axes(node: Node) -> Any:
    """Slice first, and add the new axes after.

    tf2onnx takes some of them for axes of the input, TFLite has them for low ranks only.
    """
    import tensorflow as tf

    x, masks = node.inputs[0], {k: node.attributes[k].i for k in node.attributes if "mask" in k}
    bounds = [node.constant(i) for i in (1, 2, 3)]
    if not masks["new_axis_mask"] or x.shape.rank is None or any(b is None for b in bounds):
        return None
    begins, ends, strides = (b.tolist() for b in bounds if b is not None)
    told = [{k: bool(mask >> i & 1) for k, mask in masks.items()} for i in range(len(begins))]
    named = sum(not (t["new_axis_mask"] or t["ellipsis_mask"]) for t in told)
    taken: list[Any] = []
    added, place = [], 0
    for t, begin, end, stride in zip(told, begins, ends, strides, strict=True):
        if t["ellipsis_mask"]:
            taken += [slice(None)] * (x.shape.rank - named)
            place += x.shape.rank - named
        elif t["new_axis_mask"]:
            added.append(place)
            place += 1
        elif t["shrink_axis_mask"]:
            taken.append(begin)
        else:
            first = None if t["begin_mask"] else begin
            taken.append(slice(first, None if t["end_mask"] else end, stride))
            place += 1
    x = x[tuple(taken)] if taken else x
    for axis in added:
        x = tf.expand_dims(x, axis)
    return x

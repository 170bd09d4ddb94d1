"""Diagonals, products and sums that a format has no operator for, or has wrong."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.rewrite.table import Node, Tensor, rule

ONNX, TFLITE = ("onnx",), ("tflite",)


def on_diagonal(rows: Tensor, columns: Tensor, k: int) -> Tensor:
    """Return a boolean matrix of these sizes that is true on the k-th diagonal."""
    import tensorflow as tf

    return tf.equal(tf.range(rows)[:, tf.newaxis] + k, tf.range(columns)[tf.newaxis, :])


def _one_diagonal(node: Node) -> int | None:
    """Return which diagonal an operator asks for, or None if several or not known."""
    k = node.constant(1 if node.kind != "MatrixSetDiagV3" else 2)
    return None if k is None or k.min() != k.max() else int(k.flat[0])


def diagonal(x: Tensor, k: int) -> Tensor:
    """Return the k-th diagonal of the last two axes."""
    import tensorflow as tf

    shape = tf.shape(x)
    rows, columns = shape[-2], shape[-1]
    first = max(-k, 0)
    length = tf.minimum(rows - first, columns - max(k, 0))
    kept = tf.where(on_diagonal(rows, columns, k), x, tf.zeros([], x.dtype))
    if x.dtype.is_bool:
        return tf.reduce_any(kept, -1)[..., first : first + length]
    return tf.reduce_sum(kept, -1)[..., first : first + length]


@rule("MatrixDiagPartV3", formats=TFLITE)
def matrix_diag_part(node: Node) -> Any:
    """Sum each row's only entry on the diagonal."""
    k = _one_diagonal(node)
    return None if k is None else diagonal(node.inputs[0], k)


@rule("MatrixDiagV3", formats=TFLITE)
def matrix_diag(node: Node) -> Any:
    """Put the diagonal into a square matrix, and pad that."""
    import tensorflow as tf

    x, _, rows, columns, padding = (node.inputs[0], *(node.constant(i) for i in range(1, 5)))
    k = _one_diagonal(node)
    if not k or x.shape.rank is None or [rows, columns, padding] != [-1, -1, 0]:
        return None
    square = tf.linalg.diag(x)
    below, right = max(-k, 0), max(k, 0)
    margins = [[0, 0]] * (x.shape.rank - 1) + [[below, right], [right, below]]
    return tf.pad(square, margins)


@rule("MatrixSetDiagV3")
def matrix_set_diag(node: Node) -> Any:
    """Choose the new diagonal where the diagonal is."""
    import tensorflow as tf

    x, values = node.inputs[:2]
    k = _one_diagonal(node)
    if k is None or x.shape.rank is None:
        return None
    rows, columns = tf.shape(x)[-2], tf.shape(x)[-1]
    first = max(-k, 0)
    rest = rows - first - tf.shape(values)[-1]
    margins = [[0, 0]] * (x.shape.rank - 2) + [[first, rest]]
    by_row = tf.pad(values, margins)[..., tf.newaxis]
    return tf.where(on_diagonal(rows, columns, k), by_row, x)


@rule("Cross")
def cross(node: Node) -> Any:
    """Multiply crosswise, by component."""
    import tensorflow as tf

    a, b = (tf.unstack(x, 3, axis=-1) for x in node.inputs)
    return tf.stack(
        [a[i] * b[j] - a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))],
        axis=-1,
    )


@rule("EuclideanNorm")
def euclidean_norm(node: Node) -> Any:
    """Take the root of the sum of squares."""
    import tensorflow as tf

    x, axes = node.inputs
    return tf.sqrt(tf.reduce_sum(x * x, axes, keepdims=node.flag("keep_dims")))


@rule("Sum", formats=TFLITE)
def sum_of_squares(node: Node) -> Any:
    """Sum squares over one axis after the other.

    TFLiteConverter takes a sum of squares over several axes, with a root behind it, for
    ``L2_NORMALIZATION``, which normalises along the last axis alone.
    """
    import tensorflow as tf

    x, axes = node.inputs[0], node.constant(1)
    squares = x.op.type == "Square" or (x.op.type == "Mul" and x.op.inputs[0] is x.op.inputs[1])
    if not squares or axes is None or axes.size < 2 or x.shape.rank is None:
        return None
    first, *rest = sorted(int(axis) % x.shape.rank for axis in axes.flat)
    keep = node.flag("keep_dims")
    partial = tf.reduce_sum(x, first, keepdims=True)
    total = tf.reduce_sum(partial, rest, keepdims=True)
    return total if keep else tf.squeeze(total, [first, *rest])


@rule("Cumprod")
def cumprod(node: Node) -> Any:
    """Multiply by what stands 1, 2, 4, ... places before, until all that precedes is in it."""
    import tensorflow as tf

    x, axis = node.inputs[0], node.constant(1)
    if axis is None or x.shape.rank is None or x.shape[int(axis)] is None:
        return None
    place = int(axis) % x.shape.rank
    size = int(x.shape[place])
    if node.flag("reverse"):
        x = tf.reverse(x, [place])
    if node.flag("exclusive"):
        x = _moved(x, 1, place, size)
    step = 1
    while step < size:
        x = x * _moved(x, step, place, size)
        step *= 2
    return tf.reverse(x, [place]) if node.flag("reverse") else x


def _moved(x: Tensor, places: int, axis: int, size: int) -> Tensor:
    """Move along an axis, with ones where nothing comes from."""
    import tensorflow as tf

    margins = [[places if i == axis else 0, 0] for i in range(x.shape.rank)]
    kept = tuple(slice(0, size - places) if i == axis else slice(None) for i in range(x.shape.rank))
    return tf.pad(x[kept], margins, constant_values=tf.ones([], x.dtype))

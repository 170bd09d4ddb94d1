"""Lists of tensors as one tensor whose first axis is the list, for TFLite.

`tf.TensorArray`, which loops over time read and write, is a list of tensors in a variant, for
which TFLite has no builtin operator unless every size is fixed. A list here is a plain tensor:
reading gathers a row, writing scatters one. A list that is reserved without its elements' shape
becomes one when the loop that fills it begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shipworthy.convert.rewrite.table import Node, Tensor, rule
from shipworthy.convert.routes import UnsupportedModelError

# Under "lists" they are there for another format whose converter gives lists up.
TFLITE = ("tflite", "lists")


@dataclass(frozen=True)
class Reserved:
    """A list of which only the length and the dtype are known."""

    length: Tensor
    dtype: Any
    name: str


def reserve(reserved: Reserved, element: Tensor | None) -> Tensor:
    """Return a list of zeros, as unwritten elements are read.

    Raises
    ------
    UnsupportedModelError : nothing is written into it.
    """
    import tensorflow as tf

    if element is None:
        raise UnsupportedModelError(
            f"the list {reserved.name} is written in a way that has no equivalent in TFLite; let "
            "the loop write one element a round with TensorArray.write, of a size fixed in advance"
        )
    length = tf.reshape(tf.cast(reserved.length, tf.int32), [1])
    zeros = tf.zeros(tf.concat([length, tf.shape(element)], 0), reserved.dtype)
    zeros.set_shape(tf.TensorShape([None]).concatenate(element.shape))
    return zeros


@rule("TensorListReserve", formats=TFLITE)
def tensor_list_reserve(node: Node) -> Any:
    """Wait for the shape of the elements."""
    return Reserved(node.inputs[1], node.dtype("element_dtype"), node.name)


@rule("Identity", formats=TFLITE)
def identity(node: Node) -> Any:
    """Hand on a list, which is no variant any more."""
    import tensorflow as tf

    return node.inputs[0] if node.dtype("T") == tf.variant else None


@rule("TensorListFromTensor", formats=TFLITE)
def tensor_list_from_tensor(node: Node) -> Any:
    """Take the tensor for the list of its rows."""
    return node.inputs[0]


@rule("TensorListGetItem", formats=TFLITE)
def tensor_list_get_item(node: Node) -> Any:
    """Gather a row."""
    import tensorflow as tf

    return tf.gather(node.inputs[0], node.inputs[1])


@rule("TensorListSetItem", formats=TFLITE)
def tensor_list_set_item(node: Node) -> Any:
    """Scatter a row."""
    import tensorflow as tf

    rows, index, row = node.inputs
    if node.flag("resize_if_index_out_of_bounds"):
        raise UnsupportedModelError(
            f"the list {node.name} writes into grows as it is written, for which there is no "
            "equivalent; give its TensorArray the size it will have, without dynamic_size=True"
        )
    if isinstance(rows, Reserved):
        rows = reserve(rows, row)
    place = tf.reshape(index, [1, 1])
    return tf.tensor_scatter_nd_update(rows, place, tf.expand_dims(row, 0))


@rule("TensorListStack", formats=TFLITE)
def tensor_list_stack(node: Node) -> Any:
    """Take the list for the tensor."""
    return node.inputs[0]


@rule("TensorListLength", formats=TFLITE)
def tensor_list_length(node: Node) -> Any:
    """Count the rows."""
    import tensorflow as tf

    rows = node.inputs[0]
    return rows.length if isinstance(rows, Reserved) else tf.shape(rows)[0]

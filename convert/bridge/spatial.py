"""What convolution, pooling and resizing share: channels-last tensors, windows, their padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import UnsupportedUseError
from shipworthy.convert.bridge.value import Size, Tensor, Value, reshape

Pads = list[tuple[Any, Any]]  # (before, after) a spatial axis; ints or scalar tensors


def channels_last(n: int) -> tuple[int, ...]:
    """Return the order batch, n spatial axes, channels."""
    return (0, *range(2, n + 2), 1)


def spatial(x: Value, n: int, what: str) -> Tensor:
    """Return x channels-last.

    Raises
    ------
    UnsupportedUseError : x does not have a batch, a channel and n spatial axes.
    """
    if x.rank != n + 2:
        raise UnsupportedUseError(
            f"{what} takes {n + 2} axes here, got {x.rank}; give the model a batch axis"
        )
    return x.arranged(channels_last(n))


def value(tensor: Tensor) -> Value:
    """Return a channels-last tensor as a value."""
    return Value(tensor, channels_last(len(tensor.shape) - 2))


def per_axis(setting: int | Sequence[int], n: int) -> list[int]:
    """Return one number a spatial axis."""
    numbers = [setting] if isinstance(setting, int) else list(setting)
    return numbers * n if len(numbers) == 1 else numbers


def is_same(x: Tensor, window: Sequence[int], stride: Sequence[int], pads: Pads) -> bool:
    """Tell whether TensorFlow's "SAME" puts the windows where this padding puts them.

    SAME gives ceil(size / stride) windows and pads the odd one at the end (TensorFlow, *tf.nn*,
    "Notes on padding").
    """
    for size, k, s, (before, after) in zip(x.shape[1:-1], window, stride, pads, strict=True):
        if s == 1:
            if not isinstance(before, int) or (before, after) != ((k - 1) // 2, k // 2):
                return False
            continue
        if size is None or not isinstance(before, int) or not isinstance(after, int):
            return False
        count = -(-size // s)
        total = max((count - 1) * s + k - size, 0)
        if (size + before + after - k) // s + 1 != count or before != total // 2:
            return False
    return True


def padded(x: Tensor, pads: Pads, fill: float = 0) -> Tensor:
    """Pad the spatial axes of a channels-last tensor; a negative amount cuts off."""
    fixed = [[p if isinstance(p, int) else 0 for p in pair] for pair in pads]
    if any(p < 0 for pair in fixed for p in pair):
        x = cropped(x, [(max(-before, 0), max(-after, 0)) for before, after in fixed])
        pads = [tuple(max(p, 0) if isinstance(p, int) else p for p in pair) for pair in pads]  # type: ignore[misc]
    if all(isinstance(p, int) and p == 0 for pair in pads for p in pair):
        return x
    return tf.pad(x, [(0, 0), *pads, (0, 0)], constant_values=tf.constant(fill, x.dtype))


def cropped(x: Tensor, cuts: Sequence[tuple[int, int]]) -> Tensor:
    """Cut places off both ends of the spatial axes of a channels-last tensor."""
    if not any(map(any, cuts)):
        return x
    return x[(slice(None), *(slice(a or None, -b or None) for a, b in cuts))]


def sizes(x: Tensor) -> list[Size]:
    """Return the spatial sizes of a channels-last tensor."""
    return all_sizes(x)[1:-1]


def all_sizes(x: Tensor) -> list[Size]:
    """Return all sizes of a tensor: an int where it is known, else a scalar tensor."""
    shape = x.shape.as_list()
    if None not in shape:
        return list(shape)
    asked = tf.shape(x)
    return [asked[i] if size is None else size for i, size in enumerate(shape)]


def on_planes(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function of images to every plane of a volume.

    Parameters
    ----------
    x : channels-last, with three spatial axes.
    function : of a tensor (planes, height, width, channels).
    """
    batch, depth, *plane = all_sizes(x)
    y = function(reshape(x, [_times(batch, depth), *plane]))
    return reshape(y, [batch, depth, *all_sizes(y)[1:]])


def on_depth(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function of images, that leaves the width alone, to the depth of a volume.

    Parameters
    ----------
    x : channels-last, with three spatial axes.
    function : of a tensor (batch, depth, height * width, channels).
    """
    batch, depth, height, width, channels = all_sizes(x)
    y = function(reshape(x, [batch, depth, _times(height, width), channels]))
    return reshape(y, [batch, all_sizes(y)[1], height, width, all_sizes(y)[3]])


def _times(a: Size, b: Size) -> Size:
    return a * b


def mixed(x: Tensor, axis: int, matrix: Any) -> Tensor:
    """Multiply an axis of a tensor, not the last, by a matrix (new size, old size)."""
    shape = all_sizes(x)
    before: Size = 1
    for size in shape[:axis]:
        before = before * size
    after: Size = 1
    for size in shape[axis + 1 :]:
        after = after * size
    flat = reshape(x, [before, shape[axis], after])
    y = tf.matmul(tf.convert_to_tensor(matrix, x.dtype)[None], flat)
    new = all_sizes(y)[1]
    return reshape(y, [*shape[:axis], new, *shape[axis + 1 :]])

"""What convolution and pooling share: channels-last tensors, windows and their padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import UnsupportedUseError
from shipworthy.convert.bridge.value import Size, Tensor, Value

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
    """Pad the spatial axes of a channels-last tensor."""
    if all(isinstance(p, int) and p == 0 for pair in pads for p in pair):
        return x
    return tf.pad(x, [(0, 0), *pads, (0, 0)], constant_values=tf.constant(fill, x.dtype))


def sizes(x: Tensor) -> list[Size]:
    """Return the spatial sizes of a channels-last tensor."""
    last = len(x.shape) - 1
    return [tf.shape(x)[i] if x.shape[i] is None else x.shape[i] for i in range(1, last)]

"""Resizing images: nearest and bilinear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.spatial import spatial, value
from shipworthy.convert.bridge.table import Out, UnsupportedUseError, aten
from shipworthy.convert.bridge.value import Size, Tensor, Value
from shipworthy.models.spec import Array


@aten("upsample_nearest1d.vec", "upsample_nearest2d.vec", "upsample_nearest3d.vec")
def nearest(
    x: Value, output_size: Sequence[Size] | None, factors: Sequence[float] | None, *, out: Out
) -> Value:
    """Take the element at ``floor(i * scale)``."""
    t = spatial(x, x.rank - 2, "resizing")
    for axis, (old, new) in enumerate(zip(x.shape[2:], out.shape[2:], strict=True), start=1):
        factor = factors[axis - 1] if factors else None
        if factor is not None and factor == int(factor):
            t = tf.repeat(t, int(factor), axis=axis) if factor != 1 else t
            continue
        if old is None or new is None:
            raise UnsupportedUseError(
                "resizing an axis of dynamic size by a fraction; fix that axis"
            )
        # In float32, as PyTorch counts.
        scale = np.float32(1 / factor if factor else old / new)
        places = np.floor(np.arange(new, dtype=np.float32) * scale).astype(np.int32)
        t = tf.gather(t, np.minimum(places, old - 1), axis=axis)
    return value(t)


@aten("upsample_bilinear2d.vec")
def bilinear(
    x: Value,
    output_size: Sequence[Size] | None,
    align_corners: bool,
    factors: Sequence[float] | None,
    *,
    out: Out,
) -> Value:
    """Mix the two neighbours of every place, one axis after the other."""
    t = spatial(x, 2, "resizing")
    for axis, (old, new) in enumerate(zip(x.shape[2:], out.shape[2:], strict=True), start=1):
        if old is None or new is None:
            raise UnsupportedUseError("bilinear resizing of an axis of dynamic size; fix that axis")
        factor = factors[axis - 1] if factors else None
        t = _mixed(t, axis, _places(old, new, align_corners, factor), old)
    return value(t)


def _places(old: int, new: int, align_corners: bool, factor: float | None) -> Array:
    """Return where in the old axis each place of the new one lies (PyTorch, *interpolate*)."""
    places = np.arange(new, dtype=np.float64)
    if align_corners:
        return places * ((old - 1) / (new - 1) if new > 1 else 0.0)
    scale = 1 / factor if factor else old / new
    return np.maximum((places + 0.5) * scale - 0.5, 0)


def _mixed(t: Tensor, axis: int, places: Array, old: int) -> Tensor:
    low = np.minimum(places.astype(np.int32), old - 1)
    share = (places - low).astype(t.dtype.as_numpy_dtype)
    share = share.reshape([-1] + [1] * (len(t.shape) - axis - 1))
    below, above = (tf.gather(t, i, axis=axis) for i in (low, np.minimum(low + 1, old - 1)))
    return below * (1 - share) + above * share

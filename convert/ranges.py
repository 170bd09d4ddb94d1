"""Which values a model's inputs are drawn from, by what its examples show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shipworthy.models.spec import Array, TensorSpec

_PLAIN_RANGE = 6.0  # beyond it, floats are not drawn from a standard normal

Range = tuple[float, float]


def example_spec(name: str, arrays: Sequence[Array]) -> TensorSpec:
    """Declare an input like its examples: dtype and shape of the first, the range of all.

    Integers keep to what the examples show, for they may be rows of a table; uint8 is taken for
    pixels. An example of one value only says little: its neighbours are drawn as well, unless the
    model refuses them (see `shown`).
    """
    first = arrays[0]
    spec = TensorSpec(name, first.dtype.name, first.shape)
    seen = _seen(arrays)
    if seen is None:
        return spec
    low, high = seen
    if first.dtype == np.uint8:
        low, high = 0.0, 255.0
    elif first.dtype.kind in "iu":
        if low == high:
            low, high = (low, 0.0) if low < 0 else (min(low, 1.0), max(high, 1.0))
            low = 0.0 if high == 1.0 else low
    elif low == high:
        if low == 0.0:
            return spec
        low, high = sorted((0.5 * low, 1.5 * low))
    elif low < 0 and max(-low, high) <= _PLAIN_RANGE:
        return spec
    return replace(spec, low=low, high=high)


def shown(spec: TensorSpec, arrays: Sequence[Array]) -> TensorSpec:
    """Narrow an input's range to exactly what its examples show."""
    seen = _seen(arrays)
    return spec if seen is None else replace(spec, low=seen[0], high=seen[1])


def _seen(arrays: Sequence[Array]) -> Range | None:
    """Return the least and the greatest number; None where there is none, or of booleans."""
    if arrays[0].dtype.kind not in "iuf":
        return None
    finite = [array[np.isfinite(array)] for array in arrays]
    values = np.concatenate([array.ravel() for array in finite])
    return (float(values.min()), float(values.max())) if values.size else None

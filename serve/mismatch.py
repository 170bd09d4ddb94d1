"""A mismatch in words, as torch.testing has them: how many, where the worst is, what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shipworthy.convert.yardstick import Expected, Spread, distance
from shipworthy.models.spec import Array


def tell_mismatch(wrong: Array, size: Array, expected: Array, actual: Array) -> str:
    """Say how many elements are wrong and which is worst: torch.testing's way."""
    count, index = int(np.count_nonzero(wrong)), np.unravel_index(np.argmax(size), size.shape)
    where = tuple(int(i) for i in index)
    return (
        f"Mismatched elements: {count} / {actual.size} ({count / max(actual.size, 1):.1%}); "
        f"greatest difference at {list(where)}: expected {_show(expected[where])}, "
        f"got {_show(actual[where])}"
    )


def tell_worst(name: str, pairs: Sequence[tuple[Expected, Array]], allowed: float) -> str:
    """Say the same of all cases pooled, and in which case the worst element is."""
    errors = [
        np.where(one.stable(name), distance(array, one.centre[name]), 0.0) for one, array in pairs
    ]
    worst = int(np.argmax([error.max(initial=0.0) for error in errors]))
    one, array = pairs[worst]
    count = sum(int(np.count_nonzero(error > allowed)) for error in errors)
    total = sum(error.size for error in errors)
    told = tell_mismatch(errors[worst] > allowed, errors[worst], one.centre[name], array)
    _, _, place = told.partition("; ")
    return (
        f"Mismatched elements: {count} / {total} ({count / max(total, 1):.1%}); {place}, "
        f"in case {one.case!r}"
    )


def tell_first(far: Array, actual: Array) -> str:
    """Say the first of some elements, and how many there are."""
    where = tuple(int(i) for i in np.argwhere(far)[0])
    return f"got {_show(actual[where])} at {list(where)} ({np.count_nonzero(far)} such)"


def tell_ratio(ratio: Spread, limit: Spread, passed: bool) -> str:
    """Say what was measured and what is allowed."""
    verdict = "RMS error" if passed else "Too far: RMS error"
    return (
        f"{verdict} {ratio.rms:.3g} times the original's own rounding error (allowed "
        f"{limit.rms:.3g}), greatest {ratio.max:.3g} times (allowed {limit.max:.3g})"
    )


def _show(value: Any) -> str:
    return f"{value:.9g}" if value.dtype.kind == "f" else str(value)

"""Is an export equal to its original? Pure: what was expected, what came out, the yardstick.

Every output is compared case by case, loosely and by the case's own error, so that pooling hides no
local fault; then over all cases pooled, strictly. Comparing nothing fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shipworthy.convert.yardstick import (
    MINIMUM_ROWS,
    UNSTABLE_SHARE,
    Expected,
    Spread,
    case_unit,
    distance,
    limits,
    pooled_unit,
    same_special,
    spread,
)
from shipworthy.models.spec import Array, Arrays, Signature, TensorSpec
from shipworthy.serve.comparison import POOLED, Comparison, Validation
from shipworthy.serve.mismatch import tell_first, tell_mismatch, tell_ratio, tell_worst

__all__ = ["POOLED", "Comparison", "Validation", "compare", "compare_case"]


def compare(
    signature: Signature,
    cases: Sequence[Expected],
    actual: Mapping[str, Arrays],
    noise: Mapping[str, Any],
    yardstick: str,
) -> list[Comparison]:
    """Compare every output of every case, and every output over all cases.

    Parameters
    ----------
    actual : case -> canonical output -> what the artifact answered. An output it has beyond the
        signature's stands there under its own name, and fails.
    noise : as `shipworthy.convert.weigh.noise_ratios` gives it.
    yardstick : ``"float64"`` or ``"jitter"``.

    Returns
    -------
    list of Comparison : never empty.

    Raises
    ------
    ValueError : an unknown yardstick.
    """
    if not cases or not signature.outputs:
        what = "case" if signature.outputs else "output"
        return [_fail(POOLED, POOLED, f"nothing was compared: there is no {what}")]
    found: list[Comparison] = []
    for one in cases:
        if one.case in actual:
            found += compare_case(signature, one, actual[one.case], noise, yardstick)
        else:
            found.append(_fail(one.case, POOLED, "the case was not run"))
    known = {one.case for one in cases}
    found += [
        _fail(case, POOLED, f"an unknown case was run; known: {', '.join(sorted(known))}")
        for case in actual
        if case not in known
    ]
    unfit = {(c.case, c.output) for c in found if not c.passed and c.error_ratio is None}
    for spec in signature.outputs:
        lost = [
            one.case for one in cases
            if one.case not in actual or (one.case, spec.name) in unfit
        ]  # fmt: skip
        if lost and _is_float(spec):
            why = f"cannot be pooled, because of case {', '.join(lost)}"
            found.append(_fail(POOLED, spec.name, why))
        else:
            pairs = [(one, actual[one.case][spec.name]) for one in cases if one.case not in lost]
            found.append(_compare_pooled(spec, pairs, noise, yardstick, lost))
    return found


def compare_case(
    signature: Signature,
    one: Expected,
    actual: Arrays,
    noise: Mapping[str, Any],
    yardstick: str,
) -> list[Comparison]:
    """Compare every output of one case, by the looser bounds of a single case."""
    found: list[Comparison] = []
    names = [spec.name for spec in signature.outputs]
    for spec in signature.outputs:
        if spec.name not in actual:
            has = ", ".join(sorted(actual)) or "none"
            found.append(_fail(one.case, spec.name, f"the output is missing; there are: {has}"))
            continue
        array = np.asarray(actual[spec.name])
        wrong = _wrong_form(one.expected32[spec.name], array)
        if wrong:
            found.append(_fail(one.case, spec.name, wrong))
        elif _is_float(spec):
            found.append(_compare_float(spec.name, one, array, noise, yardstick))
        else:
            found.append(_compare_exact(spec.name, one, array))
    found += [
        _fail(one.case, name, f"an output the original has not; it has: {', '.join(names)}")
        for name in actual
        if name not in names
    ]
    return found


def _compare_float(
    name: str, one: Expected, actual: Array, noise: Mapping[str, Any], yardstick: str
) -> Comparison:
    expected, stable, mask = one.expected32[name], one.stable(name), one.mask(name)
    counts = {"unstable": int(np.count_nonzero(mask)), "elements": actual.size}
    special = ~mask & ~same_special(actual, expected)
    if special.any():
        told = f"NaN or infinity differs: {tell_mismatch(special, special, expected, actual)}"
        return _fail(one.case, name, told, **counts)
    error = distance(actual, one.centre[name])
    unit = case_unit(one, name, noise[name]["scale"])
    ratio = spread(error[stable]).over(unit)
    limit = limits(noise[name]["cases"].get(one.case, noise[name]), yardstick, "case")
    # What would do for a stable element does for an unstable one.
    far = _beyond_seen(name, one, actual) & ~(error <= limit.max * unit.max)
    if far.any():
        told = (
            f"an unstable element is none of the original's values there: {tell_first(far, actual)}"
        )
        return _fail(one.case, name, told, **counts)
    wrong = one.fillers(name) & ~(error <= one.filler_limit(name))
    if wrong.any():
        told = f"a mask's filler differs: {tell_mismatch(wrong, error, one.centre[name], actual)}"
        return _fail(one.case, name, told, **counts)
    passed = ratio.within(limit)
    error = np.where(stable, error, 0.0)
    told = tell_ratio(ratio, limit, passed)
    if not passed:
        wrong = error > limit.max * unit.max
        told = f"{tell_mismatch(wrong, error, one.centre[name], actual)}. {told}"
    return _measured(one.case, name, passed, told, ratio, limit, **counts)


def _compare_pooled(
    spec: TensorSpec,
    pairs: Sequence[tuple[Expected, Array]],
    noise: Mapping[str, Any],
    yardstick: str,
    lost: Sequence[str],
) -> Comparison:
    name = spec.name
    cases = [one for one, _ in pairs]
    rows = sum(one.rows for one in cases)
    elements = sum(one.expected32[name].size for one in cases)
    unstable = sum(int(np.count_nonzero(one.mask(name))) for one in cases)
    counts = {"unstable": unstable, "elements": elements}
    reason = ""
    if lost:
        reason = f"not equal in case {', '.join(lost)}"
    elif rows < MINIMUM_ROWS:
        reason = f"only {rows} rows were compared; {MINIMUM_ROWS} are needed"
    elif elements == 0:
        reason = "nothing was compared: the output has no element"
    elif unstable > UNSTABLE_SHARE * elements:
        reason = (
            f"{unstable} of {elements} elements ({unstable / elements:.1%}) hang on a rounding of "
            f"the original's; at most {UNSTABLE_SHARE:.0%} may, or too little is compared"
        )
    if not _is_float(spec):
        told = reason or f"{elements - unstable} of {elements} elements are exactly equal"
        return Comparison(POOLED, name, not reason, told, **counts)
    errors = [distance(array, one.centre[name])[one.stable(name)] for one, array in pairs]
    error = np.concatenate(errors)
    if not reason and error.size == 0:
        reason = "nothing was compared: the output has no finite element"
    ratio = spread(error).over(pooled_unit(cases, name))
    limit = limits(noise[name], yardstick, "pooled")
    fits = ratio.within(limit)
    told = reason or tell_ratio(ratio, limit, fits)
    if not reason and not fits:
        unit = pooled_unit(cases, name)
        told = f"{tell_worst(name, pairs, limit.max * unit.max)}. {told}"
    return _measured(POOLED, name, fits and not reason, told, ratio, limit, **counts)


def _compare_exact(name: str, one: Expected, actual: Array) -> Comparison:
    expected, mask = one.expected32[name], one.mask(name)
    counts = {"unstable": int(np.count_nonzero(mask)), "elements": actual.size}
    wrong = ~mask & (actual != expected)
    if wrong.any():
        size = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
        told = tell_mismatch(wrong, np.where(wrong, size, 0.0), expected, actual)
        return _fail(one.case, name, f"{told}; integers and booleans must be equal", **counts)
    if mask.any():
        values = actual[mask]
        strange = ~(one.seen[name] == values).any(axis=0)
        if strange.any():
            far = np.zeros(mask.shape, bool)
            far[mask] = strange
            told = f"a tie got a value the original never gives there: {tell_first(far, actual)}"
            return _fail(one.case, name, told, **counts)
    ties = f", {counts['unstable']} of them ties" if mask.any() else ""
    return Comparison(one.case, name, True, f"{actual.size} elements equal{ties}", **counts)


def _beyond_seen(name: str, one: Expected, actual: Array) -> Array:
    """Return unstable elements far outside the original's own range there.

    An export may round at other places, so the range is widened by twice its width at both ends.
    """
    mask = one.mask(name)
    far = np.zeros(mask.shape, bool)
    if mask.any():
        values = np.asarray(actual[mask], np.float64)
        seen = np.asarray(one.seen[name], np.float64)
        finite = np.isfinite(seen)
        low = np.where(finite, seen, np.inf).min(axis=0)
        high = np.where(finite, seen, -np.inf).max(axis=0)
        width = 2.0 * np.maximum(high - low, 0.0)
        inside = (values >= low - width) & (values <= high + width)
        special = (~np.isfinite(values) & same_special(values[None], seen)).any(axis=0)
        far[mask] = ~(inside | special)
    return far


def _wrong_form(expected: Array, actual: Array) -> str:
    if actual.shape != expected.shape:
        return f"expected shape {list(expected.shape)}, got {list(actual.shape)}"
    if actual.dtype != expected.dtype:
        return f"expected dtype {expected.dtype}, got {actual.dtype}"
    return ""


def _measured(
    case: str, output: str, passed: bool, told: str, ratio: Spread, limit: Spread, **counts: int
) -> Comparison:
    return Comparison(
        case, output, passed, told, ratio.rms, ratio.max, limit.rms, limit.max, **counts
    )


def _fail(case: str, output: str, detail: str, **counts: int) -> Comparison:
    return Comparison(case, output, False, detail, **counts)


def _is_float(spec: TensorSpec) -> bool:
    return spec.dtype.startswith("float")

"""How far an output may lie from the original's: measured in the original's own rounding error.

The original is run in float32 (`e32`) and in float64 (`e64`). What an export may differ by is a
multiple of what float32 already costs the original. Pure NumPy; `docs/validation.md` tells how the
constants were calibrated, and on what.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from shipworthy.models.spec import Array, Arrays

YARDSTICKS = ("float64", "jitter")

# Half a step between neighbours, relative: no result of that dtype can promise less.
FLOOR = {"float32": 2.0**-24, "float64": 2.0**-53}
# Below the smallest normal float32 nothing is measured: hardware may flush it to zero.
TINY = 2.0**-126

UNSTABLE_FACTOR = 100.0  # an error beyond this many medians is a rounding that flipped
UNSTABLE_STEPS = 1000.0  # ... and beyond this many steps of the output's dtype
UNSTABLE_SHARE = 0.01  # more unstable elements than this are not a pass
MINIMUM_ROWS = 64  # fewer rows say too little about a maximum

# A mask writes -1e4, -1e9 or the least float over some elements. These fillers would lift the floor
# of all others above any fault, so they are told by the gap below them and measured one by one.
FILLER_LEAST = 1000.0  # no smaller magnitude is a filler
FILLER_GAP = 100.0  # ... nor one that is not so many times the next smaller magnitude
FILLER_REST = (8, 0.02)  # as many elements that are not zero, and such a share, are smaller
FILLER_STEPS = 16.0  # a filler may differ by so many roundings, its own error or its dtype's


@dataclass(frozen=True)
class Spread:
    """Root mean square and maximum: of errors, of ratios, or the limits on ratios."""

    rms: float
    max: float

    def over(self, unit: Spread) -> Spread:
        """Return both norms as multiples of another's."""
        return Spread(_divide(self.rms, unit.rms), _divide(self.max, unit.max))

    def within(self, limit: Spread) -> bool:
        """Tell whether both norms are at most the limit's; NaN never is."""
        return self.rms <= limit.rms and self.max <= limit.max


# Threshold = factor x 99th percentile of the noise floor. Chosen once by
# `benchmarks/calibrate_threshold.py`; docs/validation.md has the tables, what was looked at while
# choosing, and how the choice did on weights it was not made on.
FACTORS: Mapping[str, Mapping[str, Spread]] = {
    "float64": {"pooled": Spread(5.0, 8.0), "case": Spread(12.0, 16.0)},
    "jitter": {"pooled": Spread(6.0, 10.0), "case": Spread(15.0, 20.0)},
}
# A noise floor is believed within these bounds: e32 itself has a ratio of 1, and a model whose
# noise is so great that no fault could be told from it must not pass everything.
NOISE_BOUNDS = (1.0, 16.0)


@dataclass(frozen=True)
class Expected:
    """What the original answers to one case.

    Parameters
    ----------
    case : the case's name.
    rows : how many rows it adds to the pool.
    expected32 : canonical output -> the float32 original's values, in the signature's dtype.
    centre : float outputs -> what errors are measured from, float64: `e64`, or under the jitter
        yardstick `e32`.
    error : float outputs -> the original's own error, element by element, float64, not negative.
    unstable : outputs that have any -> boolean mask of elements whose value hangs on a rounding.
    seen : outputs that have unstable elements -> every value the original gave there, one run a
        row, shape (runs, unstable elements in C order).
    filler : outputs that have any -> the magnitude from which on an element is a mask's filler.
    """

    case: str
    rows: int
    expected32: Arrays
    centre: Arrays
    error: Arrays
    unstable: Arrays = field(default_factory=dict)
    seen: Arrays = field(default_factory=dict)
    filler: Mapping[str, float] = field(default_factory=dict)

    def mask(self, output: str) -> Array:
        """Return the output's mask of unstable elements, all False where there are none."""
        found = self.unstable.get(output)
        return np.zeros(self.expected32[output].shape, bool) if found is None else found

    def stable(self, output: str) -> Array:
        """Return the mask of a float output's elements that are measured together.

        They are stable, finite and no fillers.
        """
        finite = np.isfinite(self.expected32[output]) & np.isfinite(self.centre[output])
        return np.asarray(finite & ~self.mask(output) & ~self.fillers(output))

    def fillers(self, output: str) -> Array:
        """Return the mask of a float output's stable fillers."""
        bound = self.filler.get(output, np.inf)
        size = np.abs(self.centre[output])
        return np.asarray(np.isfinite(size) & (size >= bound) & ~self.mask(output))

    def filler_limit(self, output: str) -> Array:
        """Return how far each element of a float output may lie from the centre as a filler."""
        floor = FLOOR[self.expected32[output].dtype.name] * np.abs(self.centre[output])
        return FILLER_STEPS * np.maximum(floor, self.error[output])


def is_float(array: Array) -> bool:
    """Tell whether an output is measured; the others are compared exactly."""
    return bool(array.dtype.kind == "f")


def spread(values: Array) -> Spread:
    """Return the norms of some values; of none, zeros.

    The root mean square is scaled, so that neither great nor small values overflow.
    """
    size = np.abs(np.asarray(values, np.float64)).ravel()
    greatest = float(size.max(initial=0.0))
    if greatest == 0.0 or not np.isfinite(greatest):
        return Spread(greatest, greatest)
    return Spread(greatest * float(np.sqrt(np.mean((size / greatest) ** 2))), greatest)


def output_scale(expected: Sequence[Expected], output: str) -> float:
    """Return the RMS of an output's measured elements over all cases."""
    return spread(_pool(expected, output, "centre")).rms


def pooled_unit(expected: Sequence[Expected], output: str) -> Spread:
    """Return the denominators over all cases: the original's own error, floored.

    The floor is what the output's dtype can promise for values of that size: `FLOOR` times their
    RMS, or times the greatest of them.
    """
    return _unit(_pool(expected, output, "error"), _pool(expected, output, "centre"),
                 _floor(expected[0], output), 0.0)  # fmt: skip


def case_unit(one: Expected, output: str, scale: float) -> Spread:
    """Return one case's own denominators.

    Parameters
    ----------
    scale : the output's magnitude at large. Approximations of exp and the like are good to a step
        of the output's range, not of its smallest values, so that a case of one saturated row is
        not asked for more than a step at this scale.
    """
    keep = one.stable(output)
    return _unit(one.error[output][keep], one.centre[output][keep], _floor(one, output), scale)


def _unit(error: Array, centre: Array, floor: float, scale: float) -> Spread:
    own, size = spread(error), spread(centre)
    return Spread(
        max(own.rms, floor * max(size.rms, scale), TINY),
        max(own.max, floor * max(size.max, scale), TINY),
    )


def _floor(one: Expected, output: str) -> float:
    return FLOOR[one.expected32[output].dtype.name]


def _pool(expected: Sequence[Expected], output: str, part: str) -> Array:
    arrays = [getattr(one, part)[output][one.stable(output)] for one in expected]
    return np.concatenate(arrays) if arrays else np.zeros(0)


def distance(actual: Array, centre: Array) -> Array:
    """Return absolute differences in float64; elements that are not finite give NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.abs(np.asarray(actual, np.float64) - np.asarray(centre, np.float64))


def filler_bound(centre: Array) -> float:
    """Return the magnitude from which on elements are a mask's fillers; infinite without any.

    Parameters
    ----------
    centre : all elements of an output, over all cases.
    """
    size = np.sort(np.abs(centre[np.isfinite(centre) & (centre != 0)]))
    least, share = FILLER_REST
    first = max(least, int(np.ceil(share * size.size)))
    below, above = size[first - 1 : -1], size[first:]
    gaps = np.flatnonzero((above >= FILLER_LEAST) & (above > FILLER_GAP * below))
    return float(above[gaps[0]]) if gaps.size else float("inf")


def float_unstable(runs: Sequence[Array], centre: Array, floor: float) -> Array:
    """Return which elements of a float output hang on a rounding, over all cases pooled.

    An element is unstable where any run of the original is further from the centre than 100 times
    that run's median error, or is finite where the centre is not, or the other way round. The bar
    never falls below 1000 steps of the dtype, relative to the element or to the output's RMS,
    whichever is greater: a saturated softmax has a median error of 1e-12, and its undecided rows
    are sensitive, not unstable.
    Elements that are exactly zero in both (a ReLU's) tell nothing about rounding and are left out
    of the median, unless nearly all are.

    Parameters
    ----------
    runs : flattened outputs of the original's float32 runs.
    centre : flattened `e64`, or the `e32` of the jitter yardstick.
    """
    unstable = np.zeros(centre.shape, bool)
    finite = np.isfinite(centre)
    size = np.abs(np.where(finite, centre, 0.0))
    ordinary = finite & (size < filler_bound(centre))
    step = floor * np.maximum(spread(centre[ordinary]).rms, size)
    for run in runs:
        both = finite & np.isfinite(run)
        error = np.where(both, distance(run, centre), 0.0)
        bar = UNSTABLE_FACTOR * np.maximum(
            _median_error(error[both], run[both], centre[both]), step
        )
        unstable |= both & (error > bar)
        unstable |= ~both & ~_same_special(run, centre)
    return unstable


def exact_unstable(runs: Sequence[Array]) -> Array:
    """Return which elements of an integer or boolean output are ties: any two runs disagree."""
    first = runs[0]
    unstable = np.zeros(first.shape, bool)
    for run in runs[1:]:
        unstable |= run != first
    return unstable


def limits(noise: Mapping[str, Sequence[float]], yardstick: str, scope: str) -> Spread:
    """Return the thresholds: factor times the 99th percentile of the model's own noise floor.

    Parameters
    ----------
    noise : ``{"rms": [...], "max": [...]}``, one ratio a noise run.
    yardstick : one of `YARDSTICKS`.
    scope : ``"pooled"`` or ``"case"``.

    Raises
    ------
    ValueError : an unknown yardstick or scope.
    """
    if yardstick not in FACTORS or scope not in FACTORS[yardstick]:
        raise ValueError(
            f"no thresholds for yardstick {yardstick!r}, scope {scope!r}; "
            f"known: {', '.join(YARDSTICKS)}; pooled, case"
        )
    factor = FACTORS[yardstick][scope]
    floor = noise_floor(noise)
    return Spread(factor.rms * floor.rms, factor.max * floor.max)


def noise_floor(noise: Mapping[str, Sequence[float]]) -> Spread:
    """Return the 99th percentile of the noise runs' ratios, kept within `NOISE_BOUNDS`."""
    return Spread(_percentile(noise["rms"]), _percentile(noise["max"]))


def same_special(actual: Array, expected: Array) -> Array:
    """Return where NaN and infinity agree in place and sign; finite elements agree."""
    return np.asarray(
        (np.isfinite(actual) & np.isfinite(expected)) | _same_special(actual, expected)
    )


def _same_special(left: Array, right: Array) -> Array:
    infinite = np.isinf(left) & np.isinf(right) & (np.signbit(left) == np.signbit(right))
    return np.asarray((np.isnan(left) & np.isnan(right)) | infinite)


def _median_error(error: Array, run: Array, centre: Array) -> float:
    telling = (run != 0) | (centre != 0)
    if not error.size or np.count_nonzero(telling) <= UNSTABLE_SHARE * error.size:
        return 0.0
    return float(np.median(error[telling]))


def _percentile(ratios: Sequence[float]) -> float:
    low, high = NOISE_BOUNDS
    if not ratios:
        return low
    return float(np.clip(np.percentile(np.asarray(ratios, np.float64), 99), low, high))


def _divide(value: float, by: float) -> float:
    # Kept finite, so that it can be written as JSON; NaN stays NaN, which is within no limit.
    return value if np.isnan(value) else min(value / by, sys.float_info.max)

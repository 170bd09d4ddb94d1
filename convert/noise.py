"""The original against itself: how much it moves when nothing that matters has changed.

Runs the float32 original at another thread count, with its rows in other groups, and with its
inputs moved by one step between neighbouring floats. What the runs mean is in
`shipworthy.convert.weigh`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shipworthy.convert.cases import PlannedCase, can_split, count_rows
from shipworthy.convert.original import Original
from shipworthy.convert.yardstick import distance, is_float, same_special, spread
from shipworthy.models.spec import Array, Arrays, Signature, TensorSpec

ULP_RUNS = 5
# Under the float64 yardstick larger cases (a whole test set) are left out of the noise runs.
NOISE_ROWS = 512
_SINGLE_ROWS = 64  # cases up to here are also run row by row; larger ones in slices
_SLICE = 32
# An original that differs from itself by more than this share of its outputs' RMS has no rounding
# error to measure by.
GROSS = 1e-2


class NoYardstickError(Exception):
    """The original does not repeat itself, so nothing can be measured by it."""


@dataclass(frozen=True)
class NoiseRun:
    """One more run of the float32 original.

    Parameters
    ----------
    name : what was changed, for people.
    outputs : of each case, in the cases' order; None for a case that was left out.
    """

    name: str
    outputs: Sequence[Arrays | None]


def run_noise(
    original: Original,
    signature: Signature,
    cases: Sequence[PlannedCase],
    expected32: Sequence[Arrays],
    max_rows: float = NOISE_ROWS,
) -> tuple[list[NoiseRun], list[str]]:
    """Run the original in other ways; return the runs, and notes on those that were dropped.

    Raises
    ------
    NoYardstickError : a run differs grossly although nothing that matters was changed.
    """
    runs: list[NoiseRun] = []
    notes: list[str] = []
    for name, run in _ways(original, signature, cases):
        outputs = [
            run(i, case) if count_rows(signature, case.sizes) <= max_rows else None
            for i, case in enumerate(cases)
        ]
        share, where = _gross(signature, cases, expected32, outputs)
        if share <= GROSS:
            runs.append(NoiseRun(name, outputs))
        elif name.startswith("rows"):
            notes.append(
                f"noise run {name!r} is left out: {where} changes by {share:.1%} of its RMS, so "
                "the model's rows are not independent"
            )
        else:
            raise NoYardstickError(
                f"the original does not repeat itself: with {name} {where} changes by {share:.1%} "
                "of its RMS, so there is no rounding error to measure an export by; check that it "
                "runs in inference mode without randomness"
            )
    return runs, notes


def _ways(
    original: Original, signature: Signature, cases: Sequence[PlannedCase]
) -> Iterator[tuple[str, Callable[[int, PlannedCase], Arrays]]]:
    yield "2 threads", lambda _, case: original.run(case.inputs, threads=2)
    if can_split(signature):
        yield "rows one by one", lambda _, case: _in_slices(original, signature, case, 1)
        yield "rows in halves", lambda _, case: _in_slices(original, signature, case, 2)
    moving = any(spec.dtype.startswith("float") for spec in signature.inputs)
    for seed in range(ULP_RUNS):
        if moving:
            yield f"inputs moved by one ulp ({seed})", lambda i, case, seed=seed: original.run(  # type: ignore[misc]
                move_inputs(signature.inputs, case.inputs, np.random.default_rng([seed, i]))
            )  # fmt: skip
            continue
        rng = np.random.default_rng(seed)
        restore = original.nudge_weights(lambda weight, rng=rng: move(weight, rng))  # type: ignore[misc]
        try:
            yield f"weights moved by one ulp ({seed})", lambda _, case: original.run(case.inputs)
        finally:
            restore()


def move(values: Array, rng: np.random.Generator) -> Array:
    """Return floats moved to a neighbour, up or down by a coin; zeros and specials stay.

    An exact zero is structure (padding, background), and its neighbour is out of many domains.
    """
    up = rng.random(values.shape) < 0.5
    infinity = values.dtype.type(np.inf)
    moved = np.nextafter(values, np.where(up, infinity, -infinity))
    return np.asarray(np.where((values == 0) | ~np.isfinite(values), values, moved))


def move_inputs(
    specs: Sequence[TensorSpec], inputs: Arrays, rng: np.random.Generator
) -> dict[str, Array]:
    """Move every float input by one step, within its declared range; the others stay."""
    moved: dict[str, Array] = {}
    for spec in specs:
        value = inputs[spec.name]
        if value.dtype.kind == "f":
            value = move(value, rng)
            if spec.low is not None or spec.high is not None:
                value = np.clip(value, spec.low, spec.high).astype(value.dtype)
        moved[spec.name] = value
    return moved


def _in_slices(
    original: Original, signature: Signature, case: PlannedCase, parts: int
) -> dict[str, Array]:
    """Run row by row (`parts` 1; large cases in slices), or in two halves."""
    rows = count_rows(signature, case.sizes)
    single = 1 if rows <= _SINGLE_ROWS else _SLICE
    step = single if parts == 1 else max(1, (rows + 1) // 2)
    slices = [
        original.run({name: value[start : start + step] for name, value in case.inputs.items()})
        for start in range(0, rows, step)
    ]
    return {
        spec.name: np.concatenate([part[spec.name] for part in slices])
        for spec in signature.outputs
    }


def _gross(
    signature: Signature,
    cases: Sequence[PlannedCase],
    expected: Sequence[Arrays],
    outputs: Sequence[Arrays | None],
) -> tuple[float, str]:
    """Return the greatest typical change of any float output, as a share of its RMS.

    The median of what is not zero, so that a few flipped roundings do not count.
    """
    worst, where = 0.0, ""
    for spec in signature.outputs:
        for case, one, other in zip(cases, expected, outputs, strict=True):
            left = one[spec.name]
            if other is None or not is_float(left):
                continue
            right = other[spec.name]
            if right.shape != left.shape:
                return float("inf"), f"{spec.name!r} of {case.name!r}"
            share = typical_change(left, right)
            if share > worst:
                worst, where = share, f"{spec.name!r} of {case.name!r}"
    return worst, where


def typical_change(left: Array, right: Array) -> float:
    """Return the median change where either is not zero, as a share of the left one's RMS."""
    telling = np.isfinite(left) & np.isfinite(right) & ((left != 0) | (right != 0))
    if not telling.any():
        return 0.0 if bool(same_special(left, right).all()) else float("inf")
    scale = spread(left[np.isfinite(left)]).rms
    change = float(np.median(distance(right, left)[telling]))
    return change / scale if scale > 0 else (0.0 if change == 0 else float("inf"))
